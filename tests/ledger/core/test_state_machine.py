"""Random histories of several players, currencies and integrations against the rule book: the invariants hold after each step.

WAGERLEDGER_TEST_EXAMPLES makes it longer (200 by default), WAGERLEDGER_TEST_SEED repeats a run.
"""

import os
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from math import ceil, floor

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from uuid_utils import uuid7

from ledger.core import evolve as folds
from ledger.core import limits
from ledger.core.bets import AuthorizeBet, BetAuthorized
from ledger.core.calendars import CALENDARS, UTC
from ledger.core.commands import Command
from ledger.core.events import Event
from ledger.core.evolve import PAYLOADS, event_of
from ledger.core.limits import LimitSet
from ledger.core.money import format_minor
from ledger.core.policy import IGNORED, Policy
from ledger.core.postings import WALLET_ACCOUNTS, totals_by_currency
from ledger.core.state import (
    DEMO,
    LOCKED,
    OPEN,
    REAL,
    ROLLED_BACK,
    SETTLED,
    TOMBSTONED,
    Bet,
    BetOfSettlement,
    BetsOfRound,
    Player,
    Rate,
    RatesFrom,
    Settlement,
    SettlementsBesideBet,
    State,
    Wallet,
)
from ledger.core.tallies import Tally
from ledger.core.wallets import Deposited, Withdrawn
from ledger.idempotency import MISMATCH, PARTLY_KNOWN, CommandKey, Request
from ledger.journal.batch import Batch
from ledger.journal.directory import owner_of, stream_of
from ledger.journal.unit_of_work import UnitOfWork, requests_of
from ledger.outcome import Callback, Outcome
from ledger.streams import StreamHead, StreamKey
from schemas.events import BY_FINGERPRINT
from tests.support.commands import HOUR, NOW, Asks
from tests.support.seeds import seeded_random

MOST_ROUNDS = 6
"""What is rare may take more than one."""
EXAMPLES = int(os.environ.get("WAGERLEDGER_TEST_EXAMPLES", "200"))

CURRENCIES = (("EUR", 2), ("JPY", 0))
PROVIDERS = {
    "acme/eu/spin": Policy(rate_max_age_s=10**6),
    "acme/eu/reel": Policy(
        capture="authorization", rollback_of_settled="reverse", rollback_of_win="reverse", rate_max_age_s=10**6
    ),
}
"""With what each begins; it changes on the way."""
RATES = [
    Rate("acme", "USD", "EUR", 2, 3, 2, "bank", NOW),
    Rate("acme", "USD", "JPY", 1001, 7, 2, "bank", NOW),
    Rate("acme", "JPY", "EUR", 7, 11, 0, "bank", NOW),
]

players = st.sampled_from(("ann", "bob", "cid"))
payers = st.sampled_from(("ann", "ann", "bob"))
"""Who has a wallet from the start."""
currencies = st.sampled_from(CURRENCIES)
providers = st.sampled_from(tuple(PROVIDERS))
amounts = st.integers(0, 30).map(str)
bet_ids = st.integers(1, 8).map("b{}".format)
numbers = st.integers(0, 50)
ids = st.integers(1, 8).map("w{}".format)
rounds = st.sampled_from(("r1", "r2", None))
policies = st.builds(
    Policy,
    capture=st.sampled_from(("settlement", "authorization")),
    rollback_of_settled=st.sampled_from(("refuse", "reverse", "refund", "acknowledge")),
    refusal_consumes_key=st.booleans(),
    rollback_of_win=st.sampled_from(("refuse", "reverse", "reverse", "acknowledge")),
    shortfall=st.sampled_from(("receivable", "refuse")),
    session=st.sampled_from(("required", "known", "ignored")),
    win_needs_bet=st.booleans(),
    win_after_rollback=st.sampled_from(("refuse", "accept")),
    late_bet=st.sampled_from(("refuse", "acknowledge")),
    zero_stake=st.sampled_from(("refuse", "accept")),
    bet_after_round_end=st.sampled_from(("refuse", "accept")),
    partial_duplicate=st.sampled_from(("apply", "refuse")),
    rate_max_age_s=st.just(10**6),
    session_idle_s=st.sampled_from((0, 3_600, 14_400)),
    session_overtime_s=st.sampled_from((0, 1_800, 39_600)),
)
rarely = st.integers(0, 9).map(lambda number: number == 0)


SEEN: Counter = Counter()
"""Refusals, repeats and events of the whole run: one that never met them proved nothing."""


INTERESTING = {
    *(*PAYLOADS, "REPEATED", MISMATCH, "INSUFFICIENT_FUNDS", "DUPLICATE", "BET_TOMBSTONED", "PLAYER_RESTRICTED"),
    *("WIN_NOT_REVERSIBLE", "BET_FINAL", "acknowledged", "a converted stake", "a converted win", "a debt"),
    *("LIMIT_REACHED", "LIMIT_RATE_MISSING", "a limit of two currencies", "a raise that waits"),
    *("REGION_MISMATCH", "SESSION_EXPIRED", "a session kept alive", "a session at its last end"),
}


