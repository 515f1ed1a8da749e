"""The gateway with every dialect mounted, and players at its tables: what the conformance suite plays with."""

import asyncio
import io
import itertools
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Self
from unittest import mock

import structlog

from gateway.dialect.dialect import Dialect
from gateway.dialect.integration import Integration
from ledger.core.commands import Command, Origin
from ledger.core.money import parse_amount
from ledger.core.players import RestrictPlayer, StartSession
from ledger.core.wallets import Deposit, OpenWallet
from ledger.journal.writer import Journal
from ledger.outcome import Callback, Outcome
from runtime.settings import Settings
from runtime.telemetry import _to_json_line, _tracebacks
from sandbox.drivers.driver import Answer, Driver, Reading, Request, Says, Seat
from tests.support.caller import RunningGateway
from tests.support.lasting_connection import LastingConnection
from tests.support.process_state import logging_put_back

NEVER_US = 9 * 10**15
LONG_AGO_US = 1

_numbers = itertools.count(1)
_WALLET = """
select cash_minor, bonus_minor, held_minor, receivable_minor, exponent from wagerledger.wallets
where tenant_id = %s and player_id = %s and currency = %s
"""
_MARKS = "select (select count(*) from wagerledger.event_log), (select count(*) from wagerledger.commands)"


@dataclass(frozen=True)
class Wallet:
    cash: Decimal
    bonus: Decimal
    held: Decimal
    receivable: Decimal

    @property
    def available(self) -> Decimal:
        return self.cash + self.bonus


@dataclass(frozen=True)
class Heard:
    """An answer, and what the driver makes of it."""

    request: Request
    answer: Answer
    reading: Reading

    @property
    def says(self) -> Says:
        return self.reading.says

    def __str__(self) -> str:
        return f"{self.request.method} {self.request.path} {self.request.body!r} heard {self.answer.status} {self.answer.body!r}"


class House(RunningGateway):
    """The gateway on its own database, with one journal for the operator's side. Its log is in `log` while it starts, and
    while it is `recorded`.
    """

    def __init__(self, settings: Settings, hosted: Mapping[str, Dialect] | None = None) -> None:
        super().__init__(settings, hosted)
        self.log = io.StringIO()
        self.clock_s: float | None = None
        """Where the clock of callbacks stands, seconds since the epoch; None: it goes."""

    def __enter__(self) -> Self:
        with self.recorded():
            super().__enter__()
        self._journal = Journal(self.settings)
        self.run(self._journal.__aenter__())
        self._reader = LastingConnection(self.connect)
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.close()
        self.run(self._journal.__aexit__(None, None, None))
        super().__exit__(*error)

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """What is logged meanwhile goes to `log`. The house may outlive a test; that its lines go there may not."""
        with logging_put_back():
            structlog.configure(
                processors=[_tracebacks, _to_json_line],
                wrapper_class=structlog.make_filtering_bound_logger(0),
                logger_factory=structlog.WriteLoggerFactory(file=self.log),
                cache_logger_on_first_use=False,
            )
            yield

    def mount(
        self,
        driver: Driver,
        tenant_id: str,
        *,
        name: str | None = None,
        dialect: str | None = None,
        region: str = "EU",
        **options: str,
    ) -> "Table":
        """An integration for `driver`, whose key another one may have too. Mount before the gateway runs, or give it
        some seconds to see it.
        """
        name = name or driver.name
        setup = driver.setup()
        issued = self.add_integration(
            tenant_id, region, name, dialect=dialect or driver.name, secret=setup.secret, public_keys=setup.public_keys,
            options=dict(setup.options) | options, shared_key="a test",
        )  # fmt: skip
        driver.mounted(f"/integrations/{issued.integration_id}", issued.kid)
        return Table(self, driver, tenant_id, issued.integration_id)

    # The operator's side.

    def submit(self, *commands: Command) -> list[Outcome]:
        outcomes = self.run(self._journal.submit(Callback(commands)))
        assert all(outcome.refusal_code is None for outcome in outcomes), outcomes
        return list(outcomes)

    def integration(self, table: "Table") -> Integration:
        """As the gateway has it."""
        found = self.app.provider_calls.services.keys.find_by_id(table.integration_id)
        assert found is not None, f"{table} is not usable: see the log\n{self.log.getvalue()[-2000:]}"
        return found

    def row(self, sql: str, params: Iterable[object] = ()) -> tuple[Any, ...] | None:
        return self._reader().execute(sql, tuple(params)).fetchone()

    def rows(self, sql: str, params: Iterable[object] = ()) -> list[tuple[Any, ...]]:
        return self._reader().execute(sql, tuple(params)).fetchall()

    @contextmanager
    def at(self, time_us: int) -> Iterator[None]:
        """Callbacks are signed and received at this time meanwhile, microseconds since the epoch."""
        self.clock_s = time_us / 1_000_000
        with mock.patch("gateway.dialect.call.time", SimpleNamespace(time_ns=lambda: time_us * 1000)):
            try:
                yield
            finally:
                self.clock_s = None

    @contextmanager
    def nothing_changes(self, why: object = "") -> Iterator[None]:
        """No event, and no command that was accepted."""
        before = self.row(_MARKS)
        yield
        assert self.row(_MARKS) == before, why

    @contextmanager
    def no_event(self, why: object = "") -> Iterator[None]:
        """A refusal may be remembered; money and state stand still."""
        before = self.row(_MARKS)
        yield
        after = self.row(_MARKS)
        assert before is not None
        assert after is not None
        assert after[0] == before[0], why


