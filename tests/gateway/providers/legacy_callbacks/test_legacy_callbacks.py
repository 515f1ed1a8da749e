"""What only the legacy callbacks say: many names, one meaning."""

import json
import re

import pytest

from gateway.dialect.errors import Rejected
from gateway.providers.legacy_callbacks import DIALECT
from gateway.providers.legacy_callbacks.spellings import SPELLINGS, read
from tests.gateway.providers.worked_example import signature_on_page, signed_call
from tests.support.pages import ROOT

SECRET, AT_S = "legacy-example-secret", 1_796_000_000
BODY = b'{"userId":"p_1","currency":"EUR","type":"balance"}'


def test_the_example_of_the_page_is_a_signature() -> None:
    """Shell and Python print the same, and it is accepted."""
    call = signed_call(DIALECT, SECRET, {"X-Signature": signature_on_page("legacy_callbacks")}, BODY, at_s=AT_S)
    DIALECT.verify(call)


@pytest.mark.parametrize("field", SPELLINGS)
def test_every_spelling_means_its_field(field: str) -> None:
    """Each alone; and no name means two fields."""
    for name in SPELLINGS[field]:
        assert read(json.dumps({name: "x"}).encode()) == {field: "x"}


def test_spellings_must_agree() -> None:
    """The same twice is no contradiction, whatever its spelling; an unknown name is nothing; null is nothing."""
    assert read(b'{"playerId": 7, "user_id": "7", "x": 1, "token": null}') == {"player_id": "7"}
    with pytest.raises(Rejected, match="FIELD_INVALID"):
        read(b'{"playerId": 7, "user_id": 8}')
    with pytest.raises(Rejected, match="FIELD_INVALID"):
        read(b'{"amount": 1, "value": 1.5}')
    assert set(read(b'{"amount": 1, "value": 1.0}')) == {"amount"}


def test_the_page_lists_them() -> None:
    """All, and no other."""
    page = (ROOT / "docs" / "providers" / "legacy_callbacks.md").read_text()
    rows = re.findall(r"^\| ([a-z_]+) \| (`.*`) \|$", page, re.MULTILINE)
    assert {field: tuple(re.findall(r"`([^`]+)`", names)) for field, names in rows} == dict(SPELLINGS)
