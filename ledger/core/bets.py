"""Bets: how they begin, and when nothing about them changes any more."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ledger.core import folds, limits, postings
from ledger.core.commands import Command
from ledger.core.decision import (
    Accepted,
    Decision,
    Refusal,
    accept,
    balance_too_large,
    duplicate,
    insufficient_funds,
    integration_of,
    late_bet,
    minor,
    not_found,
    wallet_of,
)
from ledger.core.events import Event, Payload
from ledger.core.exchange import Conversion
from ledger.core.folds import Touched
from ledger.core.money import MAX_AMOUNT_MINOR, MAX_BALANCE_MINOR, Amount, format_minor
from ledger.core.policy import AT_SETTLEMENT, IGNORED, REFUSE, REQUIRED, Policy
from ledger.core.postings import Posting
from ledger.core.state import (
    DEMO,
    FREE,
    OPEN,
    REAL,
    ROLLED_BACK,
    SETTLED,
    TOMBSTONED,
    Bet,
    BetsOfRound,
    Key,
    Player,
    Rate,
    Round,
    Session,
    State,
    Wallet,
)
from ledger.core.tallies import Tally
from ledger.core.value import value


class Stake(NamedTuple):
    """What is staked, in the wallet's minor units; and as it was asked for, where that is another currency."""

    amount_minor: int
    conversion: Conversion | None
    cash_minor: int = 0
    bonus_minor: int = 0


@value()
class AuthorizeBet(Command):
    """A debit: a stake, a tip, a buy-in. It begins a bet, which a rollback names by `bet_id`."""

    kind = "AuthorizeBet"
    obeys_limits = True
    session_id: str | None
    bet_id: str
    round_id: str | None
    amount: Amount
    currency: str
    """The currency that `amount` is in."""
    player: str | None = None
    """None takes the session's."""
    game_id: str | None = None
    """None takes the session's."""
    stake_kind: str = "bet"
    """bet, tip, bonus_buy, buy_in or correction; `free` moves no money."""
    wallet_currency: str | None = None
    """Where it is another than the amount's: the rate between them is locked with the bet."""

    @property
    def player_id(self) -> str | None:
        return self.player

    @property
    def needs(self) -> tuple[Key, ...]:
        integration_id = self.origin.integration_id
        keys: list[Key] = [(Bet, integration_id, self.bet_id)]
        if self.session_id:
            keys.insert(0, (Session, self.session_id))
        if self.player and self.round_id:
            keys.append((Round, integration_id, self.player, self.round_id))
        if self.wallet_currency:
            keys.append((Rate, self.origin.tenant_id, self.currency, self.wallet_currency))
            if self.player and self.round_id:
                keys.append((BetsOfRound, integration_id, self.player, self.round_id))
        return tuple(keys)


@value()
class FinalizeBet(Command):
    """Nothing about the bet changes any more (sports, some 30 days after its end)."""

    kind = "FinalizeBet"
    bet_id: str

    @property
    def needs(self) -> tuple[Key, ...]:
        return ((Bet, self.origin.integration_id, self.bet_id),)


@value(slots=False)
class BetAuthorized(Payload):
    """A bet has begun. Its stake is what came from cash and from bonus, in the wallet's minor units; `conversion` is
    what was asked in another currency. In `real` mode it is taken, or held where `capture` says `settlement`.
    """

    event_type = "bet.authorized"
    command_kind = "AuthorizeBet"
    bet_id: str
    hold_id: str
    round_id: str | None
    session_id: str | None
    game_id: str | None
    kind: str
    currency: str
    exponent: int
    stake_minor: int
    stake_cash_minor: int
    stake_bonus_minor: int
    capture: str
    mode: str
    conversion: Mapping[str, Any] | None
    session_expires_at: int | None
    """The new end of its session, microseconds since the epoch, where the bet moved it."""

    @property
    def result(self) -> dict[str, str]:
        return {"status": "authorized", "hold_id": self.hold_id}

    def needs(self, event: Event) -> tuple[Key, ...]:
        bet = super().needs(event)
        return bet if self.session_expires_at is None else ((Session, self.session_id), *bet)


