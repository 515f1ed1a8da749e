"""The whole audit: what `wagerledger audit verify` runs."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from audit import tables
from audit.anchors import verify_anchors
from audit.archive import verify_archive
from audit.archive_folds import verify_folds
from audit.database import verify_database
from audit.detached_months import detached_events
from audit.findings import AuditReport, CannotCheckError
from audit.published_heads import PublishedHead, read_heads
from audit.refusals import RefusalsAudit
from audit.relay_positions import borne_out, read_positions
from audit.settings import verify_settings
from audit.snapshot import Snapshot
from audit.sources import Sources
from audit.topics import TopicsAudit
from evidence.archive.detached_months import DetachedEvents
from evidence.archive.reader import Archive
from evidence.heads import HeadError, SignedHead
from evidence.keys import AnchorKeyError, trusted_keys
from ledger.relay_position import Position, PositionError
from runtime.progress import Progress, silent
from runtime.settings import Settings


def verify(
    settings: Settings,
    *,
    database: bool = True,
    topics: bool = True,
    bi: bool = False,
    anchors: bool = False,
    heads: Sequence[Path] = (),
    archive: Archive | None = None,
    fold: bool = False,
    strict: bool = False,
    progress: Progress = silent,
) -> AuditReport:
    """Check the stores that the arguments name, and report everything that is wrong.

    Without `database` the topics are checked by themselves; `bi` compares the read model of balances with it;
    `anchors` compares the log with the tree heads of the files `heads`, or without any of the topic; `archive` is
    checked by itself (and with the files; `fold` also folds it by the rules), and has the events of detached months.
    `strict` takes what is not published yet for lost: for a system at rest; and, of an archive by itself, the entries
    that only heads know. Raises CannotCheckError where something could not be read to its end; ArchiveError.
    """
    sources, report = Sources(settings), AuditReport()
    started = time.monotonic()
    if archive:
        alone = _archive_alone(archive, sources, heads, progress, fold=fold, strict=strict and not database)
        if database:
            alone.accounts.clear()  # the log's own are shown, which the archive's are a part of
        report.add(alone)
    published = _Published(sources, report, progress) if topics else None
    if published:
        published.read(with_positions=database)
    if database:
        # The ledger's snapshot comes last: then it knows all that topics and read model know.
        with (
            _read_model(sources, wanted=bi) as read_model,
            sources.ledger() as ledger,
            detached_events(ledger, archive) as detached,
        ):
            events = detached.merged(ledger.rows(tables.EVENTS)) if detached else None
            verify_database(ledger, read_model, report, progress, events)
            verify_settings(ledger, report)
            if published:
                published.compare(ledger, strict=strict, detached=detached)
    if anchors:
        verify_anchors(sources, report, progress, files=heads, archive=archive)
    report.elapsed_s = time.monotonic() - started
    return report


def _archive_alone(
    archive: Archive, sources: Sources, files: Sequence[Path], progress: Progress, *, fold: bool, strict: bool
) -> AuditReport:
    report = AuditReport()
    verify_archive(archive, report, progress, _signed(archive, sources, files, report), strict=strict)
    if fold:
        verify_folds(archive, report, progress)
    return report


class _Published:
    """All that the relay publishes: events and refusals, read before the database and compared with it."""

    def __init__(self, sources: Sources, report: AuditReport, progress: Progress) -> None:
        self._sources = sources
        self._report = report
        self._events = TopicsAudit(sources, report, progress)
        self._refusals = RefusalsAudit(sources, report, progress)
        self._positions: dict[int, Position] = {}

    def read(self, *, with_positions: bool) -> None:
        """Check the topics by themselves. Raises CannotCheckError."""
        if with_positions:  # before what they speak of
            self._read_positions()
        self._events.read()
        self._refusals.read()

    def compare(self, ledger: Snapshot, *, strict: bool, detached: DetachedEvents | None) -> None:
        """Compare with the database, whose snapshot was opened after `read`."""
        passed = borne_out(self._positions, ledger)
        self._events.compare(ledger, passed, strict=strict, detached=detached)
        self._refusals.compare(ledger, passed, strict=strict)

    def _read_positions(self) -> None:
        try:
            self._positions = read_positions(self._sources)
        except PositionError as error:
            self._report.find("topic_undecodable", None, None, str(error))


@contextmanager
def _read_model(sources: Sources, *, wanted: bool) -> Iterator[Snapshot | None]:
    if not wanted:
        yield None
        return
    with sources.read_models() as opened:
        yield opened


def _signed(archive: Archive, sources: Sources, files: Sequence[Path], report: AuditReport) -> list[PublishedHead]:
    """The tree heads that the archive holds, and those of outside files."""
    trusted = None  # an archive that nobody vouches for is still compared with what it says
    try:
        trusted = trusted_keys(sources.settings)
        heads = read_heads(sources, files, trusted, report) if files else []
    except AnchorKeyError as error:
        if files:
            raise CannotCheckError(str(error)) from error
        heads = []
    for line in archive.anchors():
        try:
            own = SignedHead.parse(line)
        except HeadError as error:
            report.find("anchor_unreadable", None, None, f"{archive.folder}: {error}")
            continue
        where = f"{archive.folder}: the head of {own.tree_size} entries"
        if trusted is not None and not own.valid(trusted):
            report.find("anchor_forged", None, None, f"{where} has no valid signature of a trusted key")
        elif files and own.head.log != sources.settings.anchor_log:
            text = f"{where} is of log {own.head.log}; WAGERLEDGER_ANCHOR_LOG is {sources.settings.anchor_log}"
            report.find("archive_not_anchored", None, None, text)
        else:
            root = bytes.fromhex(own.head.root)
            heads.append(PublishedHead(own.tree_size, root, own.head.generation, str(archive.folder)))
    return heads
