"""The provider's half of a casino ↔ provider integration: /provider/launch, /provider/simulate and /provider/health.

The casino signs its calls with the PROVIDER_SECRET (x-provider-signature). This half plays rounds by calling it, as
an integration of the dialect `casino`, with the CASINO_SECRET (x-casino-signature). `wagerledger casino-provider`
serves it.
"""

import hmac
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

MAX_BODY_BYTES = 65_536
TIMEOUT_S = 15.0

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def signature(body: bytes, secret: str) -> str:
    return hmac.digest(secret.encode(), body, "sha256").hex()


def over_http(request: urllib.request.Request) -> bytes:
    """The answer's body, of a yes or a no. Raises OSError when nobody answers."""
    try:
        with _opener.open(request, timeout=TIMEOUT_S) as response:
            return bytes(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return bytes(error.read())


@dataclass(frozen=True)
class Casino:
    """The casino, as the provider calls it. `url` is the base URL of the integration."""

    url: str
    secret: str
    opener: Callable[[urllib.request.Request], bytes] = over_http

    def call(self, name: str, **content: object) -> dict[str, Any]:
        body = json.dumps(content).encode()
        headers = {"Content-Type": "application/json", "x-casino-signature": signature(body, self.secret)}
        request = urllib.request.Request(f"{self.url}/casino/{name}", data=body, headers=headers)
        answer: dict[str, Any] = json.loads(self.opener(request))
        return answer


class Round:
    """One scripted round. Its actions go on after a refusal, which is a result like any other."""

    def __init__(self, casino: Casino, session_token: str) -> None:
        self.casino = casino
        self.session_token = session_token
        self.round_id = f"round_{uuid4().hex}"
        self.bets: list[str] = []
        self.balance = 0

    def play(self, action: dict[str, Any]) -> dict[str, Any]:
        kind = action.get("type")
        step = {"balance_check": self._check, "bet": self._bet, "payout": self._pay, "rollback": self._undo}.get(
            str(kind)
        )
        if step is None:
            return {"action": kind, "success": False, "error": "Unknown action type"}
        try:
            answer, ids = step(action)
        except (IndexError, KeyError, TypeError):
            return {"action": kind, "success": False, "error": "amount or betIndex is missing or wrong"}
        except (OSError, ValueError):
            return {"action": kind, "success": False, "error": "the casino does not answer"}
        if answer["success"]:
            self.balance = answer["balance"]
            return {"action": kind, **ids, "balanceAfter": self.balance, "success": True}
        return {"action": kind, **ids, "success": False, "error": answer["error"], "code": answer["code"]}

    def _check(self, _: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        return self._call("getBalance"), {}

    def _bet(self, action: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        ids = {"transactionId": f"bet_{uuid4().hex}", "amount": action["amount"]}
        self.bets.append(ids["transactionId"])
        return self._call("debit", roundId=self.round_id, **ids), ids

    def _pay(self, action: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        ids = {"transactionId": f"payout_{uuid4().hex}", "amount": action["amount"]}
        bet = {"relatedTransactionId": self.bets[action["betIndex"]]} if action.get("betIndex") is not None else {}
        return self._call("credit", roundId=self.round_id, **ids, **bet), ids

    def _undo(self, action: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        ids = {"transactionId": f"rollback_{uuid4().hex}", "originalTransactionId": self.bets[action["betIndex"]]}
        return self._call("rollback", reason="Game cancelled", **ids), ids

    def _call(self, name: str, **content: object) -> dict[str, Any]:
        return self.casino.call(name, sessionToken=self.session_token, **content)


def build_app(casino: Casino, provider_secret: str) -> Starlette:
    if not provider_secret or not casino.secret:
        raise ValueError("both secrets are needed: nothing is answered or sent without a signature")

    def launch(content: dict[str, Any]) -> dict[str, Any]:
        session_id = f"psess_{uuid4().hex}"
        game_url = f"/games/{content['gameId']}?session={session_id}"
        return {"providerSessionId": session_id, "gameUrl": game_url, "playerId": content["playerId"]}

    def simulate(content: dict[str, Any]) -> dict[str, Any]:
        played = Round(casino, content["sessionToken"])
        results = [played.play(action) for action in content["actions"]]
        return {"roundId": played.round_id, "results": results, "finalBalance": played.balance}

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "service": "game-provider"})

    launch_needs = ("casinoCode", "playerId", "gameId", "sessionToken")
    simulate_needs = ("casinoCode", "sessionToken", "gameId", "actions")
    return Starlette(
        routes=[
            Route("/provider/launch", _signed(provider_secret, launch_needs, launch), methods=["POST"]),
            Route("/provider/simulate", _signed(provider_secret, simulate_needs, simulate), methods=["POST"]),
            Route("/provider/health", health),
        ]
    )


def _signed(secret: str, needs: tuple[str, ...], answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """An endpoint that reads only what is signed, and has all of the fields that it needs."""

    async def endpoint(request: Request) -> JSONResponse:
        body = await request.body()
        sent = request.headers.get("x-provider-signature", "")
        if not hmac.compare_digest(signature(body, secret).encode(), sent.encode("latin-1", "replace")):
            return JSONResponse({"success": False, "error": "Invalid signature", "code": "SIGNATURE_INVALID"}, 401)
        try:
            content = json.loads(body[:MAX_BODY_BYTES])
        except ValueError:
            content = None
        if not isinstance(content, dict) or not all(content.get(name) for name in needs):
            return JSONResponse({"success": False, "error": f"{', '.join(needs)} are required"}, 400)
        return JSONResponse({"success": True, **await run_in_threadpool(answer, content)})

    return endpoint


def serve(casino: Casino, provider_secret: str, *, host: str, port: int) -> None:
    """Until it is stopped."""
    uvicorn.run(build_app(casino, provider_secret), host=host, port=port, log_level="warning")
