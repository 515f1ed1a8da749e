import random
import re
from collections import defaultdict

import pytest
from uuid_utils import uuid7

from ledger.core.wallets import OpenWallet
from projector.consumer import refold
from projector.projections import PROJECTIONS
from projector.reference import reference_page
from tests.projector.direct_fold import fold
from tests.support.random_ledger import Ledger, decoded, disordered, random_ledger
from tests.support.seeds import seeded_random

BONUS = {"bonus_cost": -500, "bonus": 500}


@pytest.mark.parametrize("batch", [1, 97, 5000])
def test_models_equal_a_plain_fold(batch, settings, publisher, read_models, record_property):
    """Whatever the batches, the read models are the fold of all events."""
    ledger = random_ledger(seeded_random(), 150 if batch == 1 else 1500)
    publisher.publish(ledger.recorded)
    read_models.settings = settings.model_copy(update={"projector_batch": batch})
    read_models.catch_up()
    read_models.must_equal(ledger)
    assert read_models.parked() == []


def test_disorder_and_duplicates_change_nothing(publisher, read_models):
    """Events that come twice or late leave the same read models as events in order."""
    rng = seeded_random()
    ledger = random_ledger(rng, 1000)
    publisher.publish(disordered(rng, ledger.recorded))
    read_models.catch_up()
    assert read_models.parked() == []
    assert read_models.query("select count(*) from projections.parked_events") == [(0,)]
    read_models.must_equal(ledger)


def test_balances_equal_the_ledger(bi_database):
    """The balances that BI sees are the wallets that the ledger decides on."""
    rng = seeded_random()
    ledger = random_ledger(rng, 800)
    columns = "tenant_id, player_id, currency, exponent, cash_minor, bonus_minor, held_minor, receivable_minor"
    with fold(bi_database, decoded(ledger.recorded), rng) as models:
        found = models.query(f"select {columns} from bi.balances")
    assert sorted(found) == sorted(
        tuple(getattr(wallet, name) for name in columns.split(", ")) for wallet in ledger.wallets
    )


def test_all_accounts_sum_to_zero(folded):
    """Per tenant and currency, what all wallets and all tenant accounts hold is nothing: money only moves."""
    sums = folded.query("""
        select tenant_id, currency, sum(amount) from (
            select tenant_id, currency, cash + bonus + held + receivable from bi.balances
            union all
            select tenant_id, currency, balance from bi.tenant_accounts) as a (tenant_id, currency, amount)
        group by tenant_id, currency""")
    assert len(sums) == 6, "two tenants, two currencies of wallets and one that is exchanged"
    assert {total for _, _, total in sums} == {0}


def test_demo_play_is_shown_and_moves_no_money(bi_database):
    """A demo bet appears as one; balances, revenue, settlement, liability and players do not know of it."""
    ledger = Ledger()
    session_id = ledger.open_player("tester", mode="demo")
    ledger.bet(session_id, "demo-bet", amount=500)
    ledger.settle("demo-bet", 9000)
    with fold(bi_database, decoded(ledger.recorded), random.Random(1)) as models:
        assert models.query("select mode, status, stake, win from bi.bets") == [("demo", "settled", 500, 9000)]
        assert models.query("select mode, amount from bi.wins") == [("demo", 9000)]
        assert models.query("select cash, held from bi.balances") == [(1000, 0)]
        assert models.query("select account, balance from bi.tenant_accounts") == [("cashier", -1000)]
        assert models.query("select funds from bi.liability") == [(1000,)]
        assert models.query("select active_players, demo_sessions from bi.active_players_by_day") == [(0, 1)]
        for view in ("revenue_by_hour", "revenue_by_day", "provider_settlement", "settlement_lag", "open_holds"):
            assert models.rows(view) == [], view


