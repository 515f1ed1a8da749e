from collections import Counter, defaultdict
from typing import Any

from tests.projector.direct_fold import Folded, Record, day, of_real_money

COUNTED = (
    "bets", "free_bets", "rolled_back_bets", "wins", "reversed_wins", "awards", "jackpots", "reversed_awards",
    "stake_minor", "rolled_back_stake_minor", "win_minor", "reversed_win_minor", "award_minor", "jackpot_minor",
    "reversed_award_minor", "adjustment_minor",
)  # fmt: skip


def settlement(records: list[Record]) -> dict[tuple[Any, ...], Counter[str]]:
    """Sums per integration, currency that was asked in, and day of recording."""
    days: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    won: dict[tuple[str, str], tuple[str, int]] = {}
    for record in filter(of_real_money, records):
        payload, integration_id = record["payload"], record["integration_id"]
        if integration_id is None:
            continue
        asked = payload.get("conversion") or payload
        change = _change(record, asked, won)
        if change:
            days[integration_id, asked["currency"], day(record)].update(change)
    return days


def _change(record: Record, asked: dict[str, Any], won: dict[tuple[str, str], tuple[str, int]]) -> dict[str, int]:
    payload, integration_id = record["payload"], record["integration_id"]

    def taken_back(win_ids: list[str]) -> Counter[str]:
        change: Counter[str] = Counter()
        for kind, minor in [won[integration_id, one] for one in win_ids if (integration_id, one) in won]:
            change.update({f"reversed_{kind}s": 1, f"reversed_{kind}_minor": minor})
        return change

    def amount(name: str) -> int:
        return int(
            payload[name] and asked.get("amount_minor", payload[name]) if asked is not payload else payload[name]
        )

    match record["event_type"]:
        case "bet.authorized" if payload["kind"] == "free":
            return {"free_bets": 1}
        case "bet.authorized":
            return {"bets": 1, "stake_minor": amount("stake_minor")}
        case "bet.settled" if payload["win_minor"]:
            won[integration_id, payload["win_id"] or payload["settlement_id"]] = "win", amount("win_minor")
            return {"wins": 1, "win_minor": amount("win_minor")}
        case "wallet.credit.award" if payload["amount_minor"]:
            won[integration_id, payload["win_id"]] = "award", payload["amount_minor"]
            kind = "jackpot" if payload["kind"] == "jackpot" else "award"
            return {f"{kind}s": 1, f"{kind}_minor": payload["amount_minor"]}
        case "wallet.credit.adjustment":
            return {"adjustment_minor": payload["amount_minor"]}
        case "wallet.debit.adjustment":
            return {"adjustment_minor": -payload["amount_minor"]}
        case "bet.rolled_back":
            back = {"rolled_back_bets": 1, "rolled_back_stake_minor": amount("stake_minor")}
            return back | taken_back(payload["undoes"])
        case "bet.reinstated":
            return {"rolled_back_bets": -1, "rolled_back_stake_minor": -amount("stake_minor")}
        case "wallet.debit.reversal":
            return taken_back([payload["win_id"]])
    return {}


def test_everything_counts_on_the_day_it_was_recorded(folded: Folded) -> None:
    """Sums per integration, currency that the provider named and day are a plain fold, rollbacks on their own day."""
    expected = settlement(folded.records)
    found = folded.by("provider_settlement", "integration_id", "currency", "day")
    for key in found | expected:
        row = found.get(key, dict.fromkeys(COUNTED, 0))
        assert {name: row[name] for name in COUNTED} == {name: expected[key][name] for name in COUNTED}, key
    assert {currency for _, currency, _ in found} == {"EUR", "JPY", "USD"}
    assert all(
        row["net_minor"]
        == row["stake_minor"] - row["rolled_back_stake_minor"] - row["win_minor"] + row["reversed_win_minor"]
        for row in found.values()
    )
