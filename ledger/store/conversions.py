"""Column `conversion` of bets and settlements: what was asked for in another currency, as JSON."""

import json

from ledger.core.exchange import Conversion


def to_text(conversion: Conversion | None) -> str | None:
    return json.dumps(conversion._asdict()) if conversion else None


def from_text(text: str | None) -> Conversion | None:
    return Conversion.from_record(json.loads(text)) if text else None
