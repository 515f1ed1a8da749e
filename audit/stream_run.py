"""Streams in pieces: what one piece of a log shows of each stream, and what the next piece must go on from.

Whoever reads a log in pieces, each in a process of its own, sees a stream begin anywhere. So it keeps where each
stream began and ended in its piece, and how its wallets moved; joining the pieces in order proves the whole. The memory
that this takes grows with the streams, not with their events.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from audit.findings import AuditReport
from ledger.core.chain import GENESIS
from ledger.core.postings import WALLET_ACCOUNTS, Posting, totals_by_currency
from ledger.streams import StreamKey

Stream = tuple[bytes, bytes, bytes]
"""Tenant, type and id, as they stand in the bytes."""

RawPosting = tuple[bytes, int, bytes]
"""Account, amount in minor units, currency."""

ACCOUNTS = tuple(sorted(WALLET_ACCOUNTS))
ACCOUNT_INDEX = {account.encode(): index for index, account in enumerate(ACCOUNTS)}
MANY = len(ACCOUNTS)
RECEIVABLE = ACCOUNT_INDEX[b"receivable"]


class EventLink(NamedTuple):
    """Where an event says that it stands in its stream."""

    version: int
    previous_hash: bytes
    recorded_at: int


@dataclass(slots=True)
class StreamRun:
    """Some events of a stream in a row: how they begin, how they end, and how they moved the wallets."""

    first: EventLink
    version: int = 0
    hash: bytes = GENESIS
    recorded_at: int = 0
    wallets: dict[bytes, list[int]] = field(default_factory=dict)
    """By currency: the sums of the accounts, then the least that each was, then the version at which it was that. All
    from zero at the beginning of the run; a receivable counts as what is owed.
    """
    broken: bool = False
    """Something is wrong with its links: its sums say nothing."""

    def move(self, version: int, currency: bytes, postings: Sequence[RawPosting]) -> None:
        """Move the accounts of the wallet in `currency`; other postings are not its own."""
        wallet = self.wallets.get(currency)
        if wallet is None:
            wallet = self.wallets[currency] = [0] * (3 * MANY)
        falling = False
        for account, amount_minor, _ in postings:
            index = ACCOUNT_INDEX.get(account)
            if index is not None:
                wallet[index] += amount_minor if index != RECEIVABLE else -amount_minor
                falling = falling or wallet[index] < wallet[index + MANY]
        if falling:  # at least in between: what counts is how the whole event left it
            for index in range(MANY):
                if wallet[index] < wallet[index + MANY]:
                    wallet[index + MANY], wallet[index + 2 * MANY] = wallet[index], version

    def extend(self, following: "StreamRun", stream: Stream, report: AuditReport) -> None:
        """Add what follows, and name what does not fit. Raises nothing."""
        if not following.broken and not check_link(self, following.first, stream, report):
            following.broken = True
        self.version, self.hash, self.recorded_at = following.version, following.hash, following.recorded_at
        self.broken = self.broken or following.broken
        for currency, moved in following.wallets.items():
            wallet = self.wallets.setdefault(currency, [0] * (3 * MANY))
            for index, account in enumerate(ACCOUNTS):
                least = wallet[index] + moved[index + MANY]
                if least < 0 and not self.broken:
                    said = f"{account} of wallet {_name(stream[2])}/{_name(currency)} comes to {least} minor units"
                    report.find("account_negative", key_of(stream), moved[index + 2 * MANY], said)
                wallet[index] += moved[index]


StreamRuns = dict[Stream, StreamRun]


def join(whole: StreamRuns, following: StreamRuns, report: AuditReport) -> None:
    """Add the runs of the next piece of a log; the first piece goes on from nothing."""
    for stream, run in following.items():
        before = whole.get(stream)
        if before is None:
            before = whole[stream] = StreamRun(run.first)
        before.extend(run, stream, report)


def check_link(before: StreamRun, link: EventLink, stream: Stream, report: AuditReport) -> bool:
    """Whether an event that says that it stands at `link` follows `before`. Names what is wrong."""
    key, version, last = key_of(stream), link.version, before.version
    if version <= last:
        report.find("version_repeated", key, version, f"a second event claims version {version}, after {last}")
    elif version > last + 1:
        missing = f"{last + 1}" if version == last + 2 else f"{last + 1} to {version - 1}"
        report.find("version_missing", key, last + 1, f"version {missing} is gone; the next event is {version}")
    elif link.previous_hash != before.hash:
        said, wanted = link.previous_hash.hex(), before.hash.hex()
        text = f"it carries {said} as the hash of version {last}, whose bytes hash to {wanted}"
        report.find("chain_broken", key, version, text)
    if link.recorded_at < before.recorded_at:
        text = f"recorded at {link.recorded_at} µs, but version {last} at {before.recorded_at} µs"
        report.find("time_backwards", key, version, text)
    return version == last + 1


def check_postings(
    stream: Stream, version: int, currency: bytes | None, postings: Sequence[RawPosting], report: AuditReport
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
