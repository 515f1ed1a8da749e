"""The fold. `evolve(state, event)` gives the entities that the event touched, as they are after it; the caller puts
them where it keeps its state.

Gateway, auditor and tests run this one function: the stored rows are nothing but its result.
"""

from collections.abc import Callable
from typing import Any

from ledger.core.commands import AT_SETTLEMENT
from ledger.core.events import (
    BetAuthorized,
    BetRolledBack,
    BetSettled,
    BetTombstoned,
    Deposited,
    Event,
    Payload,
    SessionEnded,
    SessionStarted,
    WalletOpened,
    Withdrawn,
)
from ledger.core.state import (
    OPEN,
    ROLLED_BACK,
    SETTLED,
    TOMBSTONED,
    Bet,
    Currency,
    Entity,
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


def _wallet_opened(_: State, event: Event, payload: WalletOpened) -> Touched:
    return (
        Currency(event.tenant_id, payload.currency, payload.exponent),
        Wallet(event.tenant_id, _player(event), payload.currency, payload.exponent),
    )


def _money_moved(state: State, event: Event, payload: Deposited | Withdrawn) -> Touched:
    return (_moved(state, event, payload.currency),)


def _session_started(_: State, event: Event, payload: SessionStarted) -> Touched:
    return (
        Session(
            payload.session_id, _integration(event), event.tenant_id, _player(event), payload.currency, payload.mode,
            payload.game_id, payload.expires_at,
        ),
    )  # fmt: skip


def _session_ended(state: State, _: Event, payload: SessionEnded) -> Touched:
    session = state.session(payload.session_id)
    assert session, f"session {payload.session_id} ends before it started"
    return (
        Session(
            session.session_id, session.integration_id, session.tenant_id, session.player_id, session.currency,
            session.mode, session.game_id, session.expires_at, ended=True,
        ),
    )  # fmt: skip


def _bet_authorized(state: State, event: Event, payload: BetAuthorized) -> Touched:
    integration_id = _integration(event)
    assert state.bet(integration_id, payload.bet_id) is None, f"bet {payload.bet_id} begins twice"
    held_minor = payload.stake_cash_minor + payload.stake_bonus_minor if payload.capture == AT_SETTLEMENT else 0
    bet = Bet(
        integration_id, payload.bet_id, event.tenant_id, event.player_id, OPEN, payload.round_id, payload.session_id,
        payload.game_id, payload.currency, payload.mode, payload.hold_id,
        payload.stake_minor, payload.stake_cash_minor, payload.stake_bonus_minor, held_minor,
    )  # fmt: skip
    return bet, _moved(state, event, payload.currency)


def _bet_settled(state: State, event: Event, payload: BetSettled) -> Touched:
    bet = _bet(state, event, payload.bet_id, OPEN)
    settlement = Settlement(payload.settlement_id, bet.integration_id, bet.bet_id, payload.win_minor)
    ended = bet.ended(SETTLED, win_minor=payload.win_minor, settlement_id=payload.settlement_id)
    return ended, settlement, _moved(state, event, payload.currency)


def _bet_rolled_back(state: State, event: Event, payload: BetRolledBack) -> Touched:
    bet = _bet(state, event, payload.bet_id, SETTLED if payload.undoes else OPEN)
    assert bet.settlement_id == payload.undoes, (
        f"the rollback of bet {bet.bet_id} undoes {payload.undoes}, not {bet.settlement_id}"
    )
    ended = bet.ended(ROLLED_BACK, win_minor=0, settlement_id=None, rollback_id=payload.rollback_id)
    wallet = _moved(state, event, payload.currency)
    if payload.undoes is None:
        return ended, wallet
    undone = Settlement(payload.undoes, bet.integration_id, bet.bet_id, payload.win_reversed_minor, payload.rollback_id)
    return ended, undone, wallet


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


def _moved(state: State, event: Event, currency: str) -> Wallet:
    wallet = state.wallet(event.tenant_id, _player(event), currency)
    assert wallet, f"{event.payload.event_type} on a wallet of {event.player_id} in {currency} that was never opened"
    return wallet.after(event.postings)


def _bet(state: State, event: Event, bet_id: str, status: str) -> Bet:
    bet = state.bet(_integration(event), bet_id)
    assert bet, f"{event.payload.event_type} of bet {bet_id}, which is unknown"
    assert bet.status == status, f"{event.payload.event_type} of bet {bet_id}, which is {bet.status} and not {status}"
    return bet


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
    SessionStarted: _session_started,
    SessionEnded: _session_ended,
    BetAuthorized: _bet_authorized,
    BetSettled: _bet_settled,
    BetRolledBack: _bet_rolled_back,
    BetTombstoned: _bet_tombstoned,
}
