"""Table `brands`: which brands there are, and in which regions their data may live."""

from ledger.store.column_list import ColumnList

COLUMNS = ColumnList("tenant_id text, region text")
RECORDED = COLUMNS + ColumnList("created_at timestamptz")
"""With the time that the database gave it: what an administrative action keeps."""

INSERT = f"""
insert into wagerledger.brands ({COLUMNS}) values ({COLUMNS.values})
on conflict do nothing
returning row_to_json(brands)
"""  # noqa: S608  # our own constants

LOAD = f"""
select {COLUMNS} from wagerledger.brands order by tenant_id, region
"""  # noqa: S608  # our own constants
