import random
from collections import Counter, defaultdict
from typing import Any

from ledger.core.policy import REVERSE, Policy
from ledger.core.rollbacks import ReinstateBet, Rollback
from tests.projector.direct_fold import Folded, Record, day, fold, hour, of_real_money
from tests.support.random_ledger import Ledger, decoded

Place = tuple[Any, ...]
SUMS = (
    "bets", "rolled_back_bets", "stake_minor", "stake_bonus_minor", "free_stake_minor", "rolled_back_stake_minor",
    "win_minor", "reversed_win_minor", "payout_minor", "bonus_cost_minor", "jackpot_minor", "adjustment_minor",
)  # fmt: skip
DAY_US = 86_400 * 10**6


def revenue(records: list[Record], period: Any) -> tuple[dict[Place, Counter[str]], dict[Place, int]]:
    """Sums per place and period, and what each correction of an earlier hour changed GGR by."""
    sums: dict[Place, Counter[str]] = defaultdict(Counter)
    corrections: dict[Place, int] = {}
    began: dict[Place, Record] = {}
    won: dict[Place, Record] = {}

    def add(record: Record, origin: Record, **amounts: int) -> Counter[str]:
        key = *(record[name] for name in ("tenant_id", "region", "provider_id")), origin["payload"].get("game_id")
        sums[*key, record["payload"]["currency"], period(origin)].update(amounts)
        return Counter(amounts)

    def correct(record: Record, origin: Record, item: str, item_id: str, **amounts: int) -> None:
        change = add(record, origin, **amounts)
        if hour(origin) != hour(record):
            corrections[record["event_id"], item, item_id] = ggr(change)

    for record in filter(of_real_money, records):
        payload, integration_id = record["payload"], record["integration_id"]
        match record["event_type"]:
            case "bet.authorized":
                began[integration_id, payload["bet_id"]] = record
                if payload["kind"] == "free":
                    add(record, record, bets=1, free_stake_minor=payload["stake_minor"])
                else:
                    add(record, record, bets=1, stake_minor=payload["stake_minor"])
            case "bet.settled" if payload["win_minor"]:
                won[integration_id, payload["win_id"] or payload["settlement_id"]] = record
                add(record, record, win_minor=payload["win_minor"])
            case "wallet.credit.award" if payload["amount_minor"]:
                won[integration_id, payload["win_id"]] = record
                add(record, record, **{paid_from(payload): payload["amount_minor"]})
            case "bet.rolled_back":
                bet = began[integration_id, payload["bet_id"]]
                back = {"rolled_back_bets": 1, "rolled_back_stake_minor": payload["stake_minor"]}
                correct(record, bet, "stake", payload["bet_id"], **back)
                for win_id in payload["undoes"]:
                    if win := won.get((integration_id, win_id)):
                        correct(record, win, "win", win_id, reversed_win_minor=win["payload"]["win_minor"])
            case "bet.reinstated":
                bet = began[integration_id, payload["bet_id"]]
                again = {"rolled_back_bets": -1, "rolled_back_stake_minor": -payload["stake_minor"]}
                correct(record, bet, "stake", payload["bet_id"], **again)
            case "wallet.debit.reversal" if win := won.get((integration_id, payload["win_id"])):
                item = "award" if win["event_type"] == "wallet.credit.award" else "win"
                taken = payload["amount_minor"]
                change = {paid_from(win["payload"]): -taken} if item == "award" else {"reversed_win_minor": taken}
                correct(record, win, item, payload["win_id"], **change)
            case "wallet.credit.adjustment" if payload["amount_minor"]:
                add(record, record, adjustment_minor=payload["amount_minor"])
            case "wallet.debit.adjustment" if payload["amount_minor"]:
                add(record, record, adjustment_minor=-payload["amount_minor"])
    return sums, corrections


def paid_from(payload: dict[str, Any]) -> str:
    return {"house": "payout_minor", "bonus_cost": "bonus_cost_minor"}.get(payload["account"], "jackpot_minor")


def ggr(sums: Counter[str]) -> int:
    return (
        sums["stake_minor"] - sums["rolled_back_stake_minor"] - sums["win_minor"] + sums["reversed_win_minor"]
        - sums["payout_minor"]
    )  # fmt: skip


