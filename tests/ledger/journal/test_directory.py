"""Whose command it is, before anything is locked: what the directory learns, guesses and forgets."""

from ledger.core.state import Bet
from ledger.journal import directory
from ledger.journal.directory import Directory, owner_of
from ledger.streams import INTEGRATION, StreamKey, player_stream
from tests.ledger.core.scene import session, wallet
from tests.support.commands import Asks
from tests.support.story import given

ask, other = Asks(), Asks(integration_id="acme/eu/reel")
ANN = player_stream("acme", "ann")


def opened() -> list:
    """A wallet, a session and an open bet, as the rules make them."""
    return list(given(wallet(), session(), ask.bet(bet_id="b1")).state.entities.values())


def learned() -> Directory:
    known = Directory()
    known.learn(opened())
    return known


def test_a_command_that_names_its_player_asks_nobody():
    """Nothing has to be looked up for it."""
    named = ask.debit(player="bob")
    assert Directory().unknown(named) == ()
    assert Directory().stream_of(named) == player_stream("acme", "bob")


def test_what_is_not_known_is_looked_up_by_its_keys():
    """Bets, wins and sessions have owners; what has none is not asked for."""
    keys = Directory().unknown(ask.settle(bet_id="b1"))
    assert (Bet, "acme/eu/spin", "b1") in keys
    assert all(key[0] in directory._OWNED for key in keys)


def test_a_known_bet_leads_to_its_player():
    """A settlement and a rollback that name only the bet go to the player's stream, without another look."""
    known = learned()
    for command in (ask.settle(bet_id="b1"), ask.rollback("b1"), ask.bet(bet_id="b2")):
        assert known.unknown(command) == ()
        assert known.stream_of(command) == ANN


def test_what_nobody_owns_goes_to_the_integration():
    """The rollback of a bet that nobody knows waits in the stream of its integration."""
    assert learned().stream_of(ask.rollback("b-unknown")) == StreamKey("acme", INTEGRATION, "acme/eu/spin")


def test_another_integration_learns_nothing():
    """It names the same session, and does not get to the player."""
    assert learned().stream_of(other.end_session("s1")) == StreamKey("acme", INTEGRATION, "acme/eu/reel")


def test_what_is_gone_is_forgotten():
    """After a failover that lost it, a bet is looked up again."""
    known, command = learned(), ask.settle(bet_id="b1")
    known.forget(command.needs)
    assert known.unknown(command)


def test_a_tombstone_of_an_unknown_bet_has_no_owner():
    """Only entities of a player have one: the others are looked up again."""
    bets = [one for one in opened() if isinstance(one, Bet)]
    assert [owner_of(bet).stream for bet in bets] == [ANN]
    assert owner_of(wallet()) is None
    assert owner_of(None) is None


def test_the_oldest_are_forgotten_first(monkeypatch):
    """However many bets there are, the directory keeps its size."""
    monkeypatch.setattr(directory, "_CAPACITY", 2)
    known = Directory()
    for number in range(4):
        known.learn([session(f"s{number}")])
    asked = [bool(known.unknown(ask.end_session(f"s{number}"))) for number in range(4)]
    assert asked == [True, True, False, False]
