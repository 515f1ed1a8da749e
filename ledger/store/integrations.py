"""Table `integrations`: who may call, under which policy and options."""

from ledger.store.column_list import ColumnList

COLUMNS = ColumnList("""
    integration_id text, tenant_id text, region text, provider_id text, dialect text, options text, policy text,
    enabled boolean
""")
NEW = COLUMNS.but("enabled")
RECORDED = COLUMNS + ColumnList("created_at timestamptz")
"""With the time that the database gave it: what an administrative action keeps."""
CHANGING = COLUMNS.only("dialect", "options", "policy", "enabled")

LOAD = f"""
select {COLUMNS}
from wagerledger.integrations order by integration_id
"""  # noqa: S608  # our own constants

HAS = """
select 1 from wagerledger.integrations where integration_id = %s
"""

LOCK = """
select tenant_id, region from wagerledger.integrations where integration_id = %s for no key update
"""
"""Gives its place. Acts on one integration come one after the other: the later one tells what the earlier one left."""

INSERT = f"""
insert into wagerledger.integrations ({NEW})
values ({NEW.values})
on conflict do nothing
"""  # noqa: S608  # our own constants

SET_ENABLED = """
update wagerledger.integrations set enabled = %s where integration_id = %s
"""

SET_OPTIONS = """
update wagerledger.integrations set options = %s, policy = %s where integration_id = %s
"""
