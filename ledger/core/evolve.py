"""The fold. `evolve(state, event)` gives the entities that the event touched, as they are after it; the caller puts
them where it keeps its state.

Gateway, auditor and tests run this one function: the stored rows are nothing but its result.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ledger.core.commands import AT_SETTLEMENT, REAL
from ledger.core.events import (
    AdjustedDown,
    AdjustedUp,
    Announced,
    Awarded,
    BetAuthorized,
    BetFinalized,
    BetReinstated,
    BetRolledBack,
    BetSettled,
    BetTombstoned,
    Deposited,
    Event,
    Payload,
    PlayerFreed,
    PlayerRestricted,
    RoundFinished,
    SessionEnded,
    SessionStarted,
    WalletOpened,
    WinReversed,
    Withdrawn,
)
from ledger.core.exchange import Conversion
from ledger.core.postings import HOUSE, WALLET_ACCOUNTS
from ledger.core.state import (
    OPEN,
    ROLLED_BACK,
    SETTLED,
    TOMBSTONED,
    Bet,
    Currency,
    Entity,
    Key,
    Player,
    Round,
    Session,
    Settlement,
    State,
    Wallet,
)

Touched = tuple[Entity, ...]


def evolve(state: State, event: Event) -> Touched:
    """The entities that `event` made or changed. Raises KeyError or AssertionError for an event that cannot follow
    `state`: the log is wrong then.
    """
    return _FOLDS[type(event.payload)](state, event, event.payload)


def needs(event: Event) -> Sequence[Key]:
    """Keys of the entities, besides the player and the player's wallets, that `evolve` looks at."""
    payload, integration_id = event.payload, event.integration_id
    keys: list[Key] = []
    if isinstance(payload, WalletOpened):
        keys.append((Currency, event.tenant_id, payload.currency))
    if isinstance(payload, SessionStarted | SessionEnded) or (
        isinstance(payload, BetAuthorized) and payload.session_expires_at is not None
    ):
        keys.append((Session, payload.session_id))
    if bet_id := getattr(payload, "bet_id", None):
        keys.append((Bet, integration_id, bet_id))
    if isinstance(payload, BetSettled):
        keys.append((Settlement, integration_id, payload.win_id or payload.settlement_id))
    if isinstance(payload, Awarded | WinReversed):
        keys.append((Settlement, integration_id, payload.win_id))
    if isinstance(payload, BetRolledBack):
        keys += [(Settlement, integration_id, win_id) for win_id in payload.undoes]
    if isinstance(payload, RoundFinished):
        keys.append((Round, integration_id, event.player_id, payload.round_id))
        keys += [(Bet, integration_id, ended["bet_id"]) for ended in payload.bets]
    return keys


def _wallet_opened(state: State, event: Event, payload: WalletOpened) -> Touched:
    return (
        Currency(event.tenant_id, payload.currency, payload.exponent),
        _known(state, event),
        Wallet(event.tenant_id, _player(event), payload.currency, payload.exponent),
    )


def _money_moved(state: State, event: Event, payload: Deposited | Withdrawn | AdjustedUp | AdjustedDown) -> Touched:
    return (_moved(state, event, payload.currency),)


def _player_restricted(state: State, event: Event, payload: PlayerRestricted) -> Touched:
    return (replace(_known(state, event), restriction=payload.restriction),)


def _player_freed(state: State, event: Event, _: PlayerFreed) -> Touched:
    return (replace(_known(state, event), restriction=None),)


def _known(state: State, event: Event) -> Player:
    """The player, whose region is that of the first event about a wallet or a restriction."""
    player_id = _player(event)
    return state.player(event.tenant_id, player_id) or Player(event.tenant_id, player_id, event.region)


def _session_started(_: State, event: Event, payload: SessionStarted) -> Touched:
    return (
        Session(
            payload.session_id, payload.integration_id, event.tenant_id, _player(event), payload.currency, payload.mode,
            payload.game_id, payload.expires_at,
        ),
    )  # fmt: skip


def _session_ended(state: State, _: Event, payload: SessionEnded) -> Touched:
    session = state.session(payload.session_id)
    assert session, f"session {payload.session_id} ends before it started"
    return (replace(session, ended=True),)


