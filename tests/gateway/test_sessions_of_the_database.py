"""What a gateway says of a database whose sessions are not as a bet needs them."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import structlog
from prometheus_client import REGISTRY
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from cli import doctor
from gateway.app import READINESS_S
from runtime.settings import Settings
from tests.support.caller import Caller, Reply, RunningGateway
from tests.support.pooler import pooled
from tests.support.waiting import until

END_SESSIONS = """
select count(pg_terminate_backend(pid, 10000)) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""


def readiness(gateway: RunningGateway) -> Reply:
    reply = gateway.run(gateway.call("GET", "/readyz", [], [b""]))
    assert isinstance(reply, Reply)
    return reply


@contextmanager
def read_only(database_url: str) -> Iterator[None]:
    """Every new session cannot write, and the old ones are ended once: as after a failover."""
    name = sql.Identifier(str(conninfo_to_dict(database_url)["dbname"]))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("alter database {} set default_transaction_read_only = on").format(name))
        connection.execute(END_SESSIONS)
        yield
        connection.execute(sql.SQL("alter database {} reset default_transaction_read_only").format(name))


def test_a_read_only_database_makes_it_unready_until_it_can_be_written(
    gateway: RunningGateway, caller: Caller, player: str, session: str, bet_id: str
) -> None:
    """Bets hear the retryable 503 and balancers turn away; afterwards the same key is answered, without a restart, once."""
    assert readiness(gateway).status == 200
    with read_only(gateway.settings.database_url.get_secret_value()):
        for _ in range(3):
            refused = caller.authorize(session, bet_id, key=bet_id)
            assert (refused.status, refused.code, refused.json["retryable"]) == (503, "UNAVAILABLE", True)
        until(lambda: readiness(gateway).status == 503, "a gateway that is unready")
        assert readiness(gateway).json["missing"] == ["database"]
    assert caller.authorize(session, bet_id, key=bet_id).status == 200
    until(lambda: readiness(gateway).status == 200, "a gateway that is ready", limit_s=20 * READINESS_S)
    assert caller.balances(player)["held"] == "2.00"


FULL = """
create table if not exists public.full_disk (since timestamptz);
create or replace function public.no_room() returns trigger language plpgsql as $$
begin
    if exists (select from public.full_disk) then
        raise exception 'could not extend file: No space left on device' using errcode = '53100';
    end if;
    return new;
end $$;
grant select on public.full_disk to public;
set role wagerledger_owner;
create or replace trigger no_room before insert on wagerledger.proofs for each statement execute function public.no_room();
create or replace trigger no_room before insert on wagerledger.event_log for each row execute function public.no_room();
reset role;
"""


@contextmanager
def full_disk(database_url: str, *, events_alone: bool = False) -> Iterator[None]:
    """No row finds room, in the server's own words and state; what is there can be read. `events_alone`: others do."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(FULL)
        if events_alone:
            connection.execute("set role wagerledger_owner; drop trigger no_room on wagerledger.proofs; reset role")
        connection.execute("insert into public.full_disk values (now())")
        try:
            yield
        finally:
            connection.execute("delete from public.full_disk")


def test_a_full_disk_makes_it_unready_until_there_is_room(
    gateway: RunningGateway, caller: Caller, player: str, session: str, bet_id: str
) -> None:
    """Bets hear the retryable 503, balances are read, balancers turn away; with room it is ready again without a bet."""
    assert caller.authorize(session, f"before-{bet_id}").status == 200
    with full_disk(url := gateway.settings.database_url.get_secret_value()):
        assert readiness(gateway).status == 200, "nobody has written anything yet"
        refused = caller.authorize(session, bet_id, key=bet_id)
        assert (refused.status, refused.code, refused.json["retryable"]) == (503, "UNAVAILABLE", True)
        until(lambda: readiness(gateway).status == 503, "a gateway that is unready", limit_s=20 * READINESS_S)
        assert readiness(gateway).json["missing"] == ["disk"]
        assert REGISTRY.get_sample_value("wagerledger_journal_disk_full") == 1
        assert caller.balances(player)["held"] == "2.00"
        assert _doctor_on_room(url) == (
            False,
            "no bet is taken: could not extend file: No space left on device: make room on its disk",
        )
    until(lambda: readiness(gateway).status == 200, "a gateway that is ready", limit_s=20 * READINESS_S)
    assert REGISTRY.get_sample_value("wagerledger_journal_disk_full") == 0
    assert _doctor_on_room(url)[0]
    assert caller.authorize(session, bet_id, key=bet_id).status == 200
    assert caller.balances(player)["held"] == "4.00"


def test_our_own_write_leaves_nothing(gateway: RunningGateway, caller: Caller, session: str, bet_id: str) -> None:
    """It is undone; where it finds room, the gateway counts as ready again, whatever a single bet met."""
    url = gateway.settings.database_url.get_secret_value()
    with psycopg.connect(url, autocommit=True) as connection, full_disk(url, events_alone=True):
        count = "select count(*) from wagerledger.proofs"
        before = connection.execute(count).fetchone()
        assert caller.authorize(session, bet_id).code == "UNAVAILABLE"
        until(lambda: REGISTRY.get_sample_value("wagerledger_journal_disk_full") == 0, "room for our own write")
        until(lambda: readiness(gateway).status == 200, "a gateway that is ready", limit_s=20 * READINESS_S)
        assert connection.execute(count).fetchone() == before


def _doctor_on_room(url: str) -> tuple[bool, str]:
    with psycopg.connect(url, autocommit=True) as connection:
        check = doctor._room(connection, "WAGERLEDGER_DATABASE_URL", Settings())
        return check.ok, check.text


def test_a_pooler_of_whole_sessions_is_served(
    gateway: RunningGateway, caller: Caller, session: str, bet_id: str
) -> None:
    """Although it refuses start-up options: nothing relies on them."""
    settings = gateway.settings
    with (
        pooled(settings.database_url.get_secret_value(), whole_sessions=True) as url,
        RunningGateway(settings.model_copy(update={"database_url": SecretStr(url)})) as behind,
    ):
        assert readiness(behind).status == 200
        through = Caller(behind, caller.tenant_id, caller.region, caller.provider_id, caller.kid, caller.secret)
        assert through.authorize(session, bet_id).status == 200


def test_a_pooler_of_transactions_is_refused_in_words(settings: Settings, gateway: RunningGateway) -> None:
    """The settings by which a yes is durable could not be relied on there: unready, and the log says why."""
    with (
        pooled(settings.database_url.get_secret_value(), whole_sessions=False) as url,
        structlog.testing.capture_logs() as lines,
        RunningGateway(settings.model_copy(update={"database_url": SecretStr(url)})) as behind,
    ):
        assert readiness(behind).json == {"status": "unready", "missing": ["keys", "database"]}
    said = [line["reason"] for line in lines if line["event"] in ("keys not refreshed", "readiness changed")]
    assert len(said) == 2
    assert all("a pooler hands this session to others" in reason for reason in said)
