"""An older database is brought up to date with all that it holds."""

import json

import psycopg
from alembic import command
from pydantic import SecretStr
from sqlalchemy import create_engine, make_url

from audit.findings import AuditReport
from audit.settings import verify_settings
from audit.snapshot import snapshot
from evidence.log import entries, horizon
from ledger.admin import actions
from ledger.store import migrate, settlements
from runtime.settings import Settings
from tests.support.random_game import play
from tests.support.seeds import seeded_random

BEFORE = """
insert into wagerledger.bets (integration_id, bet_id, tenant_id, player_id, status, round_id, session_id, game_id, currency, mode,
    hold_id, stake_minor, stake_cash_minor, stake_bonus_minor, held_minor, win_minor, settlement_id)
values ('acme/eu/spin', 'b1', 'acme', 'ann', 'settled', 'r1', 's_1', 'dice', 'EUR', 'real', 'h_1', 200, 200, 0, 0, 500, 'st_2');
insert into wagerledger.settlements values ('st_1', 'acme/eu/spin', 'b1', 300, 'rb_1'), ('st_2', 'acme/eu/spin', 'b1', 500, null);
insert into wagerledger.integrations (integration_id, tenant_id, region, provider_id, dialect, policy)
values ('acme/eu/spin', 'acme', 'eu', 'spin', 'canonical', '{}');
"""


SETTINGS = """
insert into wagerledger.integrations (integration_id, tenant_id, region, provider_id, dialect, policy)
values ('acme/eu/spin', 'acme', 'eu', 'spin', 'canonical', '{"capture": "settlement"}');
insert into wagerledger.integration_keys (kid, integration_id, algorithm, material)
values ('k_1', 'acme/eu/spin', 'hmac-sha256', 'a sealed secret'), ('k_2', 'acme/eu/spin', 'ed25519', 'a public key');
insert into wagerledger.games values ('acme/eu/spin', 'dice', 'd1', 'Dice'), ('acme/eu/spin', 'cards', 'c1', 'Cards');
insert into wagerledger.rates (tenant_id, base, quote, numerator, denominator, base_exponent, source, as_of)
values ('acme', 'USD', 'EUR', 9, 10, 2, 'desk', 1);
insert into wagerledger.log_generation (generation, reason) values (2, 'moved');
insert into wagerledger.commands (scope, operation, idempotency_key, command_id, kind, tenant_id, stream_type, stream_id, outcome,
    trace_id, decided_at)
values ('acme/eu/spin', 'api', 'key', gen_random_uuid(), 'EndSession', 'acme', 'player', 'ann', '{}', 't', now());
"""


PLAYERS = "select tenant_id, player_id, region, restriction from wagerledger.players order by 1, 2"
COUNTED = (
    "select w::text from wagerledger.wallets w where tallies <> '' order by tenant_id, player_id, currency",
    "select integration_id, bet_id, placed_at from wagerledger.bets where placed_at > 0 order by 1, 2",
    "select integration_id, win_id, counted_at from wagerledger.settlements where counted_at > 0 order by 1, 2",
)
UNDO_0004 = """
delete from wagerledger.players where restriction is null;
alter table wagerledger.players drop column region;
drop table wagerledger.brands, wagerledger.proofs;
alter table wagerledger.sessions drop column extended_us;
drop function wagerledger.key_of cascade;
alter table wagerledger.wallets drop column tallies;
alter table wagerledger.players drop column calendar, drop column limits;
alter table wagerledger.bets drop column placed_at;
alter table wagerledger.settlements drop column counted_at;
update public.alembic_version set version_num = '0003';
"""


CATALOGUE = (
    """select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attacl::text,
        pg_get_expr(d.adbin, d.adrelid)
    from pg_class c join pg_attribute a on a.attrelid = c.oid left join pg_attrdef d on (d.adrelid, d.adnum) = (c.oid, a.attnum)
    where c.relnamespace = 'wagerledger'::regnamespace and c.relkind in ('r', 'p', 'v') and a.attnum > 0 and not attisdropped""",
    """select relname, relkind, relowner::regrole::text, relacl::text, reloptions::text
    from pg_class where relnamespace = 'wagerledger'::regnamespace""",
    """select conrelid::regclass::text, pg_get_constraintdef(oid) from pg_constraint
    where connamespace = 'wagerledger'::regnamespace and contype <> 'n'""",
    "select indexdef from pg_indexes where schemaname = 'wagerledger'",
    """select tgrelid::regclass::text, tgname, tgenabled::text, pg_get_triggerdef(oid)
    from pg_trigger where not tgisinternal and tgrelid::regclass::text like 'wagerledger.%'""",
    """select oid::regprocedure::text, proowner::regrole::text, proacl::text, pg_get_functiondef(oid)
    from pg_proc where pronamespace = 'wagerledger'::regnamespace""",
)
"""What there is, who owns it, who may do what with it, and what guards it."""


