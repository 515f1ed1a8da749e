"""The ledger beside its read models and its topic: a random history, a projector that is behind, and planted differences."""

import json
import threading
from dataclasses import replace
from datetime import date, timedelta

import psycopg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from audit.explain import explain
from audit.reconcile import funds
from audit.reconcile.stores import LIABILITY, MODELS, reconcile
from cli.main import app
from projector.consumer import project
from schemas.events import BY_FINGERPRINT
from tests.support.random_game import play
from tests.support.seeds import seeded_random
from tests.support.servers import fresh_topic_prefix
from tests.support.topic_filler import kafka_of, logged


@pytest.fixture(scope="module")
def books(servers, ledger_database_of_module, bi_database_of_module):
    """A random history of which the read models lack the last events of one player, and the topic those after them."""
    with kafka_of(servers, ledger_database_of_module, fresh_topic_prefix()) as kafka:
        url = SecretStr(bi_database_of_module)
        settings = kafka.settings.model_copy(update={"bi_database_url": url, "projector_group": "reconciled"})
        play(settings, seeded_random(), players=4, steps=25)
        log = logged(ledger_database_of_module)
        kafka.publish(log[: len(log) - 40])
        project(settings, threading.Event(), until_caught_up=True)
        kafka.publish(log[len(log) - 40 : len(log) - 15])
        yield settings, kafka, log


def test_what_was_made_from_the_log_agrees_with_it(books):
    """Balances, bets, revenue, liability and topic agree to the minor unit; what is only behind is said and is no difference."""
    settings, _, log = books
    results = reconcile(settings)
    assert [result.there for result in results][1:] == [f"read model {model}" for model in MODELS]
    for result in results:
        assert result.ok, (result.there, result.differences[:3])
        assert sum(total.matched for total in result.totals.values()) > 4, result.there
    topic, balances, *_ = results
    assert sum(total.matched for total in topic.totals.values()) >= len(log) - 15
    assert any("15 events are not published" in note for note in topic.notes)
    assert any("40 events of the log are not projected" in note for note in balances.notes)


def test_each_changed_row_is_named(books):
    """A balance, a bet, a day's revenue and a day's funds that were changed, or are gone, are named with both amounts."""
    settings, _, _ = books
    with psycopg.connect(settings.bi_database_url.get_secret_value()) as connection:
        changes = [
            "update projections.balances set cash_minor = cash_minor + 7 where (tenant_id, player_id, currency) = ('acme', 'p0', 'EUR')",
            "delete from projections.balances where (tenant_id, player_id, currency) = ('zeta', 'p1', 'JPY')",
            "update projections.bets set status = 'open', win_minor = win_minor + 1 where bet_id = (select min(bet_id) from projections.bets where status = 'settled')",
            "update projections.liability_days set held_minor = held_minor - 3 where ctid = (select min(ctid) from projections.liability_days where tenant_id = 'acme' and currency = 'EUR')",
        ]
        undone = [
            f"create table saved_{n} as select * from projections.{n}" for n in ("balances", "bets", "liability_days")
        ]
        for statement in (*undone, *changes):
            connection.execute(statement)
        connection.commit()
        _, balances, bets, _, liability = reconcile(settings)
        for n in ("balances", "bets", "liability_days"):
            connection.execute(f"truncate projections.{n}")
            connection.execute(f"insert into projections.{n} select * from saved_{n}")
    assert {(one.outcome, one.kind, one.key) for one in balances.differences} == {
        ("different", "cash", "acme p0 EUR"),
        *(("missing_there", account, "zeta p1 JPY") for account in funds.ACCOUNTS),
    }
    assert balances.totals["cash", "EUR"].difference_minor == -7
    assert {(one.outcome, one.kind) for one in bets.differences} == {("different", "stake"), ("different", "win")}
    assert "settled here, open there" in bets.differences[0].text
    assert {(one.outcome, one.kind, one.here_minor - one.there_minor) for one in liability.differences} == {
        ("different", "held", 3)
    }


