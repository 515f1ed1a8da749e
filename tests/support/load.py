"""A bounded load of signed callbacks, as providers send them, and the history of everything that was asked and heard.

Every request is recorded before it is sent. A provider that hears nothing, or a retryable error, asks again under the same key until it
hears an answer. What is random comes from one seeded generator; what the network and the faults add to it does not.
"""

import asyncio
import itertools
import json
import random
import struct
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, Self

import uvloop

from gateway.dialect import signing
from schemas.errors import ERRORS
from tests.support.waiting import until

AUTHORIZE, SETTLE, ROLLBACK, START_SESSION, END_SESSION = (
    "authorize",
    "settle",
    "rollback",
    "start_session",
    "end_session",
)

_TARGETS = {
    AUTHORIZE: "/v1/bets/authorize",
    SETTLE: "/v1/bets/settle",
    ROLLBACK: "/v1/bets/rollback",
    START_SESSION: "/v1/sessions",
}
_CONNECT_TIMEOUT_S = 60.0
_BACK_OFF_S = (0.05, 0.5)
_STALE = struct.pack("ii", 1, 0)  # linger for no time: closing sends RST, as a crashed client's kernel does


class UnreachableError(Exception):
    """Nothing was sent."""


class UnheardError(Exception):
    """The request was sent, at least in part, and no whole answer came: it did nothing or everything."""


@dataclass(frozen=True)
class Wallet:
    player_id: str
    currency: str
    deposit_minor: int


@dataclass
class Attempt:
    """One sending of a call. `status` is None where nothing was heard."""

    trace_id: str
    gateway: str
    sent_at: float
    ended_at: float = 0.0
    status: int | None = None
    raw: bytes = b""
    reached: bool = True

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.raw)

    @property
    def accepted(self) -> bool:
        return self.status is not None and self.status < 300

    @property
    def code(self) -> str | None:
        """The error code of a refusal or failure."""
        return None if self.status is None or self.accepted else self.body["code"]

    @property
    def final(self) -> bool:
        """A yes, or a no that was decided by a rule: infrastructure never decides."""
        return self.accepted or (self.code is not None and self.status not in (408, 429) and (self.status or 0) < 500)

    @property
    def remembered(self) -> bool:
        """Every later answer under the key must be this one, byte for byte."""
        return self.accepted or (self.code is not None and ERRORS[self.code].remembered)


@dataclass
class Call:
    """One intent under one key: what is asked stays the same however often it is sent."""

    operation: str
    target: str
    key: str
    content: Mapping[str, Any]
    wallet: Wallet
    bet_id: str | None = None
    amount_minor: int = 0
    intruder: bool = False
    """Uses the key of another call for something else, on purpose."""
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def answer(self) -> Attempt | None:
        """The word that stands: what was remembered, else the last no."""
        final = [attempt for attempt in self.attempts if attempt.final]
        return next((attempt for attempt in final if attempt.remembered), final[-1] if final else None)

    @property
    def accepted(self) -> bool:
        return self.answer is not None and self.answer.accepted

    @property
    def unknown(self) -> list[Attempt]:
        """Attempts of which the provider could not know whether they had acted."""
        return [attempt for attempt in self.attempts if attempt.reached and attempt.ended_at and not attempt.final]


def money(amount_minor: int, currency: str) -> dict[str, str]:
    return {"amount": f"{amount_minor // 100}.{amount_minor % 100:02}", "currency": currency}


class Line:
    """One kept-alive connection to a gateway, for one request at a time."""

    def __init__(self, gateway: str) -> None:
        self.gateway = gateway
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes, timeout_s: float) -> tuple[int, bytes]:
        """Send and wait for the answer. Raises UnreachableError or UnheardError; then the connection is gone."""
        await self.connect()
        assert self._reader
        assert self._writer
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write(request)
                head = await self._reader.readuntil(b"\r\n\r\n")
                status = int(head[9:12])
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
                return status, await self._reader.readexactly(int(fields[b"content-length"]))
        except (OSError, EOFError, TimeoutError) as error:
            await self.close()
            raise UnheardError(repr(error)) from error
        except asyncio.CancelledError:
            await self.close()
            raise

    async def connect(self) -> None:
        """Raises UnreachableError."""
        if self._writer is not None and not self._writer.is_closing():
            return
        host, port = self.gateway.removeprefix("http://").split(":")
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                self._reader, self._writer = await asyncio.open_connection(host, int(port))
        except (OSError, TimeoutError) as error:
            raise UnreachableError(repr(error)) from error

    async def vanish(self, part: bytes, *, rudely: bool) -> None:
        """Send only this and go, in order or as a crash would. Raises UnreachableError."""
        await self.connect()
        assert self._writer
        self._writer.write(part)
        if rudely:
            self._writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _STALE)
        await self.close()

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


