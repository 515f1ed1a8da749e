"""Everything that is known of a bet or a round, in the order in which it happened: which command came, what was
answered, what it moved, and what stands in the tables since.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import psycopg
from pydantic import SecretStr

from audit.event_proofs import add_copies, add_proofs
from audit.explanation import BET, ROUND, Command, CommandEvents, Event, Explanation
from audit.findings import CannotCheckError
from audit.snapshot import Snapshot
from audit.sources import Sources
from ledger.store import bets, commands, settlements
from ledger.store.column_list import ColumnList
from ledger.store.statement import by_key, hashed
from ledger.streams import INTEGRATION, PLAYER, StreamKey
from patience import session
from runtime.arrays import POSTGRES_EPOCH_US
from runtime.settings import Settings
from schemas.events import BY_FINGERPRINT

_OF_BET = by_key("bets", "integration_id", "bet_id", hash_of=bets.HASHED)
_OF_ROUND = by_key("bets", "integration_id", "round_id", hash_of=bets.HASHED_ROUND)
_THE_WIN = by_key("settlements", "integration_id", "win_id", hash_of=settlements.HASHED)
_WINS_OF_ROUND = by_key("settlements", "integration_id", "round_id", hash_of=settlements.HASHED_ROUND)
_WINS_OF_BET = by_key(
    "settlements", "integration_id", "bet_id", hash_of=settlements.HASHED_BET, only=settlements.WITHOUT_ROUND
)


def _asked(table: str, what: str) -> str:
    """Joins the rows of a table that name a bet or a round of `k`, under the table's initial."""
    alias, name = table[0], f"{what}_id"
    here = hashed(f"'{what}'", f"{alias}.scope", f"{alias}.asked ->> '{name}'")
    key = here + " = " + hashed(f"'{what}'", "k.integration_id", f"k.{name}")
    same = f"{alias}.scope = k.integration_id and {alias}.asked ->> '{name}' = k.{name}"
    return f"cross join lateral (select * from wagerledger.{table} {alias} where {key} and {same} offset 0) {alias}"  # noqa: S608  # our own constants


_EACH = "(select integration_id, %s::text from wagerledger.integrations) k"
_ONE = "(select %s::text, %s::text) k"
# A win that names no bet, and a command that was only refused, leave no row in `bets`.
INTEGRATIONS = {
    BET: f"""
select k.integration_id from {_EACH}(integration_id, bet_id) {_OF_BET}
union select k.integration_id from {_EACH}(integration_id, win_id) {_THE_WIN}
union select k.integration_id from {_EACH}(integration_id, bet_id) {_asked("refusals", "bet")}
""",  # noqa: S608  # our own constants
    ROUND: f"""
select k.integration_id from {_EACH}(integration_id, round_id) {_OF_ROUND}
union select k.integration_id from {_EACH}(integration_id, round_id) {_WINS_OF_ROUND}
union select k.integration_id from {_EACH}(integration_id, round_id) {_asked("refusals", "round")}
""",  # noqa: S608  # our own constants
}

# What a conversion did is in the events; a win's session and game are its bet's.
BET_COLUMNS = bets.COLUMNS.but("conversion")
BETS = {
    BET: f"select {BET_COLUMNS.of('b')} from {_ONE}(integration_id, bet_id) {_OF_BET}",  # noqa: S608  # our own constants
    ROUND: f"select {BET_COLUMNS.of('b')} from {_ONE}(integration_id, round_id) {_OF_ROUND}",  # noqa: S608  # our own constants
}
WIN_COLUMNS = settlements.COLUMNS.but("session_id", "game_id", "conversion")
_WINS = f"select {WIN_COLUMNS.of('s')} from {_ONE}"  # noqa: S608  # our own constants
THE_WIN = f"{_WINS}(integration_id, win_id) {_THE_WIN}"
WINS_OF_ROUND = f"{_WINS}(integration_id, round_id) {_WINS_OF_ROUND}"
WINS_OF_BET = f"{_WINS}(integration_id, bet_id) {_WINS_OF_BET}"

