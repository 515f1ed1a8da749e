"""The events of a segment as Parquet, for DuckDB, Spark and BI tools. Needs the extra `archive` (pyarrow).

One row per event: the envelope's fields, the fields of the payload that most queries ask for, the payload as JSON, and
the Avro bytes with their hash, so that the chain can be proven from this file too.
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from evidence.archive import segment
from evidence.archive.manifest import File, digest, sync_folder
from evidence.archive.segment import ArchiveError, Segment
from ledger.core.chain import hash_of
from ledger.entry import EVENT

ENVELOPE = (
    "event_type", "schema_version", "event_id", "occurred_at", "tenant_id", "region", "player_id", "wallet_id",
    "provider_id", "integration_id", "stream_type", "stream_id", "stream_version", "operation", "idempotency_key",
    "trace_id", "provider_occurred_at", "provider_transaction_id", "postings",
)  # fmt: skip
TEXTS = "currency", "mode", "bet_id", "round_id", "session_id", "game_id"
AMOUNTS = "stake_minor", "win_minor", "amount_minor"
EXPONENT = "exponent"
"""The payload's decimals, where it has amounts. These are whole minor units: 10^-exponent of `currency`."""


def file_name(of: Segment) -> str:
    return f"events-{of.first_leaf:012}-{of.leaves}.parquet"


def require() -> None:
    """Demand the extra `archive`. Raises ArchiveError where pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401  # only whether it is there
    except ImportError:
        raise ArchiveError("Parquet needs pyarrow: pip install 'wagerledger[archive]'") from None


def write(folder: Path, of: Segment) -> File:
    """Write the events of a segment as a Parquet file beside it, and read them back. Raises ArchiveError; OSError."""
    require()
    import pyarrow as pa
    from pyarrow import parquet

    rows = list(_rows(folder / of.file, of.first_leaf))
    name = file_name(of)
    temporary = folder / f".{name}.part"
    parquet.write_table(pa.Table.from_pylist(rows, _schema()), temporary, compression="zstd")
    written = parquet.read_table(temporary, columns=["leaf", "body"]).to_pydict()
    bodies = zip(written["leaf"], map(hash_of, written["body"]), strict=True)
    if list(bodies) != [(row["leaf"], row["hash"]) for row in rows]:
        raise ArchiveError(f"{temporary} does not hold what was written; is the disk in order?")
    content = temporary.read_bytes()
    temporary.rename(folder / name)
    sync_folder(folder)
    return File(name, digest(content), len(rows))


def _rows(path: Path, first_leaf: int) -> Iterator[dict[str, Any]]:
    for leaf, entry in enumerate(segment.read(path), start=first_leaf):
        if entry.kind != EVENT:
            continue
        record = segment.decoded(entry)
        payload = record["payload"]
        yield {
            "leaf": leaf,
            **{name: record[name] for name in ENVELOPE},
            **{name: payload.get(name) for name in (*TEXTS, EXPONENT, *AMOUNTS)},
            "payload": json.dumps(payload, ensure_ascii=False, sort_keys=True, default=bytes.hex),
            "previous_hash": record["previous_hash"],
            "hash": sha256(entry.body).digest(),
            "schema_fingerprint": entry.fingerprint,
            "body": entry.body,
        }


def _schema() -> Any:
    from pyarrow import binary, field, int64, list_, schema, string, struct, timestamp

    posting = struct([("account", string()), ("amount_minor", int64()), ("currency", string())])
    types = {
        "occurred_at": timestamp("us", "UTC"),
        "provider_occurred_at": timestamp("us", "UTC"),
        "stream_version": int64(),
        "postings": list_(posting),
        **dict.fromkeys((EXPONENT, *AMOUNTS), int64()),
    }
    names = (*ENVELOPE, *TEXTS, EXPONENT, *AMOUNTS, "payload")
    proof = [(name, binary()) for name in ("previous_hash", "hash", "schema_fingerprint", "body")]
    return schema([("leaf", int64()), *(field(name, types.get(name, string())) for name in names), *proof])
