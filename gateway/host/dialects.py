"""Which dialects there are: the canonical API, and every folder of `gateway/providers`."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from gateway import providers
from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from gateway.dialect.endpoint import Endpoint
from gateway.dialect.errors import Rejected, error_body
from gateway.dialect.integration import Integration
from gateway.dialect.launch_url import base_url_fault, ttl_fault
from gateway.dialect.option import Option, OptionError
from gateway.dialect.reply import Reply
from ledger.admin.integrations import CANONICAL, POLICY_PREFIX, SECRET, IntegrationError, split
from ledger.admin.policies import PolicyError, in_force
from ledger.admin.public_keys import ED25519, PUBLIC
from ledger.core.policy import Policy
from schemas.errors import ERRORS

OPTIONS: Mapping[str, Option] = {
    "ip_allow": Option("Networks that callers may come from, separated by commas. Empty: any."),
    "client_certificate": Option(
        "SHA-256 of the caller's TLS certificate, as a trusted proxy tells it in X-Client-Certificate-SHA256."
    ),
    "reused_proofs": Option(
        "Whether the bytes of one call may come as another one: for a provider whose different calls can be the same "
        "to the byte. With accept, whoever has one signed call can make others of it: it needs a known place.",
        default="refuse",
        choices=("refuse", "accept"),
    ),
    "as_written": Option(
        "Serve the absolute paths of the provider's contract too, for callers whose credentials name no integration.",
        default="false",
        choices=("true", "false"),
    ),
    "unlisted_games": Option(
        "What becomes of a bet whose game is not in the catalogue, where that has games: refuse or accept.",
        default="refuse",
        choices=("refuse", "accept"),
    ),
    "currencies": Option(
        "The currencies it may use, THEIRS:OURS,… (THEIRS:OURS*1000 where one of theirs is 1000 of ours). Empty: all, "
        "by our codes."
    ),
    "currency": Option("The currency where a call names none and the player has several wallets."),
    "wallet_currency": Option("The players' wallets are in this currency, whatever the bets are in."),
    "launch_url": Option("Where a launch sends the player."),
    "launch_ttl_s": Option("How long a launch URL is good for, seconds (300 to 900).", default="600"),
    "session_ttl_s": Option(
        "How long a session in its games takes bets from its start, seconds; bets move its end (policy.session_idle_s, "
        "policy.session_overtime_s). Empty: WAGERLEDGER_SESSION_TTL_S.",
        pattern=r"[1-9][0-9]{0,6}",
    ),
    "jurisdictions": Option("Where its games may be launched, separated by commas. Empty: everywhere."),
}
"""What every integration may say."""

_NAME = re.compile(r"[a-z][a-z0-9_]{1,31}")
_SECRET = re.compile(r"secret|passw|private|credential|api_?key", re.IGNORECASE)


def _canonical_elsewhere(_: Call) -> bytes:
    raise Rejected("SIGNATURE_INVALID")


def _canonical_refusal(call: Call, rejected: Rejected) -> Reply:
    error = ERRORS[rejected.code]
    return Reply(error.status, error_body(rejected.code, rejected.details, call.trace.trace_id))


CANONICAL_API = Dialect(
    name=CANONICAL,
    title="Wagerledger's own API, under /v1",
    endpoints=(),
    verify=_canonical_elsewhere,
    refuse=_canonical_refusal,
    keys=(SECRET, ED25519),
    options={
        "may_launch": Option(
            "The operator's own: it may launch games of the brand's other integrations.", "false", ("true", "false")
        )
    },
)


@cache
def load() -> Mapping[str, Dialect]:
    """All dialects by name. A folder that is no dialect is a bug and ends the process."""
    found = {CANONICAL: CANONICAL_API}
    for module in iter_modules(providers.__path__):
        dialect = import_module(f"{providers.__name__}.{module.name}").DIALECT
        assert dialect.name == module.name, f"folder {module.name} holds a dialect named {dialect.name}"
        check(dialect)
        found[dialect.name] = dialect
    return found


def check(dialect: Dialect) -> None:
    """What each dialect keeps. Raises AssertionError."""
    name = dialect.name
    assert _NAME.fullmatch(name), f"{name}: a dialect's name is a folder's name"
    assert dialect.keys, f"{name}: no kind of key proves its callers"
    assert set(dialect.keys) <= {SECRET, *PUBLIC}, f"{name}: {dialect.keys} are not all kinds of keys"
    assert not set(dialect.options) & set(OPTIONS), f"{name}: an option of every integration is not its own"
    assert not any(map(_SECRET.search, dialect.options)), f"{name}: a secret is a key, never an option"
    for endpoint in dialect.endpoints:
        assert all(path.startswith("/") for path in (endpoint.path or "/", *endpoint.as_written)), f"{name}: {endpoint}"
    paths = [(endpoint.method, path) for endpoint in dialect.endpoints for path in _all_paths(endpoint)]
    assert len(paths) == len(set(paths)), f"{name}: a path is there twice"


def _all_paths(endpoint: Endpoint) -> tuple[str, ...]:
    return (f"…{endpoint.path}", *endpoint.as_written)


def default_options() -> dict[str, str]:
    """The options that every integration has, with their defaults."""
    return {name: option.default for name, option in OPTIONS.items() if option.default}


def default_policies() -> dict[str, Policy]:
    return {name: dialect.policy for name, dialect in load().items()}


def named(name: str) -> Dialect:
    """The dialect of this name. Raises IntegrationError, naming all that there are."""
    dialect = load().get(name)
    if dialect is None:
        raise IntegrationError(f"there is no dialect {name!r}: there are {', '.join(load())}")
    return dialect


def check_options(dialect: Dialect, options: Mapping[str, str]) -> None:
    """Whether an integration may say this. Raises IntegrationError, saying what it may."""
    known = {**OPTIONS, **dialect.options}
    for name, value in options.items():
        if name.startswith(POLICY_PREFIX):
            continue
        if _SECRET.search(name):
            raise IntegrationError(
                f"option {name}: options are not secret; give secrets with --secret or --secret-file"
            )
        if name not in known:
            raise IntegrationError(
                f"dialect {dialect.name} has no option {name!r}: there are {', '.join(sorted(known))} and policy.<name>"
            )
        if known[name].choices and value not in known[name].choices:
            raise IntegrationError(f"option {name} cannot be {value!r}: it is {' or '.join(known[name].choices)}")
        if known[name].pattern and not re.fullmatch(known[name].pattern, value):
            raise IntegrationError(f"option {name} cannot be {value!r}: {known[name].help}")
    missing = [name for name, option in dialect.options.items() if option.required and not options.get(name)]
    if missing:
        raise IntegrationError(
            f"dialect {dialect.name} needs --option {missing[0]}=…: {dialect.options[missing[0]].help}"
        )
    _check_values(dialect, options)


def _check_values(dialect: Dialect, options: Mapping[str, str]) -> None:
    own, stated = split(options)
    for name, fault_of in (("launch_url", base_url_fault), ("launch_ttl_s", ttl_fault)):
        if own.get(name) and (fault := fault_of(own[name])):
            raise IntegrationError(f"option {name} {own[name]!r} {fault}")
    try:
        policy = in_force(dialect.policy, stated)
        checked = Integration("", "", "", "", policy, enabled=True, keys=(), options=own)
        checked.validate_options()
    except (OptionError, PolicyError) as error:
        raise IntegrationError(str(error)) from error
    if checked.powers and dialect.name == CANONICAL:
        raise IntegrationError("option currencies: the canonical API counts in our own units, so it takes no factor")
    unproven = "say" if dialect.weak else "are" if own.get("reused_proofs") == "accept" else ""
    if unproven and not (own.get("ip_allow") or own.get("client_certificate")):
        raise IntegrationError(
            f"dialect {dialect.name} does not prove what its calls {unproven}, so it serves only callers from a known "
            "place: give --option ip_allow=… or --option client_certificate=…"
        )


def check_keys(dialect: Dialect, kinds: frozenset[str]) -> None:
    """Check that a dialect takes these kinds of keys. Raises IntegrationError where it does not."""
    if wrong := sorted(kinds - set(dialect.keys)):
        raise IntegrationError(
            f"dialect {dialect.name} cannot use a key of kind {wrong[0]}: its keys are {', '.join(dialect.keys)}"
        )
