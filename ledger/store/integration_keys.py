"""Table `integration_keys`: the keys with which an integration proves itself."""

from ledger.store.column_list import ColumnList

COLUMNS = ColumnList("""
    kid text, integration_id text, algorithm text, material bytea, not_before timestamptz, not_after timestamptz
""")
NEW = COLUMNS.but("not_before", "not_after")
RECORDED = COLUMNS + ColumnList("created_at timestamptz")

LOAD = f"""
select {COLUMNS}
from wagerledger.integration_keys
where not_after is null or not_after > now()
order by not_before, kid
"""  # noqa: S608  # our own constants
"""`material` is null where a key came out of an archive without its secret: it proves nobody."""

HAS = """
select 1 from wagerledger.integration_keys where kid = %s and (not_after is null or not_after > now())
"""

INSERT = f"""
insert into wagerledger.integration_keys ({NEW}) values ({NEW.values})
"""  # noqa: S608  # our own constants

ONE_AT_A_TIME = """
select pg_advisory_xact_lock(hashtextextended('wagerledger: integration keys', 0))
"""
"""Who adds a key looks at all others first."""

OF_OTHERS = """
select integration_id, kid, algorithm, material from wagerledger.integration_keys
where integration_id <> %s and material is not null
"""

INTEGRATION = """
select integration_id from wagerledger.integration_keys where kid = %s
"""

FILL = """
update wagerledger.integration_keys set material = %s where kid = %s and material is null returning integration_id
"""

EXPIRE_OLDER = """
update wagerledger.integration_keys set not_after = now() + make_interval(secs => %s)
where integration_id = %s and kid <> all(%s) and (not_after is null or not_after > now() + make_interval(secs => %s))
"""