# The bytes hold the ids: only these rows of a stream need to be sent and decoded.
EVENTS = """
select stream_version, xid, position, schema_fingerprint, traceparent, body
from wagerledger.event_log
where tenant_id = %s and stream_type = %s and stream_id = %s
    and (position(%s::bytea in body) > 0 or position(%s::bytea in body) > 0)
order by stream_version
"""

ORIGIN = ColumnList("xid bigint") + commands.COLUMNS.only(
    "scope, operation, idempotency_key, command_id, kind, fingerprint, kid, trace_id"
)
"""The first columns of commands and of refusals, as `Command` calls them."""
COMMAND_COLUMNS = ORIGIN + commands.COLUMNS.only(
    "stream_type, stream_id, first_version, last_version, outcome, asked, answer, decided_at"
)
COMMANDS = f"""
select {COMMAND_COLUMNS.of("c")}
from unnest(%s::text[], %s::text[], %s::text[]) k({commands.KEY})
{by_key("commands", *commands.KEY, hash_of=commands.HASHED)}
"""  # noqa: S608  # our own constants
# Those that made no event have their command as JSON.
EVENTLESS = {
    what: f"select {COMMAND_COLUMNS.of('c')} from {_ONE}(integration_id, {what}_id) {_asked('commands', what)}"  # noqa: S608  # our own constants
    for what in (BET, ROUND)
}
REFUSALS = {
    what: f"""
select {ORIGIN.of("r")}, r.stream_type, r.stream_id, null::bigint, null::bigint, r.details::text, r.asked::text,
    r.answer, r.refused_at
from {_ONE}(integration_id, {what}_id) {_asked("refusals", what)}
order by r.refusal_id
"""  # noqa: S608  # our own constants
    for what in (BET, ROUND)
}

# Each with the columns by which the page's bets, rounds, sessions and events are found in it.
READ_MODELS = {
    "bi.bets": ("integration_id", "bet_id"),
    "bi.rounds": ("integration_id", "round_id"),
    "bi.sessions": ("session_id",),
    "bi.player_statements": ("event_id",),
    "bi.revenue_corrections": ("event_id",),
    "bi.refusals": ("command_id",),
    "bi.parked_streams": ("tenant_id", "stream_type", "stream_id"),
}


def explain(settings: Settings, subject: str, *, what: str = BET, integration_id: str | None = None) -> Explanation:
    """Everything about the bet (or win, or round) that a provider calls `subject`.

    Raises LookupError where nobody knows it, or where several integrations do and none is named; CannotCheckError where
    the ledger's database cannot be read. The read models may be away.
    """
    with Sources(settings).ledger() as ledger:
        found = _Search(ledger, what, subject, integration_id or _integration(ledger, what, subject))
        explanation = found.explanation()
        add_proofs(explanation, ledger, settings)
    add_copies(explanation, settings)
    _add_read_models(explanation, found, settings.bi_database_url)
    return explanation


def _integration(ledger: Snapshot, what: str, subject: str) -> str:
    known = sorted(row[0] for row in ledger.all(INTEGRATIONS[what], [subject] * 3))
    if not known:
        raise LookupError(f"no integration has ever named a {what} {subject!r}")
    if len(known) > 1:
        raise LookupError(f"{', '.join(known)} each have a {what} {subject!r}: say --integration")
    return str(known[0])


