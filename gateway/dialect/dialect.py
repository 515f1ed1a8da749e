"""What a dialect is: a provider's own protocol in front of the ledger.

One folder `gateway/providers/<name>/` says `DIALECT = Dialect(...)`. Its `verify` proves who calls, over the raw bytes
and before anything is parsed; each endpoint turns the call into commands and the outcomes into the provider's exact
answer; its `refuse` tells every code of our catalogue in the provider's words. No rule lives here: where providers
differ in what they allow, they differ in `policy`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.dialect.call import Call
from gateway.dialect.endpoint import Endpoint
from gateway.dialect.errors import Rejected
from gateway.dialect.reply import Reply
from ledger.core.policy import Policy

SECRET, ED25519, ECDSA, RSA = "secret", "ed25519", "ecdsa", "rsa"
"""Kinds of keys a dialect may ask for."""


@dataclass(frozen=True, slots=True)
class Option:
    """A setting of an integration of this dialect, as `integration add --option name=value` takes it."""

    help: str
    default: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    pattern: str = ""
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