def test_trace_leads_from_the_callback_to_the_row(bi_database):
    """The trace of the callback that settled a bet stands in every row that it changed."""
    ledger = Ledger()
    session_id = ledger.open_player("tester")
    ledger.bet(session_id, "bet-1")
    ledger.settle("bet-1", 25)
    with fold(bi_database, decoded(ledger.recorded), random.Random(1)) as models:
        traces = models.query("""
            select trace_id from bi.bets union all select trace_id from bi.rounds union all select trace_id from bi.sessions
            union all select trace_id from bi.balances union all select trace_id from bi.wins
            union all (select trace_id from bi.player_statements order by as_of_version desc limit 1)""")
    assert traces == [(ledger.recorded[-1].trace_id,)] * 6


def test_refold_gives_the_same_rows(settings, publisher, read_models):
    """Read models thrown away and folded from the first event on are the same, row for row."""
    ledger = random_ledger(seeded_random(), 800)
    publisher.publish(ledger.recorded)
    read_models.catch_up()
    first = read_models.views()
    refold(settings)
    assert read_models.query("select count(*) from bi.bets") == [(0,)]
    read_models.settings = settings.model_copy(update={"projector_batch": 31})
    read_models.catch_up()
    assert read_models.views() == first


def test_every_column_of_every_view_is_documented(folded):
    """Every view, function and column says what it is."""
    assert (
        folded.query("""
        select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
        where c.relnamespace = 'bi'::regnamespace and col_description(c.oid, a.attnum) is null""")
        == []
    )
    assert (
        folded.query("""
        select relname from pg_class
        where relnamespace = 'bi'::regnamespace and obj_description(oid, 'pg_class') is null""")
        == []
    )
    assert (
        folded.query("""
        select proname from pg_proc
        where pronamespace = 'bi'::regnamespace and obj_description(oid, 'pg_proc') is null""")
        == []
    )


def test_every_view_of_money_tells_both_forms_its_place_and_its_freshness(folded):
    """Minor units and decimals, currency and decimals of it, tenant and region, and as of when."""
    columns = defaultdict(set)
    for view, column in folded.query(
        "select table_name, column_name from information_schema.columns where table_schema = 'bi'"
    ):
        columns[view].add(column)
    ours = {view.removeprefix("bi.") for projection in PROJECTIONS for view in projection.view_names}
    for view in ours - {"statement_months"}:
        assert {"tenant_id", "region", "as_of"} <= columns[view], view
        for name in columns[view]:
            if name.endswith("_minor"):
                assert {name.removesuffix("_minor"), "currency", "exponent"} <= columns[view], f"{view}.{name}"


def test_order_across_streams_and_batches_change_nothing(folded, bi_database):
    """The same events in another order across streams, other batches and other partitions give the same rows."""
    with fold(bi_database, folded.records, seeded_random()) as again:
        for view in {view for projection in PROJECTIONS for view in projection.view_names}:
            query = f"select to_jsonb(v)::text from {view} v order by 1"
            assert again.query(query) == folded.query(query), view


def test_queries_of_the_reference_run(folded):
    """What the page of the read models shows can be asked."""
    queries = re.findall(r"```sql\n(.*?)```", reference_page(), re.DOTALL)
    assert len(queries) == 2
    for query in queries:
        folded.query(query)


def test_events_announced_for_later_rules_move_the_models_by_their_postings(bi_database):
    """A bonus that no rule makes yet is in balances, statement, liability and revenue, as its postings say."""
    ledger = Ledger()
    ledger.ask(OpenWallet, "brand-a", player="tester", currency="EUR", exponent=2)
    (opened,) = decoded(ledger.recorded)
    moves = [{"account": account, "amount_minor": minor, "currency": "EUR"} for account, minor in BONUS.items()]
    issued = opened | {
        "event_type": "bonus.issued", "event_id": str(uuid7()), "stream_version": 2, "postings": moves,
        "payload": {"currency": "EUR", "exponent": 2, "kind": "deposit", "amount_minor": 500},
    }  # fmt: skip
    with fold(bi_database, [opened, issued], random.Random(1)) as models:
        assert models.query("select bonus from bi.balances") == [(5,)]
        assert models.query("select opening, closing, kind from bi.player_statements") == [(0, 5, "deposit")]
        assert models.query("select bonus, funds from bi.liability") == [(5, 5)]
        assert models.query("select bonus_cost, ggr, ngr from bi.revenue_by_day") == [(5, 0, -5)]
