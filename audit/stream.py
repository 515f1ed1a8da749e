"""One stream, event by event: places, chain, bytes, postings, fold, and the commands that caused it."""

import json
from collections.abc import Callable
from itertools import chain
from operator import itemgetter
from typing import Any

from audit.findings import AuditReport
from audit.snapshot import Merged, Row
from audit.tables import COMMAND_COLUMNS
from ledger.core.chain import GENESIS, hash_of
from ledger.core.commands import TENANT_SCOPE
from ledger.core.events import Event
from ledger.core.evolve import event_of, evolve
from ledger.core.folds import Touched
from ledger.core.postings import WALLET_ACCOUNTS, totals_by_currency
from ledger.core.state import Bet, State, Wallet, wallet_id
from ledger.outcome import Balances, Outcome
from ledger.streams import PLAYER, StreamKey
from runtime.arrays import POSTGRES_EPOCH_US
from schemas.events import BY_FINGERPRINT

# What the bytes must repeat of their row and of their predecessor, in the order of `_expected`.
_REPEATED = (
    *("tenant_id", "stream_type", "stream_id", "stream_version", "event_type", "event_id", "occurred_at", "trace_id"),
    *("schema_version", "player_id", "previous_hash"),
)
_repeated = itemgetter(*_REPEATED)

# What a command's row must say, as its events say it.
versions_of = COMMAND_COLUMNS.picker("first_version", "last_version")
"""The versions of the events that the command of a row made."""
_outcome_in = COMMAND_COLUMNS.picker("outcome")
_key_and_scope = COMMAND_COLUMNS.picker("idempotency_key", "scope")
_SAID = slice(COMMAND_COLUMNS.names.index("scope"), COMMAND_COLUMNS.names.index("kind") + 1)
_of_command = itemgetter("operation", "idempotency_key", "trace_id", "command_fingerprint")


