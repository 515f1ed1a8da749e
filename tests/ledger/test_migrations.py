"""An older database is brought up to date with all that it holds."""

import psycopg
from alembic import command
from sqlalchemy import create_engine, make_url

from ledger.store import migrate, settlements

BEFORE = """
insert into wagerledger.bets (integration_id, bet_id, tenant_id, player_id, status, round_id, session_id, game_id, currency, mode,
    hold_id, stake_minor, stake_cash_minor, stake_bonus_minor, held_minor, win_minor, settlement_id)
values ('acme/eu/spin', 'b1', 'acme', 'ann', 'settled', 'r1', 's_1', 'dice', 'EUR', 'real', 'h_1', 200, 200, 0, 0, 500, 'st_2');
insert into wagerledger.settlements values ('st_1', 'acme/eu/spin', 'b1', 300, 'rb_1'), ('st_2', 'acme/eu/spin', 'b1', 500, null);
insert into wagerledger.integrations (integration_id, tenant_id, region, provider_id, dialect, policy)
values ('acme/eu/spin', 'acme', 'eu', 'spin', 'canonical', '{}');
"""


def test_the_spine_s_rows_survive(empty_database):
    """Settlements get what they lacked from their bets; what is new has its defaults; and a second run changes nothing."""
    engine = create_engine(make_url(empty_database).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    with psycopg.connect(empty_database) as connection:
        connection.execute(BEFORE)
    migrate.upgrade(empty_database)
    migrate.upgrade(empty_database)
    with psycopg.connect(empty_database) as connection:
        rows = connection.execute(f"select {settlements.COLUMNS} from wagerledger.settlements s order by 2").fetchall()
        integration = connection.execute("select options, policy from wagerledger.integrations").fetchone()
        bet = connection.execute("select stake_kind, final, conversion from wagerledger.bets").fetchone()
    of_bet = "acme", "ann", "EUR", "b1", "r1", "s_1", "dice", "win"
    assert rows == [
        ("acme/eu/spin", "st_1", "st_1", *of_bet, 300, "house", "real", "rb_1", None),
        ("acme/eu/spin", "st_2", "st_2", *of_bet, 500, "house", "real", None, None),
    ]
    assert integration == ({}, {})
    assert bet == ("bet", False, None)
