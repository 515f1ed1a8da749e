"""What is known of a bet or a round: its events, its commands and what each came to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ledger.core.chain import hash_of
from ledger.core.money import format_minor
from ledger.core.postings import Posting
from ledger.streams import StreamKey
from runtime.clock import to_datetime

BET, ROUND = "bet", "round"

Place = tuple[StreamKey, int]
"""A version of a stream."""


@dataclass(frozen=True)
class Event:
    """One row of the event log."""

    stream: StreamKey
    version: int
    xid: int
    position: int
    fingerprint: bytes
    body: bytes = field(repr=False)
    record: Mapping[str, Any] = field(repr=False)
    traceparent: str | None

    @property
    def place(self) -> Place:
        return self.stream, self.version

    @property
    def postings(self) -> list[Posting]:
        return [Posting(one["account"], one["amount_minor"], one["currency"]) for one in self.record["postings"]]

    def to_dict(self) -> dict[str, Any]:
        record = self.record
        names = "event_type", "schema_version", "event_id", "trace_id", "wallet_id", "provider_transaction_id"
        return {
            **{name: record[name] for name in names},
            "recorded_at": to_datetime(record["occurred_at"]).isoformat(),
            "stream": "/".join(self.stream),
            "version": self.version,
            "hash": hash_of(self.body).hex(),
            "previous_hash": record["previous_hash"].hex(),
            "position": self.position,
            "traceparent": self.traceparent,
            "payload": record["payload"],
            "postings": [posting._asdict() for posting in self.postings],
        }


@dataclass(frozen=True)
class EventProof:
    """How an event of the log stands against what was written of it elsewhere."""

    carried: bytes | None
    """The hash that the next event of its stream carries of it, or the stream's row; None: neither can be read."""
    leaf: int | None
    """Its place among the sealed entries, where it is one of them."""
    sealed: bool
    """Whether the entries of its database transaction were sealed."""
    hash: bytes

    @property
    def followed(self) -> bool:
        """What comes after it in its stream carries its hash."""
        return self.carried == self.hash

    @property
    def changed(self) -> bool:
        """It is not what was written: the seal decides, and before there is one, what follows it."""
        return self.leaf is None if self.sealed else not self.followed

    @property
    def whole(self) -> bool:
        return self.followed and not self.changed


@dataclass(frozen=True)
class EventCopy:
    """What a topic has of an event that was changed in the log."""

    where: str
    record: Mapping[str, Any]
    true: bool | None
    """It is what was sealed, or what the next event carries the hash of; None: nothing tells."""


@dataclass(frozen=True)
class Command:
    """A command under its key, and what it came to."""

    xid: int
    scope: str
    operation: str
    idempotency_key: str
    command_id: str
    kind: str
    fingerprint: bytes | None
    kid: str | None
    trace_id: str
    stream: str
    versions: tuple[int, int] | None
    outcome: Mapping[str, Any]
    command_json: Mapping[str, Any] | None
    answer: bytes | None
    decided_at_us: int
    remembered: bool
    """Its key stands for this outcome; a refusal may leave it free."""

    @property
    def refusal(self) -> str | None:
        code = self.outcome.get("refusal")
        return None if code is None else str(code)

    @property
    def outcome_text(self) -> str:
        """The outcome in a few words."""
        if self.refusal:
            details = ", ".join(f"{name} {value}" for name, value in (self.outcome.get("details") or {}).items())
            return f"refused: {self.refusal}" + (f" ({details})" if details else "")
        status = self.outcome.get("result", {}).get("status", "accepted")
        return f"{status}, nothing changed" if self.outcome.get("unchanged") else str(status)

    @property
    def answer_text(self) -> str | None:
        """The bytes that were sent, as text."""
        return None if self.answer is None else self.answer.decode("utf-8", "backslashreplace")

    def to_dict(self) -> dict[str, Any]:
        return {
            "scope": self.scope,
            "operation": self.operation,
            "idempotency_key": self.idempotency_key,
            "command_id": self.command_id,
            "kind": self.kind,
            "kid": self.kid,
            "fingerprint": self.fingerprint.hex() if self.fingerprint else None,
            "stream": self.stream,
            "versions": self.versions,
            "outcome": self.outcome,
            "asked": self.command_json,
            "answer": self.answer_text,
            "key_remembered": self.remembered,
            "trace_id": self.trace_id,
            "decided_at": to_datetime(self.decided_at_us).isoformat(),
        }


@dataclass(frozen=True)
class CommandEvents:
    """A command with the events that it made. Commands of one callback share their database transaction and trace."""

    command: Command | None
    """None: the log has an event that no command explains."""
    events: tuple[Event, ...]

    @property
    def order(self) -> tuple[int, int, int]:
        first = self.events[0] if self.events else None
        at_us = first.record["occurred_at"] if first else self.command.decided_at_us if self.command else 0
        xid = first.xid if first else self.command.xid if self.command else 0
        return at_us, xid, first.position if first else 0

    @property
    def at(self) -> str:
        return to_datetime(self.order[0]).isoformat(timespec="microseconds")

    @property
    def trace_id(self) -> str:
        return self.command.trace_id if self.command else str(self.events[0].record["trace_id"])


@dataclass
class Explanation:
    """A bet or a round on one page."""

    what: str
    """What is explained: bet or round."""
    id: str
    integration_id: str
    steps: list[CommandEvents] = field(default_factory=list)
    """In the order of time."""
    stored: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Rows of the ledger's tables."""
    read_models: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    proofs: dict[Place, EventProof] = field(default_factory=dict)
    copies: dict[Place, EventCopy] = field(default_factory=dict)
    """Of events that were changed, as far as the topics have them."""
    damages: list[str] = field(default_factory=list)
    """What is gone or cannot be read, in sentences."""
    exponents: dict[str, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.what.capitalize()} {self.id} of {self.integration_id}"

    def amount(self, minor: int, currency: str) -> str:
        exponent = self.exponents.get(currency)
        return f"{minor} minor {currency}" if exponent is None else f"{format_minor(minor, exponent)} {currency}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values; amounts in minor units."""
        return {
            "what": self.what,
            "id": self.id,
            "integration_id": self.integration_id,
            "steps": [
                {
                    "at": step.at,
                    "trace_id": step.trace_id,
                    "command": step.command and step.command.to_dict(),
                    "events": [event.to_dict() for event in step.events],
                }
                for step in self.steps
            ],
            "stored": self.stored,
            "read_models": self.read_models,
            "notes": self.notes,
        }
