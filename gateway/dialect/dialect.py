"""What a dialect is: a provider's own protocol in front of the ledger.

One folder `gateway/providers/<name>/` says `DIALECT = Dialect(...)`. Its `verify` proves who calls, over the raw bytes
and before anything is parsed; each endpoint turns the call into commands and the outcomes into the provider's exact
answer; its `refuse` tells every code of our catalogue in the provider's words. No rule lives here: where providers
differ in what they allow, they differ in `policy`.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeVar

import structlog
import uuid_utils

from gateway import metrics
from gateway.dialect import signing
from gateway.dialect.errors import Rejected
from gateway.dialect.fields import YEAR_2000_US, YEAR_2200_US
from gateway.dialect.incoming import Trace
from gateway.dialect.integration import Integration
from ledger.admin.public_keys import PublicKey
from ledger.core.commands import Command, Origin
from ledger.core.policy import Policy
from ledger.core.state import Bet, Session, Settlement
from ledger.outcome import Balances, Outcome
from runtime.identifiers import is_id

log = structlog.get_logger("gateway")

C = TypeVar("C", bound=Command)

SECRET, ED25519, ECDSA, RSA = "secret", "ed25519", "ecdsa", "rsa"
"""Kinds of keys a dialect may ask for."""


class Reply(NamedTuple):
    """The exact answer. `outcome` is what metrics and logs call it: accepted, repeated, or a code of the catalogue."""

    status: int
    body: bytes
    outcome: str = "accepted"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type: bytes = b"application/json"


@dataclass(frozen=True)
class Call:
    """A request as it came, and the integration that it claims to come from; `verify` may still be to come."""

    method: str
    path: str
    """The endpoint's own path, such as /debit."""
    params: Mapping[str, str]
    """Parts of the path that the endpoint names."""
    target: bytes
    """Path and query as sent."""
    query: bytes
    """Without the question mark, as sent."""
    headers: Mapping[bytes, bytes]
    """By lower-case name."""
    body: bytes
    client: str
    """Address of the caller, as far as the trusted proxies tell it."""
    trace: Trace
    integration: Integration
    received_at: int = field(default_factory=lambda: time.time_ns() // 1000)
    """Microseconds since the epoch."""
    kid: str | None = None
    """The key that proved the caller, once `verify` has."""

    @cached_property
    def secrets(self) -> list[bytes]:
        """Those that are valid now; while keys rotate, several. Never empty: where there is none, a stand-in that
        nobody knows.
        """
        return self.integration.secrets(self.received_at / 1_000_000)

    @cached_property
    def public_keys(self) -> list[PublicKey]:
        """Likewise."""
        return self.integration.public_keys(self.received_at / 1_000_000)

    def note(self, event: str, **facts: str) -> None:
        """A line in the log about what moves nothing and should stand somewhere."""
        log.info(event, integration_id=self.integration.integration_id, trace_id=self.trace.trace_id, **facts)

    def header(self, name: bytes) -> str:
        """Value of a header by its lower-case name, or an empty text."""
        return self.headers.get(name, b"").decode("latin-1")

    def option(self, name: str) -> str:
        """Value of an option of the integration, or the dialect's default. Empty where neither says anything."""
        return self.integration.option(name)

    def command(
        self, kind: type[C], operation: str, transaction_id: str, *, occurred_at: int | None = None, **fields: Any
    ) -> C:
        """A command under the key (integration, `operation`, `transaction_id`). `occurred_at` is the provider's own
        time in microseconds since the epoch; one that not every reader of events could show is left out and counted.
        """
        integration = self.integration
        if occurred_at is not None and not YEAR_2000_US <= occurred_at < YEAR_2200_US:
            metrics.LEFT_OUT.labels(integration.dialect, "occurred_at").inc()
            occurred_at = None
        origin = Origin(
            integration.tenant_id, integration.region, integration.integration_id, integration.provider_id, operation,
            transaction_id, self.trace.trace_id, self.trace.traceparent, occurred_at, transaction_id, self.kid,
        )  # fmt: skip
        return kind(origin=origin, command_id=str(uuid_utils.uuid7()), received_at=self.received_at, **fields)

    def currency(self, code: str) -> str:
        """Our code of the provider's currency (option `currencies`). Raises Rejected CURRENCY_NOT_SUPPORTED where the
        integration lists its currencies and this is none of them.
        """
        return self.integration.currency(code)

    def provider_currency(self, currency: str) -> str:
        """The provider's code of our currency."""
        return self.integration.provider_currency(currency)

    def game(self, code: str) -> str:
        """Our game of the provider's code (the catalogue); the code itself where the catalogue has no entry."""
        return self.integration.game(code)


class Books(Protocol):
    """The ledger, as an endpoint sees it: only the integration's own tenant, only its own bets."""

    async def decide(self, *commands: Command) -> tuple[Outcome, ...]:
        """Commit the commands, all or none, in order. One outcome for each. Raises Rejected with the code, details and
        balances of the refusal where a rule says no.
        """

    async def wallet(self, player_id: str, currency: str) -> Balances:
        """Raises Rejected WALLET_NOT_FOUND."""

    async def wallets(self, player_id: str) -> list[Balances]:
        """All of a player's, by currency; empty for an unknown player."""

    async def currency_of(self, player_id: str) -> str:
        """For protocols that name no currency: the player's only one, else the integration's option `currency`. Raises
        Rejected WALLET_NOT_FOUND or CURRENCY_MISMATCH.
        """

    async def session(self, session_id: str, *, live: bool = True) -> Session:
        """A live session of this integration, by its token; or any, for what only needs its player. Raises Rejected
        SESSION_NOT_FOUND, SESSION_ENDED or SESSION_EXPIRED.
        """

    async def bet(self, bet_id: str) -> Bet | None:
        """What the ledger knows under the provider's id, tombstones included."""

    async def win(self, win_id: str) -> Settlement | None:
        """Likewise of wins and awards."""


Handle = Callable[[Call, Books], Awaitable[Reply]]


def verify_as_our_own(call: Call) -> bytes:
    """X-Signature as our own API has it (`gateway.dialect.signing`), for contracts that have no proof of their own."""
    now_s, integration = call.received_at / 1_000_000, call.integration
    header = call.headers.get(signing.HEADER.lower().encode())
    if not header:
        raise Rejected("SIGNATURE_MISSING")
    signature = signing.parse(header)
    key = b"" if call.method == "GET" else call.headers.get(b"x-idempotency-key", b"")
    if signature is None or (key and not is_id(key.decode("latin-1"))):  # no dot or brace that could be the body's
        raise Rejected("SIGNATURE_INVALID")
    asked = signing.Signed(signature.timestamp, call.method.encode(), call.target, key, call.body, integration.place)
    if not signing.verify(signature, asked, call.secrets, call.public_keys) or not any(
        key.kid == signature.kid and key.valid_at(now_s) for key in integration.keys
    ):
        raise Rejected("SIGNATURE_INVALID")
    if abs(now_s - int(signature.timestamp)) > signing.WINDOW_S:
        raise Rejected("SIGNATURE_EXPIRED", window_s=signing.WINDOW_S)
    return asked.joined if signature.is_older else asked.message


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation. `path` is below the integration's base URL and may name parts as {part}; "" is the base URL
    itself. `as_written` are absolute paths that the provider's contract fixes.
    """

    method: str
    path: str
    handle: Handle
    as_written: tuple[str, ...] = ()
    open: bool = False
    """Answers without a signature: health checks that touch nothing."""
    credits: bool | Callable[[Call], bool] = False
    """Gives a player money, or ends what holds it: a win, a refund, the end of a round. Where the body says what the
    call is, a function of it, which takes any body. What of it cannot be read is told to the operator, and the provider
    hears its word for *repeat*: refused for good, it would be the player's loss.
    """

    def is_credit(self, call: Call) -> bool:
        return self.credits(call) if callable(self.credits) else self.credits

    reads: bool = False
    """Only tells, as each GET does: the proofs of its calls are not remembered."""

    @property
    def only_tells(self) -> bool:
        return self.reads or self.method == "GET"


@dataclass(frozen=True, slots=True)
class Option:
    """A setting of an integration of this dialect, as `integration add --option name=value` takes it."""

    help: str
    default: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    form: str = ""
    """A regular expression for the whole of it. Empty: any text."""


@dataclass(frozen=True, slots=True)
class Dialect:
    name: str
    title: str
    """For people: whose protocol it is."""
    endpoints: tuple[Endpoint, ...]
    verify: Callable[[Call], bytes]
    """The bytes that the caller has proven, without anything that could be spelled otherwise under the same proof; the
    body where the credentials prove nothing of it. Raises Rejected with SIGNATURE_MISSING, SIGNATURE_INVALID,
    SIGNATURE_EXPIRED or CALLER_NOT_ALLOWED.
    """
    refuse: Callable[[Call, Rejected], Reply]
    """The provider's word for any code of the catalogue. Total: whatever it does not know is its internal error."""
    keys: tuple[str, ...] = (SECRET,)
    """Kinds of keys that prove a caller; an integration has at least one of them."""
    policy: Policy = field(default_factory=Policy)
    """Its defaults; an integration may say otherwise by `--option policy.<name>=<value>`."""
    options: Mapping[str, Option] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Of the options that every integration has, where this protocol wants another one."""
    claims: Callable[[Call], Mapping[str, str]] | None = None
    """For `as_written` paths: what the unproven credentials say, as option values that select the one integration (an
    operator id, an issuer). None, or an empty mapping: the one integration with the option `as_written=true`.
    """
    proof_names_operation: bool = False
    """The proven bytes say by themselves which call they are for, and of which integration. Else the ledger remembers
    them with their call, and no other one can be made with them.
    """
    query_has_credentials: bool = False
    """Callers prove themselves in the query; else what is no GET has none, for no signature covers it."""
    weak: bool = False
    """The protocol's own authentication does not cover the content: an integration needs `ip_allow` or
    `client_certificate`.
    """
    body_limit_bytes: int = 65_536

    @property
    def default_options(self) -> dict[str, str]:
        return {**self.defaults, **{name: option.default for name, option in self.options.items() if option.default}}
