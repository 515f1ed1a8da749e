"""The endpoints of the dialects: each integration's own base URL, and the absolute paths that contracts fix.

Whatever happens to a call of a known integration, its answer is in the provider's own words; the order is: where from,
who, how often, then what.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast
from urllib.parse import unquote

import structlog

from gateway import metrics, serving
from gateway.auth.authentication import count_unsigned
from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from gateway.dialect.endpoint import Endpoint
from gateway.dialect.errors import Rejected, error_headers, may_be_cured
from gateway.dialect.incoming import Receive, RequestHead, Scope, Send, head_of
from gateway.dialect.integration import NOBODY, Integration
from gateway.dialect.proof import proof_of
from gateway.dialect.reply import Reply
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.host.entity_reader import EntityReader
from gateway.host.ledger_view import LedgerView, NoLedger
from gateway.host.paths import Paths, Route, Target
from gateway.services import Services
from gateway.serving import Exchange, serve
from ledger.journal.writer import Unavailable
from ledger.outcome import PROVEN_OTHERWISE
from schemas.errors import ERRORS

log = structlog.get_logger("gateway")

MOUNT = "/integrations/"
_MOUNT = MOUNT.encode()

_REASONS = {"SIGNATURE_MISSING": "missing", "SIGNATURE_INVALID": "wrong", "SIGNATURE_EXPIRED": "expired"}


class ProviderCalls:
    """An ASGI application for the calls of all dialects; `takes` says which requests are its own."""

    def __init__(self, services: Services, dialects: Mapping[str, Dialect]) -> None:
        self.services = services
        self.entities = EntityReader(services.read_connection)
        self._below: dict[str, Paths] = {}
        self._absolute = Paths()
        for dialect in dialects.values():
            paths = self._below[dialect.name] = Paths()
            for endpoint in dialect.endpoints:
                target = Target(dialect, endpoint, f"{dialect.name} {endpoint.path or '/'}")
                paths.add(endpoint.path, target)
                for path in endpoint.as_written:
                    self._absolute.add(path, target)

    def takes(self, path: str) -> bool:
        """Whether `path` leads to a dialect, or may."""
        return path.startswith(MOUNT) or self._absolute.have(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = head_of(scope)
        exchange = self.exchange(head)
        if exchange is None:
            found = await self.services.keys.find_by_id_or_read(_split(head)[0])
            exchange = self._exchange_below(head, found)
        await serve(exchange, receive, send)

    def exchange(self, head: RequestHead) -> Exchange | None:
        """How a call is answered; None where it is of an integration that is not known yet."""
        if not head.raw_path.startswith(_MOUNT):
            route = self._absolute.targets(head.method, head.raw_path.decode("latin-1"))
            return _ProviderCall(self, head, route).exchange()
        found = self.services.keys.find_by_id(_split(head)[0])
        return self._exchange_below(head, found) if found else None

    def _exchange_below(self, head: RequestHead, integration: Integration | None) -> Exchange:
        paths = self._below[integration.dialect] if integration else Paths()
        return _ProviderCall(self, head, paths.targets(head.method, _split(head)[1]), integration).exchange()


def _split(head: RequestHead) -> tuple[str, str]:
    """The integration's id, and the path below its base URL. A base URL with a slash at its end is the same one."""
    parts = head.raw_path.decode("latin-1").removeprefix(MOUNT).split("/", 3)
    below = parts[3] if len(parts) == 4 else ""
    return unquote("/".join(parts[:3])), "/" + below.removeprefix("/") if below.strip("/") else ""


