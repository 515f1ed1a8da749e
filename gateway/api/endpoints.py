"""The canonical API's endpoints: plain ASGI applications, one per operation, because this is the money path."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import uuid_utils
from pydantic_core import to_json

from gateway.api.answers import render_balances
from gateway.api.operations import OPERATION_CLASS, ApiRequest, Operation, Prepare
from gateway.dialect.bodies import Body, read_json
from gateway.dialect.errors import Rejected
from gateway.dialect.incoming import Receive, RequestHead, Scope, Send, head_of
from gateway.dialect.integration import NOBODY, Integration
from gateway.dialect.reply import Reply
from gateway.launch import Launch
from gateway.services import Services
from gateway.serving import Exchange, refuse, reply_to, respond, serve
from gateway.submission import submit
from ledger.core.commands import Origin
from ledger.idempotency import MISMATCH, fingerprint
from ledger.outcome import Balances, Outcome
from ledger.store import commands, wallets
from runtime.identifiers import ID_RULE, is_currency, is_id, player_id_fault
from schemas.errors import ERRORS


class Write:
    """The endpoint of one write of the canonical API."""

    def __init__(self, services: Services, operation: Operation) -> None:
        self._services = services
        self._operation = operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await serve(self.exchange(head_of(scope), scope["path_params"]), receive, send)

    def exchange(self, head: RequestHead, params: Mapping[str, str]) -> Exchange:
        """How a request for this write is answered; `params` are the named parts of its path."""
        return Exchange(
            head, self._operation.name, self._services.settings.body_limit_bytes,
            partial(self._answer, head, params), partial(refuse, head),
        )  # fmt: skip

    async def _answer(self, head: RequestHead, params: Mapping[str, str], raw: bytes, facts: dict[str, Any]) -> Reply:
        services, operation = self._services, self._operation
        integration, kid = await services.authenticator.signer_of(head, raw)
        services.callers.admit(head, integration)
        facts["provider_id"] = integration.provider_id
        if head.query:
            raise Rejected("MALFORMED_REQUEST", reason="a write takes no query")
        facts["idempotency_key"] = key = _idempotency_key(head)
        session_id = _path_id(params, "session_id") if operation.names_session else None
        body = self._body(head, raw)
        if bet_id := getattr(body, "bet_id", None):
            facts["bet_id"] = bet_id
        request = self._request(head, integration, kid, key, session_id)
        if operation.prepare:
            try:
                request = await self._with_launch(operation.prepare, integration, request, body)
            except Rejected:
                # What was answered once stays answered, whatever the catalogue says today.
                if stored := await self._stored_answer(request, body):
                    return stored
                raise

        def render(outcome: Outcome) -> bytes:
            return operation.render(request, body, outcome)

        command = operation.command(request, body)
        (outcome,) = await submit(services.journal, integration, (command,), render=render)
        assert outcome.answer is not None, "the journal keeps what `render` gave"
        if code := outcome.refusal_code:
            return Reply(ERRORS[code].status, outcome.answer, code)
        return Reply(operation.status, outcome.answer, "repeated" if outcome.replayed else "accepted")

    async def _with_launch(
        self, prepare: Prepare, integration: Integration, request: ApiRequest, body: Body
    ) -> ApiRequest:
        """The request with the launch that its session is for, and as long as that integration lets sessions be."""
        launch = await prepare(self._services.keys, integration, request.received_at / 1_000_000, body)
        expires_at = request.session_expires_at
        if ttl_s := launch.integration.option("session_ttl_s"):
            expires_at = (request.received_at // 1_000_000 + int(ttl_s)) * 1_000_000
        return request._replace(launch=launch, session_expires_at=expires_at)

    async def _stored_answer(self, request: ApiRequest, body: Body) -> Reply | None:
        """The stored answer of a success under this key, where it is the answer to this body."""
        origin = request.origin
        found = await self._services.read_connection.fetch(
            commands.ANSWER, (origin.scope, origin.operation, origin.idempotency_key)
        )
        if not found:
            return None
        stored, stored_fingerprint = map(bytes, found[0])
        target = replace(NOBODY, integration_id=json.loads(stored).get("integration_id"))
        command = self._operation.command(request._replace(launch=Launch(target, "", {}, b"")), body)
        if fingerprint(command) != stored_fingerprint:
            raise Rejected(MISMATCH, idempotency_key=origin.idempotency_key)
        return Reply(self._operation.status, stored, "repeated")

    def _body(self, head: RequestHead, raw: bytes) -> Body:
        operation = self._operation
        if not raw and not operation.body_required:
            return operation.body()
        if head.headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
            raise Rejected("UNSUPPORTED_MEDIA_TYPE")
        return read_json(operation.body, raw)

    def _request(
        self, head: RequestHead, integration: Integration, kid: str | None, key: str, session_id: str | None
    ) -> ApiRequest:
        now = time.time_ns() // 1000
        origin = Origin(
            tenant_id=integration.tenant_id, region=integration.region, integration_id=integration.integration_id,
            provider_id=integration.provider_id, operation=OPERATION_CLASS, idempotency_key=key,
            trace_id=head.trace.trace_id, traceparent=head.trace.traceparent, kid=kid,
        )  # fmt: skip
        expires_at = (now // 1_000_000 + self._services.settings.session_ttl_s) * 1_000_000
        by_operator = integration.option("may_launch") == "true"
        return ApiRequest(origin, str(uuid_utils.uuid7()), now, expires_at, session_id, by_operator)


class ReadWallet:
    """The endpoint of a wallet's balances, GET /v1/players/{player_id}/wallets/{currency}."""

    name = "read_wallet"

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head, started = head_of(scope), time.perf_counter()
        answer = partial(self._answer, head, scope["path_params"])
        exchange = Exchange(head, self.name, 0, answer, partial(refuse, head))
        await respond(head, send, await reply_to(exchange, b"", started))

    async def _answer(self, head: RequestHead, params: Mapping[str, str], body: bytes, facts: dict[str, Any]) -> Reply:
        integration, _ = await self._services.authenticator.signer_of(head, body)
        self._services.callers.admit(head, integration)
        facts["provider_id"] = integration.provider_id
        player_id, currency = params["player_id"], params["currency"]
        if fault := player_id_fault(player_id):
            raise Rejected("FIELD_INVALID", field="player_id", reason=fault)
        if not is_currency(currency):
            raise Rejected(
                "FIELD_INVALID", field="currency", reason="must be 3 to 16 capital letters, digits or _, a letter first"
            )
        query = wallets.load_with_region([(integration.tenant_id, player_id)])
        rows = await self._services.read_connection.fetch(query.sql, query.params)
        of_player = [wallets.entity(row[:-1]) for row in rows if row[-1] == integration.region]
        wallet = next((wallet for wallet in of_player if wallet.currency == currency), None)
        if wallet is None:
            raise Rejected("WALLET_NOT_FOUND", player_id=player_id, currency=currency)
        balances = render_balances(Balances.of(wallet))
        return Reply(200, to_json({"player_id": player_id, "balances": balances}))


def _idempotency_key(head: RequestHead) -> str:
    key = head.headers.get(b"x-idempotency-key", b"").decode("latin-1")
    if not key:
        raise Rejected("IDEMPOTENCY_KEY_MISSING")
    if not is_id(key):
        raise Rejected("IDEMPOTENCY_KEY_INVALID")
    return key


def _path_id(params: Mapping[str, str], name: str) -> str:
    value = params[name]
    if not is_id(value):
        raise Rejected("FIELD_INVALID", field=name, reason=ID_RULE)
    return value
