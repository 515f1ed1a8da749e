"""Histories to project: decided and recorded as the ledger does it, published as the relay does it."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from confluent_kafka import Producer

from ledger.core.bets import AuthorizeBet, FinalizeBet
from ledger.core.commands import Command, Origin
from ledger.core.decide import decide
from ledger.core.decision import Accepted
from ledger.core.evolve import evolve
from ledger.core.money import Amount
from ledger.core.players import EndSession, RestrictPlayer, StartSession
from ledger.core.policy import (
    ACCEPT,
    ACKNOWLEDGE,
    AT_AUTHORIZATION,
    AT_SETTLEMENT,
    IGNORED,
    REFUND,
    REFUSE,
    REVERSE,
    Policy,
)
from ledger.core.rollbacks import ReinstateBet, Rollback
from ledger.core.rounds import FinishRound
from ledger.core.state import LOCKED, Rate, State, Wallet
from ledger.core.wallets import Adjust, Deposit, OpenWallet, Withdraw
from ledger.core.wins import Award, SettleBet
from ledger.journal.recording import record
from ledger.streams import Recorded, StreamHead, StreamKey
from schemas.events import BY_FINGERPRINT

START_US = 1_750_000_000_000_000
TENANTS = ("brand-a", "brand-b")
CURRENCIES = {"EUR": 2, "JPY": 0}


@dataclass
class Ledger:
    """A ledger in memory: decides, records, and keeps all that was recorded."""

    state: State = field(default_factory=State)
    heads: dict[StreamKey, StreamHead] = field(default_factory=dict)
    recorded: list[Recorded] = field(default_factory=list)
    now: int = START_US
    commands: int = 0
    pace_us: int = 1000
    """Time from one command to the next."""

    def ask(
        self,
        kind: Callable[..., Command],
        tenant_id: str,
        *,
        policy: Policy | None = None,
        integration: str | None = None,
        **asked: Any,
    ) -> Mapping[str, str]:
        """Submit a command. Returns its result; empty where it was refused."""
        self.commands += 1
        self.now += self.pace_us
        number = f"{self.commands:032x}"
        integration_id = integration and f"{tenant_id}/eu/{integration}"
        origin = Origin(tenant_id, "eu", integration_id, integration, "test", f"key-{number}", f"trace-{number}")
        decision = decide(self.state, kind(origin, number, self.now, **asked), policy or Policy(), self.now)
        if not isinstance(decision, Accepted):
            return {}
        for event in decision.events:
            self.state.put(*evolve(self.state, event))
            one = record(event, origin, self._head(event))
            self.heads[one.stream] = one.head()
            self.recorded.append(one)
        return decision.result

    def _head(self, event: Any) -> StreamHead:
        from ledger.streams import stream_of

        return self.heads.get(stream_of(event), StreamHead())

    def open_player(self, player: str, *, tenant_id: str = "brand-a", currency: str = "EUR", mode: str = "real") -> str:
        """A wallet with money and a session on it. Returns the session's id."""
        self.ask(OpenWallet, tenant_id, player=player, currency=currency, exponent=CURRENCIES[currency])
        self.ask(
            Deposit, tenant_id, player=player, currency=currency, amount=Amount(1000, 0), reference="r", actor="test"
        )
        return self.start_session(player, tenant_id=tenant_id, currency=currency, mode=mode)

    def start_session(
        self,
        player: str,
        *,
        tenant_id: str = "brand-a",
        currency: str = "EUR",
        mode: str = "real",
        integration: str = "acme",
    ) -> str:
        result = self.ask(
            StartSession, tenant_id, integration=integration, player=player, currency=currency, game_id="game-1", locale=None, mode=mode,
            expires_at=self.now + 3600 * 1000 * self.pace_us // (1 + self.commands % 3),
        )  # fmt: skip
        return result["session_id"]

    def bet(
        self,
        session_id: str,
        bet_id: str,
        *,
        tenant_id: str = "brand-a",
        currency: str = "EUR",
        amount: int = 10,
        **more: Any,
    ) -> Mapping[str, str]:
        return self.ask(
            AuthorizeBet, tenant_id, **({"integration": "acme", "round_id": f"round-of-{bet_id}"} | more),
            session_id=session_id, bet_id=bet_id, amount=Amount(amount, 0), currency=currency,
        )  # fmt: skip

    def settle(
        self, bet_id: str, win: int, *, tenant_id: str = "brand-a", currency: str = "EUR", **more: Any
    ) -> Mapping[str, str]:
        return self.ask(
            SettleBet, tenant_id, **({"integration": "acme", "round_id": f"round-of-{bet_id}"} | more), bet_id=bet_id, win=Amount(win, 0), currency=currency
        )  # fmt: skip

    def play(self, player: str, bets: int) -> None:
        """A player who opens a wallet, bets, and wins every other bet."""
        session_id = self.open_player(player)
        for n in range(bets):
            self.bet(session_id, f"{player}-{n}")
            self.settle(f"{player}-{n}", 15 * (n % 2))

    @property
    def wallets(self) -> list[Wallet]:
        return [entity for entity in self.state.entities.values() if isinstance(entity, Wallet)]


