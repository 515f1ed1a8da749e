"""One suite over every dialect: what their protocols have in common is checked the same way in all of them."""

from pathlib import Path

import pytest

from tests.dialects import spellings  # noqa: F401  # registers its checks
from tests.dialects.checks import CHECKS, Check, Tables
from tests.dialects.conftest import FOLDERS
from tests.dialects.recorded import replay

HERE = Path(__file__).parent

pytestmark = pytest.mark.parametrize("tables", FOLDERS, indirect=True)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_dialect(tables: Tables, check: Check):
    """The dialect keeps this rule in its provider's words."""
    check(tables)


def test_recorded_exchanges(tables: Tables):
    """Whole recorded conversations come out byte for byte."""
    name = tables.home.driver.name
    replay(tables.home.house, name, HERE / name / "exchanges.json")


def test_its_own_tests(tables: Tables):
    """A dialect brings tests of what only its protocol knows."""
    name = tables.home.driver.name
    assert list((HERE / name).glob("test_*.py")), f"tests/dialects/{name}/test_{name}.py is missing"
