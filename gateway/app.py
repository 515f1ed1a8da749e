"""The gateway as an ASGI application, and as a process."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import cast

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from gateway.api import openapi, reference_page
from gateway.api.endpoints import ReadWallet, Write
from gateway.api.operations import OPERATIONS
from gateway.auth.authentication import Authenticator
from gateway.auth.callers import Callers
from gateway.auth.keys import KeyRing
from gateway.auth.rate_limit import RateLimit
from gateway.callback_protocol import CallbackProtocol
from gateway.dialect.dialect import Dialect
from gateway.dialect.incoming import Receive, RequestHead, Scope, Send, head_of
from gateway.host import dialects
from gateway.host.provider_calls import ProviderCalls
from gateway.listener import connections_within, listen
from gateway.read_connection import ReadConnection, Unmigrated
from gateway.services import Services
from gateway.serving import Exchange, error_reply
from ledger import __version__
from ledger.admin.secrets import Vault
from ledger.journal import writing_session
from ledger.journal.writer import Journal, Retryable
from ledger.store import migrate
from patience.session import READ_ONLY
from runtime.service import collect_garbage_seldom
from runtime.settings import Settings
from runtime.telemetry import announce, configure_logging, serve_metrics

log = structlog.get_logger("gateway")

DRAIN_S = 25
GARBAGE_OBJECTS = 20_000
"""A bet leaves hardly a cycle behind: looking for them every 700 objects costs a tenth of its time for nothing."""

READINESS_S = 1.0
READINESS = f"select (select version_num from public.alembic_version), {READ_ONLY}"  # noqa: S608, made of constants

_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Gateway(Starlette):
    """Starlette, but the calls of the dialects go straight to them. How the callbacks that come as plain POST requests
    are answered, `exchange` says: those do not come by here at all (see `gateway.callback_protocol`).
    """

    provider_calls: ProviderCalls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.provider_calls.takes(scope["path"]):
            await self.provider_calls(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def exchange(self, head: RequestHead) -> Exchange | None:
        """How a POST request is answered; None for one that is no callback, or of an integration not known yet."""
        path = head.path
        if write := self._writes.get(path):
            return write.exchange(head, {})
        if self.provider_calls.takes(path):
            return self.provider_calls.exchange(head)
        for route in self._writes_with_parts:
            if match := route.path_regex.match(path):
                return cast(Write, route.app).exchange(head, match.groupdict())
        return None

    @cached_property
    def _writes(self) -> dict[str, Write]:
        """By path, where that has no parameter."""
        routes = (route for route in self.routes if isinstance(route, Route))
        return {
            route.path: route.app for route in routes if isinstance(route.app, Write) and not route.param_convertors
        }

    @cached_property
    def _writes_with_parts(self) -> list[Route]:
        routes = (route for route in self.routes if isinstance(route, Route))
        return [route for route in routes if isinstance(route.app, Write) and route.param_convertors]


def build_app(settings: Settings, hosted: Mapping[str, Dialect] | None = None) -> Gateway:
    """The application with the `hosted` dialects (None: all). Its lifespan opens the journal, the reads and the keys,
    and closes them in order; an unreachable database only keeps it unready.
    """
    hosted = dialects.load() if hosted is None else hosted
    read_connection = ReadConnection(settings)
    keys = KeyRing(read_connection, Vault(settings), hosted, dialects.default_options(), settings.residency)
    journal = Journal(settings)
    writing = ReadConnection(settings, writing_session.connect)
    authenticator = Authenticator(keys, RateLimit(settings.rate_limit_per_s), settings.signature_window_s)
    callers = Callers(settings.trusted_proxies)
    services = Services(settings, keys, authenticator, callers, journal, read_connection)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(read_connection)
            await stack.enter_async_context(keys)
            await stack.enter_async_context(journal)
            await stack.enter_async_context(writing)
            yield

    app = Gateway(
        routes=[
            *(Route(operation.path, Write(services, operation), methods=["POST"]) for operation in OPERATIONS),
            Route("/v1/players/{player_id}/wallets/{currency}", ReadWallet(services), methods=["GET"]),
            Route("/health", _health, methods=["GET"]),
            Route("/livez", _livez, methods=["GET"]),
            Route("/readyz", _Readiness(keys, writing, journal), methods=["GET"]),
            *_documentation(hosted),
        ],
        exception_handlers={HTTPException: _http_error, Exception: _crash},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.provider_calls = ProviderCalls(services, hosted)
    return app


async def _health(request: Request) -> Response:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _traced(request, JSONResponse({"status": "ok", "version": __version__, "time": now}))


async def _livez(request: Request) -> Response:
    return _traced(request, JSONResponse({"status": "ok"}))


class _Readiness:
    """Whether callbacks can be answered now: the keys loaded, and a session as the journal's own able to write, at the
    schema that this code expects, on a disk with room.
    """

    def __init__(self, keys: KeyRing, writing: ReadConnection, journal: Journal) -> None:
        self._keys = keys
        self._writing = writing
        self._journal = journal
        self._logged: list[str] = []
        self._expected = migrate.head()
        self._asked_at = 0.0
        self._answer: asyncio.Future[list[str]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        missing = await self._missing()
        content = {"status": "unready" if missing else "ok", "missing": missing}
        await _traced(Request(scope), JSONResponse(content, 503 if missing else 200))(scope, receive, send)

    async def _missing(self) -> list[str]:
        """Asked anew at most once in `READINESS_S`: anybody may call this, and the database is not theirs to query."""
        now = time.monotonic()
        if self._answer is None or now - self._asked_at >= READINESS_S:
            self._asked_at, self._answer = now, asyncio.ensure_future(self._look())
        return await asyncio.shield(self._answer)

    async def _look(self) -> list[str]:
        missing, reason = await self._look_at_database()
        if not self._keys.loaded:
            missing = ["keys", *missing]
        if missing != self._logged:
            log.warning("readiness changed", missing=missing, reason=reason)
            self._logged = missing
        return missing

    async def _look_at_database(self) -> tuple[list[str], str]:
        """What is missing there, and why, in the server's own words."""
        try:
            ((version, read_only),) = await self._writing.fetch(READINESS)
        except Unmigrated as error:
            return ["migrations"], str(error)
        except Retryable as error:
            return ["database"], str(error) or error.code
        if read_only:
            await self._writing.forget()  # the next session may be another server's, or have other rights
            return ["database"], "the session is read only"
        if version != self._expected:
            return ["migrations"], f"at {version}, wanted {self._expected}"
        if lacking := self._journal.lacks_room:
            return ["disk"], lacking
        return [], ""


