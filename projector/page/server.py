"""Serves the page over HTTP from a thread of its own: GET only, read only, and never in the way of the projector."""

import base64
import ipaddress
import socket
import threading
import time
from datetime import date
from hashlib import sha256
from typing import Any, Self

import psycopg
import structlog
import uvicorn
from psycopg import Connection
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from projector.page import document, figures, view
from projector.page.figures import Choice, Figures, NothingProjectedError
from projector.page.http_protocol import TimedHeadProtocol
from projector.page.watch import Watch
from runtime.settings import Settings

KEPT_S = 1.0
MOST_KEPT = 64
MOST_DAYS = 366
EARLIEST = date(1970, 1, 1)
LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "::1", "[::1]"]

# The style is named by its hash: even where an escape were forgotten, nothing runs and nothing is loaded.
_STYLE_HASH = base64.b64encode(sha256(document.STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

log = structlog.get_logger()


class Page:
    """One connection, one look at a time; a look is good for a second."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.projector_page_database_url or settings.bi_database_url
        self._lock = threading.Lock()
        self._connection: Connection[Any] | None = None
        self._kept: dict[Choice, tuple[float, Figures]] = {}
        self.watch = Watch(settings, self._url)

    def show(self, request: Request) -> Response:
        try:
            choice = choice_of(request)
        except ValueError as error:
            return _trouble(400, "This page cannot be shown.", str(error))
        try:
            return HTMLResponse(view.page(self._figures(choice), self.watch.seen, choice), headers=HEADERS)
        except NothingProjectedError:
            return _trouble(503, "There are no read models yet.", "`wagerledger project` makes and fills them.")
        except psycopg.Error as error:
            log.warning("page_without_database", error=str(error).strip())
            return _trouble(
                503, "The database of the read models does not answer.",
                f"{type(error).__name__}: the log of the database, or of this process, says more. The ledger itself "
                "does not need it: bets go on, and the projector catches up when it is back.",
            )  # fmt: skip

    def _figures(self, choice: Choice) -> Figures:
        """The page's figures for a choice. Raises NothingProjectedError; psycopg.Error."""
        with self._lock:
            kept = self._kept.get(choice)
            if kept and time.monotonic() - kept[0] < KEPT_S:
                return kept[1]
            try:
                self._connection = self._connection or figures.connect(self._url)
                found = figures.look(self._connection, choice)
            except psycopg.Error:
                self.close()
                raise
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[choice] = time.monotonic(), found
            return found

    def close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


def choice_of(request: Request) -> Choice:
    """The choice that a request's address makes. Raises ValueError, whose text names what is wrong with the address."""
    query = request.query_params
    days, last = query.get("days") or "14", query.get("last")
    if not (days.isascii() and days.isdigit() and 1 <= len(days) <= 3 and 1 <= int(days) <= MOST_DAYS):
        raise ValueError(f"days must be a whole number from 1 to {MOST_DAYS}")
    for name in ("tenant", "currency"):
        if len(query.get(name, "")) > 200 or "\0" in query.get(name, ""):
            raise ValueError(f"{name} is no name of one")
    try:
        day = max(date.fromisoformat(last), EARLIEST) if last else None
    except ValueError:
        raise ValueError("last must be a day, such as 2026-01-31") from None
    return Choice(query.get("tenant") or None, query.get("currency") or None, int(days), day)


def _trouble(status: int, title: str, *texts: str) -> Response:
    return HTMLResponse(document.trouble(title, *texts), status, HEADERS)


class PageServer:
    """The page on a port of its own. In a `with` block, or until the process ends."""

    def __init__(self, settings: Settings, port: int) -> None:
        """Takes the port; 0 takes a free one. Raises OSError."""
        host = settings.projector_page_host
        self._page = Page(settings)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._socket.getsockname()[1]}/"
        app = Starlette(routes=[Route("/", self._page.show), Route("/healthz", _healthy)], middleware=_middleware(host))
        config = uvicorn.Config(
            app, http=TimedHeadProtocol, log_config=None, access_log=False, lifespan="off", server_header=False,
            ws="none", limit_concurrency=64, timeout_graceful_shutdown=2,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="page", daemon=True)

    def start(self) -> Self:
        self._page.watch.start()
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._page.watch.stop()
        self._page.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def serve(settings: Settings) -> PageServer | None:
    """Serve the page where a port is set. Raises OSError when it is taken."""
    return None if settings.projector_page_port is None else PageServer(settings, settings.projector_page_port).start()


def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok\n", headers=HEADERS)


def _middleware(host: str) -> list[Middleware]:
    """On loopback only its own names count: a web site whose name leads here by DNS must not read the page."""
    return [Middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK_HOSTS)] if _is_loopback(host) else []


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
