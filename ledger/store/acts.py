"""Table `acts`: who changed a setting, why, and who approved it. Rows are added; nothing else ever happens to them."""

INSERT = """
insert into wagerledger.acts (act_id, acted_at, tenant_id, region, action, subject, actor, approver, reason, content)
values (%(act_id)s, %(acted_at)s, %(tenant_id)s, %(region)s, %(action)s, %(subject)s, %(actor)s, %(approver)s,
    %(reason)s, %(content)s)
"""

LIST = """
select act_id::text, acted_at, tenant_id, region, action, subject, actor, approver, reason, content
from wagerledger.acts
where (%(tenant_id)s::text is null or tenant_id = %(tenant_id)s)
    and (%(subject)s::text is null or subject = %(subject)s)
order by xid desc, position desc limit %(limit)s
"""

# What an act tells of the tables that it touched: their rows as they were after it, secrets left out ------------------

INTEGRATION = """
select i.tenant_id, i.region, json_build_object(
    'integrations', json_build_array(row_to_json(i)),
    'integration_keys', coalesce((
        select json_agg(k order by kid) from wagerledger.keys_without_secrets k
        where k.integration_id = i.integration_id
    ), '[]'))
from wagerledger.integrations i where i.integration_id = %s
"""

REDO = {
    "brands": """
insert into wagerledger.brands (tenant_id, region, created_at)
select tenant_id, region, created_at from json_populate_recordset(null::wagerledger.brands, %s::json)
on conflict do nothing
""",
    "integrations": """
insert into wagerledger.integrations (integration_id, tenant_id, region, provider_id, dialect, options, policy, enabled,
    created_at)
select integration_id, tenant_id, region, provider_id, dialect, options, policy, enabled, created_at
from json_populate_recordset(null::wagerledger.integrations, %s::json)
on conflict (integration_id) do update
set dialect = excluded.dialect, options = excluded.options, policy = excluded.policy, enabled = excluded.enabled
""",
    # A secret is in no act: where this database has it, it stays.
    "integration_keys": """
insert into wagerledger.integration_keys as k (kid, integration_id, algorithm, material, not_before, not_after,
    created_at)
select kid, integration_id, algorithm, material, not_before, not_after, created_at
from json_populate_recordset(null::wagerledger.integration_keys, %s::json)
on conflict (kid) do update
set material = coalesce(excluded.material, k.material), not_before = excluded.not_before,
    not_after = excluded.not_after
""",
    "games": """
insert into wagerledger.games (integration_id, game_id, provider_game_id, name, enabled)
select integration_id, game_id, provider_game_id, name, enabled
from json_populate_recordset(null::wagerledger.games, %s::json)
""",
    "rates": """
insert into wagerledger.rates (tenant_id, base, quote, numerator, denominator, base_exponent, source, as_of,
    recorded_at)
select tenant_id, base, quote, numerator, denominator, base_exponent, source, as_of, recorded_at
from json_populate_recordset(null::wagerledger.rates, %s::json)
""",
    "log_generation": """
insert into wagerledger.log_generation (generation, reason, since)
select generation, reason, since from json_populate_recordset(null::wagerledger.log_generation, %s::json)
on conflict do nothing
""",
}
"""By table, in an order in which what is referred to comes first. Without its recorded column an act would not know
when a row came to be.
"""

REMOVE_GAMES = """
delete from wagerledger.games
where integration_id = %(integration_id)s
    and (%(all)s or game_id in (select game_id from json_populate_recordset(null::wagerledger.games, %(games)s::json)))
"""
