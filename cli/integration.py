"""`wagerledger integration`: who may call the gateway, in which dialect, and with which keys."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from psycopg import Connection

from cli import scaffold
from cli.database import on_ledger
from cli.options import AdminActor, AdminReason, Json, by_or_fail
from cli.output import FINDING, fail, show, table
from cli.settings import settings_or_fail
from gateway.dialect.dialect import Dialect
from gateway.dialect.option import Option
from gateway.host import dialects
from ledger.admin import brands, integrations, policies
from ledger.admin.actions import Actor
from ledger.admin.brands import BrandError
from ledger.admin.integrations import CANONICAL, POLICY_PREFIX, IntegrationError, IntegrationRow, Issued, NewKeys
from ledger.admin.policies import PolicyError
from ledger.admin.secrets import SecretsKeyError, Vault

T = TypeVar("T")

app = typer.Typer(
    help="Integrations: one provider for one brand and region, each with keys of its own.", no_args_is_help=True
)

Secret = Annotated[
    str | None,
    typer.Option(
        help="The shared secret, where the provider chooses it; others on this machine may see it in the list of "
        "processes, so rather use --secret-file. Without any key we make a secret."
    ),
]
SecretFile = Annotated[
    str | None,
    typer.Option(help="File that holds the shared secret, - for standard input. A final line end is cut off."),
]
PublicKeys = Annotated[
    list[Path] | None,
    typer.Option(
        "--public-key",
        exists=True,
        dir_okay=False,
        help="File with a public key of the provider: Ed25519, ECDSA or RSA, as PEM, DER or base64. May be repeated.",
    ),
]
SharedKey = Annotated[
    str | None,
    typer.Option(
        metavar="WHY",
        help="Take a key that another integration has, and why; it is recorded for good. No personal data.",
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        help="A setting of the dialect, or policy.<name>=<value>; `integration dialects` lists them. May be repeated.",
    ),
]
IntegrationId = Annotated[str, typer.Argument(help="brand/region/name, as `integration list` prints it.")]


@app.command()
def add(
    *,
    name: Annotated[str, typer.Option("--name", "--provider", help="What the game provider is called here.")],
    brand: Annotated[str, typer.Option(help="Tenant.")],
    region: Annotated[str, typer.Option(help="Region.")],
    actor: AdminActor,
    reason: AdminReason,
    dialect: Annotated[str, typer.Option(help="Protocol it speaks; `integration dialects` lists all.")] = CANONICAL,
    secret: Secret = None,
    secret_file: SecretFile = None,
    public_key: PublicKeys = None,
    option: Options = None,
    shared_key: SharedKey = None,
    as_json: Json = False,
) -> None:
    """Open an integration. Prints its base URL, its key id and, this once, the secret that we made."""
    by = by_or_fail(actor, reason)
    keys, options = _new_keys(secret, secret_file, public_key), _parsed(option or [])
    with _arguments():
        spoken = dialects.named(dialect)
        dialects.check_options(spoken, options)
        dialects.check_keys(spoken, keys.kinds)

    def added(connection: Connection[Any], vault: Vault) -> Issued:
        brands.check(connection, brand, region)
        return integrations.add(
            connection, vault, by=by, tenant_id=brand, region=region, provider_id=name, dialect=dialect,
            options=options, secret=keys.secret, public_keys=keys.public_keys, shared_key=shared_key,
            residency=settings_or_fail().residency,
        )  # fmt: skip

    issued = _administer(added)
    _show_issued(issued, dialect, as_json=as_json)


@app.command("rotate-key")
def rotate_key(
    integration_id: IntegrationId,
    *,
    actor: AdminActor,
    reason: AdminReason,
    overlap_s: Annotated[float, typer.Option(min=0, help="How long the older keys stay valid.")] = 86_400,
    secret: Secret = None,
    secret_file: SecretFile = None,
    public_key: PublicKeys = None,
    shared_key: SharedKey = None,
    as_json: Json = False,
) -> None:
    """Add keys and let all older ones end."""
    by = by_or_fail(actor, reason)
    keys = _new_keys(secret, secret_file, public_key)

    def rotated(connection: Connection[Any], vault: Vault) -> tuple[IntegrationRow, Issued]:
        found = integrations.find(connection, integration_id, dialects.default_policies())
        with _arguments():
            dialects.check_keys(dialects.named(found.dialect), keys.kinds)
        return found, integrations.rotate(
            connection, vault, integration_id, by=by, overlap_s=overlap_s, secret=keys.secret,
            public_keys=keys.public_keys, shared_key=shared_key,
        )  # fmt: skip

    found, issued = _administer(rotated)
    _show_issued(issued, found.dialect, as_json=as_json)


@app.command()
def configure(
    integration_id: IntegrationId,
    actor: AdminActor,
    reason: AdminReason,
    option: Options = None,
    unset: Annotated[list[str] | None, typer.Option(help="Back to the dialect's default. May be repeated.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Change options or the policy; gateways see it within seconds."""
    by = by_or_fail(actor, reason)

    def configured(connection: Connection[Any], _: Vault) -> dict[str, str]:
        found = integrations.find(connection, integration_id, dialects.default_policies())
        stated = _stated(found)
        if unknown := sorted(set(unset or []) - set(stated)):
            fail(f"option {unknown[0]} is not set: there are {', '.join(stated) or 'none'}", FINDING)
        options = {name: value for name, value in stated.items() if name not in (unset or [])}
        options |= _parsed(option or [])
        with _arguments():
            dialects.check_options(dialects.named(found.dialect), options)
        integrations.set_options(connection, integration_id, options, by=by)
        return options

    options = _administer(configured)
    content = {"integration_id": integration_id, "options": options}
    show(content, as_json=as_json, text=table(("option", "value"), options.items()))


