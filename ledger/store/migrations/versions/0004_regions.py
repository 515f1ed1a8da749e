"""One region per player, and the register of brands."""

from pathlib import Path

from alembic import op
from sqlalchemy import Connection, text

from schemas.events import BY_FINGERPRINT

revision = "0004"
down_revision = "0003"

# The event that made the player known, else the oldest that is still in the log.
ORIGINS = text("""
select distinct on (tenant_id, stream_id) schema_fingerprint, body
from wagerledger.event_log
where stream_type = 'player'
order by tenant_id, stream_id, event_type not in ('wallet.opened', 'player.restricted', 'player.freed'), stream_version
""")
FILL = text("""
insert into wagerledger.players (tenant_id, player_id, region)
select :tenant_id, :player_id, :region
where exists (select from wagerledger.wallets where (tenant_id, player_id) = (:tenant_id, :player_id))
    or exists (select from wagerledger.players where (tenant_id, player_id) = (:tenant_id, :player_id))
on conflict (tenant_id, player_id) do update set region = excluded.region
""")
# Of players whose events have all been detached.
FILL_FROM_SESSIONS = text("""
insert into wagerledger.players (tenant_id, player_id, region)
select distinct on (w.tenant_id, w.player_id) w.tenant_id, w.player_id, i.region
from wagerledger.wallets w
join wagerledger.sessions s using (tenant_id, player_id)
join wagerledger.integrations i using (integration_id)
order by w.tenant_id, w.player_id, s.expires_at
on conflict (tenant_id, player_id) do update set region = coalesce(players.region, excluded.region)
""")
UNKNOWN = text("""
select w.tenant_id || '/' || w.player_id
from wagerledger.wallets w left join wagerledger.players p using (tenant_id, player_id)
where p.region is null limit 1
""")
DONE = text("alter table wagerledger.players alter column region set not null")

FIND_BRANDS = text("""
with found as (
    insert into wagerledger.brands (tenant_id, region)
    select tenant_id, region from wagerledger.integrations union select tenant_id, region from wagerledger.players
    returning *
)
insert into wagerledger.acts (act_id, acted_at, tenant_id, region, action, subject, actor, reason, content)
select gen_random_uuid(), now(), tenant_id, region, 'brand.found', tenant_id, 'migration 0004',
    'as it was before brands were registered', json_build_object('brands', json_build_array(row_to_json(found)))
from found order by tenant_id, region
""")


def upgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql((Path(__file__).parent.parent / "0004_regions.sql").read_text().replace("%", "%%"))
    _fill_regions(connection)
    connection.execute(FIND_BRANDS)


def _fill_regions(connection: Connection) -> None:
    """Only the bytes of the events say where a player was opened."""
    for rows in connection.execute(ORIGINS, execution_options={"stream_results": True}).partitions(1000):
        records = (BY_FINGERPRINT[fingerprint].decode(body) for fingerprint, body in rows)
        filled = [{name: record[name] for name in ("tenant_id", "player_id", "region")} for record in records]
        connection.execute(FILL, filled)
    connection.execute(FILL_FROM_SESSIONS)
    if unknown := connection.scalar(UNKNOWN):
        raise RuntimeError(f"the region of {unknown} is in no event: attach an archived month of the log again")
    connection.execute(DONE)