def _bet_authorized(state: State, event: Event, payload: BetAuthorized) -> Touched:
    integration_id = _integration(event)
    assert state.bet(integration_id, payload.bet_id) is None, f"bet {payload.bet_id} begins twice"
    held_minor = payload.stake_cash_minor + payload.stake_bonus_minor if payload.capture == AT_SETTLEMENT else 0
    bet = Bet(
        integration_id, payload.bet_id, event.tenant_id, event.player_id, OPEN, payload.round_id, payload.session_id,
        payload.game_id, payload.currency, payload.mode, payload.hold_id,
        payload.stake_minor, payload.stake_cash_minor, payload.stake_bonus_minor, held_minor,
        stake_kind=payload.kind, conversion=Conversion.of(payload.conversion),
    )  # fmt: skip
    wallet = _moved(state, event, payload.currency)
    return (bet, wallet) if payload.session_expires_at is None else (bet, wallet, _extended(state, payload))


def _extended(state: State, payload: BetAuthorized) -> Session:
    """The session that the bet keeps alive."""
    session, end = state.session(str(payload.session_id)), payload.session_expires_at
    assert session, f"bet {payload.bet_id} keeps session {payload.session_id} alive, which never started"
    assert not session.ended, f"bet {payload.bet_id} keeps session {session.session_id} alive, which has ended"
    assert end, "asked by the caller"
    longer_us = end - session.expires_at
    assert longer_us > 0, f"bet {payload.bet_id} makes session {session.session_id} shorter"
    return replace(session, expires_at=end, extended_us=session.extended_us + longer_us)


def _bet_settled(state: State, event: Event, payload: BetSettled) -> Touched:
    win = Settlement(
        _integration(event), payload.win_id or payload.settlement_id, payload.settlement_id, event.tenant_id,
        _player(event), payload.currency, payload.bet_id, payload.round_id, payload.session_id, payload.game_id,
        payload.kind, payload.win_minor, HOUSE, payload.mode, None, Conversion.of(payload.conversion),
    )  # fmt: skip
    return *_with_win(state, event, payload, win), _new(state, win), _moved(state, event, payload.currency)


def _with_win(state: State, event: Event, payload: BetSettled, win: Settlement) -> Touched:
    """The bet that the win names."""
    if payload.bet_id is None:
        return ()
    win_minor = payload.win_minor
    if payload.was_open:
        bet = _bet(state, event, payload.bet_id, OPEN)
        if payload.ends_bet:
            return (bet.ended(SETTLED, win_minor=bet.win_minor + win_minor, settlement_id=win.settlement_id),)
        return (replace(bet, win_minor=bet.win_minor + win_minor),)
    bet = _bet(state, event, payload.bet_id, SETTLED, ROLLED_BACK)
    if bet.status == ROLLED_BACK or not payload.ends_bet:
        return (replace(bet, win_minor=bet.win_minor + win_minor),)
    assert bet.settlement_id is None, f"settlement {win.settlement_id} ends bet {bet.bet_id} a second time"
    return (replace(bet, win_minor=bet.win_minor + win_minor, settlement_id=win.settlement_id),)


def _awarded(state: State, event: Event, payload: Awarded) -> Touched:
    award = Settlement(
        _integration(event), payload.win_id, payload.settlement_id, event.tenant_id, _player(event), payload.currency,
        None, payload.round_id, None, payload.game_id, payload.kind, payload.amount_minor, payload.account, REAL,
    )  # fmt: skip
    return _new(state, award), _moved(state, event, payload.currency)


def _bet_rolled_back(state: State, event: Event, payload: BetRolledBack) -> Touched:
    bet = _bet(state, event, payload.bet_id, OPEN if payload.was_open else SETTLED)
    undone = [_undone(state, event, win_id, payload.rollback_id) for win_id in payload.undoes]
    taken_minor = sum(win.win_minor for win in undone)
    assert taken_minor == payload.win_reversed_minor, f"bet {bet.bet_id}: {undone} are not what is taken back"
    assert all(win.bet_id == bet.bet_id for win in undone), f"bet {bet.bet_id} undoes what is not its own: {undone}"
    settlement_id = None if bet.settlement_id in [win.settlement_id for win in undone] else bet.settlement_id
    ended = bet.ended(
        ROLLED_BACK,
        win_minor=bet.win_minor - taken_minor,
        settlement_id=settlement_id,
        rollback_id=payload.rollback_id,
    )
    return ended, *undone, _moved(state, event, payload.currency)


def _win_reversed(state: State, event: Event, payload: WinReversed) -> Touched:
    win = _undone(state, event, payload.win_id, payload.rollback_id)
    assert win.win_minor == payload.amount_minor, f"win {win.win_id} is {win.win_minor}, not {payload.amount_minor}"
    wallet = _moved(state, event, payload.currency)
    if payload.bet_id is None:
        return win, wallet
    bet = _bet(state, event, payload.bet_id, OPEN, SETTLED, ROLLED_BACK)
    bet = replace(bet, win_minor=bet.win_minor - win.win_minor)
    if payload.reopens_bet:
        assert (bet.status, bet.settlement_id) == (SETTLED, win.settlement_id), f"win {win.win_id} did not end {bet}"
        bet = replace(bet, status=OPEN, settlement_id=None, held_minor=payload.held_minor)
    return bet, win, wallet