@app.command("restore-secret")
def restore_secret(
    kid: Annotated[str, typer.Argument(help="The key that came out of an archive without its secret.")],
    actor: AdminActor,
    reason: AdminReason,
    secret_file: SecretFile = None,
    shared_key: SharedKey = None,
    *,
    as_json: Json = False,
) -> None:
    """Give a key of a restored ledger the secret that the provider knows it by, on standard input or in a file."""
    by, secret = by_or_fail(actor, reason), _read_secret(secret_file or "-")
    integration_id = _administer(
        lambda connection, vault: integrations.restore_secret(
            connection, vault, kid, secret, by=by, shared_key=shared_key
        )
    )
    show(
        {"integration_id": integration_id, "kid": kid},
        as_json=as_json,
        text=f"{kid} of {integration_id} has its secret",
    )


@app.command()
def disable(integration_id: IntegrationId, actor: AdminActor, reason: AdminReason, *, as_json: Json = False) -> None:
    """Refuse the integration's callbacks from now on; gateways see it within seconds."""
    _switch(integration_id, by_or_fail(actor, reason), enabled=False, as_json=as_json)


@app.command()
def enable(integration_id: IntegrationId, actor: AdminActor, reason: AdminReason, *, as_json: Json = False) -> None:
    """Take the integration's callbacks again."""
    _switch(integration_id, by_or_fail(actor, reason), enabled=True, as_json=as_json)


@app.command("list")
def list_integrations(*, as_json: Json = False) -> None:
    """Print all integrations with their keys; never a secret."""
    content = [_integration_content(one) for one in on_ledger(_load)]
    headings = ("integration", "brand", "region", "provider", "dialect", "enabled", "keys")
    rows = (
        [", ".join(value) if isinstance(value, list) else value for value in list(row.values())[:-1]] for row in content
    )
    show(content, as_json=as_json, text=table(headings, rows))


@app.command("show")
def show_one(integration_id: IntegrationId, *, as_json: Json = False) -> None:
    """Print an integration with its options and the policy in force; never a secret."""
    found = _administer(
        lambda connection, _: integrations.find(connection, integration_id, dialects.default_policies())
    )
    dialect = dialects.load().get(found.dialect)
    content = _integration_content(found) | {
        "options": ({**dialects.default_options(), **dialect.default_options} if dialect else {}) | dict(found.options),
        "policy": asdict(found.policy),
        "keys": [
            {"kid": key.kid, "kind": key.kind, "not_before": key.not_before, "not_after": key.not_after}
            | ({"lacks_secret": True} if key.lacks_secret else {})
            for key in found.keys
        ],
    }
    show(content, as_json=as_json, text=table(("name", "value"), _lines(content)))


@app.command("dialects")
def list_dialects(*, as_json: Json = False) -> None:
    """Print the dialects with their keys, options and policies."""
    content = [_dialect_content(one) for one in dialects.load().values()]
    rows = (
        (one["dialect"], one["title"], ", ".join(one["keys"]), "\n".join(map(_option_line, one["options"].items())))
        for one in content
    )
    every = {name: _option_content(option) for name, option in dialects.OPTIONS.items()}
    policy = {name: policies.allowed(name) for name in policies.KINDS}
    show(
        {"dialects": content, "options": every, "policy": policy},
        as_json=as_json,
        text=table(("dialect", "protocol", "keys", "options"), rows),
    )


@app.command("scaffold")
def write_scaffold(
    name: Annotated[str, typer.Argument(help="Of the new dialect: lower-case letters, digits and _.")],
    root: Annotated[Path, typer.Option(help="A checkout of the project.")] = Path(),
    *,
    as_json: Json = False,
) -> None:
    """Begin a new dialect: a small protocol that works, its driver, tests and page."""
    try:
        written = [str(path) for path in scaffold.write(name, root)]
    except scaffold.ScaffoldError as error:
        fail(str(error), FINDING)
    text = "\n".join([*written, f"Try it: make pages && python -m pytest tests/gateway/providers -k {name}"])
    show({"dialect": name, "files": written}, as_json=as_json, text=text)


