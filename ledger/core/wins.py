"""Wins and awards: money for the player. No session, restriction or end of a round ever stops it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ledger.core import folds, postings
from ledger.core.commands import Command, PlayerCommand
from ledger.core.decision import (
    Decision,
    Refusal,
    accept,
    balance_too_large,
    duplicate,
    integration_of,
    late_bet,
    minor,
    not_found,
    wallet_of,
)
from ledger.core.events import Event, Payload
from ledger.core.exchange import Conversion
from ledger.core.folds import Touched
from ledger.core.money import MAX_BALANCE_MINOR, Amount
from ledger.core.policy import ACCEPT, Policy
from ledger.core.postings import BONUS_COST, HOUSE, Posting
from ledger.core.state import (
    DEMO,
    OPEN,
    REAL,
    ROLLED_BACK,
    SETTLED,
    TOMBSTONED,
    Bet,
    BetsOfRound,
    Key,
    Settlement,
    State,
    Wallet,
)
from ledger.core.tallies import Tally
from ledger.core.value import value

ACCOUNTS = {
    "promo": BONUS_COST,
    "tournament": BONUS_COST,
    "free_spins": BONUS_COST,
    "payout": postings.HOUSE,
    "correction": postings.ADJUSTMENT,
}
"""Who pays an award. A jackpot is paid by its provider's pool."""


class Win(NamedTuple):
    """What is won, in the wallet's minor units; and as it was asked for, where that is another currency."""

    amount_minor: int
    conversion: Conversion | None


@value()
class SettleBet(Command):
    """A win, or nothing won: of a bet, or of a round where the provider names only that."""

    kind = "SettleBet"
    bet_id: str | None
    round_id: str | None
    """None takes the bet's."""
    win: Amount
    currency: str
    """Of `win`: the currency that the bet was staked in."""
    in_bonus: bool = False
    freespins_left: int | None = None
    player: str | None = None
    """None: the bet's. Needed where no bet is named."""
    win_id: str | None = None
    """The provider's id of the win, by which a rollback names it. None: our settlement id."""
    game_id: str | None = None
    """None takes the bet's."""
    win_kind: str = "win"
    """win, jackpot, free, cash_out or correction."""
    ends_bet: bool = True
    """False: the bet stays open, for more wins or the end of the round."""
    wallet_currency: str | None = None
    """Where it is another than the win's and no bet is named."""
    only_open: bool = False
    """Whatever ended the bet stays, also the end of its round: for the job that closes abandoned bets."""

    @property
    def player_id(self) -> str | None:
        return self.player

    @property
    def needs(self) -> tuple[Key, ...]:
        integration_id = self.origin.integration_id
        keys: list[Key] = []
        if self.bet_id:
            keys.append((Bet, integration_id, self.bet_id))
        elif self.player and self.round_id:
            keys.append((BetsOfRound, integration_id, self.player, self.round_id))
        if self.win_id:
            keys += (Bet, integration_id, self.win_id), (Settlement, integration_id, self.win_id)
        return tuple(keys)


@value()
class Award(PlayerCommand):
    """A credit outside bets and rounds: a promotion, a tournament, a jackpot, what a round of free spins made."""

    kind = "Award"
    amount: Amount
    award_id: str
    """The provider's id, by which a rollback names it."""
    award_kind: str
    """promo, tournament, jackpot, free_spins, payout or correction."""
    campaign_id: str | None = None
    round_id: str | None = None
    game_id: str | None = None

    @property
    def needs(self) -> tuple[Key, ...]:
        integration_id = self.origin.integration_id
        return (Bet, integration_id, self.award_id), (Settlement, integration_id, self.award_id)


@value(slots=False)
class BetSettled(Payload):
    """A win was paid, or none (`win_minor` 0): of a bet, or of a round where `bet_id` is None. Amounts are minor units
    of the wallet; `conversion` is the win as it was asked for.
    """

    event_type = "bet.settled"
    command_kind = "SettleBet"
    settlement_id: str
    win_id: str | None
    bet_id: str | None
    round_id: str | None
    session_id: str | None
    game_id: str | None
    kind: str
    currency: str
    exponent: int
    stake_minor: int
    win_minor: int
    was_open: bool
    """The bet was open until now."""
    ends_bet: bool
    in_bonus: bool
    freespins_left: int | None
    mode: str
    conversion: Mapping[str, Any] | None

    @property
    def result(self) -> dict[str, str]:
        return {"status": "credited", "settlement_id": self.settlement_id}

    def needs(self, event: Event) -> tuple[Key, ...]:
        keys = (*super().needs(event), (Settlement, event.integration_id, self.win_id or self.settlement_id))
        if self.bet_id is None and self.round_id is not None:
            return (*keys, (BetsOfRound, event.integration_id, event.player_id, self.round_id))
        return keys