class _Search:
    """Finds the rows that belong together."""

    def __init__(self, ledger: Snapshot, what: str, subject: str, integration_id: str) -> None:
        self._ledger = ledger
        self._what, self._subject, self.integration_id = what, subject, integration_id
        self.bets = self._rows(BETS[what], BET_COLUMNS, subject)
        self.wins = [] if what == ROUND else self._wins(WINS_OF_BET, subject) + self._wins(THE_WIN, subject)
        rounds = {subject} if what == ROUND else {row["round_id"] for row in (*self.bets, *self.wins)} - {None}
        self.round_id: str | None = next(iter(rounds), None)
        if self.round_id:
            # A win of the round as such belongs to each of its bets.
            of_round = self._wins(WINS_OF_ROUND, self.round_id)
            wanted = [one for one in of_round if what == ROUND or one["bet_id"] in (None, subject)]
            self.wins = wanted + [one for one in self.wins if one not in wanted]
        self.events: list[Event] = []
        self.damages: list[str] = []
        self.commands: list[Command] = []

    def explanation(self) -> Explanation:
        explanation = Explanation(self._what, self._subject, self.integration_id)
        for stream in self._streams():
            self.events += self._events_of(stream)
        self.commands = self._commands()
        for event in self.events:
            payload = event.record["payload"]
            for part in (payload, payload.get("conversion") or {}):
                if part.get("currency") and "exponent" in part:
                    explanation.exponents[part["currency"]] = part["exponent"]
        explanation.steps = sorted(self._steps(), key=lambda step: step.order)
        explanation.stored = {"bets": self.bets, "settlements": self.wins}
        explanation.damages = [*self.damages, *self._gone()]
        if not (explanation.steps or self.bets or self.wins):
            raise LookupError(f"{self.integration_id} has never named a {self._what} {self._subject!r}")
        return explanation

    def _rows(self, query: str, columns: ColumnList, value: str) -> list[dict[str, Any]]:
        rows = self._ledger.all(query, [self.integration_id, value])
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def _wins(self, query: str, value: str) -> list[dict[str, Any]]:
        return self._rows(query, WIN_COLUMNS, value)

    def _streams(self) -> list[StreamKey]:
        """Of the players who have a part in it, and the integration's, where tombstones of nobody are."""
        tenants = {row["tenant_id"] for row in (*self.bets, *self.wins)}
        players = {(row["tenant_id"], row["player_id"]) for row in (*self.bets, *self.wins) if row["player_id"]}
        integrations = [StreamKey(tenant_id, INTEGRATION, self.integration_id) for tenant_id in sorted(tenants)]
        return [StreamKey(tenant_id, PLAYER, player_id) for tenant_id, player_id in sorted(players)] + integrations

    def _events_of(self, stream: StreamKey) -> Iterator[Event]:
        texts = self._subject.encode(), (self.round_id or self._subject).encode()
        for version, xid, position, fingerprint, traceparent, body in self._ledger.rows(EVENTS, (*stream, *texts)):
            schema = BY_FINGERPRINT.get(fingerprint)
            if schema is None:
                name = f"{'/'.join(stream)} version {version}"
                raise CannotCheckError(f"{name} has schema {fingerprint.hex()}, which this version does not have")
            try:
                record = schema.decode(body)
            except ValueError as error:
                self.damages.append(f"Version {version} of {'/'.join(stream)} cannot be read any more: {error}.")
                continue
            if record["integration_id"] == self.integration_id and self._concerns(record["payload"]):
                yield Event(stream, version, xid, position, fingerprint, body, record, traceparent=traceparent)

    def _gone(self) -> Iterator[str]:
        """What the tables have and no event of the log."""
        known = {event.record["payload"].get(name) for event in self.events for name in ("hold_id", "settlement_id")}
        for row in self.bets:
            if row["hold_id"] and row["hold_id"] not in known:
                yield f"No event of the log authorizes bet {row['bet_id']} ({row['hold_id']})."
        for row in self.wins:
            if row["settlement_id"] not in known:
                yield f"No event of the log makes win {row['win_id']} ({row['settlement_id']})."

    def _concerns(self, payload: Mapping[str, Any]) -> bool:
        if self._what == ROUND:
            return bool(payload.get("round_id") == self._subject)
        if self._subject in (payload.get("bet_id"), payload.get("win_id")):
            return True
        # What the round does as such, wins and its end, belongs to each of its bets.
        return bool(self.round_id) and payload.get("round_id") == self.round_id and payload.get("bet_id") is None

    def _commands(self) -> list[Command]:
        keys = {
            (one.record["integration_id"], one.record["operation"], one.record["idempotency_key"])
            for one in self.events
        }
        columns = [list(column) for column in zip(*sorted(keys), strict=True)] or [[], [], []]
        subject = self.integration_id, self._subject
        found = [_command(row, remembered=True) for row in self._ledger.all(COMMANDS, columns)]
        found += [_command(row, remembered=True) for row in self._ledger.all(EVENTLESS[self._what], subject)]
        known = {command.command_id for command in found}
        refused = [_command(row, remembered=False) for row in self._ledger.all(REFUSALS[self._what], subject)]
        return found + [command for command in refused if command.command_id not in known]

    def _steps(self) -> Iterator[CommandEvents]:
        unexplained = {(event.stream, event.version): event for event in self.events}
        for command in self.commands:
            first, last = command.versions or (1, 0)
            made = [
                (stream, version)
                for stream, version in unexplained
                if "/".join(stream[1:]) == command.stream and first <= version <= last
            ]
            yield CommandEvents(command, tuple(unexplained.pop(event) for event in sorted(made, key=itemgetter(1))))
        for event in unexplained.values():
            yield CommandEvents(None, (event,))


