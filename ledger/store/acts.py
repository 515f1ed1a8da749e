"""Table `acts`: who changed a setting, why, and who approved it. Rows are added; nothing else ever happens to them."""

from ledger.store import brands, games, integration_keys, integrations, log_generation, rates
from ledger.store.column_list import ColumnList

COLUMNS = ColumnList("""
    act_id text::uuid, acted_at timestamptz, tenant_id text, region text, action text, subject text, actor text,
    approver text, reason text, content text::json
""")

INSERT = f"""
insert into wagerledger.acts ({COLUMNS})
values ({COLUMNS.named_values})
"""  # noqa: S608  # our own constants

LIST = f"""
select {COLUMNS.but("content").read}, content
from wagerledger.acts
where (%(tenant_id)s::text is null or tenant_id = %(tenant_id)s)
    and (%(subject)s::text is null or subject = %(subject)s)
order by xid desc, position desc limit %(limit)s
"""  # noqa: S608  # our own constants

# What an act records of the tables that it touched: their rows as they were after it, secrets left out ----------------

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
    "brands": f"""
insert into wagerledger.brands ({brands.RECORDED})
select {brands.RECORDED} from json_populate_recordset(null::wagerledger.brands, %s::json)
on conflict do nothing
""",  # noqa: S608  # our own constants
    "integrations": f"""
insert into wagerledger.integrations ({integrations.RECORDED})
select {integrations.RECORDED}
from json_populate_recordset(null::wagerledger.integrations, %s::json)
on conflict (integration_id) do update
set {integrations.CHANGING.assigned("excluded")}
""",  # noqa: S608  # our own constants
    # A secret is in no act: where this database has it, it stays.
    "integration_keys": f"""
insert into wagerledger.integration_keys as k ({integration_keys.RECORDED})
select {integration_keys.RECORDED}
from json_populate_recordset(null::wagerledger.integration_keys, %s::json)
on conflict (kid) do update
set material = coalesce(excluded.material, k.material), not_before = excluded.not_before,
    not_after = excluded.not_after
""",  # noqa: S608  # our own constants
    "games": f"""
insert into wagerledger.games ({games.COLUMNS})
select {games.COLUMNS}
from json_populate_recordset(null::wagerledger.games, %s::json)
""",  # noqa: S608  # our own constants
    "rates": f"""
insert into wagerledger.rates ({rates.RECORDED})
select {rates.RECORDED}
from json_populate_recordset(null::wagerledger.rates, %s::json)
""",  # noqa: S608  # our own constants
    "log_generation": f"""
insert into wagerledger.log_generation ({log_generation.COLUMNS})
select {log_generation.COLUMNS} from json_populate_recordset(null::wagerledger.log_generation, %s::json)
on conflict do nothing
""",  # noqa: S608  # our own constants
}
"""By table, in an order in which what is referred to comes first. Without its recorded column an act would not know
when a row came to be.
"""

REMOVE_GAMES = """
delete from wagerledger.games
where integration_id = %(integration_id)s
    and (%(all)s or game_id in (select game_id from json_populate_recordset(null::wagerledger.games, %(games)s::json)))
"""
