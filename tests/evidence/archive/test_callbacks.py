"""Providers notice nothing of a restore: old callbacks hear their old answers, byte for byte."""

from dataclasses import replace

import psycopg
import pytest

from evidence.archive.restore import restore
from ledger.admin import integrations
from ledger.admin.secrets import Vault
from sandbox.drivers import driver_of
from tests.gateway.providers.conftest import settings_of
from tests.support.caller import on_board
from tests.support.commands import BY
from tests.support.house import House, Table
from tests.support.seals import archive, opened, seal
from tests.support.servers import fresh_database


@pytest.fixture
def restored_database(servers, ledger_template):
    with fresh_database(servers.database_url, template=ledger_template) as url:
        yield url


def test_old_callbacks_hear_their_old_answers(ledger_database, restored_database, tmp_path):
    """Our own API and a provider's protocol, accepted and refused: with the same secrets given again, nothing is decided twice."""
    house = House(settings_of(ledger_database))
    driver = driver_of("bgaming", "home")
    table, caller = house.mount(driver, "home"), on_board(house)
    with house:
        house.open_wallet(caller.tenant_id, "p_1")
        session = caller.start_session("p_1")
        told = [
            (call, call(caller))
            for call in (
                lambda who: who.authorize(session, "b_1", key="key-1"),
                lambda who: who.settle("b_1", "5.00", key="key-2"),
                lambda who: who.authorize(session, "b_2", "9000.00", key="key-3"),
            )
        ]
        assert [reply.status for _, reply in told] == [200, 200, 402]
        play = table.sit()
        heard = [play.bet(), play.win(), play.bet("large", amount="9000")]
        assert [one.answer.status for one in heard[:2]] == [200, 200]
        heard = [table.send_as_is(one.request, play.seat) for one in heard]  # a repeat tells today's balance
    seal(ledger_database)
    archive(ledger_database, tmp_path)
    restore(restored_database, opened(tmp_path), BY)

    settings = settings_of(restored_database)
    with psycopg.connect(restored_database) as connection:
        secrets = (caller.kid, caller.secret), (kid_of(connection, "home/EU/bgaming"), driver.setup().secret)
        for kid, secret in secrets:
            integrations.restore_secret(connection, Vault(settings), kid, secret, by=BY)
    with House(settings) as house:
        with house.no_event("everything was decided before"):
            again = replace(caller, gateway=house)
            assert [(call(again).status, call(again).body) for call, _ in told] == [(r.status, r.body) for _, r in told]
            table = Table(house, driver, "home", "home/EU/bgaming")
            assert [answer(table.send_as_is(one.request, play.seat)) for one in heard] == list(map(answer, heard))
        assert again.authorize(session, "b_3").status == 200, "and new ones are decided"


def test_a_key_without_its_secret_proves_nobody(ledger_database, restored_database, tmp_path):
    """Secrets are in no archive: until they are given again, no callback is answered."""
    with House(settings_of(ledger_database)) as house:
        caller = on_board(house)
    seal(ledger_database)
    archive(ledger_database, tmp_path)
    restore(restored_database, opened(tmp_path), BY)
    assert all(caller.secret.encode() not in path.read_bytes() for path in tmp_path.iterdir())
    with House(settings_of(restored_database)) as house:
        reply = replace(caller, gateway=house).authorize("s_1", "b_1")
    assert (reply.status, reply.code) == (401, "SIGNATURE_INVALID")


def kid_of(connection, integration_id):
    (kid,) = connection.execute(
        "select kid from wagerledger.integration_keys where integration_id = %s", [integration_id]
    ).fetchone()
    return kid


def answer(heard):
    return heard.answer.status, heard.answer.body