@value(slots=False)
class Awarded(Payload):
    """A credit outside of bets was paid by the tenant's `account`, `amount_minor` in minor units."""

    event_type = "wallet.credit.award"
    command_kind = "Award"
    settlement_id: str
    win_id: str
    kind: str
    campaign_id: str | None
    round_id: str | None
    game_id: str | None
    currency: str
    exponent: int
    amount_minor: int
    account: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "credited", "settlement_id": self.settlement_id}

    def needs(self, event: Event) -> tuple[Key, ...]:
        return ((Settlement, event.integration_id, self.win_id),)


def settle(state: State, command: SettleBet, policy: Policy, at: int) -> Decision:
    """A win is paid once, to who made the bet, at the rate that the bet has locked."""
    integration_id = integration_of(command)
    if command.win_id is not None:
        buried = state.bet(integration_id, command.win_id)
        if buried and buried.status == TOMBSTONED:
            return late_bet(policy, command.win_id)
        if state.settlement(integration_id, command.win_id):
            return duplicate(command.win_id)
    if command.bet_id is None:
        return _settle_round(state, command, policy, at)
    bet = state.bet(integration_id, command.bet_id)
    if bet and bet.status == TOMBSTONED:
        return late_bet(policy, command.bet_id)
    if bet is None or command.player not in (None, bet.player_id):
        return not_found(command.bet_id)
    return _cannot_settle(bet, command, policy) or _settle_bet(state, command, bet, at)


def _cannot_settle(bet: Bet, command: SettleBet, policy: Policy) -> Refusal | None:
    if bet.final:
        return Refusal("BET_FINAL", {"bet_id": bet.bet_id})
    if bet.status == ROLLED_BACK and (policy.win_after_rollback != ACCEPT or command.only_open):
        return Refusal("BET_ROLLED_BACK", {"bet_id": bet.bet_id})
    # The end of a round leaves room for the bet's own last word; and a win that ends nothing contradicts nothing.
    if bet.status == SETTLED and command.ends_bet and (bet.settlement_id is not None or command.only_open):
        return Refusal("BET_ALREADY_SETTLED", {"bet_id": bet.bet_id})
    if command.round_id is not None and command.round_id != bet.round_id:
        return Refusal("ROUND_MISMATCH", {"round_id": command.round_id, "expected": str(bet.round_id)})
    return None


def _settle_bet(state: State, command: SettleBet, bet: Bet, at: int) -> Decision:
    assert bet.player_id, "only tombstones have no player"
    wallet = wallet_of(state, command, bet.player_id, str(bet.currency))
    if isinstance(wallet, Refusal):
        return wallet
    if command.currency != bet.stake_currency:
        return _other_currency(command, bet)
    win = _win(command, wallet, bet.conversion)
    if isinstance(win, Refusal):
        return win
    if refusal := _no_room(wallet, win.amount_minor, bet.mode):
        return refusal
    was_open = bet.status == OPEN
    # By position: a line of every bet (see `value`).
    payload = BetSettled(
        command.named("st"), command.win_id, bet.bet_id, bet.round_id, bet.session_id, command.game_id or bet.game_id,
        command.win_kind, wallet.currency, wallet.exponent, bet.stake_minor, win.amount_minor, was_open,
        command.ends_bet, command.in_bonus, command.freespins_left, str(bet.mode), Conversion.to_record(win.conversion),
    )  # fmt: skip
    captured_minor = bet.held_minor if was_open and command.ends_bet else 0
    staked = bet.conversion.amount_minor if bet.conversion and captured_minor else 0
    moves = _moves(wallet, captured_minor, win, staked) if bet.mode != DEMO else ()
    return accept(command, wallet.player_id, moves, payload, at)


