"""Integrations, their keys and secrets at rest, and the least rights that the gateway runs with."""

import secrets
import uuid
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import make_url

from ledger.admin import integrations
from ledger.admin.integrations import IntegrationError
from ledger.admin.secrets import SecretsKeyError, Vault, new_secrets_key
from runtime.identifiers import player_id_fault
from runtime.settings import Settings
from tests.support.caller import RunningGateway, on_board
from tests.support.commands import BY


def with_key(key: str | None) -> Settings:
    return Settings(secrets_key=SecretStr(key) if key else None)


def test_a_sealed_secret_opens_only_with_its_key_and_for_its_kid() -> None:
    """Neither another WAGERLEDGER_SECRETS_KEY, nor another kid, nor a changed byte opens it; two seals differ."""
    settings = with_key(new_secrets_key())
    vault = Vault(settings)
    sealed = vault.seal("k_1", b"secret")
    assert vault.open("k_1", sealed) == b"secret"
    assert vault.seal("k_1", b"secret") != sealed
    assert b"secret" not in sealed
    for opener, kid, content in (
        (vault, "k_2", sealed),
        (Vault(with_key(new_secrets_key())), "k_1", sealed),
        (vault, "k_1", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (vault, "k_1", sealed[:5]),
    ):
        with pytest.raises(SecretsKeyError, match="WAGERLEDGER_SECRETS_KEY"):
            opener.open(kid, content)


@pytest.mark.parametrize("key", [None, "not base64!", "c2hvcnQ="])
def test_a_bad_secrets_key_is_named(key: str | None) -> None:
    """The message says which variable, and never its value."""
    with pytest.raises(SecretsKeyError, match="WAGERLEDGER_SECRETS_KEY") as raised:
        Vault(with_key(key))
    assert not key or key not in str(raised.value)


@pytest.mark.parametrize("name", ["tenant_id", "region", "provider_id"])
@pytest.mark.parametrize("value", ["-x", "--all", "-"])
def test_a_name_is_no_option_of_the_command_line(gateway: RunningGateway, name: str, value: str) -> None:
    """Brand, region and provider are typed as arguments of commands: none begins with a hyphen."""
    names = {"tenant_id": "brand-7", "region": "EU", "provider_id": uuid.uuid4().hex} | {name: value}
    with pytest.raises(IntegrationError, match="must not begin with -"):
        gateway.add_integration(**names)


def test_secrets_are_nowhere_in_the_database_or_in_a_repr(gateway: RunningGateway) -> None:
    """The secret is told once, when it is made."""
    issued = gateway.add_integration("brand-7", "EU", f"studio-{uuid.uuid4().hex}")
    assert issued.secret is not None
    assert issued.secret not in repr(issued)
    with gateway.connect() as connection:
        rows = connection.execute("select material from wagerledger.integration_keys").fetchall()
    assert all(issued.secret.encode() not in material for (material,) in rows)


def test_what_cannot_be_administrated_is_said(gateway: RunningGateway) -> None:
    """A second integration of the same three names, an unknown one, a bad name, a bad public key: an error that says so."""
    name = f"studio-{uuid.uuid4().hex}"
    gateway.add_integration("brand-7", "EU", name)
    with pytest.raises(IntegrationError, match="exists already"):
        gateway.add_integration("brand-7", "EU", name)
    with pytest.raises(IntegrationError, match="must be 1 to 128"):
        gateway.add_integration("brand 7", "EU", name)
    with pytest.raises(IntegrationError, match="no public key"):
        gateway.add_integration("brand-7", "US", name, public_keys=[b"short"])
    with gateway.connect() as connection:
        for act in (
            lambda: integrations.rotate(connection, gateway.vault(), "no/such/one", by=BY, overlap_s=0),
            lambda: integrations.set_enabled(connection, "no/such/one", enabled=True, by=BY),
        ):
            with pytest.raises(IntegrationError, match="not known"):
                act()
        known = {integration.integration_id for integration in integrations.load(connection)}
    assert f"brand-7/EU/{name}" in known
    assert f"brand-7/US/{name}" not in known, "nothing of a failed one stays"


def test_one_unreadable_key_costs_the_others_nothing(gateway: RunningGateway) -> None:
    """A secret sealed with another WAGERLEDGER_SECRETS_KEY opens for nobody; every other key works."""
    good, bad = (on_board(gateway, provider_id=f"studio-{uuid.uuid4().hex}") for _ in range(2))
    sealed = Vault(with_key(new_secrets_key())).seal(bad.kid, bad.secret.encode())
    with gateway.wrong_hand() as connection:
        connection.execute("update wagerledger.integration_keys set material = %s where kid = %s", [sealed, bad.kid])
    assert bad.send("POST", "/v1/sessions/s_1/end").code == "SIGNATURE_INVALID"
    assert good.send("POST", "/v1/sessions/s_1/end").code == "SESSION_NOT_FOUND"


def test_the_gateway_needs_no_more_than_the_application_role(ledger_database: str, settings: Settings) -> None:
    """As a member of wagerledger_app and nothing else it is ready, plays a round, and cannot change what is recorded."""
    role, password = f"app_{uuid.uuid4().hex[:8]}", secrets.token_hex(8)
    with psycopg.connect(ledger_database, autocommit=True) as admin:
        login = sql.SQL("create role {} login password {} in role wagerledger_app")
        admin.execute(login.format(sql.Identifier(role), password))
        try:
            url = make_url(ledger_database).set(username=role, password=password).render_as_string(hide_password=False)
            with RunningGateway(settings.model_copy(update={"database_url": SecretStr(url)})) as gateway:
                assert gateway.run(gateway.call("GET", "/readyz", [], [b""])).status == 200
                caller = on_board(gateway)
                gateway.open_wallet(caller.tenant_id, "p_1")
                session = caller.start_session("p_1")
                assert caller.authorize(session, "b_1").status == 200
                assert caller.settle("b_1", win="1").status == 200
                assert caller.roll_back("b_2").status == 200
                assert caller.authorize(session, "b_2").code == "BET_TOMBSTONED"
                assert caller.balances("p_1")["cash"] == "99.00"
                with gateway.connect() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute("delete from wagerledger.event_log")
        finally:
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def test_a_key_is_valid_in_its_time_only(gateway: RunningGateway) -> None:
    """Not before, and not after."""
    caller = on_board(gateway, provider_id=f"studio-{uuid.uuid4().hex}")
    early = replace(caller, kid=f"k_{uuid.uuid4().hex[:16]}")
    with gateway.wrong_hand() as connection:
        connection.execute(
            "insert into wagerledger.integration_keys (kid, integration_id, algorithm, material, not_before)"
            " select %s, integration_id, algorithm, %s, now() + interval '1 hour' from wagerledger.integration_keys where kid = %s",
            [early.kid, gateway.vault().seal(early.kid, b"later"), caller.kid],
        )
    assert replace(early, secret="later").send("POST", "/v1/sessions/s_1/end").code == "SIGNATURE_INVALID"
    assert caller.send("POST", "/v1/sessions/s_1/end").code == "SESSION_NOT_FOUND"


@pytest.mark.parametrize("player_id", ["p_demo_1", "1234567", "123456789", "018f4c2a-9d77-7c2b-8f3e-6b1a0d9e4f11", "12345678901234567890", "a-1.2:3", "8|USDT|USD"])  # fmt: skip
def test_an_operators_own_ids_are_taken(player_id: str) -> None:
    """Opaque names, account numbers, UUIDs."""
    assert player_id_fault(player_id) is None


@pytest.mark.parametrize("player_id", ["a@b.c", "+4915112345678", "004915112345678", "0151-12345678", "555.123.4567", "4915112345678", "", "a b", "x" * 129, "p\n", "a/b", "4915112345678|USD"])  # fmt: skip
def test_personal_or_malformed_ids_are_refused(player_id: str) -> None:
    """E-mail addresses, phone numbers, and what is no name at all."""
    assert player_id_fault(player_id)
