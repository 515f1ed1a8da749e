"""A wallet as it was: its events up to a version or a time, and the balances that they lead to."""

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from audit import tables
from audit.findings import CannotCheckError
from audit.sources import Sources
from evidence.archive import segment
from evidence.archive.reader import Archive
from ledger.core.chain import GENESIS, hash_of
from ledger.core.evolve import event_of, evolve
from ledger.core.money import format_minor
from ledger.core.postings import Posting
from ledger.core.state import OPEN, Bet, State, Wallet
from ledger.entry import EVENT
from ledger.store.event_log import BY_STREAM
from ledger.streams import StreamKey, player_stream, record_key
from runtime.clock import to_datetime, to_us
from runtime.settings import Settings
from schemas.events import BY_FINGERPRINT
from schemas.registry import Reader, UndecodableRecord

DATABASE, TOPICS = "database", "topics"

_encoded = BY_STREAM.picker("stream_version", "schema_fingerprint", "body")

Record = tuple[dict[str, Any], bytes]
"""A decoded event, and the hash of its bytes."""


@dataclass(frozen=True)
class WalletEvent:
    """An event of the wallet, and the wallet after it."""

    version: int
    occurred_at: datetime
    event_type: str
    event_id: str
    reference: str
    """The bet or session that it is about, where there is one."""
    postings: tuple[Posting, ...]
    wallet: Wallet

    def __str__(self) -> str:
        time, amounts = self.occurred_at.strftime("%Y-%m-%d %H:%M:%S.%f"), _amounts(self.wallet)
        accounts = f"{amounts['cash']:>14}  {amounts['bonus']:>10}  {amounts['held']:>12}"
        return f"{self.version:>7}  {time}  {self.event_type:<24}  {accounts}  {self.reference}"


@dataclass(frozen=True)
class Replay:
    """A wallet at a version of its player's stream."""

    wallet: Wallet
    version: int
    """The last event of the stream that was taken, also where it moved another wallet."""
    head_hash: str
    occurred_at: datetime
    open_bets: tuple[Bet, ...]
    events: tuple[WalletEvent, ...] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; amounts in minor units."""
        return {
            "wallet": self.wallet.wallet_id,
            "version": self.version,
            "head_hash": self.head_hash,
            "occurred_at": self.occurred_at.isoformat(),
            "exponent": self.wallet.exponent,
            **_accounts(self.wallet),
            "open_bets": [
                {"bet_id": bet.bet_id, "round_id": bet.round_id, "held_minor": bet.held_minor} for bet in self.open_bets
            ],
            "events": [
                {
                    "version": event.version,
                    "occurred_at": event.occurred_at.isoformat(),
                    "event_type": event.event_type,
                    "event_id": event.event_id,
                    "reference": event.reference,
                    "postings": [posting._asdict() for posting in event.postings],
                    **_accounts(event.wallet),
                }
                for event in self.events
            ],
        }

    def text(self) -> str:
        """For people; amounts in the currency."""
        bets = ", ".join(bet.bet_id for bet in self.open_bets) or "none"
        return "\n".join(
            [
                f"{'version':>7}  {'time':<26}  {'event':<24}  {'cash':>14}  {'bonus':>10}  {'held':>12}  about",
                *map(str, self.events),
                "",
                f"{self.wallet.wallet_id} at version {self.version} ({self.occurred_at.isoformat()})",
                ", ".join(f"{name} {amount}" for name, amount in _amounts(self.wallet).items())
                + f"; open bets: {bets}",
                f"head hash {self.head_hash}",
            ]
        )


def replay(
    settings: Settings,
    wallet: str,
    *,
    at_version: int | None = None,
    at_time: datetime | None = None,
    source: str = DATABASE,
    archive: Archive | None = None,
) -> Replay:
    """Fold the events of `wallet` (tenant/player/currency) up to and with a version or an aware time, or all of them.

    From an `archive` nothing else is needed. Raises ValueError where the wallet did not exist then, there is no such
    version yet, or its events cannot be folded; CannotCheckError where they cannot be read, or wallet or source are
    badly written; ArchiveError.
    """
    tenant_id, player_id, currency = _parsed(wallet)
    read = {DATABASE: _from_database, TOPICS: _from_topics}.get(source)
    if archive:
        read = partial(_from_archive, archive)
    if read is None:
        raise CannotCheckError(f"source is {source!r}; known are {DATABASE} and {TOPICS}")
    fold = _Fold(tenant_id, player_id, currency)
    latest_us = to_us(at_time) if at_time else None
    with closing(read(Sources(settings), player_stream(tenant_id, player_id))) as records:
        for record, hash_ in records:
            if at_version is not None and record["stream_version"] > at_version:
                break
            if latest_us is not None and record["occurred_at"] > latest_us:
                break
            fold.take(record, hash_)
        else:
            fold.check_reached(at_version)
    return fold.result()


class _Fold:
    """A player's stream up to where it is replayed."""

    def __init__(self, tenant_id: str, player_id: str, currency: str) -> None:
        self._key = tenant_id, player_id, currency
        self._state = State()
        self._version = 0
        self._hash = GENESIS
        self._occurred_at = 0
        self._events: list[WalletEvent] = []

    def take(self, record: Mapping[str, Any], hash_: bytes) -> None:
        version = record["stream_version"]
        if version <= self._version:
            return  # a duplicate in the topic
        if version != self._version + 1 or record["previous_hash"] != self._hash:
            raise ValueError(
                f"version {version} does not follow version {self._version}: the chain is broken; "
                "run `wagerledger audit verify`"
            )
        event = event_of(dict(record))
        try:
            self._state.put(*evolve(self._state, event))
        except (AssertionError, LookupError) as error:
            raise ValueError(
                f"version {version} cannot follow the events before it: {error}; run `wagerledger audit verify`"
            ) from error
        self._version, self._hash, self._occurred_at = version, hash_, record["occurred_at"]
        wallet = self._state.wallet(*self._key)
        if wallet and record["wallet_id"] == wallet.wallet_id:
            payload = record["payload"]
            reference = payload.get("bet_id") or payload.get("session_id") or payload.get("reference") or ""
            self._events.append(
                WalletEvent(
                    version,
                    to_datetime(self._occurred_at),
                    record["event_type"],
                    record["event_id"],
                    reference,
                    event.postings,
                    wallet,
                )
            )

    def check_reached(self, at_version: int | None) -> None:
        if at_version is not None and 0 < self._version < at_version:
            raise ValueError(f"there is no version {at_version}: the stream is at version {self._version}")

    def result(self) -> Replay:
        wallet = self._state.wallet(*self._key)
        if wallet is None:
            raise ValueError(
                f"there was no wallet {'/'.join(self._key)} by then: {self._version} events of its player were read"
            )
        open_bets = [
            entity
            for entity in self._state.entities.values()
            if isinstance(entity, Bet) and entity.status == OPEN and entity.currency == wallet.currency
        ]
        return Replay(
            wallet,
            self._version,
            self._hash.hex(),
            to_datetime(self._occurred_at),
            tuple(open_bets),
            tuple(self._events),
        )


