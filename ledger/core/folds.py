"""What the folds of several subjects share. A fold takes (state, event, payload) and gives the entities that the event
touched. It raises AssertionError for an event that cannot follow `state`: the log is wrong then.
"""

from ledger.core.calendars import CALENDARS, UTC, Windows
from ledger.core.events import Event
from ledger.core.state import Bet, Entity, Player, State, Wallet
from ledger.core.tallies import Tally

Touched = tuple[Entity, ...]


def wallet_after(state: State, event: Event, currency: str, moved: Tally | None = None, counted_at: int = 0) -> Wallet:
    """The player's wallet in `currency`, once the event's postings have moved it. `moved` is what its tallies add, in
    the windows of the time `counted_at`.
    """
    wallet = state.wallet(event.tenant_id, player_id(event), currency)
    assert wallet, f"{event.payload.event_type} on a wallet of {event.player_id} in {currency} that was never opened"
    tallies = wallet.tallies
    if moved is not None:
        tallies = tallies.after(moved, event.at, counted_at, windows(state, event))
    return wallet.after(event.postings, tallies)


def windows(state: State, event: Event) -> Windows:
    """The day, week and month in which the event happened, by the player's calendar."""
    player = state.player(event.tenant_id, player_id(event))
    return CALENDARS[player.calendar if player else UTC].windows(event.at)


def known_bet(state: State, event: Event, bet_id: str, *statuses: str) -> Bet:
    """The bet that the event changes, which must be in one of `statuses` and not final."""
    bet = state.bet(integration_id(event), bet_id)
    assert bet, f"{event.payload.event_type} of bet {bet_id}, which is unknown"
    assert bet.status in statuses, (
        f"{event.payload.event_type} of bet {bet_id}, which is {bet.status} and not {' or '.join(statuses)}"
    )
    assert not bet.final, f"{event.payload.event_type} of bet {bet_id}, which is final"
    return bet


def player(state: State, event: Event) -> Player:
    """The player, whose region is that of the first event about a wallet or a restriction."""
    named = player_id(event)
    return state.player(event.tenant_id, named) or Player(event.tenant_id, named, event.region)


def player_id(event: Event) -> str:
    """The player of an event that cannot be without one."""
    assert event.player_id, f"{event.payload.event_type} without a player"
    return event.player_id


def integration_id(event: Event) -> str:
    """The integration of an event that cannot be without one."""
    assert event.integration_id, f"{event.payload.event_type} without an integration"
    return event.integration_id
