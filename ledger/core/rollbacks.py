"""Rollbacks of bets, wins and awards, and the rollback of a rollback."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from ledger.core import bets, folds, postings, wins
from ledger.core.commands import Command
from ledger.core.decision import (
    Accepted,
    Decision,
    Refusal,
    accept,
    acknowledged,
    integration_of,
    not_found,
    shortfall_refusal,
    wallet_of,
)
from ledger.core.events import Event, Payload
from ledger.core.exchange import Conversion
from ledger.core.folds import Touched
from ledger.core.policy import ACKNOWLEDGE, AT_SETTLEMENT, REFUSE, REVERSE, Policy
from ledger.core.postings import Posting
from ledger.core.state import (
    DEMO,
    FREE,
    OPEN,
    ROLLED_BACK,
    SETTLED,
    TOMBSTONED,
    Bet,
    BetOfSettlement,
    Key,
    Session,
    Settlement,
    SettlementsBesideBet,
    State,
    Wallet,
)
from ledger.core.tallies import NOTHING
from ledger.core.value import value

BET: Final = "bet"
WIN: Final = "win"


@value()
class Rollback(Command):
    """Undo a bet, a win or an award; one that is not known yet can then never become true."""

    kind = "RollbackBet"
    target_id: str
    """What is undone, by the provider's id of it."""
    round_id: str | None
    reason: str
    session_id: str | None = None
    """Names the player of a bet that is not known yet."""
    player: str | None = None
    """Names the player of a bet that is not known yet, where no session does."""
    currency: str | None = None
    """Of the player's wallet, whose balances the answer has where the bet is not known."""
    target: Literal["bet", "win", "any"] = "bet"
    """What the id may name: a `bet`, a `win` (or award), or `any` of them."""
    only_open: bool = False
    """Whatever ended the bet stays, also the end of its round: for the job that closes abandoned bets."""

    @property
    def player_id(self) -> str | None:
        return self.player

    @property
    def needs(self) -> tuple[Key, ...]:
        target = self.origin.integration_id, self.target_id
        bet: list[Key] = [(Bet, *target), (SettlementsBesideBet, *target)]
        win: list[Key] = [(Settlement, *target), (BetOfSettlement, *target)]
        keys = {"bet": bet, "win": win + bet, "any": bet + win}[self.target]
        return (*keys, (Session, self.session_id)) if self.session_id else tuple(keys)


@value()
class ReinstateBet(Command):
    """Undo a rollback: the bet is open again and its stake is taken again (sports)."""

    kind = "ReinstateBet"
    bet_id: str
    reason: str
    rollback_id: str | None = None
    """The rollback that it undoes; none but that. None: whichever is in force."""

    @property
    def needs(self) -> tuple[Key, ...]:
        return ((Bet, self.origin.integration_id, self.bet_id),)


@value(slots=False)
class BetRolledBack(Payload):
    """A bet is undone: `stake_minor` has gone back, and the settlements in `undoes`, `win_reversed_minor` together,
    were taken back with it. Minor units of the wallet.
    """

    event_type = "bet.rolled_back"
    command_kind = "RollbackBet"
    rollback_id: str
    bet_id: str
    round_id: str | None
    session_id: str | None
    game_id: str | None
    currency: str
    exponent: int
    stake_minor: int
    win_reversed_minor: int
    undoes: Sequence[str]
    """Win ids of the settlements that are undone with it."""
    was_open: bool
    """The bet was open until now."""
    reason: str
    mode: str
    conversion: Mapping[str, Any] | None

    @property
    def result(self) -> dict[str, str]:
        return {"status": "rolled_back", "rollback_id": self.rollback_id}

    def needs(self, event: Event) -> tuple[Key, ...]:
        return (*super().needs(event), *((Settlement, event.integration_id, win_id) for win_id in self.undoes))