def _bet_reinstated(state: State, event: Event, payload: BetReinstated) -> Touched:
    bet = _bet(state, event, payload.bet_id, ROLLED_BACK)
    assert bet.rollback_id == payload.undoes, f"bet {bet.bet_id} was undone by {bet.rollback_id}, not {payload.undoes}"
    open_again = replace(bet, status=OPEN, held_minor=payload.held_minor, settlement_id=None, rollback_id=None)
    return open_again, _moved(state, event, payload.currency)


def _bet_finalized(state: State, event: Event, payload: BetFinalized) -> Touched:
    return (replace(_bet(state, event, payload.bet_id, SETTLED, ROLLED_BACK), final=True),)


def _round_finished(state: State, event: Event, payload: RoundFinished) -> Touched:
    bets = [_bet(state, event, ended["bet_id"], OPEN) for ended in payload.bets]
    ended = [bet.ended(SETTLED, win_minor=bet.win_minor, settlement_id=None) for bet in bets]
    over = Round(_integration(event), _player(event), payload.round_id, event.tenant_id)
    return over, *ended, _moved(state, event, payload.currency)


def _bet_tombstoned(state: State, event: Event, payload: BetTombstoned) -> Touched:
    integration_id = _integration(event)
    assert state.bet(integration_id, payload.bet_id) is None, f"bet {payload.bet_id} is known and cannot be tombstoned"
    bet = Bet(
        integration_id,
        payload.bet_id,
        event.tenant_id,
        event.player_id,
        TOMBSTONED,
        payload.round_id,
        rollback_id=payload.rollback_id,
    )
    return (bet,)


def _announced(state: State, event: Event, payload: Announced) -> Touched:
    currencies = {posting.currency for posting in event.postings if posting.account in WALLET_ACCOUNTS}
    return tuple([_moved(state, event, currency) for currency in sorted(currencies)])


def _moved(state: State, event: Event, currency: str) -> Wallet:
    wallet = state.wallet(event.tenant_id, _player(event), currency)
    assert wallet, f"{event.payload.event_type} on a wallet of {event.player_id} in {currency} that was never opened"
    return wallet.after(event.postings)


def _bet(state: State, event: Event, bet_id: str, *statuses: str) -> Bet:
    bet = state.bet(_integration(event), bet_id)
    assert bet, f"{event.payload.event_type} of bet {bet_id}, which is unknown"
    assert bet.status in statuses, (
        f"{event.payload.event_type} of bet {bet_id}, which is {bet.status} and not {' or '.join(statuses)}"
    )
    assert not bet.final, f"{event.payload.event_type} of bet {bet_id}, which is final"
    return bet


def _new(state: State, win: Settlement) -> Settlement:
    assert state.settlement(win.integration_id, win.win_id) is None, f"win {win.win_id} is paid twice"
    return win


def _undone(state: State, event: Event, win_id: str, rollback_id: str) -> Settlement:
    win = state.settlement(_integration(event), win_id)
    assert win, f"rollback {rollback_id} undoes win {win_id}, which is unknown"
    assert win.undone_by is None, f"rollback {rollback_id} undoes win {win_id}, which {win.undone_by} has undone"
    return replace(win, undone_by=rollback_id)


def _player(event: Event) -> str:
    assert event.player_id, f"{event.payload.event_type} without a player"
    return event.player_id


def _integration(event: Event) -> str:
    assert event.integration_id, f"{event.payload.event_type} without an integration"
    return event.integration_id


_FOLDS: dict[type[Payload], Callable[[State, Event, Any], Touched]] = {
    WalletOpened: _wallet_opened,
    Deposited: _money_moved,
    Withdrawn: _money_moved,
    AdjustedUp: _money_moved,
    AdjustedDown: _money_moved,
    PlayerRestricted: _player_restricted,
    PlayerFreed: _player_freed,
    SessionStarted: _session_started,
    SessionEnded: _session_ended,
    BetAuthorized: _bet_authorized,
    BetSettled: _bet_settled,
    Awarded: _awarded,
    BetRolledBack: _bet_rolled_back,
    WinReversed: _win_reversed,
    BetTombstoned: _bet_tombstoned,
    BetReinstated: _bet_reinstated,
    BetFinalized: _bet_finalized,
    RoundFinished: _round_finished,
    Announced: _announced,
}