@value(slots=False)
class BetFinalized(Payload):
    """Nothing about the bet changes any more."""

    event_type = "bet.finalized"
    command_kind = "FinalizeBet"
    bet_id: str
    round_id: str | None
    session_id: str | None
    game_id: str | None
    currency: str
    mode: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "finalized"}


def authorize(state: State, command: AuthorizeBet, policy: Policy, at: int) -> Decision:
    """A bet begins once, in a live session or where the policy needs none, of a player whom nothing bars, in a wallet
    that has the stake.
    """
    bet = state.bet(integration_of(command), command.bet_id)
    if bet:
        late = bet.status == TOMBSTONED
        return late_bet(policy, command.bet_id) if late else duplicate(command.bet_id)
    session = _session(state, command, policy)
    if isinstance(session, Refusal):
        return session
    player_id = session.player_id if session else str(command.player)
    wallet = wallet_of(state, command, player_id, command.wallet_currency or command.currency)
    if isinstance(wallet, Refusal):
        return wallet
    player = state.player(command.origin.tenant_id, player_id)
    if refusal := _barred(state, command, policy, player_id, player):
        return refusal
    mode = session.mode if session else REAL
    stake = _stake(state, command, policy, wallet)
    if isinstance(stake, Stake) and mode != DEMO and command.stake_kind != FREE:
        stake = _paid(stake, wallet)
    if isinstance(stake, Refusal):
        return stake
    if (
        player
        and player.limits
        and mode != DEMO
        and (over := _over_limit(state, command, policy, player, wallet, stake, at))
    ):
        return over
    # By position: a line of every bet (see `value`).
    payload = BetAuthorized(
        command.bet_id, command.named("h"), command.round_id, session.session_id if session else None,
        command.game_id or (session.game_id if session else None), command.stake_kind, wallet.currency,
        wallet.exponent, stake.amount_minor, stake.cash_minor, stake.bonus_minor, policy.capture, mode,
        Conversion.to_record(stake.conversion), _moved_end(session, command, policy) if session else None,
    )  # fmt: skip
    return accept(command, player_id, _moves(wallet, stake, policy), payload, at)


def _session(state: State, command: AuthorizeBet, policy: Policy) -> Session | Refusal | None:
    """The session that the bet is placed in; None where the policy needs none."""
    session = state.session(command.session_id) if command.session_id else None
    if session and session.integration_id != command.origin.integration_id:
        session = None
    required = policy.session == REQUIRED and command.stake_kind != FREE
    if session is None and command.player and not required:
        return None
    if session is None or command.player not in (None, session.player_id):
        return Refusal("SESSION_NOT_FOUND", {"session_id": str(command.session_id)})
    if session.ended and policy.session != IGNORED:
        return Refusal("SESSION_ENDED", {"session_id": session.session_id})
    if command.received_at >= session.expires_at and policy.session != IGNORED:
        return Refusal("SESSION_EXPIRED", {"session_id": session.session_id})
    currency = command.wallet_currency or command.currency
    if session.currency != currency:
        return Refusal("CURRENCY_MISMATCH", {"currency": currency, "expected": session.currency})
    return session


def _moved_end(session: Session, command: AuthorizeBet, policy: Policy) -> int | None:
    """The new end of a session that the bet keeps alive; None where it stays. It moves when less than half of the idle
    time is left, so that hardly any bet writes its session's row. What is over stays over.
    """
    left_us, idle_us = session.expires_at - command.received_at, policy.session_idle_s * 1_000_000
    if session.ended or left_us <= 0 or 2 * left_us >= idle_us:
        return None
    last_end = session.expires_at - session.extended_us + policy.session_overtime_s * 1_000_000
    end = min(command.received_at + idle_us, last_end)
    return end if end > session.expires_at else None


