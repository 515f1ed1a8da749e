"""Table `streams`: where each stream ends. It moves by compare-and-set only."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ledger.store.column_list import ColumnList
from ledger.store.statement import Statement, by_key
from ledger.streams import StreamHead, StreamKey
from runtime.clock import to_us

COLUMNS = ColumnList("""
    tenant_id text, stream_type text, stream_id text, version bigint, head_hash bytea, recorded_at timestamptz
""")
KEY = COLUMNS.only("tenant_id", "stream_type", "stream_id")
HEAD = COLUMNS.but(*KEY)
ADVANCED = COLUMNS + ColumnList("expected_version bigint, expected_hash bytea")

LOAD = f"""
select {COLUMNS.of("s")}
from {KEY.rows("k")}
{by_key("streams", *KEY)}
"""  # noqa: S608  # our own constants

INSERT = f"""
insert into wagerledger.streams ({COLUMNS})
select * from {COLUMNS.arrays}
"""  # noqa: S608  # our own constants

ADVANCE = f"""
update wagerledger.streams s set {HEAD.assigned("n")}
from {ADVANCED.rows("n")}
where s.tenant_id = any(array[n.tenant_id]) and s.stream_type = any(array[n.stream_type])
    and s.stream_id = any(array[n.stream_id]) and s.version = n.expected_version
    and s.head_hash = n.expected_hash
"""  # noqa: S608  # our own constants


def load(keys: Iterable[StreamKey]) -> Statement:
    return Statement(LOAD, KEY.packed(keys))


def head(row: Sequence[Any]) -> tuple[StreamKey, StreamHead]:
    return StreamKey(*row[:3]), StreamHead(row[3], row[4], to_us(row[5]))


def save(loaded: Mapping[StreamKey, StreamHead], heads: Mapping[StreamKey, StreamHead]) -> Iterable[Statement]:
    """Move the streams from where they were `loaded` to their new `heads`."""
    rows = [(*key, head.version, head.hash, head.recorded_at) for key, head in heads.items() if key not in loaded]
    if rows:
        yield Statement(INSERT, COLUMNS.packed(rows), len(rows))
    moved = [
        (*key, head.version, head.hash, head.recorded_at, loaded[key].version, loaded[key].hash)
        for key, head in heads.items()
        if key in loaded
    ]
    if moved:
        yield Statement(ADVANCE, ADVANCED.packed(moved), len(moved))