def random_ledger(rng: random.Random, commands: int, pace_us: int = 1000) -> Ledger:
    """All kinds of commands, in all orders, on few players and rounds; many are refused, as in life."""
    ledger = Ledger(pace_us=pace_us)
    sessions: list[tuple[str, str, str, str]] = []
    bets: list[tuple[str, str, str, str, str]] = []
    for tenant_id in TENANTS:
        for number in range(4):
            for currency in CURRENCIES:
                player = f"player-{number}"
                sessions.append(
                    (ledger.open_player(player, tenant_id=tenant_id, currency=currency), tenant_id, currency, "acme")
                )
    for number in range(commands):
        tenant_id, currency = rng.choice(TENANTS), rng.choice(list(CURRENCIES))
        player, integration = f"player-{rng.randrange(4)}", rng.choice(("acme", "zeta"))
        kinds = "money", "session", "end", "bet", "settle", "rollback", "unknown", "dialect"
        match rng.choices(kinds, (1, 2, 1, 8, 5, 2, 1, 20))[0]:
            case "dialect":
                _ask_as_dialects_do(ledger, rng, tenant_id, player, integration)
            case "money":
                kind = rng.choice((Deposit, Withdraw))
                ledger.ask(
                    kind,
                    tenant_id,
                    player=player,
                    currency=currency,
                    amount=Amount(rng.randrange(1, 500), 0),
                    reference="r",
                    actor="test",
                )
            case "session":
                mode = rng.choice(("real", "real", "demo"))
                session_id = ledger.start_session(
                    player, tenant_id=tenant_id, currency=currency, mode=mode, integration=integration
                )
                sessions.append((session_id, tenant_id, currency, integration))
            case "end":
                session_id, tenant_id, _, integration = rng.choice(sessions)
                ledger.ask(EndSession, tenant_id, integration=integration, session_id=session_id, reason="closed")
            case "bet":
                session_id, tenant_id, currency, integration = rng.choice(sessions)
                # Few rounds for all players of an integration: table games.
                bet = (tenant_id, currency, integration, f"bet-{number}", f"round-{number // 40}")
                policy = Policy(capture=AT_AUTHORIZATION) if integration == "zeta" else Policy()
                amount = rng.randrange(1, 400)
                if ledger.bet(
                    session_id,
                    bet[3],
                    tenant_id=tenant_id,
                    currency=currency,
                    amount=amount,
                    policy=policy,
                    integration=integration,
                    round_id=bet[4],
                ):
                    bets.append(bet)
            case "settle" if bets:
                tenant_id, currency, integration, bet_id, round_id = rng.choice(bets[-20:])
                ledger.settle(
                    bet_id,
                    rng.choice((0, rng.randrange(1, 900))),
                    tenant_id=tenant_id,
                    currency=currency,
                    integration=integration,
                    round_id=round_id,
                )
            case "rollback" if bets:
                tenant_id, _, integration, bet_id, round_id = rng.choice(bets)
                policy = Policy(rollback_of_settled=REVERSE)
                ledger.ask(
                    Rollback,
                    tenant_id,
                    policy=policy,
                    integration=integration,
                    target_id=bet_id,
                    round_id=round_id,
                    reason="cancelled",
                )
            case "unknown":
                session_id, tenant_id, _, integration = rng.choice(sessions)
                known_session = rng.choice((session_id, None))
                ledger.ask(
                    Rollback,
                    tenant_id,
                    integration=integration,
                    target_id=f"lost-{number}",
                    round_id=None,
                    reason="late",
                    session_id=known_session,
                )
    return ledger


