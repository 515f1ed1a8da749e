"""What a dialect is: a provider's own protocol in front of the ledger.

One folder `gateway/providers/<name>/` says `DIALECT = Dialect(...)`. Its `verify` proves who calls, over the raw bytes
and before anything is parsed; each endpoint turns the call into commands and the outcomes into the provider's exact
answer; its `refuse` has the provider's word for every code of the error catalogue. No rule lives here: where providers
differ in what they allow, they differ in `policy`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.dialect.call import Call
from gateway.dialect.endpoint import Endpoint
from gateway.dialect.errors import Rejected
from gateway.dialect.option import Option
from gateway.dialect.reply import Reply
from ledger.core.policy import Policy

SECRET, ED25519, ECDSA, RSA = "secret", "ed25519", "ecdsa", "rsa"
"""Kinds of keys that prove a caller: a shared secret, or the public key of a pair of the provider's."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """A provider's protocol: all that the gateway needs to know of it."""

    name: str
    """The name of its folder."""
    title: str
    """For people: whose protocol it is."""
    endpoints: tuple[Endpoint, ...]
    """All operations of the protocol; no two take the same method and path."""
    verify: Callable[[Call], bytes]
    """Proves who calls, over the raw bytes: tries every key of `call.secrets` or `call.public_keys`, and compares in
    constant time. Gives the bytes that the caller has proven, in the one spelling that was signed; the body where the
    credentials prove nothing of it. Raises Rejected with SIGNATURE_MISSING, SIGNATURE_INVALID, SIGNATURE_EXPIRED or
    CALLER_NOT_ALLOWED.
    """
    refuse: Callable[[Call, Rejected], Reply]
    """The reply to a refused call, for any code of the error catalogue (docs/reference/errors.md). A retryable code is
    the protocol's word for *repeat*; what it has no word for is its internal error. It never raises.
    """
    keys: tuple[str, ...] = (SECRET,)
    """The kinds of keys that prove its callers; an integration has at least one key."""
    policy: Policy = field(default_factory=Policy)
    """What the protocol allows where protocols differ; an integration may say otherwise by `--option
    policy.<name>=<value>`.
    """
    options: Mapping[str, Option] = field(default_factory=dict)
    """By name, what its integrations may say besides what all may."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Values of options of every integration, where this protocol wants another default."""
    claims: Callable[[Call], Mapping[str, str]] | None = None
    """For the `as_written` paths of endpoints: what the credentials, still unproven, say, as values of options (an
    operator id, an issuer). They select the one integration that has them and prove nothing. None, or an empty mapping:
    the one integration with the option `as_written=true`.
    """
    proof_names_operation: bool = False
    """Whether the proven bytes say by themselves which call they are for, and of which integration. Else the ledger
    remembers them with their call, and no other call can be made with them.
    """
    query_has_credentials: bool = False
    """Whether callers prove themselves in the query. Else a call that is no GET may have no query, for no signature
    covers it.
    """
    weak: bool = False
    """Whether the protocol's own proof leaves the content uncovered: then an integration needs the option `ip_allow` or
    `client_certificate`.
    """
    body_limit_bytes: int = 65_536
    """Longer bodies are refused unread."""

    @property
    def default_options(self) -> dict[str, str]:
        """Values of options where an integration says nothing."""
        return {**self.defaults, **{name: option.default for name, option in self.options.items() if option.default}}