def test_revenue_per_hour_and_day_is_a_plain_fold(folded: Folded) -> None:
    """Every amount stands in the hour and day that it belongs to, corrections in those of what they correct."""
    for view, name, period in (("revenue_by_hour", "hour", hour), ("revenue_by_day", "day", day)):
        expected, _ = revenue(folded.records, period)
        found = folded.by(view, "tenant_id", "region", "provider_id", "game_id", "currency", name)
        assert found.keys() == expected.keys()
        for key, row in found.items():
            assert {sum_: row[sum_] for sum_ in SUMS} == {sum_: expected[key][sum_] for sum_ in SUMS}, key
            assert row["ggr_minor"] == ggr(expected[key])
            assert row["ngr_minor"] == ggr(expected[key]) - expected[key]["bonus_cost_minor"]
        assert len({key[-1] for key in found}) > 2


def test_corrections_tell_what_changed_an_earlier_hour(folded: Folded) -> None:
    """Each event that changed revenue of another hour than its own is reported, with what it changed."""
    _, expected = revenue(folded.records, hour)
    found = folded.by("revenue_corrections", "event_id", "item", "item_id")
    assert {(str(event_id), *item): row["ggr_minor"] for (event_id, *item), row in found.items()} == expected
    assert expected
    assert any(row["earlier_day"] for row in found.values())


def test_revenue_is_what_the_house_has(folded: Folded) -> None:
    """Over all time, GGR per tenant and currency is the house's account with the exchange, and what open bets hold."""
    revenue_by_currency = folded.query(
        "select tenant_id, currency, sum(ggr_minor) from bi.revenue_by_day group by 1, 2 order by 1, 2"
    )
    accounts = folded.query("""
        select tenant_id, currency, sum(minor) from (
            select tenant_id, currency, balance_minor as minor from bi.tenant_accounts where account in ('house', 'fx')
            union all select tenant_id, currency, held_minor from bi.balances) as a
        where (tenant_id, currency) in (select tenant_id, currency from bi.balances)
        group by 1, 2 order by 1, 2""")
    assert revenue_by_currency == accounts
    other = folded.query("""
        select r.tenant_id, r.currency, sum(bonus_cost_minor), sum(jackpot_minor), sum(adjustment_minor), (
            select array[
                coalesce(-sum(balance_minor) filter (where account = 'bonus_cost'), 0),
                coalesce(-sum(balance_minor) filter (where account like 'jackpot:%'), 0),
                coalesce(-sum(balance_minor) filter (where account = 'adjustment'), 0)]
            from bi.tenant_accounts a where (a.tenant_id, a.currency) = (r.tenant_id, r.currency))
        from bi.revenue_by_day r group by 1, 2""")
    assert all([bonus, jackpot, adjusted] == booked for _, _, bonus, jackpot, adjusted, booked in other)


def test_a_report_of_a_day_and_the_corrections_since_give_the_row_of_today(bi_database: str) -> None:
    """A bet of the first day that is undone on the second, and the undoing undone on the third, changes the first day;
    the report tells when.
    """
    ledger = Ledger()
    session_id = ledger.open_player("tester")
    ledger.bet(session_id, "bet-1", amount=30)
    ledger.settle("bet-1", 50, win_id="win-1")
    first = day(ledger.now)
    policy, named = Policy(rollback_of_settled=REVERSE), {"integration": "acme", "reason": "void"}
    ledger.now += DAY_US
    ledger.ask(Rollback, "brand-a", policy=policy, target_id="bet-1", round_id=None, **named)
    ledger.now += DAY_US
    ledger.ask(ReinstateBet, "brand-a", policy=policy, bet_id="bet-1", **named)
    with fold(bi_database, decoded(ledger.recorded), random.Random(1)) as models:
        (row,) = models.rows("revenue_by_day")
        corrections = models.query(
            "select booked_day - day, item, item_id, earlier_day, ggr_minor from bi.revenue_corrections order by 1, 2"
        )
    assert (row["day"], row["stake_minor"], row["win_minor"], row["ggr_minor"]) == (first, 3000, 5000, 3000)
    assert corrections == [
        (1, "stake", "bet-1", True, -3000), (1, "win", "win-1", True, 5000), (2, "stake", "bet-1", True, 3000),
    ]  # fmt: skip
    reported_on_the_first_day = 3000 - 5000
    assert reported_on_the_first_day + sum(ggr_minor for *_, ggr_minor in corrections) == row["ggr_minor"]
