"""Table `proofs`: the digests of signed bytes, each with the one call that they prove. Rows are added, and nothing else
ever happens to them.
"""

from collections.abc import Collection, Sequence

from ledger.outcome import Proof
from ledger.store.column_list import ColumnList
from ledger.store.statement import Statement, by_key
from runtime.arrays import Bytea

COLUMNS = ColumnList("proof bytea, scope text, operation text")
KEY = COLUMNS.only("proof")

LOAD = f"""
select {COLUMNS.of("p")}
from {KEY.rows("k")}
{by_key("proofs", *KEY)}
"""  # noqa: S608  # our own constants

INSERT = f"""
insert into wagerledger.proofs ({COLUMNS})
select * from {COLUMNS.arrays}
"""  # noqa: S608  # our own constants

# Rows that nobody keeps, of 16 pages: are there any left on the disk? Shorter than what would be compressed.
FILL = f"""
insert into wagerledger.proofs ({COLUMNS})
select uuid_send(gen_random_uuid()), '', repeat('x', 1900) from generate_series(1, 64)
"""  # noqa: S608  # our own constants


def load(digests: Collection[bytes]) -> Statement:
    return Statement(LOAD, [Bytea(digests)])


def insert(proofs: Sequence[Proof]) -> Statement:
    return Statement(INSERT, COLUMNS.packed(proofs), len(proofs))
