"""Other forms of an event type, for the time of a migration from one to the other.

A change of meaning is another type (`bet.settled.v2`). While readers move, the fact is written in both forms at once:
the log and `ledger.events` hold one of them, the other goes to its own type topic, under the same event_id. A form's
schema names the type that it is made from (`form_of`); the function that makes its payload stands here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from schemas.events import VARIANTS, EventSchema

Payload = Mapping[str, Any]


@dataclass(frozen=True)
class EventVariant:
    """Another form of an event type, such as `bet.settled.v2`: its schema, and how its payload is made."""

    schema: EventSchema
    payload_of: Callable[[Payload], Payload]
    """Makes this form's payload from the payload that the log holds; pure."""

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """The Avro bytes in this form of an envelope that the log holds. Of the envelope only the type and its version
        change.
        """
        named = {"event_type": self.schema.event_type, "schema_version": self.schema.schema_version}
        return self.schema.encode({**record, **named, "payload": self.payload_of(record["payload"])})


def chosen(names: str) -> dict[str, EventVariant]:
    """The other forms that a list such as `bet.settled.v2,bet.authorized.v2` names, by the type that the log holds.

    Raises ValueError for a name that is no form, and for two forms of one type.
    """
    variants: dict[str, EventVariant] = {}
    for name in filter(None, map(str.strip, names.split(","))):
        schema = VARIANTS.get(name)
        if schema is None:
            raise ValueError(f"{name!r} is no other form of an event type; there are: {', '.join(VARIANTS)}")
        assert schema.form_of, name
        if schema.form_of in variants:
            other = variants[schema.form_of].schema.event_type
            raise ValueError(f"{name} and {other} are both forms of {schema.form_of}; one at a time")
        variants[schema.form_of] = EventVariant(schema, _PAYLOADS[name])
    return variants


def notices(schema: EventSchema) -> tuple[tuple[str, bytes], ...]:
    """The Kafka headers of a type topic that is going: Deprecation (RFC 9745) and Sunset (RFC 8594)."""
    headers = []
    if schema.deprecated:
        headers.append(("Deprecation", f"@{int(_day(schema.deprecated).timestamp())}".encode()))
    if schema.sunset:
        headers.append(("Sunset", format_datetime(_day(schema.sunset), usegmt=True).encode()))
    return tuple(headers)


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _bet_settled_v2(payload: Payload) -> Payload:
    """Each amount with its currency and exponent."""
    currency, exponent, conversion = payload["currency"], payload["exponent"], payload["conversion"]
    return {
        **payload,
        "bet": _money(payload["stake_minor"], currency, exponent),
        "win": _money(payload["win_minor"], currency, exponent),
        "asked": conversion and _money(conversion["amount_minor"], conversion["currency"], conversion["exponent"]),
    }


def _money(amount_minor: int, currency: str, exponent: int) -> Payload:
    return {"amount_minor": amount_minor, "currency": currency, "exponent": exponent}


_PAYLOADS: dict[str, Callable[[Payload], Payload]] = {"bet.settled.v2": _bet_settled_v2}
