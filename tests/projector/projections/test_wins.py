from typing import Any

from tests.projector.direct_fold import Folded
from tests.support.reference import moment


def test_every_win_and_award_has_a_row(folded: Folded) -> None:
    """A row per win or award above zero, with what took it back."""
    expected: dict[tuple[str, str], dict[str, Any]] = {}
    for record in folded.records:
        payload = record["payload"]
        match record["event_type"]:
            case "bet.settled" | "wallet.credit.award" as event_type:
                won = payload["win_minor"] if event_type == "bet.settled" else payload["amount_minor"]
                if won:
                    key = record["integration_id"], payload["win_id"] or payload["settlement_id"]
                    expected[key] = {
                        "amount_minor": won, "account": payload.get("account", "house"), "kind": payload["kind"],
                        "award": event_type == "wallet.credit.award", "won_at": moment(record["occurred_at"]),
                        "mode": payload.get("mode", "real"), "bet_id": payload.get("bet_id"), "reversed_at": None,
                        "rollback_id": None, "as_of_version": record["stream_version"], "trace_id": record["trace_id"],
                    }  # fmt: skip
            case "bet.rolled_back" | "wallet.debit.reversal":
                for win_id in payload.get("undoes") or [payload.get("win_id")]:
                    if row := expected.get((record["integration_id"], str(win_id))):
                        row |= {"reversed_at": moment(record["occurred_at"]), "rollback_id": payload["rollback_id"]}
                        row |= {"as_of_version": record["stream_version"], "trace_id": record["trace_id"]}
    found = folded.by("wins", "integration_id", "win_id")
    assert {key: {name: found[key][name] for name in row} for key, row in expected.items()} == expected
    assert found.keys() == expected.keys()
    assert {row["award"] for row in found.values()} == {True, False}
    assert any(row["reversed_at"] for row in found.values())


def test_wins_of_a_bet_are_what_the_bet_says(folded: Folded) -> None:
    """What a bet has won is the sum of its wins that stand."""
    assert folded.query("""
        select b.bet_id from bi.bets b
        where win_minor <> (
            select coalesce(sum(amount_minor), 0) from bi.wins w
            where (w.integration_id, w.bet_id) = (b.integration_id, b.bet_id) and reversed_at is null)""") == []  # fmt: skip
