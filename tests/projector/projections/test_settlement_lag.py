import random
from collections import defaultdict
from datetime import timedelta

from ledger.core.rollbacks import Rollback
from ledger.core.rounds import FinishRound
from tests.projector.direct_fold import Folded, day, fold
from tests.support.random_ledger import Ledger, decoded
from tests.support.reference import moment

BOUNDS = {
    "upto_1s": timedelta(seconds=1), "upto_5s": timedelta(seconds=5), "upto_30s": timedelta(seconds=30),
    "upto_1m": timedelta(minutes=1), "upto_5m": timedelta(minutes=5), "upto_15m": timedelta(minutes=15),
    "upto_1h": timedelta(hours=1), "upto_6h": timedelta(hours=6), "upto_1d": timedelta(days=1),
    "upto_7d": timedelta(days=7),
}  # fmt: skip


def test_lags_are_counted_in_their_buckets(folded: Folded) -> None:
    """Per integration and day: how many bets of real money waited how long from their beginning to their end."""
    began, lags = {}, defaultdict(list)
    for record in folded.records:
        payload, integration_id, at = record["payload"], record["integration_id"], moment(record["occurred_at"])
        ended = []
        match record["event_type"]:
            case "bet.authorized":
                began[integration_id, payload["bet_id"]] = at
            case "bet.settled" if payload["was_open"] and payload["ends_bet"] and payload["mode"] == "real":
                ended = [payload["bet_id"]]
            case "round.finished":
                ended = [bet["bet_id"] for bet in payload["bets"] if bet["mode"] == "real"]
        lags[integration_id, day(record)] += [at - began[integration_id, bet_id] for bet_id in ended]
    found = folded.by("settlement_lag", "integration_id", "day")
    for key, waited in lags.items():
        if not waited:
            assert key not in found
            continue
        row = found[key]
        assert row["bets"] == len(waited)
        assert row["longest_lag"] == max(waited)
        assert abs(row["mean_lag"] - sum(waited, timedelta()) / len(waited)) < timedelta(milliseconds=1)
        assert {name: row[name] for name in BOUNDS} == {
            name: sum(lag <= bound for lag in waited) for name, bound in BOUNDS.items()
        }
        for share, name in ((0.5, "p50_upto"), (0.95, "p95_upto")):
            keeping = [bound for bound in BOUNDS.values() if sum(lag <= bound for lag in waited) >= share * len(waited)]
            assert row[name] == min(keeping, default=None)


def test_the_end_of_a_round_ends_its_bets_of_real_money(bi_database: str) -> None:
    """A round's open bets wait until its end; demo bets and rollbacks are no settlements."""
    ledger = Ledger()
    for mode in ("real", "demo"):
        session_id = ledger.open_player("tester", mode=mode)
        for number in range(2):
            ledger.bet(session_id, f"{mode}-{number}", round_id="round-1")
    ledger.ask(Rollback, "brand-a", integration="acme", target_id="real-1", round_id=None, reason="void")
    ledger.now += 20 * 10**6
    ledger.ask(FinishRound, "brand-a", integration="acme", player="tester", round_id="round-1", currency="EUR")
    with fold(bi_database, decoded(ledger.recorded), random.Random(1)) as models:
        assert models.query("select bets, upto_5s, upto_30s, p95_upto from bi.settlement_lag") == [
            (1, 0, 1, timedelta(seconds=30))
        ]