@value(slots=False)
class WinReversed(Payload):
    """A win or an award is taken back, `amount_minor` in minor units, to the account that paid it; the bet that it had
    ended may be open again.
    """

    event_type = "wallet.debit.reversal"
    command_kind = "RollbackBet"
    rollback_id: str
    win_id: str
    settlement_id: str
    bet_id: str | None
    round_id: str | None
    session_id: str | None
    game_id: str | None
    kind: str
    currency: str
    exponent: int
    amount_minor: int
    account: str
    reopens_bet: bool
    held_minor: int
    """What the bet, open again, holds again."""
    reason: str
    mode: str
    conversion: Mapping[str, Any] | None

    @property
    def result(self) -> dict[str, str]:
        return {"status": "rolled_back", "rollback_id": self.rollback_id}

    def needs(self, event: Event) -> tuple[Key, ...]:
        return (*super().needs(event), (Settlement, event.integration_id, self.win_id))


@value(slots=False)
class BetTombstoned(Payload):
    """What was not known was undone: under this id nothing becomes true any more."""

    event_type = "bet.tombstoned"
    command_kind = "RollbackBet"
    rollback_id: str
    bet_id: str
    round_id: str | None
    currency: str | None
    """Of the session that the rollback names, or as it says itself."""
    reason: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "tombstoned", "rollback_id": self.rollback_id}


@value(slots=False)
class BetReinstated(Payload):
    """A rollback is undone: the bet is open again, and `stake_minor` was taken again, minor units."""

    event_type = "bet.reinstated"
    command_kind = "ReinstateBet"
    bet_id: str
    undoes: str
    """Our id of the rollback."""
    round_id: str | None
    session_id: str | None
    game_id: str | None
    currency: str
    exponent: int
    stake_minor: int
    held_minor: int
    reason: str
    mode: str
    conversion: Mapping[str, Any] | None

    @property
    def result(self) -> dict[str, str]:
        return {"status": "reinstated"}


def rollback(state: State, command: Rollback, policy: Policy, at: int) -> Decision:
    """What the id names is undone, once; what it does not name yet is buried under a tombstone."""
    integration_id = integration_of(command)
    bet = state.bet(integration_id, command.target_id)
    if command.target != WIN and bet and bet.status != TOMBSTONED:
        return _rollback_bet(state, command, policy, bet, at)
    settlement = state.settlement(integration_id, command.target_id) if command.target != BET else None
    if settlement:
        return _rollback_settlement(state, command, policy, settlement, at)
    if bet is None:
        return _tombstone(state, command, at)
    if bet.status == TOMBSTONED:
        return Accepted((), {"status": bet.status, "rollback_id": str(bet.rollback_id)})
    return not_found(command.target_id)  # a bet has the id that a win should have: no tombstone may take its place


def _rollback_bet(state: State, command: Rollback, policy: Policy, bet: Bet, at: int) -> Decision:
    if command.player not in (None, bet.player_id):
        return not_found(command.target_id)
    if bet.status == ROLLED_BACK:
        return Accepted((), {"status": bet.status, "rollback_id": str(bet.rollback_id)})
    if command.currency not in (None, bet.currency, bet.stake_currency):
        return _other_currency(command, bet.stake_currency)
    if bet.final:
        return Refusal("BET_FINAL", {"bet_id": bet.bet_id})
    settlements = state.settlements_beside(bet)
    if command.only_open and bet.status != OPEN:
        return Refusal("BET_ALREADY_SETTLED", {"bet_id": bet.bet_id})
    if bet.settlement_id is not None or settlements:
        if policy.rollback_of_settled == REFUSE:
            return Refusal("BET_ALREADY_SETTLED", {"bet_id": bet.bet_id})
        if policy.rollback_of_settled == ACKNOWLEDGE:
            return acknowledged()
    if command.round_id is not None and command.round_id != bet.round_id:
        return Refusal("ROUND_MISMATCH", {"round_id": command.round_id, "expected": str(bet.round_id)})
    own = [one for one in settlements if one.bet_id is not None] if policy.rollback_of_settled == REVERSE else []
    return _undo(state, command, policy, bet, own, at)


