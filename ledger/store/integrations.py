"""Tables `integrations` and `integration_keys`: who may call, and with which keys."""

LOAD = """
select integration_id, tenant_id, region, provider_id, dialect, options, policy, enabled
from wagerledger.integrations order by integration_id
"""

LOAD_KEYS = """
select kid, integration_id, algorithm, material, not_before, not_after
from wagerledger.integration_keys
where not_after is null or not_after > now()
order by not_before, kid
"""
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

INSERT = """
insert into wagerledger.integrations (integration_id, tenant_id, region, provider_id, dialect, options, policy)
values (%s, %s, %s, %s, %s, %s, %s)
on conflict do nothing
"""

INSERT_KEY = """
insert into wagerledger.integration_keys (kid, integration_id, algorithm, material) values (%s, %s, %s, %s)
"""

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
