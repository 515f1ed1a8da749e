"""The topic of refusals against their table. A refusal has no place in a stream: each is looked for by its own id."""

from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from audit.findings import AuditReport
from audit.partitions import where
from audit.relay_positions import Passed
from audit.snapshot import Snapshot
from audit.sources import Sources
from ledger.journal.refusals import refused
from ledger.relay_position import Cursor
from ledger.store import refusals
from ledger.streams import PLAYER, StreamKey
from runtime.arrays import POSTGRES_EPOCH_US
from runtime.progress import Progress
from schemas.events import REFUSAL
from schemas.registry import RefusalReader, UndecodableRecord

# In the order in which the relay publishes them.
FIELDS = refusals.COLUMNS.but("scope", "stream_type", "stream_id", "answer")
STORED = f"""
select xid, refusal_id, {FIELDS.read}, scope, stream_type, stream_id
from wagerledger.refusals order by xid, refusal_id
"""  # noqa: S608  # our own constants

# After a failover the topic has refusals that the database lost, and will never have again.
RESTORED_AT = "select max(acted_at) from wagerledger.acts where action = 'log.events_restored'"


class Key(NamedTuple):
    """One decision. Who asks again with the same command is refused again; `refused_at` is microseconds since 1970."""

    command_id: UUID
    refused_at: int


class RefusalsAudit:
    """First `read`, then `compare` with a snapshot that is opened after it. Memory grows with the refusals."""

    def __init__(self, sources: Sources, report: AuditReport, progress: Progress) -> None:
        self._sources = sources
        self._topic = sources.topics.refusals
        self._report = report
        self._progress = progress
        self._published: dict[Key, bytes] = {}

    def read(self) -> None:
        """Read the topic of refusals to its end. Raises CannotCheckError."""
        for place, record in self._records(self._report):
            digest = _digest(record)
            if self._published.setdefault(_key(record), digest) != digest:
                text = f"{place}: another record says something else of refusal {record['command_id']}"
                self._report.find("refusal_differs", _stream(record), None, text)
        self._report.checked["topics.refusals"] = len(self._published)

    def compare(self, snapshot: Snapshot, passed: Passed, *, strict: bool) -> None:
        """`passed` was read before the topic: what it speaks of may not be missing. `strict`: nothing may."""
        left = dict(self._published)
        behind = 0
        for xid, refusal_id, *row in snapshot.rows(STORED):
            record = _record(row)
            left.pop(_key(record), None)
            published = self._published.get(_key(record))
            if published is None:
                behind += 1
                if strict or passed.refusal(Cursor(xid, refusal_id)):
                    text = f"refusal {record['command_id']} ({record['code']}) is not in {self._topic}"
                    self._report.find("refusal_unpublished", _stream(record), None, text)
            elif published != _digest(record):
                text = f"refusal {record['command_id']} is not what the table has under this id"
                self._report.find("refusal_differs", _stream(record), None, text)
        self._report.checked["topics.refusals_not_yet_published"] = behind
        self._name_unknown(snapshot, left.keys())

    def _name_unknown(self, snapshot: Snapshot, unknown: Collection[Key]) -> None:
        restored_at = (snapshot.one(RESTORED_AT) or 0) + POSTGRES_EPOCH_US
        found = [key for key in unknown if key.refused_at >= restored_at]
        for key in found:
            text = f"{self._topic} has refusal {key.command_id}, which the database does not have"
            self._report.find("refusal_not_in_database", None, None, text)
        if lost := len(unknown) - len(found):
            self._report.checked["topics.refusals_lost_in_a_failover"] = lost

    def _records(self, report: AuditReport) -> Iterator[tuple[str, dict[str, Any]]]:
        """What the topic holds, each with its place."""
        with self._sources.registry() as client:
            reader, records = RefusalReader(client), self._sources.records
            ends = records.ends([self._topic])
            for done, message in enumerate(records.read(ends), 1):
                try:
                    record = reader.read(message.value()).record
                    _key(record)
                except (UndecodableRecord, ValueError) as error:
                    report.find("topic_undecodable", None, None, f"{where(message)}: {error}")
                    continue
                yield where(message), record
                self._progress("refusals", done, sum(ends.values()))


def _record(row: Sequence[Any]) -> dict[str, Any]:
    """A row as it is published."""
    *same, scope, stream_type, stream_id = row
    record = dict(zip(FIELDS, same, strict=True))
    recorded_at = record["refused_at"] + POSTGRES_EPOCH_US
    return {**record, **refused(scope, stream_type, stream_id), "refused_at": recorded_at}


def _digest(record: dict[str, Any]) -> bytes:
    # Whose provider it was is not the refusal's to say: the integration's row had it.
    return sha256(REFUSAL.encode(record | {"provider_id": None})).digest()


def _key(record: dict[str, Any]) -> Key:
    return Key(UUID(record["command_id"]), record["refused_at"])


def _stream(record: dict[str, Any]) -> StreamKey | None:
    return StreamKey(record["tenant_id"], PLAYER, record["player_id"]) if record["player_id"] else None