def _undo(
    state: State, command: Rollback, policy: Policy, bet: Bet, settlements: list[Settlement], at: int
) -> Decision:
    """The stake goes back, the `settlements` are taken back."""
    wallet = wallet_of(state, command, str(bet.player_id), str(bet.currency))
    assert isinstance(wallet, Wallet), f"bet {bet.bet_id} is {bet.status} without a wallet"
    win_minor = sum(one.win_minor for one in settlements)
    moves: tuple[Posting, ...] = ()
    if bet.mode != DEMO:
        if refusal := shortfall_refusal(wallet, win_minor - bet.stake_cash_minor, policy):
            return refusal
        moves = postings.rollback(
            currency=wallet.currency,
            cash_minor=bet.stake_cash_minor,
            bonus_minor=bet.stake_bonus_minor,
            held_minor=bet.held_minor,
            win_minor=win_minor,
            available_minor=wallet.cash_minor,
            receivable_minor=wallet.receivable_minor,
        )
    if bet.conversion and bet.mode != DEMO:
        captured = bet.conversion.amount_minor if bet.paid_minor and not bet.held_minor else 0
        taken = sum(one.conversion.amount_minor for one in settlements if one.conversion)
        moves = postings.exchanged(moves, {bet.conversion.currency: taken - captured})
    payload = BetRolledBack(
        rollback_id=command.named("rb"),
        bet_id=bet.bet_id,
        round_id=bet.round_id,
        session_id=bet.session_id,
        game_id=bet.game_id,
        currency=wallet.currency,
        exponent=wallet.exponent,
        stake_minor=_staked_minor(bet),
        win_reversed_minor=win_minor,
        undoes=[one.win_id for one in settlements],
        was_open=bet.status == OPEN,
        reason=command.reason,
        mode=str(bet.mode),
        conversion=Conversion.to_record(bet.conversion),
    )
    return accept(command, wallet.player_id, moves, payload, at)


def _rollback_settlement(state: State, command: Rollback, policy: Policy, settlement: Settlement, at: int) -> Decision:
    if command.player not in (None, settlement.player_id):
        return not_found(command.target_id)
    if settlement.undone_by:
        return Accepted((), {"status": "rolled_back", "rollback_id": settlement.undone_by})
    win_currency = settlement.conversion.currency if settlement.conversion else settlement.currency
    if command.currency not in (None, settlement.currency, win_currency):
        return _other_currency(command, win_currency)
    bet = state.bet(settlement.integration_id, settlement.bet_id) if settlement.bet_id else None
    if bet and bet.final:
        return Refusal("BET_FINAL", {"bet_id": bet.bet_id})
    if policy.rollback_of_win == REFUSE:
        return Refusal("WIN_NOT_REVERSIBLE", {"win_id": settlement.win_id})
    if policy.rollback_of_win == ACKNOWLEDGE:
        return acknowledged()
    wallet = wallet_of(state, command, settlement.player_id, settlement.currency)
    assert isinstance(wallet, Wallet), f"win {settlement.win_id} was paid without a wallet"
    if settlement.mode != DEMO and (refusal := shortfall_refusal(wallet, settlement.win_minor, policy)):
        return refusal
    reopens = bet is not None and bet.status == SETTLED and bet.settlement_id == settlement.settlement_id
    held_minor = bet.paid_minor if bet and reopens and policy.capture == AT_SETTLEMENT else 0
    payload = WinReversed(
        rollback_id=command.named("rb"),
        win_id=settlement.win_id,
        settlement_id=settlement.settlement_id,
        bet_id=settlement.bet_id,
        round_id=settlement.round_id,
        session_id=settlement.session_id,
        game_id=settlement.game_id,
        kind=settlement.kind,
        currency=wallet.currency,
        exponent=wallet.exponent,
        amount_minor=settlement.win_minor,
        account=settlement.account,
        reopens_bet=reopens,
        held_minor=held_minor,
        reason=command.reason,
        mode=settlement.mode,
        conversion=Conversion.to_record(settlement.conversion),
    )
    return accept(command, wallet.player_id, _taken_back(settlement, bet, held_minor, wallet), payload, at)


