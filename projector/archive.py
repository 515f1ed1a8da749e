"""An archive as what a rebuild begins with: its events and refusals, which the topics may no longer hold."""

import json
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import Any

from confluent_kafka.schema_registry import SchemaRegistryClient

from evidence.archive.segment import ArchiveError
from ledger.core.chain import hash_of
from ledger.entry import EVENT, REFUSAL, Entry
from ledger.journal.refusals import refused
from ledger.streams import StreamKey, record_key
from projector import database
from projector.folding import Folder, fold
from projector.gate import Arrival
from projector.records import Item, Refused
from runtime.progress import Progress
from runtime.residency import ForeignRegionError, Residency
from schemas.events import BY_FINGERPRINT
from schemas.registry import SchemaMismatchError, WireIds

PARTITIONS = "select count(*) from projections.checkpoints where topic = %s"


def fold_archive(
    entries: Iterable[Entry], total: int, folder: Folder, client: SchemaRegistryClient, batch: int, progress: Progress
) -> None:
    """Fold an archive's entries in their order. What the topics have of them too is dropped later, as duplicates.

    Raises SchemaMismatchError where this code does not know a schema; ArchiveError, RegistryUnavailableError.
    """
    partitions = _partitions(folder)
    wire_ids = WireIds(client, folder.records.topics)
    source, done = iter(entries), 0
    while chunk := list(islice(source, batch)):
        items = [_item(entry, wire_ids, partitions) for entry in chunk]
        _refuse_foreign(items, folder.records.residency)
        with database.transaction(folder.connection) as tables:
            found = [item for item in items if item is not None]
            fold(found, tables, folder.projections, folder.records.decode)
        done += len(chunk)
        progress("folding the archive", done, total)


def _refuse_foreign(items: Iterable[Item | None], residency: Residency) -> None:
    for item in items:
        if isinstance(item, Arrival | Refused) and item.record:
            try:
                residency.check(item.record["region"])
            except ForeignRegionError as error:
                raise ArchiveError(f"the archive cannot be folded here: {error}") from error


def _partitions(folder: Folder) -> int:
    row = folder.connection.execute(PARTITIONS, [folder.records.topics.events]).fetchone()
    assert row
    assert row[0], "no projector has had the partitions of the topic"
    return int(row[0])


def _item(entry: Entry, wire_ids: WireIds, partitions: int) -> Item | None:
    if entry.kind == REFUSAL:
        return Refused(refusal_of(json.loads(entry.body)))
    if entry.kind != EVENT:
        return None
    schema = BY_FINGERPRINT.get(entry.fingerprint)
    if schema is None:
        raise SchemaMismatchError(f"the archive holds events of schema {entry.fingerprint.hex()}; upgrade first")
    record = schema.decode(entry.body)
    stream = StreamKey(record["tenant_id"], record["stream_type"], record["stream_id"])
    wire = wire_ids.of(entry.fingerprint).events + entry.body
    return Arrival(
        stream, record["stream_version"], hash_of(entry.body), record, partition_of(stream, partitions), wire
    )


def refusal_of(entry: dict[str, Any]) -> dict[str, Any]:
    """A refusal as its topic has it, from the entry of the log (see `evidence.log`)."""
    who = refused(entry["scope"], entry["stream_type"], entry["stream_id"])
    same = ("command_id", "refused_at", "tenant_id", "region", "code", "details", "operation", "idempotency_key")
    return {name: entry[name] for name in (*same, "asked", "kid", "trace_id")} | {
        **who,
        "kind": entry["command"],
        "provider_id": who["integration_id"] and entry["scope"].rpartition("/")[2],  # an id is tenant/region/provider
        "fingerprint": entry["fingerprint"] and bytes.fromhex(entry["fingerprint"]),
    }


def partition_of(stream: StreamKey, partitions: int) -> int:
    """Where the relay puts the stream's events: its key's murmur2, as every Kafka client computes it."""
    return (_murmur2(record_key(*stream).encode()) & 0x7FFFFFFF) % partitions


@lru_cache(100_000)
def _murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bits, with Kafka's seed."""
    mask, mixer = 0xFFFFFFFF, 0x5BD1E995
    value = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * mixer & mask
        value = (value * mixer & mask) ^ ((word ^ word >> 24) * mixer & mask)
    if rest := data[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * mixer & mask
    value = (value ^ value >> 13) * mixer & mask
    return value ^ value >> 15
