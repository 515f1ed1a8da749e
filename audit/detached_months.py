"""The events of months that are detached from the log: only their archive has them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from audit.findings import CannotCheckError
from audit.snapshot import Snapshot
from evidence.archive.detached_months import MONTHS, DetachedEvents
from evidence.archive.reader import Archive
from evidence.heads import SignedHead

LAST_LEAF = "select max(last_leaf) from wagerledger.archived"
SIGNED_HEAD = "select signed_head::text from wagerledger.anchors where tree_size = %s"


def months(ledger: Snapshot) -> list[date]:
    """Those that the log of the database has no more."""
    return [month for (month,) in ledger.all(MONTHS)]


def named(of: list[date]) -> str:
    return ", ".join(f"{month:%Y-%m}" for month in of)


@contextmanager
def detached_events(ledger: Snapshot, archive: Archive | None) -> Iterator[DetachedEvents | None]:
    """The events that are only in the archive; None where the log has all of them.

    Raises CannotCheckError where they are needed and no archive is given; ArchiveError.
    """
    gone = months(ledger)
    if not gone:
        yield None
        return
    if archive is None:
        text = f"the events of {named(gone)} are detached from the log: give their archive with --archive"
        raise CannotCheckError(text)
    with DetachedEvents(archive, gone) as detached:
        yield detached


def check_has_all(ledger: Snapshot, archive: Archive) -> None:
    """That the archive is this log's, and has what was detached: for who adds up without a look at the chains.

    Raises CannotCheckError.
    """
    roots = [SignedHead.parse(line).head.root for (line,) in ledger.all(SIGNED_HEAD, [archive.tree_size])]
    if roots != [archive.root]:
        raise CannotCheckError(f"{archive.folder} is the archive of another log, or this log was changed")
    if ledger.one(LAST_LEAF) >= archive.tree_size:
        raise CannotCheckError(f"{archive.folder} is too old: it ends before the months that were detached")
