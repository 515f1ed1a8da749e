"""Tables `commands` and `refusals`: what was asked under which key, and what it came to. Kept forever."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from hashlib import sha256
from typing import Any, NamedTuple

from ledger.core.commands import Command
from ledger.core.money import Amount
from ledger.core.rollbacks import Rollback
from ledger.core.value import value
from ledger.entry import canonical
from ledger.outcome import Outcome
from ledger.store.column_list import ColumnList
from ledger.store.statement import Statement, by_key
from ledger.streams import StreamKey

COLUMNS = ColumnList("""
    scope text, operation text, idempotency_key text, command_id text::uuid, kind text, fingerprint bytea,
    tenant_id text, stream_type text, stream_id text, first_version bigint, last_version bigint, outcome text::json,
    answer bytea, kid text, asked text::json, trace_id text, decided_at timestamptz
""")
REFUSAL_COLUMNS = ColumnList("""
    scope text, operation text, idempotency_key text, command_id text::uuid, kind text, fingerprint bytea, region text,
    tenant_id text, stream_type text, stream_id text, code text, details text::json, answer bytea, kid text,
    asked text::json, trace_id text, refused_at timestamptz
""")
KEY = COLUMNS.only("scope", "operation", "idempotency_key")
REMEMBERED = COLUMNS.only(*KEY, "kind", "fingerprint", "outcome", "answer")

LOAD = f"""
select {REMEMBERED.of("c")}
from {KEY.rows("k")}
{by_key("commands", *KEY)}
"""  # noqa: S608  # our own constants

ANSWER = """
select answer, fingerprint from wagerledger.commands
where scope = %s and operation = %s and idempotency_key = %s and answer is not null and outcome ->> 'refusal' is null
"""

INSERT = f"""
insert into wagerledger.commands ({COLUMNS})
select {COLUMNS.stored}
from {COLUMNS.rows("n")}
"""  # noqa: S608  # our own constants

INSERT_REFUSALS = f"""
insert into wagerledger.refusals ({REFUSAL_COLUMNS})
select {REFUSAL_COLUMNS.stored}
from {REFUSAL_COLUMNS.rows("n")}
"""  # noqa: S608  # our own constants


class CommandKey(NamedTuple):
    """One key, one effect."""

    scope: str
    operation: str
    idempotency_key: str


@value()
class Remembered:
    """What a key already stands for. `fingerprint` is None where the asked content is unknown (restored from the
    topics).
    """

    fingerprint: bytes | None
    outcome: Outcome


@value()
class Decided:
    """A command with what it came to, as it is kept."""

    key: CommandKey
    command_id: str
    kind: str
    tenant_id: str
    trace_id: str
    fingerprint: bytes | None
    stream: StreamKey
    versions: tuple[int, int] | None
    """First and last version of its events; None where it made none."""
    outcome: Outcome
    decided_at: int
    """Microseconds since the epoch."""
    region: str
    kid: str | None = None
    """The key that proved the caller."""
    asked: str | None = None
    """What was asked, where no event says it (see `asked_of`)."""


def key_of(command: Command) -> CommandKey:
    origin = command.origin
    return CommandKey(origin.scope, origin.operation, origin.idempotency_key)


_NOT_ASKED = {"origin", "command_id", "received_at", "expires_at", "wallet_currency"}
"""Fields that we add: a repeat may have other values there, as when an option has changed, and still asks the same."""


_OF_THE_ROW = {"origin", "command_id"}
"""Fields that have columns of their own."""

_WRITTEN: dict[type[Command], dict[str, str]] = {Rollback: {"target_id": "bet_id"}}
"""How fields are written whose name is another. What was written stays: fingerprints are compared years later."""

_ASKED_OF_PLAYERS: dict[type[Command], tuple[str, ...]] = {Rollback: ("target_id", "player", "target")}
"""What tells these apart where they name their player: a provider may leave the rest out of a repeat."""


def fingerprint(command: Command) -> bytes:
    """SHA-256 of what was asked. A field at its default is left out, so that a field added later does not change old
    fingerprints.

    Whoever names the player is told apart without the session: a repeat may come with a renewed one.
    """
    fields_asked = _asked_fields(type(command))
    if command.player_id is not None:
        only = _ASKED_OF_PLAYERS.get(type(command))
        fields_asked = tuple(
            [field for field in fields_asked if field[0] in only]
            if only
            else [field for field in fields_asked if field[0] != "session_id"]
        )
    asked = [
        f"{written}={value!r}"
        for name, written, default in fields_asked
        if (value := getattr(command, name)) != default
    ]
    return sha256("\n".join([command.kind, *asked]).encode()).digest()


def asked_of(command: Command) -> str:
    """All that was asked, as canonical JSON without what was left open: for evidence where no event says it. The
    session and the actor are in it, and what the provider calls the transaction.
    """
    origin = command.origin
    written = _WRITTEN.get(type(command), {})
    names = [field.name for field in fields(command) if field.name not in _OF_THE_ROW]
    asked = {written.get(name, name): getattr(command, name) for name in names}
    asked |= {name: getattr(origin, name) for name in ("provider_occurred_at", "provider_transaction_id")}
    plain = {
        name: str(value) if isinstance(value, Amount) else value for name, value in asked.items() if value is not None
    }
    return canonical(plain).decode()


def _asked_fields(kind: type[Command]) -> tuple[tuple[str, str, object], ...]:
    """Of each field that is asked: its name, the name that it is written by, and its default."""
    found = _ASKED_FIELDS.get(kind)
    if found is None:
        written, asked = _WRITTEN.get(kind, {}), [field for field in fields(kind) if field.name not in _NOT_ASKED]
        found = tuple((field.name, written.get(field.name, field.name), field.default) for field in asked)
        _ASKED_FIELDS[kind] = found
    return found


_ASKED_FIELDS: dict[type[Command], tuple[tuple[str, str, object], ...]] = {}


def load(keys: Iterable[CommandKey]) -> Statement:
    return Statement(LOAD, KEY.packed(keys))


def remembered(row: Sequence[Any]) -> tuple[CommandKey, Remembered]:
    scope, operation, key, kind, known_fingerprint, outcome, answer = row
    return CommandKey(scope, operation, key), Remembered(known_fingerprint, Outcome.from_json(kind, outcome, answer))


def insert(decided: Sequence[Decided]) -> Statement:
    rows = [
        (
            *d.key, d.command_id, d.kind, d.fingerprint, *d.stream, *(d.versions or (None, None)),
            d.outcome.to_json(), d.outcome.answer, d.kid, d.asked, d.trace_id, d.decided_at,
        )
        for d in decided
    ]  # fmt: skip
    return Statement(INSERT, COLUMNS.packed(rows), len(rows))


def insert_refusals(decided: Sequence[Decided]) -> Statement:
    rows = [
        (
            *d.key, d.command_id, d.kind, d.fingerprint, d.region, *d.stream, d.outcome.refusal_code,
            d.outcome.to_json(), d.outcome.answer, d.kid, d.asked, d.trace_id, d.decided_at,
        )
        for d in decided
    ]  # fmt: skip
    return Statement(INSERT_REFUSALS, REFUSAL_COLUMNS.packed(rows), len(rows))