def _documentation(hosted: Mapping[str, Dialect]) -> list[Route]:
    document = openapi.document(hosted)
    html = reference_page.page(document)

    async def as_json(_: Request) -> Response:
        return JSONResponse(document)

    async def as_html(_: Request) -> Response:
        return HTMLResponse(html, headers=_PAGE_HEADERS)

    async def style(_: Request) -> Response:
        return Response(reference_page.STYLE, media_type="text/css", headers=_PAGE_HEADERS)

    return [
        Route("/openapi.json", as_json, methods=["GET"], include_in_schema=False),
        Route("/docs", as_html, methods=["GET"], include_in_schema=False),
        Route("/docs.css", style, methods=["GET"], include_in_schema=False),
    ]


async def _http_error(request: Request, error: Exception) -> Response:
    """What the router refuses, in our shape."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allow = ", ".join(sorted((error.headers or {})["Allow"].split(", ")))  # the router's is in the order of a set
        return _error(request, "METHOD_NOT_ALLOWED", method=request.method, allow=allow)
    return _error(request, "NOT_FOUND")


async def _crash(request: Request, error: Exception) -> Response:
    log.error("request crashed", path=request.url.path, exc_info=error)
    return _error(request, "INTERNAL")


def _error(request: Request, code: str, **details: object) -> Response:
    head = head_of(request.scope)
    reply = error_reply(head, code, **details)
    response = Response(reply.body, reply.status, media_type="application/json")
    response.headers.update({name.decode(): value.decode() for name, value in reply.headers})
    response.headers["X-Trace-Id"] = head.trace.trace_id
    return response


def _traced(request: Request, response: Response) -> Response:
    response.headers["X-Trace-Id"] = head_of(request.scope).trace.trace_id
    return response


class _Server(uvicorn.Server):
    """Says where it listens, once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            announce("gateway ready", url=f"http://{f'[{host}]' if ':' in host else host}:{port}")


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, then answer what was accepted and stop. Gives the exit code."""
    configure_logging(settings, "gateway")
    listener = listen(settings)
    if metrics_url := serve_metrics(settings):
        log.info("metrics served", url=metrics_url)
    app = build_app(settings)
    protocol = partial(
        CallbackProtocol, exchange=app.exchange, max_connections=connections_within(settings.gateway_connections)
    )
    config = uvicorn.Config(
        app,
        http=protocol,  # type: ignore[arg-type]  # called like the class
        loop="uvloop",
        ws="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=settings.gateway_keep_alive_s,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = _Server(config)
    collect_garbage_seldom(GARBAGE_OBJECTS)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(
            number, lambda *_: None
        )  # uvicorn drains, then raises the signal again: by then it means nothing more
    server.run(sockets=[listener])
    return 0 if server.started else 1