def test_the_topic_must_hold_the_same_events(books):
    """Another body, an event of nobody, one twice, and one left out among its successors are each named."""
    settings, kafka, log = books
    missing = log[-15]
    schema = BY_FINGERPRINT[log[-14].fingerprint]
    forged = schema.decode(log[-14].body) | {"trace_id": "forged"}
    invented = schema.decode(log[-14].body) | {"event_id": "01890000-0000-7000-8000-000000000000"}
    kafka.publish([replace(log[-14], body=schema.encode(forged)), *log[-13:], log[-13]], of_type=False)
    kafka.publish([replace(log[-14], body=schema.encode(invented))], of_type=False)
    kafka.write(kafka.names.events, b"nonsense")
    kafka.pass_over(log[-1])
    (result,) = reconcile(settings, read_models=False)
    keys = {(one.outcome, one.key.partition(" ")[0]) for one in result.differences if one.outcome != "unreadable"}
    assert keys == {
        ("missing_there", schema_of(missing)["event_id"]),
        ("different", forged["event_id"]),
        ("missing_here", invented["event_id"]),
        ("duplicate", schema_of(log[-13])["event_id"]),
    }
    assert result.unreadable == 1


def schema_of(row):
    return BY_FINGERPRINT[row.fingerprint].decode(row.body)


def test_player_funds_are_the_sum_of_all_wallets(books, ledger_database_of_module):
    """Computed from the log alone, the last day's funds are what the wallets hold, account by account."""
    settings, _, _ = books
    rows = funds.read(settings)
    last = {(row.tenant_id, row.currency): row for row in rows}
    with psycopg.connect(ledger_database_of_module) as connection:
        stored = connection.execute(
            "select tenant_id, currency, sum(cash_minor), sum(bonus_minor), sum(held_minor), sum(receivable_minor) from wagerledger.wallets group by 1, 2"
        ).fetchall()
    assert {key: row.balances_minor for key, row in last.items()} == {
        (tenant_id, currency): tuple(map(int, balances)) for tenant_id, currency, *balances in stored
    }
    (result,) = reconcile(settings, topics=False, models=[LIABILITY])
    assert result.ok


def test_what_was_owed_stays_owed():
    """At the end of a day on which nothing moved each place has the funds of its last earlier day, and says of which; before the first day it has none."""
    day = date(2026, 3, 1)
    first, second, third = (
        funds.DayEnd(tenant, "eu", "EUR", 2, moved, (amount_minor, 0, 0, 0))
        for tenant, moved, amount_minor in (("a", day, 5), ("a", day + timedelta(2), 7), ("b", day + timedelta(1), 9))
    )
    rows = [first, second, third]
    assert funds.at_end_of(day - timedelta(1), rows) == []
    assert funds.at_end_of(day, rows) == [first]
    later = funds.at_end_of(day + timedelta(2), rows)
    assert later == [second, replace(third, day=day + timedelta(2), unchanged_since=third.day)]
    assert "2026-03-03 (unchanged since 2026-03-02)" in later[1].cells()
    assert later[1].to_dict()["unchanged_since"] == "2026-03-02"


def test_where_there_is_nothing_the_commands_say_so(books):
    """A day before all wallets, a day to come, and acts of nobody are sentences; times of acts are ISO 8601."""
    settings, _, _ = books

    def run(*words):
        done = CliRunner().invoke(app, ["audit", *words], env=environment)
        return done.exit_code, done.output

    environment = {"WAGERLEDGER_DATABASE_URL": settings.database_url.get_secret_value()}
    code, said = run("liability", "--day", "2020-01-01")
    assert (code, "There were no wallets with money: nothing has moved by the end of 2020-01-01" in said) == (0, True)
    code, said = run("liability", "--day", "2020-01-01", "--json")
    assert (code, json.loads(said)) == (0, [])
    assert run("liability", "--day", "9999-01-01")[0] == 2
    code, said = run("acts", "--brand", "nobody")
    assert (code, "No act of tenant nobody is on record." in said) == (0, True), said
    code, said = run("acts", "--json")
    assert code == 0, said
    assert all("T" in act["acted_at"] and act["acted_at"].endswith("+00:00") for act in json.loads(said))


def test_a_bets_page_has_its_rows_of_the_read_models(books, ledger_database_of_module):
    """Where the read models are there, the page shows what they say of the bet."""
    settings, _, _ = books
    with psycopg.connect(settings.bi_database_url.get_secret_value()) as connection:
        integration_id, bet_id, status = connection.execute(
            "select integration_id, bet_id, status from bi.bets where round_id is not null and session_id is not null and mode = 'real' and stake_minor > 0 limit 1"
        ).fetchone()
    found = explain(settings, bet_id, integration_id=integration_id)
    assert found.notes == ["Nobody vouches for the signatures of tree heads: set WAGERLEDGER_ANCHOR_PUBLIC_KEYS."]
    (row,) = found.read_models["bi.bets"]
    assert (row["bet_id"], row["status"]) == (bet_id, status)
    assert found.read_models["bi.rounds"]
    assert found.read_models["bi.sessions"]
    assert found.read_models["bi.player_statements"]