def _barred(
    state: State, command: AuthorizeBet, policy: Policy, player_id: str, player: Player | None
) -> Refusal | None:
    """What stops stakes, and nothing else."""
    if player and player.restriction:
        return Refusal("PLAYER_RESTRICTED", {"player_id": player_id, "restriction": player.restriction})
    # Only a command that names its player has its round loaded.
    round_id = command.round_id if command.player and policy.bet_after_round_end == REFUSE else None
    if round_id and state.round(integration_of(command), player_id, round_id):
        return Refusal("ROUND_FINISHED", {"round_id": round_id})
    return None


def _stake(state: State, command: AuthorizeBet, policy: Policy, wallet: Wallet) -> Stake | Refusal:
    if command.currency == wallet.currency:
        stake_minor = minor(command.amount, wallet.currency, wallet.exponent)
        stake = stake_minor if isinstance(stake_minor, Refusal) else Stake(stake_minor, None)
    else:
        stake = _converted(state, command, policy, wallet)
    if isinstance(stake, Stake) and stake.amount_minor == 0 and policy.zero_stake == REFUSE:
        return Refusal("AMOUNT_NOT_POSITIVE")
    return stake


def _converted(state: State, command: AuthorizeBet, policy: Policy, wallet: Wallet) -> Stake | Refusal:
    rate = _rate(state, command, policy, wallet)
    if rate is None:
        return Refusal("RATE_NOT_AVAILABLE", {"currency": command.currency, "wallet_currency": wallet.currency})
    asked_minor = minor(command.amount, rate.currency, rate.exponent)
    if isinstance(asked_minor, Refusal):
        return asked_minor
    conversion = rate.with_amount(asked_minor)
    stake_minor = conversion.stake_minor(wallet.exponent)
    if stake_minor > MAX_AMOUNT_MINOR:
        maximum = format_minor(MAX_AMOUNT_MINOR, wallet.exponent)
        return Refusal("AMOUNT_TOO_LARGE", {"amount": str(command.amount), "maximum": maximum})
    return Stake(stake_minor, conversion)


def _rate(state: State, command: AuthorizeBet, policy: Policy, wallet: Wallet) -> Conversion | None:
    """The rate that the round has locked already, else today's, if it is young enough."""
    if command.player and command.round_id:
        for bet in state.bets_of_round(integration_of(command), command.player, command.round_id):
            if bet.conversion and (bet.stake_currency, bet.currency) == (command.currency, wallet.currency):
                return bet.conversion
    rate = state.rate(command.origin.tenant_id, command.currency, wallet.currency)
    if rate is None or command.received_at - rate.as_of >= policy.rate_max_age_s * 1_000_000:
        return None
    return rate.locked


def _paid(stake: Stake, wallet: Wallet) -> Stake | Refusal:
    """The stake with the money that it is paid with: cash first."""
    if stake.amount_minor > wallet.available_minor:
        return insufficient_funds(wallet, stake.amount_minor, wallet.available_minor)
    if wallet.held_minor + stake.amount_minor > MAX_BALANCE_MINOR:
        return balance_too_large(wallet)
    cash_minor = min(stake.amount_minor, wallet.cash_minor)
    return stake._replace(cash_minor=cash_minor, bonus_minor=stake.amount_minor - cash_minor)


def _over_limit(
    state: State, command: AuthorizeBet, policy: Policy, player: Player, wallet: Wallet, stake: Stake, at: int
) -> Refusal | None:
    """What the player's limits say to the stake; a free one is no money, but has the size of its face value."""
    amounts_minor = {
        limits.STAKE: stake.cash_minor + stake.bonus_minor,
        limits.LOSS: stake.cash_minor,
        limits.SINGLE_STAKE: stake.amount_minor,
    }
    in_round = 0
    if command.round_id and limits.has_single_stake(player):
        of_round = state.bets_of_round(integration_of(command), player.player_id, command.round_id)
        standing = [bet for bet in of_round if bet.status in (OPEN, SETTLED) and bet.currency == wallet.currency]
        in_round = sum(bet.stake_minor for bet in standing)
    return limits.exceeded(state, limits.Asked(player, wallet, amounts_minor, in_round), policy, at)