def _settle_round(state: State, command: SettleBet, policy: Policy, at: int) -> Decision:
    """A win that names only its round: beside the round's bets, and beside their state."""
    assert command.player, "a win names its bet or its player"
    bet = _bet_of_round(state, command, policy)
    if isinstance(bet, Refusal):
        return bet
    currency = str(bet.currency) if bet else command.wallet_currency or command.currency
    wallet = wallet_of(state, command, command.player, currency)
    if isinstance(wallet, Refusal):
        return wallet
    if bet is None and command.currency != currency:
        return _not_locked(command, currency)
    win = _win(command, wallet, bet.conversion if bet else None)
    if isinstance(win, Refusal):
        return win
    mode = str(bet.mode) if bet else REAL
    if refusal := _no_room(wallet, win.amount_minor, mode):
        return refusal
    payload = BetSettled(
        settlement_id=command.named("st"),
        win_id=command.win_id,
        bet_id=None,
        round_id=command.round_id,
        session_id=bet.session_id if bet else None,
        game_id=command.game_id or (bet.game_id if bet else None),
        kind=command.win_kind,
        currency=wallet.currency,
        exponent=wallet.exponent,
        stake_minor=0,
        win_minor=win.amount_minor,
        was_open=False,
        ends_bet=False,
        in_bonus=command.in_bonus,
        freespins_left=command.freespins_left,
        mode=mode,
        conversion=Conversion.to_record(win.conversion),
    )
    return accept(command, wallet.player_id, _moves(wallet, 0, win, 0) if mode != DEMO else (), payload, at)


def _bet_of_round(state: State, command: SettleBet, policy: Policy) -> Bet | Refusal | None:
    """A bet that the win may stand beside; None where there is none and the policy needs none."""
    assert command.player, "a win of a round names its player"
    bets: list[Bet] = []
    if command.round_id:
        bets = state.bets_of_round(integration_of(command), command.player, command.round_id)
    undone = policy.win_after_rollback != ACCEPT
    standing = [bet for bet in bets if bet.status in (OPEN, SETTLED) or (bet.status == ROLLED_BACK and not undone)]
    for bet in standing:
        if bet.stake_currency == command.currency:
            return bet
    if standing:
        return _other_currency(command, standing[0])
    named = f"of round {command.round_id}"
    if bets and undone:
        return Refusal("BET_ROLLED_BACK", {"bet_id": named})
    return not_found(named) if policy.win_needs_bet else None


def _other_currency(command: SettleBet, bet: Bet) -> Refusal:
    """The win of a bet in another currency than its stake; where that is the wallet's other one, no rate was locked."""
    if command.wallet_currency is not None and command.wallet_currency == bet.currency and bet.conversion is None:
        return _not_locked(command, bet.currency)
    return Refusal("CURRENCY_MISMATCH", {"currency": command.currency, "expected": str(bet.stake_currency)})


def _not_locked(command: SettleBet, wallet_currency: str) -> Refusal:
    return Refusal("RATE_NOT_LOCKED", {"currency": command.currency, "wallet_currency": wallet_currency})


def _win(command: SettleBet, wallet: Wallet, rate: Conversion | None) -> Win | Refusal:
    if rate is None:
        win_minor = minor(command.win, wallet.currency, wallet.exponent)
        return win_minor if isinstance(win_minor, Refusal) else Win(win_minor, None)
    asked_minor = minor(command.win, rate.currency, rate.exponent)
    if isinstance(asked_minor, Refusal):
        return asked_minor
    conversion = rate.with_amount(asked_minor)
    return Win(conversion.win_minor(wallet.exponent), conversion)


def _no_room(wallet: Wallet, win_minor: int, mode: str | None) -> Refusal | None:
    """A demo win meets an empty wallet; but no rate makes more of it than an event can say."""
    cash_minor = 0 if mode == DEMO else wallet.cash_minor
    return balance_too_large(wallet) if cash_minor + win_minor > MAX_BALANCE_MINOR else None


def _moves(wallet: Wallet, captured_minor: int, win: Win, staked_asked_minor: int) -> tuple[Posting, ...]:
    moves = postings.settlement(wallet.currency, captured_minor, win.amount_minor, wallet.receivable_minor)
    if win.conversion is None:
        return moves
    return postings.exchanged(moves, {win.conversion.currency: staked_asked_minor - win.conversion.amount_minor})


