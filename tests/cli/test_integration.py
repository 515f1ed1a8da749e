"""`wagerledger integration`: what is asked is checked against the dialect, and no secret is told twice."""

import base64
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr
from typer.testing import CliRunner

from cli.main import app
from cli.output import COULD_NOT, FINDING, OK
from gateway.host import dialects
from ledger.admin.secrets import Vault, new_secrets_key
from runtime.settings import Settings
from tests.cli.commands import register_brand, with_act
from tests.support.toy_dialect import TOY, WEAK

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def environment(ledger_database_of_module: str) -> dict[str, str]:
    register_brand(ledger_database_of_module)
    return {
        "WAGERLEDGER_DATABASE_URL": ledger_database_of_module,
        "WAGERLEDGER_SECRETS_KEY": new_secrets_key(),
        "WAGERLEDGER_GATEWAY_PUBLIC_URL": "https://wallet.example/",
    }


@pytest.fixture
def command(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `wagerledger integration …`; what it prints as JSON, or else all of its output."""
    hosted = {"canonical": dialects.CANONICAL_API, "toy": TOY, "weak_toy": WEAK}
    monkeypatch.setattr(dialects, "load", lambda: hosted)

    def run(*arguments: str, code: int = OK, stdin: str | None = None) -> Any:
        done = CliRunner().invoke(app, with_act(["integration", *arguments]), env=environment, input=stdin)
        assert done.exit_code == code, done.output
        return json.loads(done.stdout) if "--json" in arguments else done.output

    return run


def named() -> tuple[str, ...]:
    return "--name", f"toy-{secrets.token_hex(4)}", "--brand", "brand-1", "--region", "EU", "--dialect", "toy"


def pem(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_an_integration_is_opened_with_what_its_provider_is_given(command: Command) -> None:
    """Id, base URL, key id and, only here, the secret that we made."""
    added = command("add", *named(), "--json")
    assert set(added) == {"integration_id", "base_url", "kid", "secret"}
    assert added["base_url"] == f"https://wallet.example/integrations/{added['integration_id']}"
    canonical = command("add", "--provider", secrets.token_hex(4), "--brand", "brand-1", "--region", "EU", "--json")
    assert canonical["base_url"] == "https://wallet.example"
    shown = command("show", added["integration_id"]) + command("list") + str(command("list", "--json"))
    assert added["secret"] not in shown


@pytest.mark.parametrize("way", ["--secret", "--secret-file", "stdin"])
def test_a_given_secret_is_kept_and_never_printed(
    command: Command, environment: dict[str, str], tmp_path: Path, way: str
) -> None:
    """As an argument, from a file, or from standard input; sealed as it is, without the line end."""
    secret = f"theirs, {secrets.token_hex(8)} "
    path = tmp_path / "secret"
    path.write_text(secret + "\n")
    given = {"--secret": ("--secret", secret), "--secret-file": ("--secret-file", str(path)), "stdin": ("--secret-file", "-")}[way]  # fmt: skip
    added = command("add", *named(), *given, "--json", stdin=secret + "\r\n")
    assert set(added) == {"integration_id", "base_url", "kid"}
    with psycopg.connect(environment["WAGERLEDGER_DATABASE_URL"]) as connection:
        row = connection.execute(
            "select material from wagerledger.integration_keys where kid = %s", [added["kid"]]
        ).fetchone()
    assert row
    vault = Vault(Settings(secrets_key=SecretStr(environment["WAGERLEDGER_SECRETS_KEY"])))
    assert vault.open(added["kid"], row[0]) == secret.encode()


def test_a_key_belongs_to_one_integration(command: Command, environment: dict[str, str], tmp_path: Path) -> None:
    """A secret or public key that another one has, or had, is refused, unless somebody says why; that is recorded."""
    secret, public_key = f"theirs, {secrets.token_hex(8)}", tmp_path / "key.pem"
    public_key.write_bytes(pem(rsa.generate_private_key(65537, 2048)))
    for given, other in (
        (("--secret", secret), ()),
        (("--public-key", str(public_key)), ("--public-key", str(other_key(tmp_path)))),
    ):
        first = command("add", *named(), *given, "--json")["integration_id"]
        second = named()
        said = command("add", *second, *given, code=FINDING)
        assert f"{first} has this key" in said
        assert secret not in said
        command("add", *second, *given, "--shared-key", " ", code=FINDING)
        command("rotate-key", first, *given)  # its own
        own = command("add", *named(), *other, "--json")["integration_id"]
        assert f"{first} has this key" in command("rotate-key", own, *given, code=FINDING)
        shared = command("add", *second, *given, "--shared-key", "the provider has one for all", "--json")
        with psycopg.connect(environment["WAGERLEDGER_DATABASE_URL"]) as connection:
            (reason,) = connection.execute(
                "select reason from wagerledger.acts where subject = %s", [shared["integration_id"]]
            ).fetchone() or ("",)
        assert reason.endswith(f"[key shared with {first}: the provider has one for all]")


def other_key(folder: Path) -> Path:
    path = folder / f"{secrets.token_hex(4)}.pem"
    path.write_bytes(pem(rsa.generate_private_key(65537, 2048)))
    return path


def test_a_secret_has_a_sensible_length(command: Command) -> None:
    """And a refused one is not repeated."""
    for secret in ("1234567", "x" * 4097):
        said = command("add", *named(), "--secret", secret, code=FINDING)
        assert "8 to 4096 bytes" in said
        assert secret not in said
    assert "not both" in command("add", *named(), "--secret", "x" * 8, "--secret-file", "-", code=COULD_NOT)
    assert "--secret-file" in command("add", *named(), "--secret-file", "/nowhere", code=COULD_NOT)


@pytest.mark.parametrize(("make", "kind"), [
    (lambda: ec.generate_private_key(ec.SECP256R1()), "ecdsa"),
    (lambda: rsa.generate_private_key(65537, 2048), "rsa"),
])  # fmt: skip
def test_public_keys_come_in_any_usual_form(
    command: Command, tmp_path: Path, make: Callable[[], Any], kind: str
) -> None:
    """PEM, DER, base64 of either; several at once."""
    key = make()
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    given: list[str] = []
    for number, content in enumerate((pem(key), der, base64.b64encode(der), base64.encodebytes(pem(key)))):
        path = tmp_path / str(number)
        path.write_bytes(content)
        given += ["--public-key", str(path)]
    added = command("add", *named(), *given, "--json")
    assert "secret" not in added
    shown = command("show", added["integration_id"], "--json")
    assert [one["kind"] for one in shown["keys"]] == [kind] * 4


@pytest.mark.parametrize(("content", "said"), [
    (b"nonsense", "PEM"),
    (pem(rsa.generate_private_key(65537, 1024)), "from 2048 bits"),
    (pem(ec.generate_private_key(ec.SECP192R1())), "from 256 bits"),
    (pem(Ed25519PrivateKey.generate()), "dialect toy cannot use a key of kind ed25519: its keys are secret, ecdsa, rsa"),
], ids=["nonsense", "short rsa", "short curve", "wrong kind"])  # fmt: skip
def test_a_key_that_proves_nobody_is_refused(command: Command, tmp_path: Path, content: bytes, said: str) -> None:
    """With the reason, before anything is written."""
    path = tmp_path / "key"
    path.write_bytes(content)
    assert said in command("add", *named(), "--public-key", str(path), code=COULD_NOT)


@pytest.mark.parametrize(("arguments", "said"), [
    (("--dialect", "klingon"), "there are canonical, toy, weak_toy"),
    (("--option", "colour=red"), "look_for, mood, operator"),
    (("--option", "mood=sad"), "calm or wild"),
    (("--option", "policy.capture=someday"), "settlement or authorization"),
    (("--option", "policy.win_needs_bet=1"), "true or false"),
    (("--option", "policy.abandoned_after_s=-1"), "seconds"),
    (("--option", "policy.luck=good"), "there is no policy 'luck'"),
    (("--option", "api_secret=hush"), "--secret"),
    (("--option", "mood"), "NAME=VALUE"),
    (("--option", "mood=calm", "--option", "mood=wild"), "once"),
    (("--option", "ip_allow=everywhere"), "203.0.113.0/24"),
    (("--option", "currencies=EUR:€"), "THEIRS:OURS"),
    (("--option", "currencies=USD:EUR"), "two currencies"),
    (("--option", "currencies=usd:EUR"), "two currencies"),
    (("--option", "currencies=USD:EUR", "--option", "wallet_currency=EUR"), "two currencies"),
    (("--option", "currencies=USDT:USD"), "two currencies"),
    (("--option", "currencies=USD:EUR*10"), "two currencies"),
    (("--option", "currencies=VND(K):VND"), "another unit"),
    (("--option", "currencies=KVND:VND"), "another unit"),
    (("--option", "currencies=kIDR:IDR"), "another unit"),
    (("--option", "currencies=uBTC:BTC"), "another unit"),
    (("--option", "currencies=VND:VND,KVND:VND*1000"), "one unit"),
    (("--option", "currencies=KVND:VND*900"), "THEIRS:OURS"),
    (("--option", "client_certificate=12"), "64 hexadecimal"),
    (("--option", "launch_ttl_s=10"), "300 to 900"),
    (("--option", "launch_url=ftp://x"), "https"),
    (("--dialect", "weak_toy"), "ip_allow"),
])  # fmt: skip
def test_what_a_dialect_does_not_know_is_refused_with_what_it_knows(
    command: Command, arguments: tuple[str, ...], said: str
) -> None:
    """Unknown names and values, and a weak protocol that anybody could call."""
    assert said in command("add", *named(), *arguments, code=COULD_NOT)


def test_what_an_integration_says_can_change(command: Command) -> None:
    """`configure` sets and unsets; `show` tells what is in force."""
    added = command("add", *named(), "--option", "mood=wild", "--option", "policy.capture=settlement", "--json")
    integration_id = added["integration_id"]
    before = command("show", integration_id, "--json")
    assert (before["options"]["mood"], before["options"]["look_for"]) == ("wild", "b_none")
    assert (before["policy"]["capture"], before["policy"]["session"]) == ("settlement", "known")
    command(
        "configure",
        integration_id,
        "--option",
        "policy.session=ignored",
        "--unset",
        "policy.capture",
        "--unset",
        "mood",
    )
    after = command("show", integration_id, "--json")
    assert after["options"]["mood"] == "calm"
    assert (after["policy"]["capture"], after["policy"]["session"]) == ("authorization", "ignored")
    assert "mood" in command("configure", integration_id, "--unset", "mood", code=FINDING)
    assert "calm or wild" in command("configure", integration_id, "--option", "mood=sad", code=COULD_NOT)
    assert "not known" in command("show", "no/such/one", code=FINDING)


def test_keys_rotate_within_their_kinds(command: Command, tmp_path: Path) -> None:
    """A given one stays unsaid, a made one is said; one of the wrong kind is refused."""
    integration_id = command("add", *named(), "--json")["integration_id"]
    made = command("rotate-key", integration_id, "--json")
    assert "secret" in made
    assert "secret" not in command("rotate-key", integration_id, "--secret", "chosen by them", "--json")
    path = tmp_path / "key"
    path.write_bytes(pem(Ed25519PrivateKey.generate()))
    assert "ed25519" in command("rotate-key", integration_id, "--public-key", str(path), code=COULD_NOT)
    assert len(command("show", integration_id, "--json")["keys"]) == 3


def test_the_dialects_are_listed_with_all_that_can_be_set(command: Command) -> None:
    """Keys, paths, options with their defaults and choices, policies."""
    listed = command("dialects", "--json")
    toy = next(one for one in listed["dialects"] if one["dialect"] == "toy")
    assert toy["keys"] == ["secret", "ecdsa", "rsa"]
    assert "POST /bet" in toy["paths"]
    assert toy["options"]["mood"]["choices"] == ["calm", "wild"]
    assert listed["policy"]["capture"] == "settlement or authorization"
    assert "ip_allow" in listed["options"]
    assert "Made up for tests" in command("dialects")
