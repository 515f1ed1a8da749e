import random

from ledger.core.policy import REVERSE, Policy
from ledger.core.rollbacks import ReinstateBet, Rollback
from tests.projector.direct_fold import Folded, fold
from tests.support.random_ledger import Ledger, decoded


def test_open_bets_hold_what_the_wallets_say(folded: Folded) -> None:
    """What all open bets hold is what the held accounts of all wallets have; and only open bets hold anything."""
    assert folded.query("""
        select tenant_id, currency, sum(held_minor) from bi.open_holds group by 1, 2
        having sum(held_minor) > 0 order by 1, 2""") == folded.query("""
        select tenant_id, currency, sum(held_minor) from bi.balances group by 1, 2
        having sum(held_minor) > 0 order by 1, 2""")  # fmt: skip
    assert folded.query("select * from bi.bets where held_minor <> 0 and (status <> 'open' or mode <> 'real')") == []


def test_holds_stand_under_their_age(folded: Folded) -> None:
    """Each open bet of real money counts under how long ago it began; years later all are old."""
    (bets,) = folded.query("select count(*) from bi.bets where status = 'open' and mode = 'real'")
    (counted,) = folded.query("select sum(bets) from bi.open_holds")
    assert bets == counted
    assert folded.query("select distinct age, age_order from bi.open_holds") == [("older", 4)]
    with folded.connection.transaction(force_rollback=True):
        folded.connection.execute("update projections.bets set authorized_at = now() - interval '30 minutes'")
        assert folded.query("select distinct age, age_order from bi.open_holds") == [("< 1 hour", 1)]


def test_a_bet_that_is_open_again_holds_its_stake_again(bi_database: str) -> None:
    """Where the win that ended a bet is taken back, and where its rollback is, the stake is held once more."""
    ledger = Ledger()
    session_id = ledger.open_player("tester")
    for bet_id in ("won", "void"):
        ledger.bet(session_id, bet_id, amount=10)
    ledger.settle("won", 5, win_id="win-1")
    policy, named = Policy(rollback_of_win=REVERSE), {"integration": "acme", "reason": "mistake"}
    assert ledger.ask(Rollback, "brand-a", policy=policy, target_id="win-1", round_id=None, target="win", **named)
    assert ledger.ask(Rollback, "brand-a", target_id="void", round_id=None, **named)
    assert ledger.ask(ReinstateBet, "brand-a", bet_id="void", **named)
    with fold(bi_database, decoded(ledger.recorded), random.Random(1)) as models:
        assert models.query("select bet_id, status, held from bi.bets order by 1") == [
            ("void", "open", 10), ("won", "open", 10),
        ]  # fmt: skip
        assert models.query("select held from bi.open_holds") == models.query("select held from bi.balances")
