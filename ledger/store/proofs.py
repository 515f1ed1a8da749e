"""Table `proofs`: the digests of signed bytes, each with the one call that they prove. Rows are added, and nothing else
ever happens to them.
"""

from collections.abc import Collection, Sequence

from ledger.outcome import Proof
from ledger.store.statement import Statement, by_key
from runtime.arrays import Bytea, Text, columns

LOAD = f"""
select p.proof, p.scope, p.operation
from unnest(%b::bytea[]) k(proof)
{by_key("proofs", "proof")}
"""  # noqa: S608  # our own constants

INSERT = """
insert into wagerledger.proofs (proof, scope, operation)
select * from unnest(%b::bytea[], %b::text[], %b::text[])
"""

# Rows that nobody keeps, of 16 pages: are there any left on the disk? Shorter than what would be compressed.
FILL = """
insert into wagerledger.proofs (proof, scope, operation)
select uuid_send(gen_random_uuid()), '', repeat('x', 1900) from generate_series(1, 64)
"""


def load(digests: Collection[bytes]) -> Statement:
    return Statement(LOAD, [Bytea(digests)])


def insert(proofs: Sequence[Proof]) -> Statement:
    return Statement(INSERT, columns((Bytea, Text, Text), proofs), len(proofs))
