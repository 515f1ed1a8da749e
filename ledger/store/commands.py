"""Table `commands`: each command under its key, and what it came to. Kept forever."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from ledger.core.commands import Command
from ledger.core.money import Amount
from ledger.core.value import value
from ledger.entry import canonical
from ledger.idempotency import WRITTEN_NAMES, CommandKey, Remembered, Request
from ledger.outcome import Outcome
from ledger.store.column_list import ColumnList
from ledger.store.statement import Statement, by_key
from ledger.streams import StreamKey

COLUMNS = ColumnList("""
    scope text, operation text, idempotency_key text, command_id text::uuid, kind text, fingerprint bytea,
    tenant_id text, stream_type text, stream_id text, first_version bigint, last_version bigint, outcome text::json,
    answer bytea, kid text, asked text::json, trace_id text, decided_at timestamptz
""")
KEY = COLUMNS.only("scope", "operation", "idempotency_key")
HASHED = "operation", "scope", "idempotency_key"
REMEMBERED = COLUMNS.only(*KEY, "kind", "fingerprint", "outcome", "answer")

LOAD = f"""
select {REMEMBERED.of("c")}
from {KEY.rows("k")}
{by_key("commands", *KEY, hash_of=HASHED)}
"""  # noqa: S608  # our own constants

ANSWER = f"""
select c.answer, c.fingerprint
from (select %s::text, %s::text, %s::text) k({KEY})
{by_key("commands", *KEY, hash_of=HASHED)}
where c.answer is not null and c.outcome ->> 'refusal' is null
"""  # noqa: S608  # our own constants

INSERT = f"""
insert into wagerledger.commands ({COLUMNS})
select {COLUMNS.stored}
from {COLUMNS.rows("n")}
"""  # noqa: S608  # our own constants


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
    command_json: str | None = None
    """The command itself, where no event says what it was (see `command_json`)."""

    @classmethod
    def of(
        cls, request: Request, outcome: Outcome, decided_at: int, versions: tuple[int, int] | None = None
    ) -> "Decided":
        """A request that came to `outcome`; one that made no events is kept with its command."""
        command, origin = request.command, request.command.origin
        return cls(
            key=request.key, command_id=command.command_id, kind=command.kind, tenant_id=origin.tenant_id,
            trace_id=origin.trace_id, fingerprint=request.fingerprint, stream=request.stream, versions=versions,
            outcome=outcome, decided_at=decided_at, region=origin.region, kid=origin.kid,
            command_json=None if versions else command_json(command),
        )  # fmt: skip


_OF_THE_ROW = {"origin", "command_id"}
"""Fields that have columns of their own."""


def command_json(command: Command) -> str:
    """All of a command as canonical JSON without what was left open: for evidence where no event says it. The session
    and the actor are in it, and what the provider calls the transaction.
    """
    origin = command.origin
    names = [field.name for field in fields(command) if field.name not in _OF_THE_ROW]
    written = WRITTEN_NAMES.get(type(command), {})
    content = {written.get(name, name): getattr(command, name) for name in names}
    content |= {name: getattr(origin, name) for name in ("provider_occurred_at", "provider_transaction_id")}
    plain = {
        name: str(value) if isinstance(value, Amount) else value for name, value in content.items() if value is not None
    }
    return canonical(plain).decode()


def load(keys: Iterable[CommandKey]) -> Statement:
    return Statement(LOAD, KEY.packed(keys))


def remembered(row: Sequence[Any]) -> tuple[CommandKey, Remembered]:
    scope, operation, key, kind, known_fingerprint, outcome, answer = row
    return CommandKey(scope, operation, key), Remembered(known_fingerprint, Outcome.from_json(kind, outcome, answer))


def insert(decided: Sequence[Decided]) -> Statement:
    """New rows, each made by position in the order of COLUMNS: that is measured to cost least, once per bet."""
    rows = [
        (
            *d.key, d.command_id, d.kind, d.fingerprint, *d.stream, *(d.versions or (None, None)),
            d.outcome.to_json(), d.outcome.answer, d.kid, d.command_json, d.trace_id, d.decided_at,
        )
        for d in decided
    ]  # fmt: skip
    return Statement(INSERT, COLUMNS.packed(rows), len(rows))
