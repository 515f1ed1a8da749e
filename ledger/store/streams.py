"""Table `streams`: where each stream ends. It moves by compare-and-set only."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ledger.store.statement import Statement, by_key
from ledger.streams import StreamHead, StreamKey
from runtime.arrays import Bytea, Int8, Text, Timestamptz, columns
from runtime.clock import to_us

LOAD = f"""
select s.tenant_id, s.stream_type, s.stream_id, s.version, s.head_hash, s.recorded_at
from unnest(%b::text[], %b::text[], %b::text[]) k(tenant_id, stream_type, stream_id)
{by_key("streams", "tenant_id", "stream_type", "stream_id")}
"""  # noqa: S608  # our own constants

INSERT = """
insert into wagerledger.streams (tenant_id, stream_type, stream_id, version, head_hash, recorded_at)
select * from unnest(%b::text[], %b::text[], %b::text[], %b::bigint[], %b::bytea[], %b::timestamptz[])
"""

ADVANCE = """
update wagerledger.streams s set version = n.version, head_hash = n.head_hash, recorded_at = n.recorded_at
from unnest(%b::text[], %b::text[], %b::text[], %b::bigint[], %b::bytea[], %b::timestamptz[], %b::bigint[])
    n(tenant_id, stream_type, stream_id, version, head_hash, recorded_at, expected_version)
where s.tenant_id = any(array[n.tenant_id]) and s.stream_type = any(array[n.stream_type])
    and s.stream_id = any(array[n.stream_id]) and s.version = n.expected_version
"""


_HEAD = Text, Text, Text, Int8, Bytea, Timestamptz


def load(keys: Iterable[StreamKey]) -> Statement:
    return Statement(LOAD, columns((Text, Text, Text), keys))


def head(row: Sequence[Any]) -> tuple[StreamKey, StreamHead]:
    return StreamKey(*row[:3]), StreamHead(row[3], row[4], to_us(row[5]))


def save(loaded: Mapping[StreamKey, StreamHead], heads: Mapping[StreamKey, StreamHead]) -> Iterable[Statement]:
    """Move the streams from where they were `loaded` to their new `heads`."""
    rows = [(*key, head.version, head.hash, head.recorded_at) for key, head in heads.items() if key not in loaded]
    if rows:
        yield Statement(INSERT, columns(_HEAD, rows), len(rows))
    moved = [
        (*key, head.version, head.hash, head.recorded_at, loaded[key].version)
        for key, head in heads.items()
        if key in loaded
    ]
    if moved:
        yield Statement(ADVANCE, columns((*_HEAD, Int8), moved), len(moved))