class StreamAudit:
    """Takes the events of a stream in order. What is wrong goes into `report`, and the next event is looked at."""

    def __init__(self, stream: StreamKey, commands: Merged, report: AuditReport) -> None:
        self.stream = stream
        self.report = report
        self.state = State()
        self.version = 0
        self.hash = GENESIS
        self.recorded_at = 0
        self.stopped_at: int | None = None
        """The version at which the fold could not go on."""
        self._player_id = stream.stream_id if stream.stream_type == PLAYER else None
        self._region: str | None = None
        """The player's, once it is fixed."""
        self._wallet_ids: dict[str, str] = {}
        self._commands = _Commands(stream, commands, report)

    def take(self, row: Row) -> Touched:
        """Check the next row of the event log and fold it. Gives what it touched, if that can be known."""
        _, _, _, version, event_type, event_id, recorded_at, fingerprint, trace_id, body = row
        follows = version == self.version + 1
        if not follows:
            self._misplaced(version)
        recorded_at += POSTGRES_EPOCH_US
        if recorded_at < self.recorded_at:
            text = f"recorded at {recorded_at} µs, but version {self.version} at {self.recorded_at} µs"
            self._find("time_backwards", version, text)
        previous, self.version, self.hash, self.recorded_at = self.hash, version, hash_of(body), recorded_at
        record = self._decode(version, event_type, fingerprint, body)
        if record is None:
            self._stop(version)
            self._commands.take(version, None, {}, None)
            return ()
        stream = self.stream
        expected = (
            *(
                stream.tenant_id,
                stream.stream_type,
                stream.stream_id,
                version,
                event_type,
                event_id,
                recorded_at,
                trace_id,
            ),
            *(
                BY_FINGERPRINT[fingerprint].schema_version,
                self._player_id,
                previous if follows else record["previous_hash"],
            ),
        )
        if _repeated(record) != expected:
            self._differs(version, record, expected)
        event = event_of(record)
        self._check_postings(version, record, event)
        touched = self._fold(version, event)
        self._check_region(version, event)
        self._commands.take(version, event, record, self.state if self.stopped_at is None else None)
        return touched

    def finish(self) -> None:
        """After the last event: what only the whole stream shows."""
        self._commands.finish(self.version)
        if self.stopped_at is None:
            check_held(self.stream, self.version, self.state, self.report)

    def _find(self, code: str, version: int, text: str) -> None:
        self.report.find(code, self.stream, version, text)

    def _stop(self, version: int) -> None:
        if self.stopped_at is None:
            self.stopped_at = version

    def _misplaced(self, version: int) -> None:
        if version <= self.version:
            self._find("version_repeated", version, f"a second event claims version {version}, after {self.version}")
        else:
            missing = f"{self.version + 1}" if version == self.version + 2 else f"{self.version + 1} to {version - 1}"
            self._find("version_missing", self.version + 1, f"version {missing} is gone; the next event is {version}")
        self._stop(version)

    def _decode(self, version: int, event_type: str, fingerprint: bytes, body: bytes) -> dict[str, Any] | None:
        schema = BY_FINGERPRINT.get(fingerprint)
        if schema is None:
            text = (
                f"this version of the code does not have its schema {fingerprint.hex()}; is it newer than the auditor?"
            )
            self._find("schema_unknown", version, text)
            return None
        try:
            record = schema.decode(body)
        except ValueError as error:
            self._find("body_undecodable", version, str(error))
            return None
        if record["event_type"] != schema.event_type:
            text = f"its bytes say {record['event_type']!r}, but its schema is that of {schema.event_type}"
            self._find("body_undecodable", version, text)
            return None
        return record

    def _differs(self, version: int, record: dict[str, Any], expected: tuple[Any, ...]) -> None:
        for name, said, wanted in zip(_REPEATED, _repeated(record), expected, strict=True):
            if said == wanted:
                continue
            if name != "previous_hash":
                self._find("column_differs", version, f"{name} is {said!r} in the bytes, and {wanted!r} by the row")
            else:
                text = (
                    f"it carries {said.hex()} as the hash of version {version - 1}, whose bytes hash to {wanted.hex()}"
                )
                self._find("chain_broken", version, text)

    def _check_postings(self, version: int, record: dict[str, Any], event: Event) -> None:
        currency = record["payload"].get("currency")
        wallet = None
        if currency and event.player_id:
            wallet = self._wallet_ids.get(currency)
            if wallet is None:
                wallet = self._wallet_ids[currency] = wallet_id(event.tenant_id, event.player_id, currency)
        if record["wallet_id"] != wallet:
            text = f"wallet_id is {record['wallet_id']!r} in the bytes, and {wallet!r} by player and currency"
            self._find("column_differs", version, text)
        for account, amount_minor, posted in event.postings:
            if account not in WALLET_ACCOUNTS:
                self.report.accounts[event.tenant_id, posted, account] += amount_minor
            elif posted != currency:
                text = f"a posting on {account} is in {posted}, the event in {currency}"
                self._find("postings_unbalanced", version, text)
        totals = totals_by_currency(event.postings)
        if any(totals.values()):
            text = f"its postings sum to {totals} minor units instead of 0: {event.postings}"
            self._find("postings_unbalanced", version, text)

    def _check_region(self, version: int, event: Event) -> None:
        if self._region is None:
            player = self.state.player(event.tenant_id, event.player_id) if event.player_id else None
            if player is None:
                return
            self._region = player.region
        if event.region != self._region:
            text = f"{event.payload.event_type} comes from region {event.region}, its player is of {self._region}"
            self._find("region_differs", version, text)

    def _fold(self, version: int, event: Event) -> Touched:
        if self.stopped_at is not None:
            return ()
        try:
            touched = evolve(self.state, event)
        except (AssertionError, LookupError) as error:
            self._find(
                "fold_refused", version, f"{event.payload.event_type} cannot follow the events before it: {error}"
            )
            self._stop(version)
            return ()
        self.state.put(*touched)
        return touched


