"""An archive as large as wanted, written in minutes: a few players whose events the rule book decided, written over and
again under other names. Every name is as long as the first one, so that only names and hashes change in the bytes.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from bench.history import decided, name_of
from evidence.archive import manifest, segment
from evidence.archive.manifest import Manifest
from evidence.archive.segment import LEAVES, Segment
from evidence.log import COMMAND_FIELDS
from evidence.merkle import Range, leaf_hash
from ledger.core.chain import GENESIS, hash_of
from ledger.entry import COMMAND, EVENT, Entry, canonical
from ledger.journal.batch import Batch
from ledger.store.commands import Decided
from schemas.events import BY_FINGERPRINT

PLAYERS = 20
"""Whose events are written over and over."""
TOGETHER = 20
"""Callbacks that one database transaction takes."""


class LoggedEvent(NamedTuple):
    """An event and its command, as the rule book decided them."""

    player: bytes
    fingerprint: bytes
    body: bytes
    hash: bytes
    command: bytes


def write(folder: Path, events: int, events_per_player: int, progress: Callable[[int], None]) -> None:
    """Fill an empty folder with an unsigned archive of about `events` events, each with its command."""
    write_entries(folder, entries_of_play(events, events_per_player), LEAVES, lambda entries: progress(entries // 2))


def write_entries(
    folder: Path, entries: Iterator[Entry], segment_leaves: int, progress: Callable[[int], None] = lambda done: None
) -> None:
    """Fill an empty folder with an unsigned archive of `entries`."""
    tree, segments = Range(), []
    while portion := list(islice(entries, segment_leaves)):
        segments.append(_write(folder, portion, tree))
        progress(tree.end)
    made = Manifest(
        number=1,
        first_leaf=0,
        tree_size=tree.end,
        root=tree.root.hex(),
        previous_sha256=None,
        created_at=time.time_ns() // 1000,
        segments=tuple(segments),
        anchors=(),
        parquet=(),
        schemas=manifest.schemas_of(tuple(segments)),
    )
    manifest.write_durably(folder / made.file, manifest.to_bytes(made, None))


def entries_of_play(events: int, events_per_player: int) -> Iterator[Entry]:
    """About `events` events, each with its command, in the order of the log."""
    story = _story(decided(range(PLAYERS), events_per_player))
    return _entries(story, max(1, events // len(story)))


def _story(batch: Batch) -> list[LoggedEvent]:
    """The batch's events with their commands; each command made one event."""
    pairs = zip(batch.events, batch.commands, strict=True)
    return [
        LoggedEvent(
            event.stream.stream_id.encode(), event.schema_fingerprint, event.body, hash_of(event.body), _json(command)
        )
        for event, command in pairs
    ]


def _json(command: Decided) -> bytes:
    first, last = command.versions or (None, None)
    assert command.fingerprint, "the bench asks for itself"
    values = (
        *command.key, command.command_id, command.kind, command.fingerprint.hex(), command.tenant_id,
        command.stream.stream_type, command.stream.stream_id, first, last, command.outcome.to_json(), None, "bench",
        None, command.trace_id, command.decided_at,
    )  # fmt: skip
    return canonical(dict(zip(COMMAND_FIELDS, values, strict=True)))


def _entries(story: list[LoggedEvent], times: int) -> Iterator[Entry]:
    """The story, `times` times, each with players of its own and hashes that fit."""
    xid = 1000
    for n in range(times):
        names = {name_of(player): name_of(n * PLAYERS + player) for player in range(PLAYERS)}
        before = dict.fromkeys(names, (GENESIS, GENESIS))
        for first in range(0, len(story), TOGETHER):
            xid += 1
            commands = []
            for player, fingerprint, original, hash_, command in story[first : first + TOGETHER]:
                body = original.replace(*before[player], 1).replace(player, names[player])
                before[player] = hash_, hash_of(body)
                commands.append(command.replace(player, names[player]))
                yield Entry(xid, EVENT, body, fingerprint)
            for command in commands:
                yield Entry(xid, COMMAND, command)


def _write(folder: Path, entries: list[Entry], tree: Range) -> Segment:
    """What an export writes of a segment; heads of streams are not said, because nobody looks at them here."""
    first = tree.end
    path = folder / segment.file_name(first, len(entries))
    segment.write(path, entries, "null")
    tree.extend([leaf_hash(entry.leaf) for entry in entries])
    fingerprints = Counter(entry.fingerprint for entry in entries if entry.kind == EVENT)
    schemas = [(BY_FINGERPRINT[fingerprint], count) for fingerprint, count in fingerprints.items()]
    return Segment(
        file=path.name,
        first_leaf=first,
        leaves=len(entries),
        first_xid=entries[0].xid,
        last_xid=entries[-1].xid,
        kinds=dict(Counter(entry.kind for entry in entries)),
        event_types={f"{schema.event_type} {schema.schema_version}": count for schema, count in schemas},
        fingerprints=tuple(sorted(fingerprint.hex() for fingerprint in fingerprints)),
        first_recorded_at=None,
        last_recorded_at=None,
        streams=0,
        heads_sha256="",
        size_bytes=path.stat().st_size,
        sha256=manifest.digest(path.read_bytes()),
        frontier=tree.to_bytes().hex(),
        root=tree.root.hex(),
    )