def _parsed(wallet: str) -> tuple[str, str, str]:
    tenant_id, _, rest = wallet.partition("/")
    player_id, _, currency = rest.rpartition("/")
    if not (tenant_id and player_id and currency):
        raise CannotCheckError(f"{wallet!r} is not a wallet; write tenant/player/currency")
    return tenant_id, player_id, currency


def _from_database(sources: Sources, stream: StreamKey) -> Generator[Record]:
    with sources.ledger() as ledger:
        for version, fingerprint, body in map(_encoded, ledger.rows(tables.EVENTS_OF_STREAM, stream)):
            schema = BY_FINGERPRINT.get(fingerprint)
            if schema is None:
                raise CannotCheckError(
                    f"version {version} has schema {fingerprint.hex()}, which this version of the code does not have"
                )
            yield schema.decode(body), hash_of(body)


def _from_topics(sources: Sources, stream: StreamKey) -> Generator[Record]:
    events, records = sources.topics.events, sources.records
    key = record_key(*stream).encode()
    with sources.registry() as client:
        reader = Reader(client)
        for message in records.read_to_end(events):
            if message.key() != key:
                continue
            try:
                wire = reader.read(message.value())
            except UndecodableRecord as error:
                place = f"{events} partition {message.partition()} offset {message.offset()}"
                raise ValueError(f"{place}: {error}") from error
            if (wire.record["tenant_id"], wire.record["stream_type"], wire.record["stream_id"]) == stream:
                yield wire.record, hash_of(wire.body)


def _from_archive(archive: Archive, _: Sources, stream: StreamKey) -> Generator[Record]:
    named = stream.stream_id.encode()
    for entry in archive.entries():
        if entry.kind == EVENT and named in entry.body:  # most are another player's, and need not be decoded
            record = segment.decoded(entry)
            if (record["tenant_id"], record["stream_type"], record["stream_id"]) == stream:
                yield record, hash_of(entry.body)


def _accounts(wallet: Wallet) -> dict[str, int]:
    return {
        "cash_minor": wallet.cash_minor,
        "bonus_minor": wallet.bonus_minor,
        "held_minor": wallet.held_minor,
        "receivable_minor": wallet.receivable_minor,
    }


def _amounts(wallet: Wallet) -> dict[str, str]:
    return {name.removesuffix("_minor"): format_minor(n, wallet.exponent) for name, n in _accounts(wallet).items()}