def _moves(wallet: Wallet, stake: Stake, policy: Policy) -> tuple[Posting, ...]:
    held = policy.capture == AT_SETTLEMENT
    moves = postings.stake(wallet.currency, stake.cash_minor, stake.bonus_minor, held=held)
    if stake.conversion and moves and not held:
        return postings.exchanged(moves, {stake.conversion.currency: stake.conversion.amount_minor})
    return moves


def finalize(state: State, command: FinalizeBet, _: Policy, at: int) -> Decision:
    """Only a bet that has ended is made final."""
    bet = state.bet(integration_of(command), command.bet_id)
    if bet is None or bet.status == TOMBSTONED:
        return Refusal("BET_TOMBSTONED", {"bet_id": command.bet_id}) if bet else not_found(command.bet_id)
    if bet.final:
        return Accepted((), {"status": "finalized"})
    if bet.status == OPEN:
        return Refusal("BET_OPEN", {"bet_id": command.bet_id})
    payload = BetFinalized(
        bet_id=bet.bet_id,
        round_id=bet.round_id,
        session_id=bet.session_id,
        game_id=bet.game_id,
        currency=str(bet.currency),
        mode=str(bet.mode),
    )
    return accept(command, bet.player_id, (), payload, at)


def bet_authorized(state: State, event: Event, payload: BetAuthorized) -> Touched:
    """The bet is open; the session that it keeps alive ends later."""
    integration_id = folds.integration_id(event)
    assert state.bet(integration_id, payload.bet_id) is None, f"bet {payload.bet_id} begins twice"
    held_minor = payload.stake_cash_minor + payload.stake_bonus_minor if payload.capture == AT_SETTLEMENT else 0
    # By position: a line of every bet (see `value`).
    bet = Bet(
        integration_id, payload.bet_id, event.tenant_id, event.player_id, OPEN, payload.round_id, payload.session_id,
        payload.game_id, payload.currency, payload.mode, payload.hold_id,
        payload.stake_minor, payload.stake_cash_minor, payload.stake_bonus_minor, held_minor,
        stake_kind=payload.kind, placed_at=event.at, conversion=Conversion.from_record(payload.conversion),
    )  # fmt: skip
    wallet = folds.wallet_after(state, event, payload.currency, staked(bet), event.at)
    return (bet, wallet) if payload.session_expires_at is None else (bet, wallet, _extended(state, payload))


def staked(bet: Bet, times: int = 1) -> Tally | None:
    """What the stake adds to the tallies, once or, where it is given back, -1 times; None where it moved no money."""
    paid_minor = bet.stake_cash_minor + bet.stake_bonus_minor
    return Tally(0, 0, times * paid_minor, times * bet.stake_cash_minor, 0) if paid_minor else None


def _extended(state: State, payload: BetAuthorized) -> Session:
    """The session that the bet keeps alive."""
    session, end = state.session(str(payload.session_id)), payload.session_expires_at
    assert session, f"bet {payload.bet_id} keeps session {payload.session_id} alive, which never started"
    assert not session.ended, f"bet {payload.bet_id} keeps session {session.session_id} alive, which has ended"
    assert end, "asked by the caller"
    longer_us = end - session.expires_at
    assert longer_us > 0, f"bet {payload.bet_id} makes session {session.session_id} shorter"
    return replace(session, expires_at=end, extended_us=session.extended_us + longer_us)


def bet_finalized(state: State, event: Event, payload: BetFinalized) -> Touched:
    """The bet is as it was, for ever."""
    return (replace(folds.known_bet(state, event, payload.bet_id, SETTLED, ROLLED_BACK), final=True),)
