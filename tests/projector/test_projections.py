import random
import secrets

import pytest

from projector.consumer import refold
from tests.projector.history import Ledger, disordered, random_ledger


@pytest.mark.parametrize("batch", [1, 97, 5000])
def test_models_equal_a_plain_fold(batch, settings, publisher, read_models, record_property):
    """Whatever the batches, the read models are the fold of all events."""
    seed = secrets.randbits(32)
    print("seed", seed)
    ledger = random_ledger(random.Random(seed), 150 if batch == 1 else 1500)
    publisher.publish(ledger.recorded)
    read_models.settings = settings.model_copy(update={"projector_batch": batch})
    read_models.catch_up()
    read_models.must_equal(ledger)
    assert read_models.parked() == []


def test_disorder_and_duplicates_change_nothing(publisher, read_models):
    """Events that come twice or late leave the same read models as events in order."""
    seed = secrets.randbits(32)
    print("seed", seed)
    rng = random.Random(seed)
    ledger = random_ledger(rng, 1000)
    publisher.publish(disordered(rng, ledger.recorded))
    read_models.catch_up()
    assert read_models.parked() == []
    assert read_models.query("select count(*) from projections.parked_events") == [(0,)]
    read_models.must_equal(ledger)


def test_balances_equal_the_ledger(publisher, read_models):
    """The balances that BI sees are the wallets that the ledger decides on."""
    seed = secrets.randbits(32)
    print("seed", seed)
    ledger = random_ledger(random.Random(seed), 800)
    publisher.publish(ledger.recorded)
    read_models.catch_up()
    columns = "tenant_id, player_id, currency, exponent, cash_minor, bonus_minor, held_minor, receivable_minor"
    found = read_models.query(f"select {columns} from bi.balances")
    assert sorted(found) == sorted(
        tuple(getattr(wallet, name) for name in columns.split(", ")) for wallet in ledger.wallets
    )


def test_all_accounts_sum_to_zero(publisher, read_models):
    """Per tenant and currency, what all wallets and all tenant accounts hold is nothing: money only moves."""
    seed = secrets.randbits(32)
    print("seed", seed)
    ledger = random_ledger(random.Random(seed), 600)
    publisher.publish(ledger.recorded)
    read_models.catch_up()
    sums = read_models.query("""
        select tenant_id, currency, sum(amount) from (
            select tenant_id, currency, cash + bonus + held + receivable from bi.balances
            union all
            select tenant_id, currency, balance from bi.tenant_accounts) as a (tenant_id, currency, amount)
        group by tenant_id, currency""")
    assert len(sums) == 6, "two tenants, two currencies of wallets and one that is exchanged"
    assert {total for _, _, total in sums} == {0}


def test_demo_play_is_shown_and_moves_no_money(publisher, read_models):
    """A demo bet appears as one, and the balances do not know of it."""
    ledger = Ledger()
    session_id = ledger.open_player("tester", mode="demo")
    ledger.bet(session_id, "demo-bet", amount=500)
    ledger.settle("demo-bet", 9000)
    publisher.publish(ledger.recorded)
    read_models.catch_up()
    assert read_models.query("select mode, status, stake, win from bi.bets") == [("demo", "settled", 500, 9000)]
    assert read_models.query("select cash, held from bi.balances") == [(1000, 0)]
    assert read_models.query("select account, balance from bi.tenant_accounts") == [("cashier", -1000)]


def test_trace_leads_from_the_callback_to_the_row(publisher, read_models):
    """The trace of the callback that settled a bet stands in every row that it changed."""
    ledger = Ledger()
    session_id = ledger.open_player("tester")
    ledger.bet(session_id, "bet-1")
    ledger.settle("bet-1", 25)
    publisher.publish(ledger.recorded)
    read_models.catch_up()
    traces = read_models.query("""
        select trace_id from bi.bets union all select trace_id from bi.rounds union all select trace_id from bi.sessions
        union all select trace_id from bi.balances""")
    assert traces == [(ledger.recorded[-1].trace_id,)] * 4


def test_refold_gives_the_same_rows(settings, publisher, read_models):
    """Read models thrown away and folded from the first event on are the same, row for row."""
    seed = secrets.randbits(32)
    print("seed", seed)
    ledger = random_ledger(random.Random(seed), 800)
    publisher.publish(ledger.recorded)
    read_models.catch_up()
    first = read_models.views()
    refold(settings)
    assert read_models.query("select count(*) from bi.bets") == [(0,)]
    read_models.settings = settings.model_copy(update={"projector_batch": 31})
    read_models.catch_up()
    assert read_models.views() == first


def test_views_are_documented(read_models):
    """Every view says what it is."""
    read_models.catch_up()
    undocumented = read_models.query("""
        select relname from pg_class where relnamespace = 'bi'::regnamespace and relkind = 'v' and obj_description(oid, 'pg_class') is null""")
    assert undocumented == []