@dataclass(frozen=True)
class Signer:
    """One integration's side of the wire."""

    integration: Mapping[str, str]

    @property
    def _place(self) -> signing.Place:
        return signing.Place(*(self.integration[name] for name in ("brand_id", "region", "provider_id")))

    def request(self, call: Call, trace_id: str) -> bytes:
        """The bytes of one attempt, signed now."""
        body = json.dumps(call.content).encode()
        name = self.integration
        signature = signing.sign(
            name["kid"], name["secret"], "POST", call.target, body, idempotency_key=call.key, place=self._place
        )
        head = (
            f"POST {call.target} HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"X-Brand-Id: {name['brand_id']}\r\nX-Region: {name['region']}\r\nX-Provider-Id: {name['provider_id']}\r\n"
            f"X-Idempotency-Key: {call.key}\r\nX-Trace-Id: {trace_id}\r\n{signing.HEADER}: {signature}\r\n\r\n"
        )
        return head.encode() + body


class Load:
    """Clients that play stories over a few wallets until told to stop. `history` is everything that they asked.

    Use it in a `with` block; leaving it stops new stories and waits until every call has its answer, or `patience_s` is over.
    """

    def __init__(
        self,
        gateways: Sequence[str],
        integration: Mapping[str, str],
        wallets: Sequence[Wallet],
        rng: random.Random,
        *,
        clients: int = 16,
        pause_s: float = 0.1,
        timeouts_s: tuple[float, float] = (2.0, 8.0),
        patience_s: float = 90.0,
    ) -> None:
        self.gateways = list(gateways)
        self.wallets = list(wallets)
        self.signer = Signer(integration)
        self.rng = rng
        self.clients = clients
        self.pause_s = pause_s
        self.timeouts_s = timeouts_s
        self.patience_s = patience_s
        self.history: list[Call] = []
        self.told: Counter[str] = Counter()
        """Errors that were heard, by code, and silences."""
        self.answered = 0
        """Calls that were decided; a repeat counts again."""
        self.run_id = f"{rng.getrandbits(32):08x}"
        self._numbers = itertools.count(1)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._failure: BaseException | None = None

    def stop(self) -> None:
        """No new stories; those that run are told to their end."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._failure:
            raise self._failure

    def until_answered(self, count: int) -> None:
        """Wait until so many more calls were decided, however long the machine takes for them."""
        goal = self.answered + count

        def enough() -> bool:
            assert self._thread.is_alive(), f"the load has ended: {self._failure!r}"
            return self.answered >= goal

        until(enough, f"{count} more answers", limit_s=180)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Calls.

    def name(self, kind: str) -> str:
        return f"{kind}-{self.run_id}-{next(self._numbers)}"

    def call(
        self,
        operation: str,
        wallet: Wallet,
        content: Mapping[str, Any],
        *,
        target: str | None = None,
        amount_minor: int = 0,
        key: str | None = None,
    ) -> Call:
        """A new intent, in the history from now on."""
        made = Call(
            operation,
            target or _TARGETS[operation],
            key or self.name("k"),
            content,
            wallet,
            content.get("bet_id"),
            amount_minor,
        )
        self.history.append(made)
        return made

    def start_session(self, wallet: Wallet) -> Call:
        return self.call(
            START_SESSION,
            wallet,
            {"player_id": wallet.player_id, "game_id": "studio:dice", "currency": wallet.currency},
        )

    def end_session(self, wallet: Wallet, session_id: str) -> Call:
        return self.call(END_SESSION, wallet, {"reason": "logout"}, target=f"/v1/sessions/{session_id}/end")

    def bet(
        self, wallet: Wallet, session_id: str, bet_id: str, round_id: str, amount_minor: int, key: str | None = None
    ) -> Call:
        content = {
            "session_id": session_id,
            "bet_id": bet_id,
            "round_id": round_id,
            "amount": money(amount_minor, wallet.currency),
        }
        return self.call(AUTHORIZE, wallet, content, amount_minor=amount_minor, key=key)

    def settlement(self, wallet: Wallet, bet_id: str, round_id: str, win_minor: int) -> Call:
        content = {"bet_id": bet_id, "round_id": round_id, "win": money(win_minor, wallet.currency)}
        return self.call(SETTLE, wallet, content, amount_minor=win_minor)

    def rollback(self, wallet: Wallet, bet_id: str, round_id: str, session_id: str | None = None) -> Call:
        content = {"bet_id": bet_id, "round_id": round_id} | ({"session_id": session_id} if session_id else {})
        return self.call(ROLLBACK, wallet, content)

    # Running.

    def run(self, work: Callable[["Load"], Awaitable[None]]) -> None:
        """Run other work than the stories with this load's calls and history, in the calling thread."""

        async def whole() -> None:
            await work(self)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(whole())

    def repeat(self, calls: Iterable[Call], *, at_once: int = 16) -> None:
        """Send calls once more, as late repeats do; what they hear joins their history."""
        waiting = list(calls)

        async def work(_: "Load") -> None:
            async def one() -> None:
                async with Client(self) as client:
                    while waiting:
                        await client.insist(waiting.pop())

            await asyncio.gather(*(one() for _ in range(at_once)))

        self.run(work)

    def _run(self) -> None:
        async def work(_: "Load") -> None:
            await asyncio.gather(*(Client(self).play(self._stopping) for _ in range(self.clients)))

        try:
            self.run(work)
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that waits for us
            self._failure = error