# What is given ------------------------------------------------------------------------------------------------------


def _new_keys(secret: str | None, secret_file: str | None, public_keys: list[Path] | None) -> NewKeys:
    if secret is not None and secret_file is not None:
        fail("give --secret or --secret-file, not both")
    chosen = secret if secret_file is None else _read_secret(secret_file)
    return NewKeys(chosen, [path.read_bytes() for path in public_keys or []])


def _read_secret(path: str) -> str:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"--secret-file {path}: {error}")
    return text.removesuffix("\n").removesuffix("\r")


def _parsed(options: Sequence[str]) -> dict[str, str]:
    parsed: dict[str, str] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name or name in parsed:
            fail(f"--option {name}: give each option once, as NAME=VALUE")
        parsed[name] = value
    return parsed


def _stated(integration: IntegrationRow) -> dict[str, str]:
    policy = {f"{POLICY_PREFIX}{name}": str(value).lower() for name, value in integration.stated_policy.items()}
    return dict(integration.options) | policy


def _switch(integration_id: str, by: Actor, *, enabled: bool, as_json: bool) -> None:
    _administer(
        lambda connection, _: integrations.set_enabled(
            connection, integration_id, enabled=enabled, by=by, residency=settings_or_fail().residency
        )
    )
    show(
        {"integration_id": integration_id, "enabled": enabled},
        as_json=as_json,
        text=f"{integration_id} is {'on' if enabled else 'off'}",
    )


# What is shown ------------------------------------------------------------------------------------------------------


def _show_issued(issued: Issued, dialect: str, *, as_json: bool) -> None:
    base_url = _base_url(issued.integration_id, dialect)
    content = {"integration_id": issued.integration_id, "base_url": base_url, "kid": issued.kid}
    if issued.secret is not None:
        content["secret"] = issued.secret
    title = "Keep the secret now: it is not shown again." if issued.secret else None
    show(content, as_json=as_json, text=table(("name", "value"), content.items(), title=title))


def _base_url(integration_id: str, dialect: str) -> str:
    """What the provider is given. The canonical API has one for all: the key names the integration."""
    url = settings_or_fail().gateway_url
    return url if dialect == CANONICAL else f"{url}/integrations/{integration_id}"


def _integration_content(one: IntegrationRow) -> dict[str, Any]:
    return {
        "integration_id": one.integration_id,
        "brand_id": one.tenant_id,
        "region": one.region,
        "provider_id": one.provider_id,
        "dialect": one.dialect,
        "enabled": one.enabled,
        "kids": [key.kid for key in one.keys],
        "base_url": _base_url(one.integration_id, one.dialect),
    }


def _dialect_content(dialect: Dialect) -> dict[str, Any]:
    return {
        "dialect": dialect.name,
        "title": dialect.title,
        "keys": list(dialect.keys),
        "paths": [f"{endpoint.method} {endpoint.path or '/'}" for endpoint in dialect.endpoints],
        "as_written": [f"{one.method} {path}" for one in dialect.endpoints for path in one.as_written],
        "options": {name: _option_content(option) for name, option in dialect.options.items()},
        "policy": asdict(dialect.policy),
    }


def _option_content(option: Option) -> dict[str, Any]:
    return {"help": option.help, "default": option.default, "required": option.required} | (
        {"choices": list(option.choices)} if option.choices else {}
    )


def _option_line(entry: tuple[str, dict[str, Any]]) -> str:
    name, option = entry
    return f"{name}{'=' + option['default'] if option['default'] else ''}: {option['help']}"


def _lines(content: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from (
                (f"{name}.{inner}", str(one).lower() if isinstance(one, bool) else one) for inner, one in value.items()
            )
        elif name == "keys":
            yield from ((key["kid"], f"{key['kind']}, {key['not_before']} to {key['not_after']}") for key in value)
        elif name != "kids":
            yield name, value


def _load(connection: Connection[Any]) -> list[IntegrationRow]:
    try:
        return integrations.load(connection, dialects.default_policies())
    except PolicyError as error:
        fail(str(error), FINDING)


@contextmanager
def _arguments() -> Iterator[None]:
    """What is asked makes no sense, whatever the database holds."""
    try:
        yield
    except IntegrationError as error:
        fail(str(error))


def _administer(action: Callable[[Connection[Any], Vault], T]) -> T:
    """One transaction. What it is refused for ends the command."""
    try:
        vault = Vault(settings_or_fail())
        return on_ledger(lambda connection: action(connection, vault))
    except SecretsKeyError as error:
        fail(str(error))
    except (BrandError, IntegrationError, PolicyError) as error:
        fail(str(error), FINDING)