def _taken_back(settlement: Settlement, bet: Bet | None, held_minor: int, wallet: Wallet) -> tuple[Posting, ...]:
    if settlement.mode == DEMO:
        return ()
    moves = postings.win_reversal(
        currency=wallet.currency,
        account=settlement.account,
        win_minor=settlement.win_minor,
        held_minor=held_minor,
        available_minor=wallet.cash_minor,
    )
    if settlement.conversion is None:
        return moves
    staked = bet.conversion.amount_minor if bet and bet.conversion and held_minor else 0
    return postings.exchanged(moves, {settlement.conversion.currency: settlement.conversion.amount_minor - staked})


def _other_currency(command: Rollback, expected: str | None) -> Refusal:
    return Refusal("CURRENCY_MISMATCH", {"currency": str(command.currency), "expected": str(expected)})


def _tombstone(state: State, command: Rollback, at: int) -> Decision:
    session = state.session(command.session_id) if command.session_id else None
    if session and session.integration_id != command.origin.integration_id:
        session = None
    player_id = command.player or (session.player_id if session else None)
    currency = command.currency or (session.currency if session else None)
    if player_id is None or state.wallet(command.origin.tenant_id, player_id, str(currency)) is None:
        currency = None
    payload = BetTombstoned(
        rollback_id=command.named("rb"),
        bet_id=command.target_id,
        round_id=command.round_id,
        currency=currency,
        reason=command.reason,
    )
    return accept(command, player_id, (), payload, at)


def reinstate(state: State, command: ReinstateBet, policy: Policy, at: int) -> Decision:
    """What is not in the wallet any more becomes a receivable: the bet itself is older than that."""
    bet = state.bet(integration_of(command), command.bet_id)
    if bet is None or bet.status == TOMBSTONED:
        return Refusal("BET_TOMBSTONED", {"bet_id": command.bet_id}) if bet else not_found(command.bet_id)
    if bet.status != ROLLED_BACK or command.rollback_id not in (None, bet.rollback_id):
        return Accepted((), {"status": "reinstated"})
    if bet.final:
        return Refusal("BET_FINAL", {"bet_id": bet.bet_id})
    wallet = wallet_of(state, command, str(bet.player_id), str(bet.currency))
    assert isinstance(wallet, Wallet), f"bet {bet.bet_id} was placed without a wallet"
    held = policy.capture == AT_SETTLEMENT
    cash_minor = min(bet.stake_cash_minor, wallet.cash_minor)
    bonus_minor = min(bet.stake_bonus_minor, wallet.bonus_minor)
    shortfall_minor = bet.paid_minor - cash_minor - bonus_minor
    moves = postings.reinstatement(
        currency=wallet.currency,
        cash_minor=cash_minor,
        bonus_minor=bonus_minor,
        shortfall_minor=shortfall_minor,
        held=held,
    )
    if bet.conversion and moves and not held:
        moves = postings.exchanged(moves, {bet.conversion.currency: bet.conversion.amount_minor})
    payload = BetReinstated(
        bet_id=bet.bet_id,
        undoes=str(bet.rollback_id),
        round_id=bet.round_id,
        session_id=bet.session_id,
        game_id=bet.game_id,
        currency=wallet.currency,
        exponent=wallet.exponent,
        stake_minor=_staked_minor(bet),
        held_minor=bet.paid_minor if held else 0,
        reason=command.reason,
        mode=str(bet.mode),
        conversion=Conversion.to_record(bet.conversion),
    )
    return accept(command, wallet.player_id, moves, payload, at)


def _staked_minor(bet: Bet) -> int:
    """What goes back and forth; in demo mode, what would."""
    return bet.stake_minor if bet.mode == DEMO and bet.stake_kind != FREE else bet.paid_minor