def _command(row: Sequence[Any], *, remembered: bool) -> Command:
    *origin, stream_type, stream_id, first, last, outcome, command_json, answer, decided_at = row
    return Command(
        **dict(zip(ORIGIN, origin, strict=True)),
        stream=f"{stream_type}/{stream_id}",
        versions=(first, last) if first is not None else None,
        outcome=json.loads(outcome),
        command_json=json.loads(command_json) if command_json else None,
        answer=answer,
        decided_at_us=decided_at + POSTGRES_EPOCH_US,
        remembered=remembered,
    )


# Read models


def _add_read_models(explanation: Explanation, found: _Search, url: SecretStr) -> None:
    """Their rows as they stand; what is missing is said."""
    try:
        wanted = {"timezone": "UTC"}
        with session.connect(url.get_secret_value(), wanted, application_name="wagerledger explain") as connection:
            connection.autocommit = False
            connection.read_only = True
            for view, columns in READ_MODELS.items():
                if connection.execute("select to_regclass(%s)", [view]).fetchone() == (None,):
                    explanation.notes.append(f"The read models have no {view}.")
                    continue
                explanation.read_models[view] = list(_read(connection, view, columns, found))
    except psycopg.Error as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        explanation.notes.append(f"The read models cannot be read (WAGERLEDGER_BI_DATABASE_URL): {reason}")


def _read(
    connection: psycopg.Connection, view: str, columns: Sequence[str], found: _Search
) -> Iterator[dict[str, Any]]:
    keys = _keys(columns, found)
    if not keys:
        return
    arrays = ", ".join("%s::text[]" for _ in columns)
    names = ", ".join(f"{name}::text" for name in columns)
    query = f"select * from {view} where ({names}) in (select * from unnest({arrays}))"  # noqa: S608  # our own constants
    cursor = connection.execute(query, [list(column) for column in zip(*sorted(keys), strict=True)])
    headings = [column.name for column in cursor.description or ()]
    for row in cursor:
        yield {name: _plain(value) for name, value in zip(headings, row, strict=True)}


def _keys(columns: Sequence[str], found: _Search) -> set[tuple[str, ...]]:
    """The keys by which a view is searched."""
    match columns:
        case ("session_id",):
            sessions = {row["session_id"] for row in found.bets} - {None}
            return {(session_id,) for session_id in sessions}
        case ("event_id",):
            return {(event.record["event_id"],) for event in found.events}
        case ("command_id",):
            return {(command.command_id,) for command in found.commands if command.refusal}
        case (_, "bet_id"):
            return {(row["integration_id"], row["bet_id"]) for row in found.bets}
        case (_, "round_id"):
            return {(found.integration_id, found.round_id)} if found.round_id else set()
        case _:
            return {tuple(event.stream) for event in found.events}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | bool | dict | list) else str(value)
