"""Tables `integrations` and `integration_keys`: who may call, and with which keys."""

from ledger.store.column_list import ColumnList

COLUMNS = ColumnList("""
    integration_id text, tenant_id text, region text, provider_id text, dialect text, options text, policy text,
    enabled boolean
""")
NEW = COLUMNS.but("enabled")
RECORDED = COLUMNS + ColumnList("created_at timestamptz")
"""With the time that the database gave it: what an administrative action keeps."""
CHANGING = COLUMNS.only("dialect", "options", "policy", "enabled")

KEY_COLUMNS = ColumnList("""
    kid text, integration_id text, algorithm text, material bytea, not_before timestamptz, not_after timestamptz
""")
NEW_KEY = KEY_COLUMNS.but("not_before", "not_after")
RECORDED_KEY = KEY_COLUMNS + ColumnList("created_at timestamptz")

LOAD = f"""
select {COLUMNS}
from wagerledger.integrations order by integration_id
"""  # noqa: S608  # our own constants

LOAD_KEYS = f"""
select {KEY_COLUMNS}
from wagerledger.integration_keys
where not_after is null or not_after > now()
order by not_before, kid
"""  # noqa: S608  # our own constants
"""`material` is null where a key came out of an archive without its secret: it proves nobody."""

HAS_KEY = """
select 1 from wagerledger.integration_keys where kid = %s and (not_after is null or not_after > now())
"""

HAS = """
select 1 from wagerledger.integrations where integration_id = %s
"""

PLACE = """
select tenant_id, region from wagerledger.integrations where integration_id = %s
"""

INSERT = f"""
insert into wagerledger.integrations ({NEW})
values ({NEW.values})
on conflict do nothing
"""  # noqa: S608  # our own constants

INSERT_KEY = f"""
insert into wagerledger.integration_keys ({NEW_KEY}) values ({NEW_KEY.values})
"""  # noqa: S608  # our own constants

ONE_AT_A_TIME = """
select pg_advisory_xact_lock(hashtextextended('wagerledger: integration keys', 0))
"""
"""Who adds a key looks at all others first."""

KEYS_OF_OTHERS = """
select integration_id, kid, algorithm, material from wagerledger.integration_keys
where integration_id <> %s and material is not null
"""

INTEGRATION_OF_KEY = """
select integration_id from wagerledger.integration_keys where kid = %s
"""

FILL_KEY = """
update wagerledger.integration_keys set material = %s where kid = %s and material is null returning integration_id
"""

EXPIRE_OLDER_KEYS = """
update wagerledger.integration_keys set not_after = now() + make_interval(secs => %s)
where integration_id = %s and kid <> all(%s) and (not_after is null or not_after > now() + make_interval(secs => %s))
"""

SET_ENABLED = """
update wagerledger.integrations set enabled = %s where integration_id = %s
"""

SET_OPTIONS = """
update wagerledger.integrations set options = %s, policy = %s where integration_id = %s
"""
