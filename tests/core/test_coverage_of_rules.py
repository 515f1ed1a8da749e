"""No rule without its story."""

import re
from pathlib import Path

from ledger.core import decide as rules
from schemas.errors import ERRORS

CODES = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+|DUPLICATE)"', Path(rules.__file__).read_text()))


def test_every_refusal_has_a_story():
    """Every code that the rule book can answer is in test_rules.py."""
    told = Path(__file__).with_name("test_rules.py").read_text()
    assert {code for code in CODES if f'"{code}"' not in told} == set()


def test_every_refusal_is_in_the_catalogue():
    """The stories also fill its message from what the rule says."""
    assert set(ERRORS) >= CODES