class _Commands:
    """The commands of a stream, in step with its events."""

    def __init__(self, stream: StreamKey, rows: Merged, report: AuditReport) -> None:
        self._stream = stream
        self._rows = rows.of(stream)
        self._report = report
        self._own_scope = f"{TENANT_SCOPE}{stream.tenant_id}"
        self._first = self._last = 0
        self._row: Row = ()
        self._next = next(self._rows, None)

    def take(self, version: int, event: Event | None, record: dict[str, Any], state: State | None) -> None:
        """Check that one command caused the event at `version`, and says what the event says (None: it is unreadable).

        `state` is that after the event; None where it is not known.
        """
        while version > self._last and self._next is not None and (versions_of(self._next)[0] or 0) <= version:
            self._advance()
        if not self._first <= version <= self._last:
            key = f" with key {record['idempotency_key']!r}" if event else ""
            self._find("command_missing", version, f"no command{key} names this version")
            return
        if event is None:
            return
        expected = (event.integration_id or self._own_scope, *_of_command(record), event.payload.command_kind)
        if expected != self._row[_SAID]:
            self._differs(version, expected)
        if version == self._last and state is not None:
            self._check_outcome(version, event, state)

    def finish(self, version: int) -> None:
        """After the last event, at `version`: no command may be left, nor reach beyond it."""
        if self._last > version:
            self._unexplained(self._row, version)
        if self._next is not None:
            for row in chain((self._next,), self._rows):
                self._unexplained(row, version)

    def _advance(self) -> None:
        row = self._next
        assert row, "the caller looks first"
        self._next = next(self._rows, None)
        first, last = versions_of(row)
        if first is None or last is None or not 0 < first <= last:
            self._unexplained(row, self._last)
            return
        if first <= self._last:
            text = f"{command_name(self._row)} and {command_name(row)} both claim version {first}"
            self._find("command_shared", first, text)
        if last > self._last:
            self._row, self._first, self._last = row, first, last

    def _differs(self, version: int, expected: tuple[Any, ...]) -> None:
        for name, said, wanted in zip(COMMAND_COLUMNS.names[_SAID], self._row[_SAID], expected, strict=True):
            if said != wanted:
                text = f"{command_name(self._row)} has {name} {said!r}, the event {wanted!r}"
                self._find("command_differs", version, text)

    def _check_outcome(self, version: int, event: Event, state: State) -> None:
        """What was answered is what the events lead to: the ids that they made, and the balances after them."""
        outcome = _outcome_in(self._row)

        def wallet_in(currency: str) -> Wallet | None:
            return state.wallet(event.tenant_id, event.player_id, currency) if event.player_id else None

        if (expected := expected_outcome(outcome, event, wallet_in)) is not None:
            text = f"{command_name(self._row)} answered {outcome}; its events lead to {expected}"
            self._find("command_differs", version, text)

    def _unexplained(self, row: Row, version: int) -> None:
        first, last = versions_of(row)
        text = f"{command_name(row)} names versions {first} to {last}; the stream ends at {version}"
        self._find("command_unexplained", first, text)

    def _find(self, code: str, version: int, text: str) -> None:
        self._report.find(code, self._stream, version, text)


def check_held(stream: StreamKey, version: int, state: State, report: AuditReport) -> None:
    """I3 at the end of a stream: what its wallets hold is what its open bets have not captured."""
    held: dict[str | None, int] = {}
    for entity in state.entities.values():
        if isinstance(entity, Bet) and entity.held_minor:
            held[entity.currency] = held.get(entity.currency, 0) + entity.held_minor
    for entity in state.entities.values():
        if isinstance(entity, Wallet) and entity.held_minor != held.get(entity.currency, 0):
            bets_minor = held.get(entity.currency, 0)
            text = f"wallet {entity.wallet_id} holds {entity.held_minor}, its open bets {bets_minor} minor units"
            report.find("held_differs", stream, version, text)


def expected_outcome(outcome: str, event: Event, wallet_in: Callable[[str], Wallet | None]) -> str | None:
    """What the last event of a command leads to, where `outcome` is something else: the ids that it made, and the
    balances of the wallet after it.
    """
    currency = getattr(event.payload, "currency", None)
    if currency is None:  # a tombstone: its command may know the wallet where the event does not
        currency = _currency_of(outcome)
    wallet = wallet_in(currency) if currency else None
    if outcome == _outcome(event, wallet):
        return None
    balances = Balances.of(wallet) if wallet else None
    expected = Outcome(event.payload.command_kind, result=event.payload.result, balances=balances).to_json()
    return None if json.loads(outcome) == json.loads(expected) else expected


def command_name(row: Row) -> str:
    """How a finding names the command of a row."""
    key, scope = _key_and_scope(row)
    return f"the command with key {key!r} ({scope})"


def _outcome(event: Event, wallet: Wallet | None) -> str:
    """The same as Outcome.to_json for values that need no escapes, at a fifth of its time."""
    result = ",".join([f'"{name}":"{value}"' for name, value in event.payload.result.items()])
    if wallet is None:
        return f'{{"balances":null,"result":{{{result}}}}}'
    w = wallet
    accounts = f"{w.exponent},{w.cash_minor},{w.bonus_minor},{w.held_minor},{w.receivable_minor}"
    return f'{{"balances":["{w.currency}",{accounts}],"result":{{{result}}}}}'


def _currency_of(outcome: str) -> str | None:
    """The currency of the balances in a command's outcome, where it names one."""
    try:
        return str(json.loads(outcome)["balances"][0])
    except (LookupError, TypeError):
        return None