class AllStreams:
    """Whatever is asked for, it is locked: one writer is alone here."""

    def __contains__(self, stream: object) -> bool:
        return True


class Histories(RuleBasedStateMachine):
    """One batch after the other, as the journal decides them, without a database."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.heads: dict[StreamKey, StreamHead] = {}
        self.remembered: dict[CommandKey, object] = {}
        self.log: list[tuple[bytes, bytes] | Wallet] = []
        """(schema fingerprint, body) of each event; or a wallet as it was given bonus money, which no command does yet."""
        self.events: list[Event] = []
        self.new: list[Event] = []
        self.now = NOW
        self.sessions: list[tuple[str, str]] = []
        self.asked: list[Command] = []
        self.heard: dict[CommandKey, Outcome] = {}
        self.policies = dict(PROVIDERS)
        self.statuses: dict[tuple[str, str], str] = {}
        self.final: set[tuple[str, str]] = set()
        self.wins: dict[tuple[str, str], bool] = {}
        """Win by (integration, id), and whether it stands."""
        self.ends: dict[str, tuple[int, int]] = {}
        """Of each session the first end and the present one."""
        self.over: set[str] = set()
        self.restricted: set[str] = set()
        self.limits: dict[tuple[str, str], tuple[LimitSet, list[tuple[int, int | None]]]] = {}
        """By player and id: the last event, and from when on it is how much."""
        self.regions: dict[str, str] = {}
        self.sound = True
        """False while a callback is decided: a failure there leaves log and state apart, and is the one to report."""

    # What is asked

    def submit(self, *commands: Command) -> tuple[Outcome, ...]:
        self.sound = False
        batch = Batch(AllStreams(), self.loaded(commands), self.heads, self.remembered, self.now)  # type: ignore[arg-type]
        policy = self.policies.get(commands[0].origin.integration_id or "", Policy())
        callback = Callback(commands, policy, render=lambda outcome: outcome.to_json().encode())
        outcomes = UnitOfWork(batch, callback, requests_of(callback, self.stream_of)).decide()
        self.new = [event_of(BY_FINGERPRINT[one.schema_fingerprint].decode(one.body)) for one in batch.events]
        refused = outcomes[0].refusal_code is not None
        SEEN.update(outcome.refusal_code or ("REPEATED" if outcome.replayed else outcome.kind) for outcome in outcomes)
        SEEN.update(event.payload.event_type for event in self.new)
        SEEN.update(outcome.result["status"] for outcome in outcomes if outcome.unchanged)
        assert not (refused and self.new), "I6: a refusal moved something"
        self._listen(commands, outcomes)
        self.log += [(one.schema_fingerprint, one.body) for one in batch.events]
        self.events += self.new
        for event in self.new:
            self._watch_bet(event)
            self._watch_win(event)
            self._watch_rate(event)
            self._watch_player(event)
            self._watch_session(event, commands, policy)
        self.state.absorb(batch.state)
        self.heads.update(batch.heads)
        self._check_limits(commands, outcomes)
        self.asked += commands
        self.sound = True
        return outcomes

    def stream_of(self, command: Command) -> StreamKey:
        return stream_of(command, command.needs, lambda key: owner_of(self.state.get(key)))

    def key_of(self, command: Command) -> CommandKey:
        return Request.of(command, self.stream_of(command)).key

    def _listen(self, commands, outcomes):
        """I5: what was once told under a key is told again, and moves nothing."""
        told = (
            zip(commands[len(outcomes) - 1 :], outcomes, strict=False)
            if len(outcomes) < len(commands)
            else zip(commands, outcomes, strict=True)
        )
        for command, outcome in told:
            if outcome.refusal_code in (MISMATCH, PARTLY_KNOWN):
                continue
            key = self.key_of(command)
            before = self.heard.get(key)
            if before is not None:
                assert outcome == replace(before, replayed=True), f"I5: {key} heard {before} and then {outcome}"
            if key in self.remembered:
                self.heard[key] = outcome

    def loaded(self, commands: tuple[Command, ...]) -> State:
        """What the journal would load: what the commands say they need, and not a thing more."""
        state = State()
        for command in commands:
            stream = self.stream_of(command)
            for entity in self.state.entities.values():
                if isinstance(entity, Wallet | Player) and entity.player_id == stream.stream_id:
                    state.put(entity)
            for key in (*command.needs, *limits.needs(state, command, stream.tenant_id, stream.stream_id)):
                state.put(*self.found(key))
        return state

    def found(self, key):
        """As the tables answer it, here by looking at everything."""
        kind, *names = key
        if kind is BetsOfRound:
            return [bet for bet in self.entities(Bet) if [bet.integration_id, bet.player_id, bet.round_id] == names]
        if kind is BetOfSettlement:
            win = self.state.settlement(*names)
            bet = self.state.bet(win.integration_id, win.bet_id) if win and win.bet_id else None
            return [bet] if bet else []
        if kind is RatesFrom:
            return self.state.rates_from(*names)
        if kind is SettlementsBesideBet:
            return self.settlements_beside(self.state.bet(*names))
        entity = self.state.get(key)
        return [entity] if entity else []

    def settlements_beside(self, bet):
        if bet is None:
            return []
        return [
            win
            for win in self.entities(Settlement)
            if win.integration_id == bet.integration_id and win.undone_by is None
            if win.bet_id == bet.bet_id
            or (win.bet_id is None and bet.round_id and [win.round_id, win.player_id] == [bet.round_id, bet.player_id])
        ]

    def _watch_bet(self, event):
        """I4: begins at most once, never after a tombstone, ends only from open, leaves an end only by naming what it undoes."""
        kind, payload = event.payload.event_type, event.payload
        if kind == "round.finished":
            for ended in payload.bets:
                self._step(kind, (event.integration_id, ended["bet_id"]), (OPEN,), SETTLED)
        if (bet_id := getattr(payload, "bet_id", None)) is None:
            return
        key = event.integration_id, bet_id
        before = self.statuses.get(key)
        was_open, ends = getattr(payload, "was_open", False), getattr(payload, "ends_bet", False)
        allowed, after = {
            "bet.authorized": ((None,), OPEN),
            "bet.tombstoned": ((None,), TOMBSTONED),
            "bet.settled": (
                (OPEN,) if was_open else (SETTLED, ROLLED_BACK),
                SETTLED if was_open and ends else before,
            ),
            "bet.rolled_back": ((OPEN if was_open else SETTLED,), ROLLED_BACK),
            "wallet.debit.reversal": (
                (SETTLED,) if getattr(payload, "reopens_bet", False) else (OPEN, SETTLED, ROLLED_BACK),
                OPEN if getattr(payload, "reopens_bet", False) else before,
            ),
            "bet.reinstated": ((ROLLED_BACK,), OPEN),
            "bet.finalized": ((SETTLED, ROLLED_BACK), before),
        }[kind]
        self._step(kind, key, allowed, after)
        if kind == "bet.finalized":
            self.final.add(key)

    def _step(self, kind, key, allowed, after):
        assert self.statuses.get(key) in allowed, f"I4: {kind} of {key}, which is {self.statuses.get(key)}"
        assert key not in self.final, f"I4: {kind} of {key}, which is final"
        self.statuses[key] = after

    def _watch_win(self, event):
        """I4: a win is paid once, never after its tombstone, and taken back once."""
        kind, payload = event.payload.event_type, event.payload
        if kind in ("bet.settled", "wallet.credit.award"):
            key = event.integration_id, payload.win_id or payload.settlement_id
            assert key not in self.wins, f"I4: win {key} is paid twice"
            assert self.statuses.get(key) != TOMBSTONED, f"I4: win {key} is paid after its tombstone"
            self.wins[key] = True
        for win_id in {
            "bet.rolled_back": lambda: payload.undoes,
            "wallet.debit.reversal": lambda: [payload.win_id],
        }.get(kind, list)():
            assert self.wins.get((event.integration_id, win_id)), f"I4: win {win_id} is taken back, and does not stand"
            self.wins[event.integration_id, win_id] = False

    def _watch_rate(self, event):
        """I10: what is converted is exact, rounded once, against the player."""
        payload = event.payload
        asked = getattr(payload, "conversion", None)
        if not asked or payload.event_type not in ("bet.authorized", "bet.settled"):
            return
        rate = Fraction(asked["rate_numerator"], asked["rate_denominator"])
        worth = Fraction(asked["amount_minor"], 10 ** asked["exponent"]) * rate * 10**payload.exponent
        if payload.event_type == "bet.authorized":
            SEEN["a converted stake"] += 1
            assert payload.stake_minor == ceil(worth), f"I10: a stake of {worth} became {payload.stake_minor}"
        else:
            SEEN["a converted win"] += 1
            assert payload.win_minor == floor(worth), f"I10: a win of {worth} became {payload.win_minor}"

    def _watch_player(self, event):
        """A restricted player stakes nothing; from the first wallet on nothing comes from another region."""
        kind = event.payload.event_type
        if kind == "wallet.opened":
            self.regions.setdefault(event.player_id, event.region)
        assert self.regions.get(event.player_id) in (None, event.region), f"region: {event}"
        if kind == "player.restricted":
            self.restricted.add(event.player_id)
        if kind == "player.freed":
            self.restricted.discard(event.player_id)
        assert kind != "bet.authorized" or event.player_id not in self.restricted, f"restricted: {event}"

    def _watch_session(self, event, commands, policy):
        """Bets keep their session alive, and rarely say so; what is over stays over, and nothing outlives its last end."""
        payload, session_id = event.payload, getattr(event.payload, "session_id", None)
        if payload.event_type == "session.started":
            self.ends[session_id] = payload.expires_at, payload.expires_at
        elif payload.event_type == "session.ended":
            self.over.add(session_id)
        elif payload.event_type == "bet.authorized" and session_id:
            bets = [one for one in commands if isinstance(one, AuthorizeBet)]
            (now,) = (one.received_at for one in bets if one.bet_id == payload.bet_id)
            first_end, end = self.ends[session_id]
            alive = now < end and session_id not in self.over
            assert alive or policy.session == IGNORED, f"session: a bet in one that is over, {event}"
            last_end = first_end + policy.session_overtime_s * 1_000_000
            moved = min(now + policy.session_idle_s * 1_000_000, last_end)
            wanted = alive and end - now < policy.session_idle_s * 500_000 and moved > end
            said = payload.session_expires_at
            assert said == (moved if wanted else None), f"session: it lives until {end}, bet at {now}: {event}"
            if wanted:
                SEEN["a session kept alive"] += 1
                SEEN["a session at its last end"] += moved == last_end
                self.ends[session_id] = first_end, moved

    def ask(self, integration_id=None):
        return Asks(integration_id=integration_id, now=self.now)

    def session(self, number):
        return self.sessions[number % len(self.sessions)]

    # Steps

    @initialize()
    def open_some(self):
        self.state.put(*RATES)
        for player, currency in (("ann", CURRENCIES[0]), ("ann", CURRENCIES[1]), ("bob", CURRENCIES[0])):
            self.submit(self.ask().open_wallet(player, *currency))
            self.submit(self.ask().deposit("40", player, currency[0]))
            for integration_id in PROVIDERS:
                self.start_session(player, currency, integration_id, demo=False)
        self.grant_bonus("bob", CURRENCIES[0], 300)

    @rule(player=players, currency=currencies, wrong=rarely)
    def open_wallet(self, player, currency, wrong):
        self.submit(self.ask().open_wallet(player, currency[0], currency[1] + wrong))

    @rule(player=players, currency=currencies, text=amounts)
    def deposit(self, player, currency, text):
        self.submit(self.ask().deposit(text, player, currency[0]))

    @rule(
        player=payers,
        currency=currencies,
        kind=st.sampled_from(("deposit", "net_deposit", "stake", "loss")),
        period=st.sampled_from(("day", "week")),
        text=st.one_of(st.none(), amounts),
        wait_s=st.sampled_from((0, 900, 86_400)),
    )
    def limit(self, player, currency, kind, period, text, wait_s):
        """Lower at once, raise after a wait."""
        self.submit(self.ask().limit(kind, period, text, player=player, currency=currency[0], raise_after_s=wait_s))

    @rule(player=players, currency=currencies, text=amounts)
    def withdraw(self, player, currency, text):
        self.submit(self.ask().withdraw(text, player, currency[0]))

    @rule(player=players, currency=currencies, amount_minor=st.integers(1, 500))
    def grant_bonus(self, player, currency, amount_minor):
        """No command gives bonus money yet, but a wallet may have some, and stakes use it."""
        if wallet := self.state.wallet("acme", player, currency[0]):
            granted = replace(wallet, bonus_minor=wallet.bonus_minor + amount_minor)
            self.state.put(granted)
            self.log.append(granted)

    @rule(player=players, currency=currencies, integration_id=providers, demo=st.booleans())
    def start_session(self, player, currency, integration_id, demo):
        command = self.ask(integration_id).start_session(player, currency[0], mode=DEMO if demo else REAL)
        (outcome,) = self.submit(command)
        if not outcome.refusal_code:
            self.sessions.append((integration_id, outcome.result["session_id"]))

    @rule(number=numbers, foreign=rarely)
    def end_session(self, number, foreign):
        integration_id, session_id = self.session(number)
        self.submit(self.ask(other_than(integration_id) if foreign else integration_id).end_session(session_id))

    def known_bet(self, number):
        """An open bet, most times; sometimes any."""
        known = [key for key, status in self.statuses.items() if status == OPEN or number % 3 == 0]
        return known[number % len(known)] if known else ("acme/eu/spin", "b9")

    def bet(self, number, bet_id, text, *, foreign=False, wrong=False):
        integration_id, session_id = self.session(number)
        session = self.state.session(session_id)
        currency = "USD" if wrong else session.currency
        ask = self.ask(other_than(integration_id) if foreign else integration_id)
        return ask.bet(text, bet_id, f"r{bet_id}", session_id=session_id, currency=currency)

    @rule(number=numbers, bet_id=bet_ids, text=amounts, foreign=rarely, wrong=rarely)
    def authorize(self, number, bet_id, text, foreign, wrong):
        self.submit(self.bet(number, bet_id, text, foreign=foreign, wrong=wrong))

    @rule(number=numbers, bets=st.lists(st.tuples(bet_ids, st.sampled_from((HOUR // 4, 1, 0))), min_size=1, max_size=3))
    def authorize_at_the_end(self, number, bets):
        """Of a session's life, each time, by the clock of a gateway that is ahead."""
        now = self.now
        for bet_id, left_us in bets:
            self.now = self.state.session(self.session(number)[1]).expires_at - left_us
            self.submit(self.bet(number, bet_id, "1"))
        self.now = now

    @rule(number=numbers, some=st.lists(st.tuples(bet_ids, amounts), min_size=2, max_size=3))
    def authorize_several(self, number, some):
        """All of them or none."""
        self.submit(*[self.bet(number, bet_id, text) for bet_id, text in some])

    @rule(number=numbers, bet_id=bet_ids, text=amounts, win=amounts)
    def play(self, number, bet_id, text, win):
        """Bet and settlement in one callback."""
        bet = self.bet(number, bet_id, text)
        self.submit(bet, self.ask(bet.origin.integration_id).settle(win, bet_id, bet.round_id, currency=bet.currency))

    @rule(bet=numbers, win=amounts, wrong_round=rarely, wrong_currency=rarely)
    def settle(self, bet, win, wrong_round, wrong_currency):
        integration_id, bet_id = self.known_bet(bet)
        bet = self.state.bet(integration_id, bet_id)
        currency = bet.currency if bet and bet.currency and not wrong_currency else "EUR"
        self.submit(
            self.ask(integration_id).settle(win, bet_id, "r9" if wrong_round else f"r{bet_id}", currency=currency)
        )

    @rule(bet=numbers, number=st.none() | numbers, wrong_round=rarely)
    def rollback(self, bet, number, wrong_round):
        self._rollback(*self.known_bet(bet), number, wrong_round=wrong_round)

    @rule(integration_id=providers, bet_id=bet_ids, number=st.none() | numbers)
    def bury(self, integration_id, bet_id, number):
        """A rollback that may come before its bet."""
        if bet_id > "b4":
            self._rollback(integration_id, bet_id, number, wrong_round=False)

    def _rollback(self, integration_id, bet_id, number, *, wrong_round):
        session_id = None if number is None else self.session(number)[1]
        self.submit(
            self.ask(integration_id).rollback(bet_id, "r9" if wrong_round else f"r{bet_id}", session_id=session_id)
        )

    # What providers' own protocols ask

    @rule(integration_id=providers, policy=policies)
    def change_policy(self, integration_id, policy):
        self.policies[integration_id] = policy

    @rule(
        integration_id=providers,
        player=payers,
        bet_id=bet_ids,
        text=amounts,
        foreign=st.booleans(),
        round_id=rounds,
        free=rarely,
    )
    def debit(self, integration_id, player, bet_id, text, foreign, round_id, free):
        """A stake of a player whom it names, in a round that players and bets share."""
        self.policies[integration_id] = replace(self.policies[integration_id], session=IGNORED)
        more = {"currency": "USD", "wallet_currency": "EUR"} if foreign else {}
        kind = "free" if free else "bet"
        self.submit(self.ask(integration_id).debit(text, bet_id, round_id, player=player, stake_kind=kind, **more))

    @rule(
        integration_id=providers,
        player=payers,
        win_id=ids | bet_ids,
        text=amounts,
        foreign=st.booleans(),
        round_id=rounds,
    )
    def win(self, integration_id, player, win_id, text, foreign, round_id):
        more = {"currency": "USD", "wallet_currency": "EUR"} if foreign else {}
        self.submit(self.ask(integration_id).win(text, win_id, round_id, player=player, **more))

    @rule(bet=numbers, win_id=ids, text=amounts)
    def win_beside(self, bet, win_id, text):
        """In the round of a bet that is there, in its currency."""
        integration_id, bet_id = self.known_bet(bet)
        bet = self.state.bet(integration_id, bet_id)
        if bet and bet.player_id and bet.stake_currency:
            ask = self.ask(integration_id)
            self.submit(ask.win(text, win_id, bet.round_id, player=bet.player_id, currency=bet.stake_currency))

    @rule(bet=numbers, win_id=ids | bet_ids, win=amounts, ends_bet=st.booleans())
    def settle_by_id(self, bet, win_id, win, ends_bet):
        integration_id, bet_id = self.known_bet(bet)
        bet = self.state.bet(integration_id, bet_id)
        currency = bet.stake_currency if bet and bet.currency else "EUR"
        self.submit(
            self.ask(integration_id).settle(win, bet_id, None, currency=currency, win_id=win_id, ends_bet=ends_bet)
        )

    @rule(
        integration_id=providers,
        player=payers,
        award_id=ids,
        text=amounts,
        kind=st.sampled_from(("promo", "jackpot", "payout")),
    )
    def award(self, integration_id, player, award_id, text, kind):
        self.submit(self.ask(integration_id).award(text, award_id, kind, player=player))

    @rule(
        integration_id=providers,
        win_id=ids | bet_ids,
        names=st.sampled_from(("win", "any")),
        player=st.none() | payers,
    )
    def undo(self, integration_id, win_id, names, player):
        """A rollback of a win, an award, or whatever has the id; or a tombstone."""
        self.submit(self.ask(integration_id).undo_win(win_id, target=names, player=player))

    @rule(number=numbers, names=st.sampled_from(("win", "any")))
    def undo_known(self, number, names):
        if standing := [key for key, stands in self.wins.items() if stands or number % 3 == 0]:
            integration_id, win_id = standing[number % len(standing)]
            self.submit(self.ask(integration_id).undo_win(win_id, target=names))

    @rule(bet=numbers)
    def reinstate(self, bet):
        undone = [key for key, status in self.statuses.items() if status == ROLLED_BACK or bet % 5 == 0]
        if undone:
            integration_id, bet_id = undone[bet % len(undone)]
            self.submit(self.ask(integration_id).reinstate(bet_id))

    @rule(bet=numbers)
    def undo_and_reinstate(self, bet):
        self.rollback(bet=bet, number=None, wrong_round=False)
        self.reinstate(bet=0)

    @rule(bet=numbers, again=st.booleans())
    def finalize(self, bet, again):
        """And what comes for it afterwards."""
        integration_id, bet_id = self.known_bet(3 * bet)
        self.submit(self.ask(integration_id).finalize(bet_id))
        if again:
            self._rollback(integration_id, bet_id, None, wrong_round=False)

    @rule(integration_id=providers, player=payers, round_id=rounds)
    def finish(self, integration_id, player, round_id):
        self.submit(self.ask(integration_id).finish(round_id or "r3", player=player))

    @rule(bet=numbers)
    def finish_known(self, bet):
        integration_id, bet_id = self.known_bet(bet)
        bet = self.state.bet(integration_id, bet_id)
        if bet and bet.player_id and bet.round_id and bet.stake_currency:
            ask = self.ask(integration_id)
            self.submit(ask.finish(bet.round_id, player=bet.player_id, currency=bet.stake_currency))

    @rule(player=payers, text=amounts, negative=st.booleans())
    def adjust(self, player, text, negative):
        self.submit(self.ask().adjust(text, player, negative=negative))

    @rule(player=payers, restriction=st.sampled_from((None, None, LOCKED)))
    def restrict(self, player, restriction):
        self.submit(self.ask().restrict(restriction, player))

    @rule(integration_id=providers, player=payers, bet_id=bet_ids, win_id=ids, text=amounts, round_id=rounds)
    def play_a_round(self, integration_id, player, bet_id, win_id, text, round_id):
        """A bet, a win of its round and the end of the round in one callback: all or none."""
        ask, round_id = self.ask(integration_id), round_id or "r3"
        self.submit(
            ask.debit(text, bet_id, round_id, player=player),
            ask.win(text, win_id, round_id, player=player),
            ask.finish(round_id, player=player),
        )

    def holds(self, integration_id, bet_id, round_id, text, player):
        """A stake of a player whom it names, held until it is settled, of which wins can be taken back."""
        policy = replace(
            self.policies[integration_id], session=IGNORED, capture="settlement", rollback_of_win="reverse"
        )
        self.policies[integration_id] = policy
        self.submit(self.ask(integration_id).debit(text, bet_id, round_id, player=player))

    @rule(integration_id=providers, player=payers, bet_id=bet_ids, win_id=ids, text=amounts, win=amounts)
    def take_back_the_end(self, integration_id, player, bet_id, win_id, text, win):
        """The win that ended a bet is taken back, and the bet is open again. Left to chance this is one history of many."""
        self.holds(integration_id, bet_id, "r4", text, player)
        ask = self.ask(integration_id)
        self.submit(ask.settle(win, bet_id, None, win_id=win_id))
        self.submit(ask.undo_win(win_id))

    @rule(number=numbers, bet_id=bet_ids, text=amounts, win=amounts)
    def play_for_nothing(self, number, bet_id, text, win):
        """A bet of a demo session, settled."""
        demo = [session_id for _, session_id in self.sessions if self.state.session(session_id).mode == DEMO]
        if demo:
            session = self.state.session(demo[number % len(demo)])
            ask = self.ask(session.integration_id)
            self.submit(ask.bet(text, bet_id, None, session_id=session.session_id, currency=session.currency))
            self.submit(ask.settle(win, bet_id, None, currency=session.currency))

    @rule(integration_id=providers, player=payers, bet_id=bet_ids, text=amounts, win=amounts)
    def play_abroad(self, integration_id, player, bet_id, text, win):
        """A stake and its win in another currency than the wallet's."""
        self.policies[integration_id] = replace(self.policies[integration_id], session=IGNORED)
        ask = self.ask(integration_id)
        self.submit(ask.debit(text, bet_id, None, player=player, currency="USD", wallet_currency="EUR"))
        self.submit(ask.settle(win, bet_id, None, currency="USD"))

    @rule(integration_id=providers, text=amounts, round_id=rounds)
    def finish_for_one(self, integration_id, text, round_id):
        """Two players have bets in one round, as at a live table, and it ends for one of them."""
        for bet_id, player in (("t1", "ann"), ("t2", "bob")):
            self.holds(integration_id, bet_id, round_id or "r3", text, player)
        self.submit(self.ask(integration_id).finish(round_id or "r3", player="ann"))

    @rule(number=numbers)
    def from_abroad(self, number):
        """What was asked before, asked by a cashier or an integration of another region."""
        command = self.asked[number % len(self.asked)]
        origin = self.ask(command.origin.integration_id and "acme/us/wheel").origin()
        self.submit(
            replace(command, origin=replace(origin, region="us"), command_id=str(uuid7()), received_at=self.now)
        )

    @rule(number=numbers, changed=st.booleans())
    def repeat(self, number, changed):
        """The same key again: the same answer, or a mismatch where the content is another."""
        command = replace(self.asked[number % len(self.asked)], command_id=str(uuid7()), received_at=self.now + 1)
        if changed and hasattr(command, "bet_id"):
            known = self.key_of(command) in self.remembered
            (outcome,) = self.submit(replace(command, bet_id=f"x{len(self.asked)}"))
            assert not known or outcome.refusal_code == MISMATCH, (
                f"I5: other content under {self.key_of(command)} heard {outcome}"
            )
            return
        known = self.key_of(command) in self.remembered
        self.submit(command)
        assert not (known and self.new), f"I5: the repeat of {command} made {self.new}"

    @rule(hours=st.integers(-1, 1))
    def pass_time(self, hours):
        """Also backwards."""
        self.now += hours * HOUR // 4

    # What holds after each

    @invariant()
    def postings_sum_to_zero(self):
        """I1, and with it I2."""
        for event in self.new:
            assert not any(totals_by_currency(event.postings).values()), f"I1: {event}"

    @invariant()
    def nothing_is_overdrawn(self):
        """I3."""
        held: Counter = Counter()
        for bet in self.entities(Bet):
            assert bet.held_minor == 0 or bet.status == OPEN, f"I3: {bet}"
            held[bet.player_id, bet.currency] += bet.held_minor
        for wallet in self.entities(Wallet):
            SEEN["a debt"] += wallet.receivable_minor < 0
            assert min(wallet.cash_minor, wallet.bonus_minor, wallet.held_minor, -wallet.receivable_minor) >= 0, (
                f"I3: {wallet}"
            )
            assert wallet.held_minor == held[wallet.player_id, wallet.currency], (
                f"I3: open bets hold {held}, not {wallet}"
            )

    @invariant()
    def bets_are_where_their_events_led(self):
        """I4."""
        assert {(bet.integration_id, bet.bet_id): bet.status for bet in self.entities(Bet)} == self.statuses, "I4"

    @invariant()
    def demo_moves_nothing(self):
        for event in self.new:
            assert not (getattr(event.payload, "mode", REAL) == DEMO and event.postings), f"demo: {event}"

    def entities(self, kind):
        return [entity for entity in self.state.entities.values() if isinstance(entity, kind)]

    def teardown(self):
        """I2, I3, I7: the recorded bytes, decoded and summed and folded again, give the state; versions, hashes and times have no hole."""
        if not self.sound:
            return
        state, heads, sums = State(), {}, Counter()
        state.put(*RATES)
        for entry in self.log:
            if isinstance(entry, Wallet):
                sums[entry.player_id, entry.currency, "bonus"] += (
                    entry.bonus_minor - state.wallet(*entry.key[1:]).bonus_minor
                )
                state.put(entry)
                continue
            record = BY_FINGERPRINT[entry[0]].decode(entry[1])
            stream = StreamKey(record["tenant_id"], record["stream_type"], record["stream_id"])
            head = heads.get(stream, StreamHead())
            link = record["stream_version"], record["previous_hash"]
            assert link == (head.version + 1, head.hash), f"I7: {stream} breaks at {link}"
            assert record["occurred_at"] >= head.recorded_at, f"I7: {stream} runs backwards at {link}"
            heads[stream] = StreamHead(head.version + 1, sha256(entry[1]).digest(), record["occurred_at"])
            event = event_of(record)
            for account, amount_minor, currency in event.postings:
                sums[event.player_id if account in WALLET_ACCOUNTS else None, currency, account] += amount_minor
            state.put(*folds.evolve(state, event))
        assert heads == self.heads, "I7: the heads are not the log's"
        assert state.entities == self.state.entities, "I7: the fold of the log is not the state"
        self.bets_are_where_their_events_led()  # first: tallies are summed of bets
        for wallet in self.entities(Wallet):
            accounts = {account: getattr(wallet, f"{account}_minor") for account in WALLET_ACCOUNTS}
            summed = {account: sums[wallet.player_id, wallet.currency, account] for account in WALLET_ACCOUNTS}
            assert accounts == summed, f"I3: {wallet} is not the sum of its postings, {summed}"
            self._check_tallies(wallet)

    def _check_tallies(self, wallet):
        """What counts in the running periods is what stands of it: bets and wins in the periods of their bets."""
        windows = CALENDARS[UTC].windows(wallet.tallies.at or NOW)
        for tally, period in zip(wallet.tallies[1:], windows, strict=True):
            expected = self._summed(wallet, period.from_us)
            assert tally == expected, f"tallies: {wallet} should have {expected} since {period.from_us}"

    def _summed(self, wallet, since):
        bets = [bet for bet in self._of(wallet, Bet) if bet.placed_at >= since and bet.status in (OPEN, SETTLED)]
        wins = [win for win in self._of(wallet, Settlement) if win.counted_at >= since and not win.undone_by]
        moved = [event for event in self.events if event.player_id == wallet.player_id and event.at >= since]
        deposits, withdrawals = (
            sum(
                event.payload.amount_minor
                for event in moved
                if isinstance(event.payload, kind) and event.payload.currency == wallet.currency
            )
            for kind in (Deposited, Withdrawn)
        )
        cash = sum(bet.stake_cash_minor for bet in bets)
        stakes = cash + sum(bet.stake_bonus_minor for bet in bets)
        return Tally(deposits, withdrawals, stakes, cash, sum(win.win_minor for win in wins))

    def _check_limits(self, commands, outcomes):
        """No limit in force is ever exceeded by what it stops; and a no to it tells what has counted."""
        for event in self.new:
            payload = event.payload
            if isinstance(payload, LimitSet):
                SEEN["a raise that waits"] += payload.status == "pending"
                raised = [(payload.effective_at, payload.pending_minor)] if payload.effective_at else []
                self.limits[event.player_id, payload.limit_id] = payload, [(event.at, payload.limit_minor), *raised]
            if isinstance(payload, BetAuthorized) and payload.mode != DEMO:
                asked = {
                    "stake": payload.stake_cash_minor + payload.stake_bonus_minor,
                    "loss": payload.stake_cash_minor,
                }
            else:
                asked = dict.fromkeys(("deposit", "net_deposit"), isinstance(payload, Deposited))
            for key in [key for key in self.limits if key[0] == event.player_id and asked.get(key[1].split("/")[0])]:
                limit_minor, used_minor = self._limit(*key, event.at)
                assert limit_minor is None or used_minor <= limit_minor, (
                    f"limit: {key} of {limit_minor} at {used_minor}"
                )
        if outcomes[-1].refusal_code == "LIMIT_REACHED" and not outcomes[-1].replayed and len(commands) == 1:
            details, stream = outcomes[-1].details, self.stream_of(commands[0])
            at = max(self.now, self.heads[stream].recorded_at)
            payload, _ = self.limits[stream.stream_id, details["limit_id"]]
            known = [
                format_minor(amount, payload.exponent)
                for amount in self._limit(stream.stream_id, details["limit_id"], at)
            ]
            assert known == [details["limit"], details["used"]], f"limit: {known} is told as {details}"

    def _limit(self, player, limit_id, at):
        """What it is at that time, and what counts; of one that is gone nothing does."""
        payload, schedule = self.limits[player, limit_id]
        limit_minor = [amount for since, amount in schedule if since <= at][-1]
        if limit_minor is None:
            return None, 0
        since, used = getattr(CALENDARS[UTC].windows(at), payload.period).from_us, 0
        for wallet in self.entities(Wallet):
            if wallet.player_id != player:
                continue
            sums = self._summed(wallet, since)
            amount = {
                "deposit": sums.deposit_minor,
                "net_deposit": sums.deposit_minor - sums.withdrawal_minor,
                "stake": sums.stake_minor,
                "loss": sums.cash_stake_minor - sums.cash_win_minor,
            }[payload.kind]
            if wallet.currency != payload.currency and amount:
                rate = self.state.rate("acme", wallet.currency, payload.currency)
                SEEN["a limit of two currencies"] += 1
                assert rate, f"limit: {limit_id} of {player} counts {wallet.currency}, and there is no rate"
                worth = Fraction(rate.numerator, rate.denominator) / 10**wallet.exponent * 10**payload.exponent
                amount = ceil(amount * worth)
            used += amount
        return limit_minor, used

    def _of(self, wallet, kind):
        whose = wallet.player_id, wallet.currency
        return [one for one in self.entities(kind) if (one.player_id, one.currency) == whose]


def other_than(integration_id):
    return next(other for other in PROVIDERS if other != integration_id)


def run_histories(examples: int, *, shrink: bool = True) -> None:
    seed = seeded_random().randrange(2**32)  # of its own: rounds of one test are different ones
    limits = settings(
        max_examples=examples,
        stateful_step_count=50,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(hypothesis.seed(seed)(Histories), settings=limits)


def test_random_histories_keep_the_invariants():
    """I1 to I5 and I7 hold after every step of any history; and the histories do meet what is interesting."""
    SEEN.clear()
    for _ in range(MOST_ROUNDS):
        run_histories(EXAMPLES)
        if all(SEEN[code] for code in INTERESTING):
            return
    raise AssertionError(f"never met {[code for code in INTERESTING if not SEEN[code]]} among {SEEN}")
