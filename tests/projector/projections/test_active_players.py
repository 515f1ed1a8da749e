import random
from collections import defaultdict
from typing import Any

from ledger.core.rollbacks import Rollback
from tests.projector.direct_fold import Folded, day, fold
from tests.support.random_ledger import Ledger, decoded


def test_active_is_who_bet_and_demo_never_counts(folded: Folded) -> None:
    """Players with a bet in real mode that was not free, per day and month; sessions of each mode apart."""
    for period, start in (("day", day), ("month", lambda record: day(record).replace(day=1))):
        players: dict[tuple[str, Any], set[str]] = defaultdict(set)
        sessions: dict[tuple[str, Any], list[str]] = defaultdict(list)
        for record in folded.records:
            key, payload = (record["tenant_id"], start(record)), record["payload"]
            if record["event_type"] == "session.started":
                sessions[key].append(payload["mode"])
            elif record["event_type"] == "bet.authorized" and payload["mode"] == "real" and payload["kind"] != "free":
                players[key].add(record["player_id"])
        found = folded.by(f"active_players_by_{period}", "tenant_id", period)
        assert found.keys() == players.keys() | sessions.keys()
        for key, row in found.items():
            assert row["active_players"] == len(players[key])
            assert row["real_sessions"] == sessions[key].count("real")
            assert row["demo_sessions"] == sessions[key].count("demo")
        assert any(row["demo_sessions"] for row in found.values())


def test_free_and_demo_bets_make_nobody_active(bi_database: str) -> None:
    """Who only bet for free or in demo mode is not counted; who bet and was refunded is."""
    ledger = Ledger()
    ledger.bet(ledger.open_player("demo", mode="demo"), "b1")
    ledger.bet(ledger.open_player("free"), "b2", stake_kind="free")
    assert len([one for one in ledger.recorded if one.event_type == "bet.authorized"]) == 2
    ledger.bet(ledger.open_player("refunded"), "b3")
    ledger.ask(Rollback, "brand-a", integration="acme", target_id="b3", round_id=None, reason="void")
    with fold(bi_database, decoded(ledger.recorded), random.Random(1)) as models:
        found = models.query("select active_players, real_sessions, demo_sessions from bi.active_players_by_day")
    assert found == [(1, 2, 1)]