@dataclass(frozen=True)
class Table:
    """One integration: its driver, and where it is mounted."""

    house: House
    driver: Driver
    tenant_id: str
    integration_id: str

    def __str__(self) -> str:
        return self.integration_id

    def sit(
        self,
        cash: str = "100",
        currency: str = "EUR",
        exponent: int | None = None,
        *,
        player_id: str = "",
        game_id: str = "game_1",
    ) -> "Play":
        """A new player with that much money and a session."""
        number = next(_numbers)
        exponents = {"EUR": 4 if self.tenant_id == FINE else 2, "JPY": 0, "KWD": 3, "BTC": 8}
        decimals = exponents[currency] if exponent is None else exponent
        seat = Seat(player_id or self.driver.player_id(number), "", currency, decimals, game_id)
        amount = parse_amount(cash)
        assert amount is not None
        commands: list[Command] = [
            OpenWallet(self._operator(), _uuid(), 0, seat.player_id, currency, seat.exponent),
        ]
        if amount.unscaled:
            commands.append(Deposit(self._operator(), _uuid(), 0, seat.player_id, currency, amount, "test", "test"))
        self.house.submit(*commands)
        return Play(self, replace(seat, session_id=self.session(seat)), f"n{number}")

    def session(self, seat: Seat, *, expires_at: int = NEVER_US) -> str:
        """A session of this integration, as a launch opens one."""
        start = StartSession(
            self._operator(), _uuid(), 0, seat.player_id, seat.currency, seat.game_id, None, "real", expires_at,
            self.integration_id,
        )  # fmt: skip
        return self.house.submit(start)[-1].result["session_id"]

    def deposit(self, seat: Seat, amount: str) -> None:
        money = parse_amount(amount)
        assert money is not None
        self.house.submit(Deposit(self._operator(), _uuid(), 0, seat.player_id, seat.currency, money, "test", "test"))

    def restrict(self, seat: Seat, restriction: str | None) -> None:
        self.house.submit(RestrictPlayer(self._operator(), _uuid(), 0, seat.player_id, restriction, "test", "test"))

    def _operator(self) -> Origin:
        return Origin(self.tenant_id, "EU", None, None, "test", _uuid(), "test")

    # Callbacks.

    def send(self, request: Request, seat: Seat, *, at: float | None = None) -> Heard:
        """Signed by the driver, and answered in the form of the contract."""
        return self.send_as_is(self.driver.signed(request, self.house.clock_s if at is None else at), seat)

    def send_as_is(self, request: Request, seat: Seat) -> Heard:
        return self.house.run(self._sending(request, seat))

    def send_at_once(self, request: Request, seat: Seat, times: int) -> list[Heard]:
        """The same request several times at the same moment, each signed for itself."""
        requests = [self.driver.signed(request) for _ in range(times)]

        async def all_of_them() -> list[Heard]:
            return list(await asyncio.gather(*(self._sending(one, seat) for one in requests)))

        return self.house.run(all_of_them())

    async def _sending(self, request: Request, seat: Seat) -> Heard:
        answer = await self.sending_raw(request)
        try:
            return Heard(request, answer, self.driver.read(answer, seat))
        except ValueError as error:
            raise AssertionError(f"{request} was answered {answer}: not of the contract's form") from error

    def sending_all(self, requests: Iterable[Request]) -> list[Answer]:
        """As they are, all at the same moment."""

        async def all_of_them() -> list[Answer]:
            return list(await asyncio.gather(*map(self.sending_raw, requests)))

        answers: list[Answer] = self.house.run(all_of_them())
        return answers

    def ask(self, method: str, path: str, body: bytes) -> Answer:
        """Without any credentials, at an absolute path."""
        return self.house.run(self._asking(method, path, {"Content-Type": "application/json"}, body))

    async def sending_raw(self, request: Request) -> Answer:
        target = request.target(self.driver.base_path)
        return await self._asking(request.method, target, request.headers, request.body)

    async def _asking(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        sent = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        sent |= {"Content-Length": str(len(body))} if body else {}
        reply = await self.house.call(method, target, sent.items(), [body])
        return Answer(reply.status, reply.headers, reply.body)


FINE = "fine"
"""The tenant whose EUR has four decimals."""


def _uuid() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Play:
    """One player and names of their own: `bet("b")` of two plays are two bets."""

    table: Table
    seat: Seat
    prefix: str

    @cached_property
    def driver(self) -> Driver:
        return self.table.driver

    def id(self, name: str) -> str:
        return self.driver.id(f"{self.prefix}-{name}")

    # Requests, not sent.

    def a_bet(self, name: str = "bet", amount: str = "2", round_name: str = "round") -> Request:
        return self.driver.bet(self.seat, self.id(name), amount, self.id(round_name))

    def a_win(self, name: str = "win", bet: str = "bet", amount: str = "5", round_name: str = "round") -> Request:
        return self.driver.win(self.seat, self.id(name), self.id(bet), amount, self.id(round_name))

    def a_cancel(self, name: str = "cancel", bet: str = "bet", amount: str = "2", round_name: str = "round") -> Request:
        return self.driver.cancel(self.seat, self.id(name), self.id(bet), amount, self.id(round_name))

    def a_cancel_of_win(
        self, name: str = "cancel-win", win: str = "win", bet: str = "bet", amount: str = "5", round_name: str = "round"
    ) -> Request | None:
        return self.driver.cancel_win(self.seat, self.id(name), self.id(win), self.id(bet), amount, self.id(round_name))

    # And sent.

    def send(self, request: Request) -> Heard:
        return self.table.send(request, self.seat)

    def balance(self) -> Heard:
        return self.send(self.driver.balance(self.seat))

    def bet(self, name: str = "bet", amount: str = "2", round_name: str = "round") -> Heard:
        return self.send(self.a_bet(name, amount, round_name))

    def win(self, name: str = "win", bet: str = "bet", amount: str = "5", round_name: str = "round") -> Heard:
        return self.send(self.a_win(name, bet, amount, round_name))

    def cancel(self, name: str = "cancel", bet: str = "bet", amount: str = "2", round_name: str = "round") -> Heard:
        return self.send(self.a_cancel(name, bet, amount, round_name))

    # What the ledger says.

    @property
    def wallet(self) -> Wallet:
        row = self.table.house.row(_WALLET, (self.table.tenant_id, self.seat.player_id, self.seat.currency))
        assert row is not None
        *minor, exponent = row
        return Wallet(*(Decimal(amount).scaleb(-exponent) for amount in minor))

    @property
    def available(self) -> Decimal:
        return self.wallet.available

    def in_session(self, session_id: str) -> "Play":
        return replace(self, seat=replace(self.seat, session_id=session_id))
