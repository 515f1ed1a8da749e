"""Commands and their events in a log of entries: each event was caused by one command of its database transaction,
and the two say the same.

A command is canonical JSON, an event is Avro. Parsing the one costs as much as decoding the other, so what a command
says of its event is cut out of its bytes and looked up among what the events say; only what is not found there is
parsed.
"""

import json
from binascii import hexlify
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from audit.findings import AuditReport
from audit.stream_run import RawPosting, Stream, key_of
from evidence.log import COMMAND_FIELDS
from ledger.streams import StreamKey

SAID = (
    "command", "fingerprint", "first_version", "idempotency_key", "last_version", "operation", "scope", "stream_id",
    "stream_type", "tenant_id", "trace_id",
)  # fmt: skip
"""What a command and its event both say, in the order of canonical JSON."""

_AS_JSON = b"".join(
    b',"%b":%b' % (name.encode(), b"%d" if name.endswith("_version") else b"%b" if name == "fingerprint" else b'"%b"')
    for name in SAID
)


def _cuts() -> list[tuple[bytes, bytes]]:
    """Where the parts of a command that matter begin, and what follows them. No text in JSON looks like a field's name:
    its quotes would have a backslash before them.
    """
    runs = [(wanted, [*names]) for wanted, names in groupby(sorted(COMMAND_FIELDS), SAID.__contains__)]
    following = [*(names[0] for _, names in runs[1:]), None]
    return [
        (b',"%b":' % names[0].encode(), b',"%b":' % end.encode() if end else b"}")
        for (wanted, names), end in zip(runs, following, strict=True)
        if wanted
    ]


_CUTS = _cuts()


class EventFields(NamedTuple):
    """What is checked of an event without decoding the rest of it; texts are bytes, as they stand in its own."""

    event_type: bytes
    occurred_at: int
    tenant_id: bytes
    player_id: bytes | None
    trace_id: bytes
    currency: bytes | None
    idempotency_key: bytes
    stream_type: bytes
    stream_id: bytes
    stream_version: int
    previous_hash: bytes
    wallet_id: bytes | None
    postings: Sequence[RawPosting]
    integration_id: bytes | None
    operation: bytes
    command_fingerprint: bytes | None

    @property
    def stream(self) -> Stream:
        return self.tenant_id, self.stream_type, self.stream_id

    @property
    def scope(self) -> bytes:
        return self.integration_id or b"tenant:" + self.tenant_id

    def command_fields(self, kind: str | None) -> dict[str, Any]:
        """What the event says of its command, under the names that a command has it by; `kind` is that command's, where
        it is known.
        """
        texts = {name: getattr(self, name) for name in ("idempotency_key", "operation", "scope", "trace_id")}
        said: dict[str, Any] = {name: text.decode(errors="replace") for name, text in texts.items()}
        said["fingerprint"] = self.command_fingerprint.hex() if self.command_fingerprint else None
        return said if kind is None else said | {"command": kind}


FIELDS = tuple("payload.currency" if name == "currency" else name for name in EventFields._fields)
"""Of the envelope, for a picker."""


@dataclass
class Transaction:
    """The events and commands of one database transaction that have not found each other."""

    xid: int
    events: dict[bytes, tuple[tuple[Any, ...], str | None]] = field(default_factory=dict)
    """By what a command must say of them; with the kind of that command."""
    commands: list[bytes] = field(default_factory=list)

    def take_event(self, event: tuple[Any, ...], kind: str | None) -> None:
        (
            _, _, tenant_id, _, trace_id, _, idempotency_key, stream_type, stream_id, version, _, _, _, integration_id,
            operation, fingerprint,
        ) = event  # fmt: skip
        said = _AS_JSON % (
            (kind or "").encode(), b'"%b"' % hexlify(fingerprint) if fingerprint else b"null", version,
            idempotency_key, version, operation, integration_id or b"tenant:" + tenant_id, stream_id, stream_type,
            tenant_id, trace_id,
        )  # fmt: skip
        self.events[said] = event, kind

    def take_command(self, body: bytes) -> None:
        if self.events.pop(_cut(body), None) is None:
            self.commands.append(body)

    def settle(self, report: AuditReport) -> None:
        """After the last entry: pair what is left one by one, and name what fits nothing."""
        left = {
            (event.stream, event.stream_version): (event, kind) for event, kind in map(_named, self.events.values())
        }
        for body in self.commands:
            try:
                command = json.loads(body)
                self._settle(command, left, report)
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                text = f"a command of database transaction {self.xid} cannot be read: {error!r}"
                report.find("entry_unreadable", None, None, text)
        for (stream, version), (event, _) in left.items():
            key = event.idempotency_key.decode(errors="replace")
            text = f"no command with key {key!r} in its database transaction {self.xid} names this version"
            report.find("command_missing", key_of(stream), version, text)

    def _settle(
        self,
        command: dict[str, Any],
        left: dict[tuple[Stream, int], tuple[EventFields, str | None]],
        report: AuditReport,
    ) -> None:
        first, last = command["first_version"], command["last_version"]
        if first is None and last is None:
            return  # it made no event
        tenant_id, stream_type, stream_id = command["tenant_id"], command["stream_type"], command["stream_id"]
        stream = tenant_id.encode(), stream_type.encode(), stream_id.encode()
        name = f"the command with key {command['idempotency_key']!r} ({command['scope']})"
        wanted = range(first, last + 1)
        found = [left.pop((stream, version), None) for version in wanted]
        if not found or None in found:
            text = (
                f"{name} names versions {first} to {last}; its database transaction {self.xid} does not have them all"
            )
            report.find("command_unexplained", StreamKey(tenant_id, stream_type, stream_id), first, text)
        for event, kind in filter(None, found):
            for said, value in event.command_fields(kind).items():
                if command[said] != value:
                    text = f"{name} has {said} {command[said]!r}, the event {value!r}"
                    report.find("command_differs", key_of(stream), event.stream_version, text)


def _named(event: tuple[tuple[Any, ...], str | None]) -> tuple[EventFields, str | None]:
    return EventFields._make(event[0]), event[1]


def _cut(body: bytes) -> bytes:
    """What a command says of its event."""
    at, parts = 0, []
    for start, end in _CUTS:
        at = body.find(start, at)
        to = body.find(end, at) if end != b"}" else len(body) - 1
        parts.append(body[at:to])
        at = to
    return b"".join(parts)