class Client:
    """One of the provider's workers: it tells one story after the other, each to its end."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.rng = random.Random(load.rng.getrandbits(64))
        self._idle: dict[str, list[Line]] = {gateway: [] for gateway in load.gateways}
        self._sessions: dict[Wallet, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for lines in self._idle.values():
            while lines:
                await lines.pop().close()

    async def play(self, stopping: threading.Event) -> None:
        stories, weights = zip(*STORIES.items(), strict=True)
        async with self:
            while not stopping.is_set():
                wallet = self.rng.choice(self.load.wallets)
                (story,) = self.rng.choices(stories, weights)
                session_id = await self._session(wallet)
                if session_id:
                    await story(self, wallet, session_id)
                await asyncio.sleep(self.rng.uniform(0, 2 * self.load.pause_s))

    async def _session(self, wallet: Wallet) -> str | None:
        if wallet not in self._sessions:
            answer = await self.ask(self.load.start_session(wallet))
            if answer is None or not answer.accepted:
                return None
            self._sessions[wallet] = answer.body["session_id"]
        return self._sessions[wallet]

    def new_bet(self, wallet: Wallet, session_id: str, amount_minor: int | None = None) -> Call:
        amount = self.rng.randint(1, 500) if amount_minor is None else amount_minor
        return self.load.bet(wallet, session_id, self.load.name("b"), self.load.name("r"), amount)

    def settlement_of(self, bet: Call) -> Call:
        win = self.rng.choice([0, 0, self.rng.randint(1, 2 * bet.amount_minor)])
        return self.load.settlement(bet.wallet, str(bet.bet_id), bet.content["round_id"], win)

    def rollback_of(self, bet: Call, session_id: str | None = None) -> Call:
        return self.load.rollback(bet.wallet, str(bet.bet_id), bet.content["round_id"], session_id)

    async def ask(self, call: Call) -> Attempt | None:
        """Send until answered; now and then twice at the same moment, now and then once more afterwards."""
        if self.rng.random() < 0.15:
            await asyncio.gather(self.insist(call), self.insist(call))
        else:
            await self.insist(call)
        if self.rng.random() < 0.05:
            await self.insist(call)
        return call.answer

    async def insist(self, call: Call) -> Attempt | None:
        """Send under the same key until there is an answer. None when patience ends."""
        deadline = time.monotonic() + self.load.patience_s
        while time.monotonic() < deadline:
            attempt = await self.attempt(call)
            if attempt.final:
                return attempt
            await asyncio.sleep(self.rng.uniform(*_BACK_OFF_S))
        return None

    async def attempt(self, call: Call, gateway: str | None = None) -> Attempt:
        gateway = gateway or self.rng.choice(self.load.gateways)
        attempt = Attempt(self.load.name("t"), gateway, time.monotonic())
        call.attempts.append(attempt)
        lines = self._idle[gateway]
        line = lines.pop() if lines else Line(gateway)
        try:
            attempt.status, attempt.raw = await line.ask(
                self.load.signer.request(call, attempt.trace_id), self.rng.uniform(*self.load.timeouts_s)
            )
        except UnreachableError:
            attempt.reached = False
            self.load.told["UNREACHABLE"] += 1
        except UnheardError:
            self.load.told["SILENCE"] += 1
        else:
            lines.append(line)
            if attempt.code:
                self.load.told[attempt.code] += 1
        attempt.ended_at = time.monotonic()
        self.load.answered += attempt.final
        return attempt


# Stories -----------------------------------------------------------------------------------------------------------------


async def _round(client: Client, wallet: Wallet, session_id: str) -> None:
    bet = client.new_bet(wallet, session_id)
    await client.ask(bet)
    if bet.accepted:
        await client.ask(client.settlement_of(bet))


async def _left_open(client: Client, wallet: Wallet, session_id: str) -> None:
    await client.ask(client.new_bet(wallet, session_id, client.rng.randint(1, 20)))


async def _rolled_back(client: Client, wallet: Wallet, session_id: str) -> None:
    bet = client.new_bet(wallet, session_id)
    await client.ask(bet)
    await client.ask(client.rollback_of(bet, session_id))
    if client.rng.random() < 0.3:
        await client.ask(client.rollback_of(bet))  # under another key: it is true already


async def _rollback_comes_first(client: Client, wallet: Wallet, session_id: str) -> None:
    bet = client.new_bet(wallet, session_id)
    await client.ask(client.rollback_of(bet, client.rng.choice([session_id, None])))
    await client.ask(bet)


async def _bet_and_rollback_race(client: Client, wallet: Wallet, session_id: str) -> None:
    bet = client.new_bet(wallet, session_id)
    await asyncio.gather(client.ask(bet), client.ask(client.rollback_of(bet, client.rng.choice([session_id, None]))))


async def _settlement_comes_first(client: Client, wallet: Wallet, session_id: str) -> None:
    bet = client.new_bet(wallet, session_id)
    settlement = client.settlement_of(bet)
    await client.ask(settlement)
    await client.ask(bet)
    if bet.accepted:
        await client.ask(settlement)


async def _settled_and_rolled_back_race(client: Client, wallet: Wallet, session_id: str) -> None:
    bet = client.new_bet(wallet, session_id)
    await client.ask(bet)
    await asyncio.gather(client.ask(client.settlement_of(bet)), client.ask(client.rollback_of(bet)))


async def _greedy(client: Client, wallet: Wallet, session_id: str) -> None:
    await client.ask(client.new_bet(wallet, session_id, 10_000_000))


async def _careless(client: Client, wallet: Wallet, session_id: str) -> None:
    """The same bet under another key, and another bet under the same key: both are refused."""
    bet = client.new_bet(wallet, session_id)
    await client.ask(bet)
    if not bet.accepted:
        return
    await client.ask(client.load.bet(wallet, session_id, str(bet.bet_id), bet.content["round_id"], bet.amount_minor))
    other = client.load.bet(
        wallet, session_id, client.load.name("b"), bet.content["round_id"], bet.amount_minor, key=bet.key
    )
    other.intruder = True
    await client.ask(other)


async def _leaves(client: Client, wallet: Wallet, session_id: str) -> None:
    client._sessions.pop(wallet, None)
    await client.ask(client.load.end_session(wallet, session_id))
    await client.ask(client.new_bet(wallet, session_id))


STORIES: dict[Callable[[Client, Wallet, str], Awaitable[None]], int] = {
    _round: 50,
    _left_open: 3,
    _rolled_back: 12,
    _rollback_comes_first: 6,
    _bet_and_rollback_race: 8,
    _settlement_comes_first: 5,
    _settled_and_rolled_back_race: 5,
    _greedy: 4,
    _careless: 4,
    _leaves: 3,
}
"""How often each is told."""
