"""The rule book over an archive: every stream is folded again with the same `evolve`, and each command's answer is
compared with what its events led to.

Streams are shared out by a hash of their id, because a fold needs its stream's state. Every process reads the whole
archive, but decodes its own events only. The memory grows with the bets and wins of the streams that are folded at
once: that is what the number of shards is for.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from audit.findings import AuditReport
from audit.segments import blocks
from audit.stream import check_held, expected_outcome
from audit.stream_run import Stream, key_of
from audit.workers import Tick, cores, work
from evidence.archive.reader import Archive
from evidence.archive.segment import ArchiveError, Segment
from ledger.core.events import Event
from ledger.core.evolve import event_of, evolve
from ledger.core.state import State, Wallet
from ledger.entry import COMMAND, EVENT
from runtime.progress import Progress
from schemas.events import BY_FINGERPRINT

EVENTS_AT_ONCE = 1_000_000
"""About as many are folded by one process before it forgets them."""
LEAST_EVENTS = 20_000
"""Fewer than this are folded by this process alone: to start others takes as long."""


@dataclass(frozen=True)
class FoldUnit:
    """What one process folds: of all segments the streams of one shard."""

    folder: Path
    segments: Sequence[Segment]
    shard: int
    shards: int


def verify_folds(archive: Archive, report: AuditReport, progress: Progress, shards: int | None = None) -> None:
    """Fold what `verify_archive` has read. Raises CannotCheckError where a process dies."""
    events = sum(segment.kinds.get(EVENT, 0) for segment in archive.segments)
    apart = events >= LEAST_EVENTS
    at_once = cores() if apart else 1
    if shards is None:
        shards = at_once * -(-events // (at_once * EVENTS_AT_ONCE)) or 1
    units = [FoldUnit(archive.folder, archive.segments, shard, shards) for shard in range(shards)]
    total = archive.tree_size * shards
    done = 0

    def show(more: int) -> None:
        progress("folding", done + more, total)

    for first in range(0, shards, at_once):
        for result in work(fold_unit, units[first : first + at_once], show, apart=apart):
            report.add(result)
        done += archive.tree_size * at_once
    progress("folding", total, total)


def fold_unit(unit: FoldUnit, tick: Tick) -> AuditReport:
    """Fold the streams of a shard."""
    fold = _Fold(unit)
    for segment in unit.segments:
        try:
            for rows in blocks(unit.folder / segment.file):
                fold.take(rows)
                tick(len(rows))
        except ArchiveError:
            break  # named already by who checks the segments
    return fold.finish()


@dataclass
class _Stream:
    state: State = field(default_factory=State)
    version: int = 0
    stopped: bool = False


class _Fold:
    def __init__(self, unit: FoldUnit) -> None:
        self._unit = unit
        self._report = AuditReport()
        self._streams: dict[Stream, _Stream] = {}
        fields = "tenant_id", "stream_type", "stream_id", "stream_version"
        self._picks = {fingerprint: schema.picker(*fields) for fingerprint, schema in BY_FINGERPRINT.items()}
        self._xid = 0
        self._after: dict[tuple[Stream, int], tuple[Event, dict[str, Wallet]]] = {}
        """Of this database transaction's events: the event, and the wallets after it."""

    def take(self, rows: Sequence[tuple[int, str, bytes, bytes, str | None]]) -> None:
        for xid, kind, body, fingerprint, _ in rows:
            if xid != self._xid:
                self._xid = xid
                self._after.clear()
            if kind == EVENT:
                self._event(body, fingerprint)
            elif kind == COMMAND and self._after:
                self._command(body)

    def finish(self) -> AuditReport:
        for stream, folded in self._streams.items():
            if not folded.stopped:
                check_held(key_of(stream), folded.version, folded.state, self._report)
        self._report.checked["archive.events_folded"] = sum(folded.version for folded in self._streams.values())
        return self._report

    def _event(self, body: bytes, fingerprint: bytes) -> None:
        pick = self._picks.get(fingerprint)
        try:
            *key, version = pick(body) if pick else (b"", b"", b"", 0)
            if not pick or crc32(key[2]) % self._unit.shards != self._unit.shard:
                return
            record = BY_FINGERPRINT[fingerprint].decode(body)
        except ValueError:
            return  # named already
        stream: Stream = tuple(key)
        folded = self._streams.setdefault(stream, _Stream())
        folded.stopped = folded.stopped or version != folded.version + 1
        folded.version = version
        if folded.stopped:
            return
        event = event_of(record)
        try:
            folded.state.put(*evolve(folded.state, event))
        except (AssertionError, LookupError) as error:
            text = f"{event.payload.event_type} cannot follow the events before it: {error}"
            self._report.find("fold_refused", key_of(stream), version, text)
            folded.stopped = True
            return
        self._after[stream, version] = event, _wallets(event, folded.state)

    def _command(self, body: bytes) -> None:
        """What was answered is what the command's events led to."""
        command = json.loads(body)
        stream: Stream = tuple(command[name].encode() for name in ("tenant_id", "stream_type", "stream_id"))
        after = self._after.get((stream, command["last_version"] or 0))
        if after is None:
            return  # it made no event, or one of another shard
        event, wallets = after
        if (expected := expected_outcome(command["outcome"], event, wallets.get)) is not None:
            text = f"the command with key {command['idempotency_key']!r} ({command['scope']}) answered "
            text += f"{command['outcome']}; its events lead to {expected}"
            self._report.find("command_differs", key_of(stream), command["last_version"], text)


def _wallets(event: Event, state: State) -> dict[str, Wallet]:
    """The wallets whose balances a command may have answered after `event`: its own; of an event without a currency any
    of the player's.
    """
    currency = getattr(event.payload, "currency", None)
    if currency is not None:
        wallet = state.wallet(event.tenant_id, event.player_id, currency) if event.player_id else None
        return {currency: wallet} if wallet else {}
    return {entity.currency: entity for entity in state.entities.values() if isinstance(entity, Wallet)}