def _ask_as_dialects_do(ledger: Ledger, rng: random.Random, tenant_id: str, player: str, integration: str) -> None:
    """Players named, few ids and rounds, foreign money: most of it meets something."""
    ledger.state.put(Rate(tenant_id, "USD", "EUR", 2, 3, 3, "bank", ledger.now + ledger.pace_us))
    policy = Policy(
        capture=rng.choice((AT_SETTLEMENT, AT_AUTHORIZATION)),
        rollback_of_settled=rng.choice((REFUSE, REFUND, REVERSE, ACKNOWLEDGE)),
        rollback_of_win=REVERSE, session=IGNORED, win_needs_bet=rng.random() < 0.5, zero_stake=ACCEPT,
        win_after_rollback=rng.choice((REFUSE, ACCEPT)), bet_after_round_end=ACCEPT, rate_max_age_s=1,
    )  # fmt: skip
    bet_id, win_id = (f"{tenant_id}-{kind}-{rng.randrange(40)}" for kind in "bw")
    round_id, amount = rng.choice(("r1", "r2", "r3", None)), Amount(rng.randrange(200), rng.choice((0, 0, 2)))
    foreign = rng.random() < 0.4
    own = {"player": player, "currency": "USD" if foreign else "EUR"}
    if rng.random() < 0.05:
        restriction = rng.choice((None, LOCKED))
        ledger.ask(RestrictPlayer, tenant_id, player=player, restriction=restriction, reason="limit", actor="test")

    def ask(kind: Callable[..., Command], **asked: Any) -> None:
        ledger.ask(kind, tenant_id, policy=policy, integration=integration, **asked)

    def bet() -> None:
        more = {"wallet_currency": "EUR"} if foreign else {}
        kind, game_id = rng.choice(("bet", "bet", "free")), rng.choice(("dice", "wheel", None))
        ask(
            AuthorizeBet, session_id=None, bet_id=bet_id, round_id=round_id, amount=amount, stake_kind=kind,
            game_id=game_id, **own, **more,
        )  # fmt: skip

    def settle() -> None:
        named = {"bet_id": None, "round_id": round_id} | own
        known = ledger.state.bet(f"{tenant_id}/eu/{integration}", bet_id)
        if known and known.stake_currency and rng.random() < 0.7:
            named = {"bet_id": bet_id, "round_id": None, "currency": known.stake_currency}
        ask(SettleBet, win=amount, win_id=rng.choice((win_id, None)), ends_bet=rng.random() < 0.7, **named)

    def award() -> None:
        kind = rng.choice(("promo", "jackpot", "payout"))
        ask(Award, amount=amount, award_id=win_id, award_kind=kind, round_id=round_id, player=player, currency="EUR")

    def adjust() -> None:
        ask(
            Adjust, amount=amount, negative=rng.random() < 0.5, reason="r", reference="r", actor="test", player=player,
            currency="EUR",
        )  # fmt: skip

    rng.choice(
        (
            bet, bet, bet, settle, settle, settle, award, adjust,
            lambda: ask(Rollback, target_id=bet_id, round_id=None, reason="void"),
            lambda: ask(Rollback, target_id=win_id, round_id=None, reason="void", target=rng.choice(("win", "any"))),
            lambda: ask(ReinstateBet, bet_id=bet_id, reason="not void"),
            lambda: ask(FinalizeBet, bet_id=bet_id) if rng.random() < 0.2 else None,
            lambda: ask(FinishRound, round_id=str(round_id), player=player, currency="EUR"),
        )
    )()  # fmt: skip


def decoded(recorded: Iterable[Recorded]) -> list[dict[str, Any]]:
    return [BY_FINGERPRINT[one.schema_fingerprint].decode(one.body) for one in recorded]


@dataclass
class Publisher:
    """Publishes to `ledger.events` in Kafka transactions, so that the topic has markers between its records."""

    bootstrap_servers: str
    topic: str
    prefix_of: Callable[[bytes], bytes]
    """The wire format's five bytes, by schema fingerprint."""
    per_transaction: int = 50

    def publish(self, recorded: Iterable[Recorded]) -> None:
        self.publish_raw((key_of(one), self.wire(one)) for one in recorded)

    def wire(self, one: Recorded) -> bytes:
        return self.prefix_of(one.schema_fingerprint) + one.body

    def publish_raw(self, records: Iterable[tuple[str, bytes]]) -> None:
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "transactional.id": f"test-{self.topic}",
                "partitioner": "murmur2_random",
                "log_level": 0,
                "linger.ms": 5,
            }
        )
        producer.init_transactions(30)
        for chunk in chunks(records, self.per_transaction):
            producer.begin_transaction()
            for key, value in chunk:
                producer.produce(self.topic, key=key, value=value)
            producer.commit_transaction(30)


def key_of(one: Recorded) -> str:
    stream = one.stream
    return f"{stream.tenant_id}/{stream.stream_id}" if stream.stream_type == "player" else stream.stream_id


def chunks(records: Iterable[tuple[str, bytes]], size: int) -> Iterator[Sequence[tuple[str, bytes]]]:
    source = iter(records)
    while chunk := list(islice(source, size)):
        yield chunk


def disordered(rng: random.Random, recorded: Sequence[Recorded]) -> list[Recorded]:
    """The same records with duplicates, and with some that come late: what the relay never does and the gate must stand."""
    places = [
        (number + rng.choice((0, 0, 0, 0, 0, 0, 0, 25)) * rng.random(), one) for number, one in enumerate(recorded)
    ]
    places += [(number + rng.randrange(40), one) for number, one in enumerate(recorded) if rng.random() < 0.05]
    return [one for _, one in sorted(places, key=lambda place: place[0])]
