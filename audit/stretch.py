"""Streams in pieces: what one piece of a log shows of each stream, and what the next piece must go on from.

Whoever reads a log in pieces, each in a process of its own, sees a stream begin anywhere. So it keeps where each
stream began and ended in its piece, and how its wallets moved; joining the pieces in order proves the whole. The memory
that this takes grows with the streams, not with their events.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from audit.findings import Report
from ledger.core.chain import GENESIS
from ledger.core.postings import WALLET_ACCOUNTS, Posting, totals_by_currency
from ledger.streams import StreamKey

Stream = tuple[bytes, bytes, bytes]
"""Tenant, type and id, as they stand in the bytes."""

RawPosting = tuple[bytes, int, bytes]
"""Account, amount in minor units, currency."""

ACCOUNTS = tuple(sorted(WALLET_ACCOUNTS))
PLACE = {account.encode(): place for place, account in enumerate(ACCOUNTS)}
MANY = len(ACCOUNTS)
RECEIVABLE = PLACE[b"receivable"]


class Place(NamedTuple):
    """Where an event says that it stands in its stream."""

    version: int
    previous_hash: bytes
    recorded_at: int


@dataclass(slots=True)
class Stretch:
    """Some events of a stream in a row: how they begin, how they end, and how they moved the wallets."""

    first: Place
    version: int = 0
    hash: bytes = GENESIS
    recorded_at: int = 0
    wallets: dict[bytes, list[int]] = field(default_factory=dict)
    """By currency: the sums of the accounts, then the least that each was, then the version at which it was that. All
    from zero at the beginning of the stretch; a receivable counts as what is owed.
    """
    broken: bool = False
    """Something is wrong with its places: its sums say nothing."""

    def move(self, version: int, currency: bytes, postings: Sequence[RawPosting]) -> None:
        """Move the accounts of the wallet in `currency`; other postings are not its own."""
        wallet = self.wallets.get(currency)
        if wallet is None:
            wallet = self.wallets[currency] = [0] * (3 * MANY)
        falling = False
        for account, amount_minor, _ in postings:
            place = PLACE.get(account)
            if place is not None:
                wallet[place] += amount_minor if place != RECEIVABLE else -amount_minor
                falling = falling or wallet[place] < wallet[place + MANY]
        if falling:  # at least in between: what counts is how the whole event left it
            for place in range(MANY):
                if wallet[place] < wallet[place + MANY]:
                    wallet[place + MANY], wallet[place + 2 * MANY] = wallet[place], version

    def go_on(self, following: "Stretch", stream: Stream, report: Report) -> None:
        """Add what follows, and name what does not fit. Raises nothing."""
        if not following.broken and not check_place(self, following.first, stream, report):
            following.broken = True
        self.version, self.hash, self.recorded_at = following.version, following.hash, following.recorded_at
        self.broken = self.broken or following.broken
        for currency, moved in following.wallets.items():
            wallet = self.wallets.setdefault(currency, [0] * (3 * MANY))
            for place, account in enumerate(ACCOUNTS):
                least = wallet[place] + moved[place + MANY]
                if least < 0 and not self.broken:
                    said = f"{account} of wallet {_name(stream[2])}/{_name(currency)} comes to {least} minor units"
                    report.find("account_negative", key_of(stream), moved[place + 2 * MANY], said)
                wallet[place] += moved[place]


Stretches = dict[Stream, Stretch]


def join(whole: Stretches, following: Stretches, report: Report) -> None:
    """Add the stretches of the next piece of a log; the first piece goes on from nothing."""
    for stream, stretch in following.items():
        before = whole.get(stream)
        if before is None:
            before = whole[stream] = Stretch(stretch.first)
        before.go_on(stretch, stream, report)


def check_place(before: Stretch, place: Place, stream: Stream, report: Report) -> bool:
    """Whether an event that says it stands at `place` follows `before`. Names what is wrong."""
    key, version, last = key_of(stream), place.version, before.version
    if version <= last:
        report.find("version_repeated", key, version, f"a second event claims version {version}, after {last}")
    elif version > last + 1:
        missing = f"{last + 1}" if version == last + 2 else f"{last + 1} to {version - 1}"
        report.find("version_missing", key, last + 1, f"version {missing} is gone; the next event is {version}")
    elif place.previous_hash != before.hash:
        said, wanted = place.previous_hash.hex(), before.hash.hex()
        text = f"it carries {said} as the hash of version {last}, whose bytes hash to {wanted}"
        report.find("chain_broken", key, version, text)
    if place.recorded_at < before.recorded_at:
        text = f"recorded at {place.recorded_at} µs, but version {last} at {before.recorded_at} µs"
        report.find("time_backwards", key, version, text)
    return version == last + 1


def check_postings(
    stream: Stream, version: int, currency: bytes | None, postings: Sequence[RawPosting], report: Report
) -> None:
    """Name what is wrong with the postings of an event in `currency`."""
    named = [Posting(_name(account), amount_minor, _name(posted)) for account, amount_minor, posted in postings]
    for account, _, posted in named:
        if account in WALLET_ACCOUNTS and posted.encode() != currency:
            text = f"a posting on {account} is in {posted}, the event in {_name(currency or b'none')}"
            report.find("postings_unbalanced", key_of(stream), version, text)
    totals = totals_by_currency(named)
    if any(totals.values()):
        text = f"its postings sum to {totals} minor units instead of 0: {named}"
        report.find("postings_unbalanced", key_of(stream), version, text)


def key_of(stream: Stream) -> StreamKey:
    """A stream as findings name it."""
    return StreamKey(*map(_name, stream))


def _name(text: bytes) -> str:
    return text.decode(errors="replace")
