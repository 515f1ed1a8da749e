"""Table `log_generation`: how often the log was moved or restored on purpose, and why."""

from ledger.store.column_list import ColumnList

COLUMNS = ColumnList("generation bigint, reason text, since timestamptz")

RAISE = """
insert into wagerledger.log_generation (generation, reason)
select max(generation) + 1, %s from wagerledger.log_generation
returning generation, row_to_json(log_generation)
"""