def catalogue(database_url):
    with psycopg.connect(database_url) as connection:
        return [sorted(map(str, connection.execute(query))) for query in CATALOGUE]


def upgrade_to(database_url, revision):
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def test_settings_of_before_have_acts_too(empty_database, ledger_database):
    """So that an archive holds them: done again elsewhere, they give the same settings, and no secret is in them."""
    upgrade_to(empty_database, "0002")
    with psycopg.connect(empty_database) as connection:
        connection.execute(SETTINGS)
    migrate.upgrade(empty_database)
    tables = "brands", "integrations", "keys_without_secrets", "games", "rates", "log_generation"
    with psycopg.connect(empty_database) as old, psycopg.connect(ledger_database) as new:
        old.execute("set transaction isolation level repeatable read")
        found = list(entries(old, 0, horizon(old)))
        assert [entry.kind for entry in found] == ["command", *["act"] * 5]
        for entry in found[1:]:
            assert b"a sealed secret".hex().encode() not in entry.body
            actions.redo(new, json.loads(entry.body))
        for table in tables:
            query = f"select t::text from wagerledger.{table} t order by 1"
            expected = old.execute(query).fetchall()
            if table == "log_generation":  # the first one is each database's own
                assert new.execute(query).fetchall()[1:] == expected[1:]
            else:
                assert new.execute(query).fetchall() == expected
        new.rollback()
    with snapshot(SecretStr(empty_database), "WAGERLEDGER_DATABASE_URL") as opened:
        verify_settings(opened, report := AuditReport())
    assert report.ok, report.text()
    with psycopg.connect(ledger_database) as fresh:
        assert fresh.execute("select count(*) from wagerledger.acts").fetchone() == (0,), "an empty ledger has no acts"


def test_what_only_the_events_say_is_folded_from_them(ledger_database):
    """The region of a player's first wallet, what counts in the running periods and since when; and the brands that were
    used are registered.
    """
    play(Settings(database_url=ledger_database), seeded_random())
    with psycopg.connect(ledger_database) as connection:
        players = connection.execute(PLAYERS).fetchall()
        counted = [connection.execute(query).fetchall() for query in COUNTED]
        connection.execute("set role wagerledger_owner")
        connection.execute(UNDO_0004)
    assert len(players) > 5
    assert all(len(rows) > 5 for rows in counted)
    migrate.upgrade(ledger_database)
    with psycopg.connect(ledger_database) as connection:
        assert connection.execute(PLAYERS).fetchall() == players
        assert [connection.execute(query).fetchall() for query in COUNTED] == counted
        brands = connection.execute("select distinct tenant_id, region from wagerledger.brands order by 1").fetchall()
    assert brands == sorted({(tenant_id, region) for tenant_id, _, region, _ in players})


def test_the_spine_s_rows_survive(empty_database, ledger_database):
    """Settlements get what they lacked from their bets; what is new has its defaults; a second run changes nothing; and
    tables, rights and guards are those of a new database."""
    upgrade_to(empty_database, "0001")
    with psycopg.connect(empty_database) as connection:
        connection.execute(BEFORE)
    for revision in ("0003", "0005", "0007"):
        upgrade_to(empty_database, revision)
    migrate.upgrade(empty_database)
    migrate.upgrade(empty_database)
    assert catalogue(empty_database) == catalogue(ledger_database)
    with psycopg.connect(empty_database) as connection:
        rows = connection.execute(f"select {settlements.COLUMNS} from wagerledger.settlements order by 2").fetchall()
        integration = connection.execute("select options, policy from wagerledger.integrations").fetchone()
        bet = connection.execute("select stake_kind, final, conversion from wagerledger.bets").fetchone()
    of_bet = "acme", "ann", "EUR", "b1", "r1", "s_1", "dice", "win"
    assert rows == [
        ("acme/eu/spin", "st_1", "st_1", *of_bet, 300, "house", "real", "rb_1", 0, None),
        ("acme/eu/spin", "st_2", "st_2", *of_bet, 500, "house", "real", None, 0, None),
    ]
    assert integration == ({}, {})
    assert bet == ("bet", False, None)
