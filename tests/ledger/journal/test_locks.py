"""Which locks a command takes: whoever must not pass each other meet at one key, and nobody else waits."""

from ledger.idempotency import Request
from ledger.journal.locks import currency_lock, lock_keys, proof_lock, stream_lock
from ledger.streams import INTEGRATION, StreamKey, player_stream
from tests.support.commands import Asks

ask = Asks()
ANN, BOB = player_stream("acme", "ann"), player_stream("acme", "bob")
SPIN = StreamKey("acme", INTEGRATION, "acme/eu/spin")


def locks(command, stream=ANN) -> set[int]:
    return set(lock_keys(Request.of(command, stream)))


def test_everything_of_a_player_meets_at_the_stream():
    """Whatever two commands of one player ask for, they share its lock; those of two players share none."""
    assert stream_lock(ANN) in locks(ask.deposit()) & locks(ask.bet())
    assert not locks(ask.debit(bet_id="b1")) & locks(ask.debit(bet_id="b2", player="bob"), BOB)


def test_a_bet_and_its_rollback_meet_before_anybody_knows_the_player():
    """A rollback that overtakes its bet goes to the integration's stream: it meets the bet at the reference."""
    assert locks(ask.bet(bet_id="b1")) & locks(ask.rollback("b1"), SPIN)
    assert not locks(ask.bet(bet_id="b1")) & locks(ask.rollback("b2"), SPIN)


def test_a_reference_is_of_one_integration():
    """The same bet id of another provider is another bet."""
    other = Asks(integration_id="acme/eu/reel")
    assert not locks(ask.rollback("b1"), SPIN) & locks(
        other.rollback("b1"), StreamKey("acme", INTEGRATION, "acme/eu/reel")
    )


def test_twins_meet_at_the_key():
    """Two requests under one idempotency key share a lock, whatever streams they are thought to go to."""
    assert locks(ask.debit(key="k"), ANN) & locks(ask.debit(key="k", bet_id="b2", player="bob"), BOB)


def test_whoever_opens_the_first_wallet_of_a_currency_meets_who_fixes_its_decimals():
    """So that both never say another number of decimals."""
    assert currency_lock("acme", "EUR") in locks(ask.open_wallet("ann", "EUR"))
    assert currency_lock("zeta", "EUR") not in locks(ask.open_wallet("ann", "EUR"))


def test_keys_of_different_kinds_never_meet():
    """A stream, a proof and a currency of the same name are three locks, and each is a signed 64-bit number."""
    digest = bytes(32)
    keys = [stream_lock(ANN), proof_lock(digest), currency_lock("acme", "EUR"), stream_lock(BOB)]
    assert len(set(keys)) == len(keys)
    assert all(-(2**63) <= key < 2**63 for key in keys)


def test_parts_of_a_name_do_not_run_together():
    """ab and c is not a and bc: two brands never wait for each other by the way their names are cut."""
    assert stream_lock(StreamKey("ab", "player", "c")) != stream_lock(StreamKey("a", "player", "bc"))
    assert currency_lock("ab", "C") != currency_lock("a", "bC")


def test_keys_stay_what_they_were():
    """Processes of two versions run side by side during a deployment, and must meet at the same keys."""
    assert stream_lock(ANN) == 2493387408182778902
    assert proof_lock(bytes(32)) == -3385981504844700170
    assert currency_lock("acme", "EUR") == 1406767000051889062