class _ProviderCall:
    """One call and its reply. As soon as there is a `Call`, refusals are in its dialect's words."""

    def __init__(
        self, calls: ProviderCalls, head: RequestHead, route: Route, integration: Integration | None = None
    ) -> None:
        self._calls = calls
        self._head = head
        self._route = route
        self._integration = integration
        self._call: Call | None = None
        self._target = route.targets[0] if route.targets else None

    def exchange(self) -> Exchange:
        """How it is answered."""
        operation = self._target.operation if self._target else "unknown path"
        limit_bytes = max((target.dialect.body_limit_bytes for target in self._route.targets), default=0)
        limit_bytes = limit_bytes or self._calls.services.settings.body_limit_bytes
        return Exchange(self._head, operation, limit_bytes, self.answer, self.refuse)

    async def answer(self, raw: bytes, facts: dict[str, Any]) -> Reply:
        target, integration = self._find(raw)
        facts["provider_id"] = integration.provider_id
        self._call = self._make_call(raw, target, integration)
        reply, repeated = await self._reply(self._call, target, facts)
        return reply._replace(outcome="repeated") if repeated and reply.outcome == "accepted" else reply

    def refuse(self, rejected: Rejected) -> Reply:
        if self._target is None or self._integration is None:
            return serving.refuse(self._head, rejected)
        call = self._call or self._make_call(b"", self._target, self._integration)
        # Signed for another call, so not for this one: every protocol has a word for that.
        shown = Rejected("SIGNATURE_INVALID") if rejected.code == PROVEN_OTHERWISE else rejected
        try:
            shown = self._repeatable(call, self._target, shown)
            reply = self._target.dialect.refuse(call, shown)
        except Exception:  # a word that its author forgot must not end the connection
            log.exception("refusal crashed", operation=self._target.operation, code=rejected.code)
            return serving.refuse(self._head, Rejected("INTERNAL"))
        headers = (*reply.headers, *transport_headers(shown.code, reply.status))
        return reply._replace(outcome=rejected.code, headers=headers)

    def _repeatable(self, call: Call, target: Target, rejected: Rejected) -> Rejected:
        """The refusal that the provider is shown: a credit that could not be read may fare better in a while."""
        if not may_be_cured(rejected) or not target.endpoint.is_credit(call):
            return rejected
        field = str(rejected.details.get("field") or "body")
        log.error(
            "credit unreadable", operation=target.operation, integration_id=call.integration.integration_id,
            code=rejected.code, field=field, reason=str(rejected.details.get("reason", "")),
            trace_id=call.trace.trace_id,
        )  # fmt: skip
        metrics.CREDITS_UNREADABLE.labels(target.operation, re.sub(r"\d+", "*", field)).inc()
        return Rejected("UNAVAILABLE", balances=rejected.balances)

    def _find(self, raw: bytes) -> tuple[Target, Integration]:
        """Raises Rejected, or Unavailable while no keys have been loaded."""
        if not self._calls.services.keys.loaded:
            raise Unavailable
        absolute = not self._head.raw_path.startswith(_MOUNT)
        if self._route.methods and (absolute or self._integration):
            raise Rejected("METHOD_NOT_ALLOWED", method=self._head.method, allow=", ".join(self._route.methods))
        if absolute:
            self._target, self._integration = self._find_claimed(raw)
            if self._target and self._target.endpoint.open:  # whoever asks whether anybody is there may be nobody
                self._integration = self._integration or NOBODY
        if self._target is None or self._integration is None:
            raise Rejected("NOT_FOUND")
        return self._target, self._integration

    def _find_claimed(self, raw: bytes) -> tuple[Target | None, Integration | None]:
        """What an absolute path leads to: the one integration that the credentials name, whoever wrote them."""
        found = []
        for target in self._route.targets:
            try:
                call = self._make_call(raw, target, NOBODY)
                claims = target.dialect.claims(call) if target.dialect.claims else {}
            except Rejected:  # whatever it claims, it can be no integration
                continue
            if integration := self._calls.services.keys.find_claimed(target.dialect.name, claims):
                found.append((target, integration))
        return found[0] if len(found) == 1 else (self._target, None)

    def _make_call(self, raw: bytes, target: Target, integration: Integration) -> Call:
        head = self._head
        return Call(
            method=head.method, path=target.endpoint.path, params=target.params, target=head.target,
            query=head.query, headers=head.headers, body=raw,
            client=self._calls.services.callers.of(head).address,
            trace=head.trace, integration=integration,
        )  # fmt: skip

    async def _reply(self, call: Call, target: Target, facts: dict[str, Any]) -> tuple[Reply, bool]:
        """The answer, and whether all of it had been answered before."""
        services, dialect, endpoint = self._calls.services, target.dialect, target.endpoint
        if endpoint.open:
            return await endpoint.handle(call, cast(TenantLedger, NoLedger())), False
        weak = dialect.weak or call.integration.reuses_proofs
        services.callers.admit(self._head, call.integration, weak=weak)
        signed = _verify(dialect, call)
        call = replace(call, kid=_signer(dialect, call))
        proof = proof_of(dialect, call, self._path(call), signed)
        ledger = LedgerView(services.journal, self._calls.entities, call, facts, proof)
        if not call.integration.enabled:  # it may be switched on again
            await ledger.keep_proof(endpoint)
        services.authenticator.admit(call.integration)
        return await _handle(endpoint, call, ledger), ledger.repeated

    def _path(self, call: Call) -> str:
        """As it was sent, without what only says whose it is: another spelling is another call."""
        path = self._head.raw_path.decode("latin-1")
        return path.removeprefix(f"{MOUNT}{call.integration.integration_id}")


async def _handle(endpoint: Endpoint, call: Call, ledger: LedgerView) -> Reply:
    try:
        reply = await endpoint.handle(call, ledger)
    except Rejected:
        await ledger.keep_proof(endpoint)
        raise
    await ledger.keep_proof(endpoint)
    return reply


def _verify(dialect: Dialect, call: Call) -> bytes:
    try:
        _check_query(dialect, call)
        return dialect.verify(call)
    except Rejected as rejected:
        reason = _REASONS.get(rejected.code, "caller")
        count_unsigned(reason, integration=call.integration.integration_id)
        raise


def _check_query(dialect: Dialect, call: Call) -> None:
    """What no signature covers, or one that joins its parts so that a query could pass for another."""
    if call.query and call.method != "GET" and not dialect.query_has_credentials:
        raise Rejected("SIGNATURE_INVALID")


def _signer(dialect: Dialect, call: Call) -> str | None:
    def proves(one: Integration) -> bool:
        try:
            dialect.verify(replace(call, integration=one))
        except Rejected:
            return False
        return True

    return call.integration.signer(call.received_at / 1_000_000, proves)


def transport_headers(code: str, status: int) -> tuple[tuple[bytes, bytes], ...]:
    """What HTTP itself needs besides the provider's own words: the connection ends where the body stays unread, and who
    may repeat later hears when.
    """
    ours = ERRORS[code].status
    return error_headers(code, {}) if ours in (408, 413) or status in (429, 503) else ()
