"""The gateway as a process of its own: its ready line, its ports, its sockets and its end."""

import http.client
import json
import select
import signal
import urllib.request
import uuid
from collections.abc import Iterator

import pytest

from runtime.settings import Settings
from tests.gateway.process import GatewayProcess, line_of, logged, raw, start
from tests.support.caller import Caller, RunningGateway
from tests.support.waiting import until, until_locked_out


@pytest.fixture(scope="module")
def process(settings: Settings, gateway: RunningGateway) -> Iterator[GatewayProcess]:
    process = start(settings)
    yield process
    process.stop()


def answer_to(process: GatewayProcess, request: bytes) -> tuple[int, dict[str, str], bytes]:
    with process.connect() as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


def test_it_says_where_it_listens_and_answers_there(process: GatewayProcess) -> None:
    """Port 0 takes a free port, and the ready line names it; health says status, version and time."""
    status, content = process.get("/health")
    assert (status, set(json.loads(content))) == (200, {"status", "version", "time"})
    assert process.get("/readyz") == (200, b'{"status":"ok","missing":[]}')


def test_metrics_are_on_the_internal_port_only(
    process: GatewayProcess, caller: Caller, session: str, bet_id: str
) -> None:
    """What was answered is counted there; the public port knows no /metrics."""
    body = {"session_id": session, "bet_id": bet_id, "round_id": "r", "amount": {"amount": "1", "currency": "EUR"}}
    assert answer_to(process, raw(caller, body, uuid.uuid4().hex))[0] == 200
    with urllib.request.urlopen(process.metrics_url, timeout=10) as response:
        metrics = response.read().decode()
    assert 'wagerledger_callbacks_total{operation="authorize_bet",outcome="accepted"}' in metrics
    assert process.get("/metrics")[0] == 404


def test_logs_name_the_callback_and_hide_its_secrets(
    settings: Settings, caller: Caller, session: str, bet_id: str
) -> None:
    """One line per callback with provider, operation, outcome, bet, key and duration; never a secret or a signature."""
    process = start(settings)
    body = {"session_id": session, "bet_id": bet_id, "round_id": "r", "amount": {"amount": "1", "currency": "EUR"}}
    request = raw(caller, body, f"k{bet_id}")
    assert answer_to(process, request)[0] == 200
    line = line_of(process, "callback")
    lines = logged(process.log)
    assert process.stop() == 0
    facts = {
        "provider_id": "studio",
        "operation": "authorize_bet",
        "outcome": "accepted",
        "bet_id": bet_id,
        "idempotency_key": f"k{bet_id}",
        "status": 200,
    }
    assert line | facts == line
    assert {"trace_id", "duration_ms", "ts", "level", "process"} <= set(line)
    assert caller.secret not in str(lines)
    assert request.partition(b"v3=")[2][:64].decode() not in str(lines)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 200_000, 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 50_000, 400),
        (b"POST /v1/bets/settle HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}", 400),
        (b"POST /v1/bets/settle HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999999\r\n\r\n", 400),
        (b"POST /v1/bets/settle HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n", 413),
        (b"POST /v1/bets/settle HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b" " * 65536 + b"\r\n10\r\n" + b" " * 16 + b"\r\n", 413),
        (b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /%ff%00 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    ],
)  # fmt: skip
def test_hostile_bytes_get_a_clean_error(process: GatewayProcess, request_: bytes, status: int) -> None:
    """Whatever comes over the socket, the answer has our shape, and the next caller is served."""
    got, headers, body = answer_to(process, request_)
    assert got == status, body
    assert set(json.loads(body)) == {"code", "message", "retryable", "trace_id"}
    assert headers["x-trace-id"] == json.loads(body)["trace_id"]
    assert process.get("/livez")[0] == 200


def test_callers_that_vanish_do_not_stop_their_callback(
    process: GatewayProcess, caller: Caller, player: str, session: str
) -> None:
    """A hundred callers send a bet and hang up at once: every bet that arrived whole is decided, and the wallet answers."""
    keys = [uuid.uuid4().hex for _ in range(100)]
    for key in keys:
        body = {
            "session_id": session,
            "bet_id": f"b{key}",
            "round_id": "r",
            "amount": {"amount": "0.01", "currency": "EUR"},
        }
        with process.connect() as connection:
            connection.sendall(raw(caller, body, key))
    until(lambda: caller.balances(player)["held"] == "1.00", "a hundred bets of a cent")


def test_sigterm_answers_what_was_accepted(
    settings: Settings, gateway: RunningGateway, caller: Caller, session: str, bet_id: str
) -> None:
    """A callback that waits for its wallet's lock when SIGTERM comes is still answered; then the process ends with 0."""
    process = start(settings)
    with gateway.connect() as holder, process.connect() as connection:
        body = {"session_id": session, "bet_id": bet_id, "round_id": "r", "amount": {"amount": "1", "currency": "EUR"}}
        with holder.transaction():
            holder.execute("lock table wagerledger.wallets in access exclusive mode")
            connection.sendall(raw(caller, body, uuid.uuid4().hex))
            until_locked_out(settings.database_url.get_secret_value())
            process.child.send_signal(signal.SIGTERM)
            assert not select.select([connection], [], [], 0.5)[0], "it waits"
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert (response.status, json.loads(response.read())["status"]) == (200, "authorized")
    assert process.ended() == 0
