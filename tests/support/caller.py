"""A provider that talks to the gateway in this process: signed requests in, whole answers out."""

import asyncio
import json
import threading
import uuid
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import unquote

import psycopg

from gateway.app import build_app
from gateway.dialect import signing
from gateway.dialect.dialect import Dialect
from ledger.admin import integrations
from ledger.admin.integrations import Issued
from ledger.admin.secrets import Vault
from ledger.core.commands import Command, Origin
from ledger.core.money import parse_amount
from ledger.core.wallets import Deposit, OpenWallet
from ledger.journal.writer import Journal
from ledger.outcome import Callback, Outcome
from runtime.settings import Settings
from tests.support.commands import BY
from tests.support.wrong_hand import disarm


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of an error, whose shape is always the same."""
        content = self.json
        assert list(content) == ["code", "message", "retryable", "trace_id"], content
        return content["code"]


@dataclass
class RunningGateway:
    """The application with its lifespan, on an event loop of its own."""

    settings: Settings
    hosted: Mapping[str, Dialect] | None = None
    """Dialects; None: all."""
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.app = build_app(self.settings, self.hosted)
        self._lifespan = self.app.router.lifespan_context(self.app)
        self.run(self._lifespan.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._lifespan.__aexit__(None, None, None))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Awaitable[Any]) -> Any:
        async def whole() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(whole(), self.loop).result(60)

    async def call(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        chunks: list[bytes],
        client: str = "127.0.0.1",
    ) -> Reply:
        """One request as uvicorn would hand it over."""
        path, _, query = target.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http", "path": unquote(path),
            "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "client": (client, 1), "server": ("127.0.0.1", 80),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers], "state": {},
        }  # fmt: skip
        waiting = [
            {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
            for index, chunk in enumerate(chunks)
        ]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start, *parts = sent
        answered = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Reply(start["status"], answered, b"".join(part.get("body", b"") for part in parts))

    # The operator's side.

    def vault(self) -> Vault:
        return Vault(self.settings)

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.settings.database_url.get_secret_value(), autocommit=True)

    @contextmanager
    def wrong_hand(self) -> Iterator[psycopg.Connection]:
        """A superuser who changes settings past the commands that say who and why."""
        with self.connect() as connection:
            disarm(connection)
            yield connection

    def add_integration(self, tenant_id: str, region: str, provider_id: str, **options: Any) -> Issued:
        with self.connect() as connection:
            return integrations.add(
                connection, self.vault(), by=BY, tenant_id=tenant_id, region=region, provider_id=provider_id, **options
            )

    def open_wallet(
        self, tenant_id: str, player_id: str, currency: str = "EUR", exponent: int = 2, amount: str = "100"
    ) -> None:
        origin = Origin(tenant_id, "EU", None, None, "wallet", str(uuid.uuid4()), "test")
        value = parse_amount(amount)
        assert value is not None
        commands: list[Command] = [OpenWallet(origin, str(uuid.uuid4()), 0, player_id, currency, exponent)]
        if value.unscaled:
            funded = replace(origin, idempotency_key=str(uuid.uuid4()))
            commands.append(Deposit(funded, str(uuid.uuid4()), 0, player_id, currency, value, "test", "test"))
        outcomes = self.run(submit(self.settings, Callback(tuple(commands))))
        assert all(outcome.refusal_code is None for outcome in outcomes), outcomes


async def submit(settings: Settings, callback: Callback) -> tuple[Outcome, ...]:
    async with Journal(settings) as journal:
        return await journal.submit(callback)


@dataclass(frozen=True)
class Caller:
    """One provider with its key. Every request gets a key of its own unless one is given."""

    gateway: RunningGateway
    tenant_id: str
    region: str
    provider_id: str
    kid: str
    secret: Any
    """The shared secret, or an Ed25519 private key."""
    names_place: bool = True
    """Signs whose integration it calls; else the older, weaker signature."""

    def headers(
        self, method: str, target: str, body: bytes, key: str | None = None, **options: Any
    ) -> list[tuple[str, str]]:
        headers = [("X-Brand-Id", self.tenant_id), ("X-Region", self.region), ("X-Provider-Id", self.provider_id)]
        if method != "GET":
            key = str(uuid.uuid4()) if key is None else key
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            headers += [("X-Idempotency-Key", key)] if key else []
        place = signing.Place(self.tenant_id, self.region, self.provider_id) if self.names_place else None
        signature = signing.sign(
            self.kid, self.secret, method, target, body,
            idempotency_key=key or "" if method != "GET" else "", place=place, **options,
        )  # fmt: skip
        return [*headers, ("X-Signature", signature)]

    def send(
        self, method: str, target: str, content: object = None, key: str | None = None, **changes: str | None
    ) -> Reply:
        return self.gateway.run(self.sending(method, target, content, key, **changes))

    async def sending(
        self, method: str, target: str, content: object = None, key: str | None = None, **changes: str | None
    ) -> Reply:
        """`content` is bytes, or becomes JSON. `changes` replace headers (x_region="US"), None takes them away; both after signing."""
        body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        headers = self.headers(method, target, body, key)
        for name, value in changes.items():
            headers = [header for header in headers if header[0].lower() != name.replace("_", "-")]
            headers += [] if value is None else [(name.replace("_", "-"), value)]
        return await self.gateway.call(method, target, headers, [body])

    # The seed's flow.

    def start_session(self, player_id: str, currency: str = "EUR", **fields: object) -> str:
        reply = self.send(
            "POST",
            "/v1/sessions",
            {"player_id": player_id, "game_id": "studio:slot_forge_02", "currency": currency} | fields,
        )
        assert reply.status == 201, reply.body
        return reply.json["session_id"]

    def authorize(
        self,
        session_id: str,
        bet_id: str,
        amount: object = "2.00",
        currency: str = "EUR",
        round_id: str = "r_1",
        key: str | None = None,
    ) -> Reply:
        body = {
            "session_id": session_id,
            "bet_id": bet_id,
            "round_id": round_id,
            "amount": {"amount": amount, "currency": currency},
        }
        return self.send("POST", "/v1/bets/authorize", body, key)

    def settle(
        self, bet_id: str, win: object = "0", currency: str = "EUR", round_id: str = "r_1", key: str | None = None
    ) -> Reply:
        body = {"bet_id": bet_id, "round_id": round_id, "win": {"amount": win, "currency": currency}}
        return self.send("POST", "/v1/bets/settle", body, key)

    def roll_back(self, bet_id: str, key: str | None = None, **fields: object) -> Reply:
        return self.send("POST", "/v1/bets/rollback", {"bet_id": bet_id} | fields, key)

    def balances(self, player_id: str, currency: str = "EUR") -> dict[str, Any]:
        reply = self.send("GET", f"/v1/players/{player_id}/wallets/{currency}")
        assert reply.status == 200, reply.body
        return reply.json["balances"]


def on_board(
    gateway: RunningGateway, tenant_id: str = "brand-7", region: str = "EU", provider_id: str = "studio", **options: Any
) -> Caller:
    """A new integration and its caller."""
    issued = gateway.add_integration(tenant_id, region, provider_id, **options)
    return Caller(gateway, tenant_id, region, provider_id, issued.kid, issued.secret)
