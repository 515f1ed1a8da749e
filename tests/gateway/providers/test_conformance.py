"""One suite over every dialect: what their protocols have in common is checked the same way in all of them."""

from pathlib import Path

import pytest

from tests.gateway.providers.checks import CHECKS, Check, Tables, proves_nothing_else
from tests.gateway.providers.conftest import FOLDERS
from tests.gateway.providers.recordings import replay
from tests.gateway.providers.spellings import asked_by_all_kinds

HERE = Path(__file__).parent

pytestmark = pytest.mark.parametrize("tables", FOLDERS, indirect=True)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_dialect(tables: Tables, check: Check):
    """The dialect keeps this rule in its provider's words."""
    check(tables)


def test_recorded_exchanges(tables: Tables):
    """Whole recorded conversations come out byte for byte, and their bytes move nothing as any other call. What they
    give is given in every spelling.
    """
    name, mark = tables.home.driver.name, len(tables.calls.asked)
    table, sent = replay(tables.home.house, name, HERE / name / "exchanges.json")
    recorded = tables.calls.since(mark)
    one_of_each = {(request.path, len(request.body) > 0): request for request in sent}
    one_of_each |= {(request.path, "first"): request for request in reversed(sent)}
    proves_nothing_else(table, tables.dialect, one_of_each.values())
    forgotten = [f"{kind.kind} by {handle.__name__}" for handle, kind in recorded - asked_by_all_kinds(tables)]
    assert not forgotten, f"`credits` of the driver makes no {', '.join(forgotten)}, which the recorded exchanges have"


def test_its_own_tests(tables: Tables):
    """A dialect brings tests of what only its protocol knows."""
    name = tables.home.driver.name
    assert list((HERE / name).glob("test_*.py")), f"tests/gateway/providers/{name}/test_{name}.py is missing"