def award(state: State, command: Award, policy: Policy, at: int) -> Decision:
    """An award is paid once; its kind says which account of the tenant pays."""
    integration_id = integration_of(command)
    buried = state.bet(integration_id, command.award_id)
    if buried and buried.status == TOMBSTONED:
        return late_bet(policy, command.award_id)
    if state.settlement(integration_id, command.award_id):
        return duplicate(command.award_id)
    wallet = wallet_of(state, command, command.player, command.currency)
    if isinstance(wallet, Refusal):
        return wallet
    amount_minor = minor(command.amount, wallet.currency, wallet.exponent)
    if isinstance(amount_minor, Refusal):
        return amount_minor
    if wallet.cash_minor + amount_minor > MAX_BALANCE_MINOR:
        return balance_too_large(wallet)
    kind = command.award_kind
    account = f"jackpot:{command.origin.provider_id}" if kind == "jackpot" else ACCOUNTS[kind]
    payload = Awarded(
        settlement_id=command.named("st"),
        win_id=command.award_id,
        kind=kind,
        campaign_id=command.campaign_id,
        round_id=command.round_id,
        game_id=command.game_id,
        currency=wallet.currency,
        exponent=wallet.exponent,
        amount_minor=amount_minor,
        account=account,
    )
    moves = postings.credit(wallet.currency, account, amount_minor, wallet.receivable_minor)
    return accept(command, command.player, moves, payload, at)


def bet_settled(state: State, event: Event, payload: BetSettled) -> Touched:
    """The settlement is an entity of its own; the bet that it names adds it up, and may be ended by it."""
    bet = _settled_bet(state, event, payload)
    # By position: a line of every bet (see `value`).
    settlement = Settlement(
        folds.integration_id(event), payload.win_id or payload.settlement_id, payload.settlement_id, event.tenant_id,
        folds.player_id(event), payload.currency, payload.bet_id, payload.round_id, payload.session_id, payload.game_id,
        payload.kind, payload.win_minor, HOUSE, payload.mode, None, _counted_at(state, event, payload, bet),
        Conversion.from_record(payload.conversion),
    )  # fmt: skip
    bet_after = () if bet is None else (_bet_after(bet, payload, settlement),)
    wallet = folds.wallet_after(state, event, payload.currency, won(settlement), settlement.counted_at)
    return *bet_after, _new(state, settlement), wallet


def won(settlement: Settlement, times: int = 1) -> Tally | None:
    """What the win adds to the tallies, once or, where it is taken back, -1 times; None where it counts in none."""
    win_minor = settlement.win_minor
    return Tally(0, 0, 0, 0, times * win_minor) if win_minor and settlement.counted_at else None


def _counted_at(state: State, event: Event, payload: BetSettled, bet: Bet | None) -> int:
    """A win counts in the windows of its bet, so that no order of arrival changes a sum. One that names only its round
    counts as that of the round's first bet in its currency; one that has no bet, when it comes.
    """
    if payload.mode == DEMO:
        return 0
    if bet:
        return bet.placed_at
    if payload.round_id is None:
        return event.at
    of_round = state.bets_of_round(folds.integration_id(event), folds.player_id(event), payload.round_id)
    return min([one.placed_at for one in of_round if one.currency == payload.currency], default=event.at)


def _settled_bet(state: State, event: Event, payload: BetSettled) -> Bet | None:
    """The bet that the settlement names, as it was before."""
    if payload.bet_id is None:
        return None
    if payload.was_open:
        return folds.known_bet(state, event, payload.bet_id, OPEN)
    return folds.known_bet(state, event, payload.bet_id, SETTLED, ROLLED_BACK)


def _bet_after(bet: Bet, payload: BetSettled, settlement: Settlement) -> Bet:
    """The bet with the win of the settlement, which may end it."""
    win_minor = bet.win_minor + payload.win_minor
    if not payload.ends_bet or bet.status == ROLLED_BACK:
        return replace(bet, win_minor=win_minor)
    if bet.status == OPEN:
        return bet.ended(SETTLED, win_minor=win_minor, settlement_id=settlement.settlement_id)
    assert bet.settlement_id is None, f"settlement {settlement.settlement_id} ends bet {bet.bet_id} a second time"
    return replace(bet, win_minor=win_minor, settlement_id=settlement.settlement_id)


def awarded(state: State, event: Event, payload: Awarded) -> Touched:
    """The award is kept as a settlement that names no bet, so that a rollback finds it."""
    settlement = Settlement(
        integration_id=folds.integration_id(event),
        win_id=payload.win_id,
        settlement_id=payload.settlement_id,
        tenant_id=event.tenant_id,
        player_id=folds.player_id(event),
        currency=payload.currency,
        bet_id=None,
        round_id=payload.round_id,
        session_id=None,
        game_id=payload.game_id,
        kind=payload.kind,
        win_minor=payload.amount_minor,
        account=payload.account,
        mode=REAL,
    )
    return _new(state, settlement), folds.wallet_after(state, event, payload.currency)


def _new(state: State, settlement: Settlement) -> Settlement:
    known = state.settlement(settlement.integration_id, settlement.win_id)
    assert known is None, f"win {settlement.win_id} is paid twice"
    return settlement
