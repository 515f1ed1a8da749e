"""Column `conversion` of bets and settlements: an amount in the provider's currency that was converted, as JSON."""

import json

from ledger.core.exchange import Conversion


def to_text(conversion: Conversion | None) -> str | None:
    return json.dumps(conversion._asdict()) if conversion else None


def from_text(text: str | None) -> Conversion | None:
    return Conversion.from_record(json.loads(text)) if text else None
