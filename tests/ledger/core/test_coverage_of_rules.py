"""No rule without its story."""

import re
from pathlib import Path

from ledger.core import decision
from schemas.errors import ERRORS

CORE = Path(decision.__file__).parent
CODES = {
    code
    for path in CORE.glob("*.py")
    for code in re.findall(r'Refusal\(\s*"([A-Z_]+)"|"([A-Z]+(?:_[A-Z]+)+)"', path.read_text())
}
CODES = {code for found in CODES for code in found if code}


def test_every_refusal_has_a_story():
    """Every code that the rule book can answer is told somewhere here."""
    told = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert len(CODES) > 25
    assert {code for code in CODES if f'"{code}"' not in told} == set()


def test_every_refusal_is_in_the_catalogue():
    """The stories also fill its message from what the rule says."""
    assert set(ERRORS) >= CODES