def bet_rolled_back(state: State, event: Event, payload: BetRolledBack) -> Touched:
    """The bet has ended, and what it holds no more is in the postings."""
    bet = folds.known_bet(state, event, payload.bet_id, OPEN if payload.was_open else SETTLED)
    undone = [_undone(state, event, win_id, payload.rollback_id) for win_id in payload.undoes]
    taken_minor = sum(one.win_minor for one in undone)
    assert taken_minor == payload.win_reversed_minor, f"bet {bet.bet_id}: {undone} are not what is taken back"
    assert all(one.bet_id == bet.bet_id for one in undone), f"bet {bet.bet_id} undoes what is not its own: {undone}"
    settlement_id = None if bet.settlement_id in [one.settlement_id for one in undone] else bet.settlement_id
    ended = bet.ended(
        ROLLED_BACK,
        win_minor=bet.win_minor - taken_minor,
        settlement_id=settlement_id,
        rollback_id=payload.rollback_id,
    )
    given_back = bets.staked(bet, -1) or NOTHING
    moved = given_back._replace(cash_win_minor=-taken_minor) if payload.mode != DEMO else None
    return ended, *undone, folds.wallet_after(state, event, payload.currency, moved, bet.placed_at)


def win_reversed(state: State, event: Event, payload: WinReversed) -> Touched:
    """The settlement is undone, and the bet that it had ended is open again where the event says so."""
    settlement = _undone(state, event, payload.win_id, payload.rollback_id)
    win_id, win_minor = settlement.win_id, settlement.win_minor
    assert win_minor == payload.amount_minor, f"win {win_id} is {win_minor}, not {payload.amount_minor}"
    moved = wins.won(settlement, -1)
    wallet = folds.wallet_after(state, event, payload.currency, moved, settlement.counted_at)
    if payload.bet_id is None:
        return settlement, wallet
    bet = folds.known_bet(state, event, payload.bet_id, OPEN, SETTLED, ROLLED_BACK)
    bet = replace(bet, win_minor=bet.win_minor - win_minor)
    if payload.reopens_bet:
        ended_it = (bet.status, bet.settlement_id) == (SETTLED, settlement.settlement_id)
        assert ended_it, f"win {win_id} did not end {bet}"
        bet = replace(bet, status=OPEN, settlement_id=None, held_minor=payload.held_minor)
    return bet, settlement, wallet


def bet_tombstoned(state: State, event: Event, payload: BetTombstoned) -> Touched:
    """A bet of which nothing but its ids is known stands where none can begin any more."""
    integration_id = folds.integration_id(event)
    assert state.bet(integration_id, payload.bet_id) is None, f"bet {payload.bet_id} is known and cannot be tombstoned"
    bet = Bet(
        integration_id=integration_id,
        bet_id=payload.bet_id,
        tenant_id=event.tenant_id,
        player_id=event.player_id,
        status=TOMBSTONED,
        round_id=payload.round_id,
        rollback_id=payload.rollback_id,
    )
    return (bet,)


def bet_reinstated(state: State, event: Event, payload: BetReinstated) -> Touched:
    """The bet is open again, as if it had not been undone."""
    bet = folds.known_bet(state, event, payload.bet_id, ROLLED_BACK)
    assert bet.rollback_id == payload.undoes, f"bet {bet.bet_id} was undone by {bet.rollback_id}, not {payload.undoes}"
    open_again = replace(bet, status=OPEN, held_minor=payload.held_minor, settlement_id=None, rollback_id=None)
    wallet = folds.wallet_after(state, event, payload.currency, bets.staked(bet), bet.placed_at)
    return open_again, wallet


def _undone(state: State, event: Event, win_id: str, rollback_id: str) -> Settlement:
    """The settlement that a rollback undoes, marked so. Each is undone once."""
    settlement = state.settlement(folds.integration_id(event), win_id)
    assert settlement, f"rollback {rollback_id} undoes win {win_id}, which is unknown"
    before = settlement.undone_by
    assert before is None, f"rollback {rollback_id} undoes win {win_id}, which {before} has undone"
    return replace(settlement, undone_by=rollback_id)
