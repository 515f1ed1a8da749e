"""An archive by itself: no database, broker or registry is needed.

What is proven of every entry: its bytes are those of the Merkle tree that the manifests and the signed heads name. Of
every event: it can be read; it follows the event before it in its stream (version, hash, time); its postings sum to
zero per currency; no wallet's account is negative after it (I3); a command of its database transaction caused it and
says the same. Of the whole: all accounts sum to zero (I2), and the tenants' balances.

What is not folded here is the state of bets: `audit verify` on a database does that, also on one that was restored from
the archive.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, groupby, pairwise

from audit.command_pairs import Transaction
from audit.findings import AuditReport
from audit.published_heads import PublishedHead
from audit.segments import SegmentsUnit, read_segments
from audit.stream_run import ACCOUNTS, RECEIVABLE, StreamRuns, join, key_of
from audit.workers import cores, work
from evidence.archive.reader import Archive
from runtime.progress import Progress

LEAST_LEAVES = 100_000
"""Fewer than this are read by this process alone: to start others takes as long."""

NAMES_SHOWN = 5


def verify_archive(
    archive: Archive,
    report: AuditReport,
    progress: Progress,
    heads: Sequence[PublishedHead] = (),
    units: int | None = None,
    *,
    strict: bool = False,
) -> None:
    """Check an archive, whose manifests were checked when it was opened. `heads` were signed, one of them over all of
    it; a large archive is read in `units`, as many as there are cores, by processes. `strict` makes a finding of it
    where heads know of more entries.

    Raises CannotCheckError where a process dies.
    """
    total = archive.tree_size
    if not total:
        return
    apart = total >= LEAST_LEAVES
    work_units = _units(archive, heads, units or (cores() if apart else 1))
    results = work(read_segments, work_units, lambda done: progress("archive", done, total), apart=apart)
    streams: StreamRuns = {}
    for result in results:
        report.add(result.report)
    if not any(result.lost for result in results):  # else pieces that do not touch would be blamed for it
        for result in results:
            join(streams, result.streams, report)
            result.streams.clear()
        _settle([edge for result in results for edge in result.edges], report)
        _check_books(streams, report)
    _check_end(total, heads, report, strict=strict)
    _note_unnamed(archive, report)
    report.checked |= {"archive.entries": total, "archive.streams": len(streams)}
    progress("archive", total, total)


def _check_end(total: int, heads: Sequence[PublishedHead], report: AuditReport, *, strict: bool) -> None:
    """An export ends where a head was signed: what ends elsewhere was cut or written by somebody else."""
    sizes = {head.tree_size for head in heads}
    if sizes and total not in sizes:
        text = f"no head was signed over all {total} entries of the archive: at its end some are gone or were added, "
        text += "or the head is missing"
        report.find("archive_not_anchored", None, None, text)
    if later := sum(head.tree_size > total for head in heads):
        report.checked["archive.heads_of_more_entries"] = later
        text = f"the archive ends at {total} entries, heads know {max(head.tree_size for head in heads)}"
        if strict:
            report.find("archive_behind", None, None, text)
        else:
            report.notes.append(text)


def _note_unnamed(archive: Archive, report: AuditReport) -> None:
    if unnamed := archive.unnamed():
        report.checked["archive.files_not_named"] = len(unnamed)
        more = f" and {len(unnamed) - NAMES_SHOWN} more" if len(unnamed) > NAMES_SHOWN else ""
        text = f"no manifest names {', '.join(unnamed[:NAMES_SHOWN])}{more} in {archive.folder}: not checked"
        report.notes.append(text)


def _units(archive: Archive, heads: Sequence[PublishedHead], many: int) -> list[SegmentsUnit]:
    """Segments in a row for each, about as many bytes."""
    segments = archive.segments
    ends = list(accumulate(segment.size_bytes for segment in segments))
    wanted = [ends[-1] * unit // many for unit in range(1, many)]
    cuts = sorted({0, *(bisect_left(ends, size) for size in wanted), len(segments)})
    schemas = {bytes.fromhex(name): schema for one in archive.manifests for name, schema in one.schemas.items()}
    units = []
    for first, end in pairwise(cuts):
        frontier = segments[first - 1].frontier if first else ""
        start, stop = segments[first].first_leaf, segments[end - 1].end
        within = sorted(head for head in heads if start < head.tree_size <= stop)
        units.append(SegmentsUnit(archive.folder, segments[first:end], bytes.fromhex(frontier), within, schemas))
    return units


def _settle(edges: Sequence[Transaction], report: AuditReport) -> None:
    """Database transactions that lie across two processes' segments: bring their entries together."""
    for xid, group in groupby(edges, key=lambda edge: edge.xid):  # side by side: a restored log counts anew
        whole = Transaction(xid)
        for edge in group:
            whole.events |= edge.events
            whole.commands += edge.commands
        whole.settle(report)


def _check_books(streams: StreamRuns, report: AuditReport) -> None:
    """I2: the accounts of all wallets and of the tenants, together."""
    totals: Counter[tuple[str, str]] = Counter()
    for stream, run in streams.items():
        tenant_id = key_of(stream).tenant_id
        for currency, wallet in run.wallets.items():
            owned = sum(wallet[: len(ACCOUNTS)]) - 2 * wallet[RECEIVABLE]
            totals[tenant_id, currency.decode(errors="replace")] += owned
    for (tenant_id, name, _), balance_minor in report.accounts.items():
        totals[tenant_id, name] += balance_minor
    for (tenant_id, name), total in sorted(totals.items()):
        if total:
            text = f"all accounts of tenant {tenant_id} in {name} sum to {total} minor units instead of 0"
            report.find("books_unbalanced", None, None, text)
