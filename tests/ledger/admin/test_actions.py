"""Every change of a setting says who did it and why, and can be done again from what was written down."""

import base64
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from psycopg.errors import CheckViolation, InsufficientPrivilege

from audit.verify import verify
from evidence.log import entries, horizon
from ledger.admin import actions, games, integrations, rates
from ledger.admin.actions import Actor, AdminAction, AdminActionError
from ledger.admin.games import Game
from ledger.admin.generation import raise_generation
from ledger.admin.integrations import IntegrationError
from ledger.admin.secrets import Vault, new_secrets_key
from ledger.entry import ACT
from runtime.settings import Settings
from tests.support.commands import BY
from tests.support.journals import settings_of
from tests.support.servers import fresh_database
from tests.support.waiting import locked_out, patient_connection, until
from tests.support.wrong_hand import disarm

SECRET = "canary-4711-of-the-provider"
STUDIO, SIGNER = "acme/eu/studio", "acme/eu/signer"
SETTINGS = {
    "integrations": "integration_id",
    "keys_without_secrets": "kid",
    "games": "integration_id, game_id",
    "rates": "base, quote, as_of",
    "log_generation": "generation",
}


@pytest.fixture(scope="module")
def vault(ledger_database_of_module):
    return Vault(settings_of(ledger_database_of_module, secrets_key=new_secrets_key()))


@pytest.fixture(scope="module")
def administered(ledger_database_of_module, vault):
    """A database in which every act was done. Gives its URL and the kid of the key that SECRET is of."""
    public = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    place = {"tenant_id": "acme", "region": "eu"}
    rate = {"base": "USD", "quote": "EUR", "rate": "0.92", "source": "desk"}
    with psycopg.connect(ledger_database_of_module, autocommit=True) as connection:
        integrations.add(connection, vault, by=BY, provider_id="studio", secret=SECRET, **place)
        integrations.add(connection, vault, by=BY, provider_id="signer", public_keys=[public], **place)
        issued = integrations.rotate(connection, vault, STUDIO, by=BY, overlap_s=60, secret=SECRET + "-2")
        integrations.set_options(connection, STUDIO, {"policy.capture": "authorization", "currency": "EUR"}, by=BY)
        for enabled in (False, True, False):
            integrations.set_enabled(connection, SIGNER, enabled=enabled, by=BY)
        listed = [Game(STUDIO, f"g{n}", f"code-{n}", "Game", enabled=True) for n in range(3)]
        games.put(connection, STUDIO, listed, by=BY)
        games.put(
            connection,
            STUDIO,
            [listed[0]._replace(provider_game_id="code-1"), listed[1]._replace(provider_game_id="code-0")],
            by=BY,
        )
        games.put(connection, SIGNER, [listed[2]._replace(integration_id=SIGNER)], by=BY)
        games.put(connection, SIGNER, [], by=BY, replace=True)
        rates.add(connection, [rates.parse("acme", rate, datetime.now(UTC))], by=Actor("desk", "the day's rate"))
        raise_generation(connection, Actor("dba", "moved on purpose"))
    return ledger_database_of_module, issued.kid


def settings_in(connection):
    return {
        table: connection.execute(f"select t::text from wagerledger.{table} t order by {key}").fetchall()
        for table, key in SETTINGS.items()
    }


def acts_in(url):
    with psycopg.connect(url) as connection:
        connection.execute("set transaction isolation level repeatable read")
        return [entry.body for entry in entries(connection, 0, horizon(connection)) if entry.kind == ACT]


def test_each_change_is_written_down(administered):
    """Who, why, what, on which integration; the newest first."""
    with psycopg.connect(administered[0]) as connection:
        found = actions.find(connection)
        of_signer = actions.find(connection, subject=SIGNER, limit=2)
        nobody = actions.find(connection, tenant_id="other")
    assert [act["action"] for act in reversed(found)] == [
        "integration.added", "integration.added", "integration.keys_rotated", "integration.configured",
        "integration.disabled", "integration.enabled", "integration.disabled",
        "games.put", "games.put", "games.put", "games.put", "rates.added", "log.generation_raised",
    ]  # fmt: skip
    assert (found[1]["actor"], found[1]["reason"], found[1]["tenant_id"]) == ("desk", "the day's rate", "acme")
    assert [act["action"] for act in of_signer] == ["games.put", "games.put"]
    assert of_signer[0]["region"] == "eu"
    assert nobody == []


def test_no_act_tells_a_secret(administered, vault):
    """Neither as it is, nor sealed, nor in another writing."""
    url, kid = administered
    with psycopg.connect(url) as connection:
        query = "select material from wagerledger.integration_keys where kid = %s"
        (sealed,) = connection.execute(query, [kid]).fetchone()
        told = b"\n".join(acts_in(url)) + json.dumps(settings_in(connection)["keys_without_secrets"]).encode()
    assert kid.encode() in told
    assert vault.open(kid, sealed) == f"{SECRET}-2".encode()
    for secret in (SECRET.encode(), sealed):
        assert secret.hex().encode() not in told
        assert base64.b64encode(secret)[:-4] not in told
        assert secret not in told


def test_done_again_they_give_the_same_settings(administered, ledger_database, vault):
    """In an empty database, from the entries of the log alone: row for row, word for word; only secrets are not there."""
    url, kid = administered
    told = acts_in(url)
    with psycopg.connect(ledger_database, autocommit=True) as connection:
        for body in told:
            with connection.transaction():
                actions.redo(connection, json.loads(body))
        with psycopg.connect(url) as original:
            assert settings_in(connection) == settings_in(original)
        lacking = {key.kid for one in integrations.load(connection) for key in one.keys if key.lacks_secret}
        assert kid in lacking
        assert len(lacking) == 2
        assert integrations.restore_secret(connection, vault, kid, f"{SECRET}-2", by=BY) == STUDIO
        (material,) = connection.execute(
            "select material from wagerledger.integration_keys where kid = %s", [kid]
        ).fetchone()
        assert vault.open(kid, material) == f"{SECRET}-2".encode()
        with pytest.raises(IntegrationError, match="lacks no secret"):
            integrations.restore_secret(connection, vault, kid, "another one", by=BY)
    assert acts_in(ledger_database)[:-1] == told


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ("update wagerledger.integrations set policy = '{}'", "setting_differs", STUDIO),
        (
            f"insert into wagerledger.integration_keys (kid, integration_id, algorithm) values ('k_x', '{STUDIO}', 'secret')",
            "setting_unexplained",
            "k_x",
        ),
        ("update wagerledger.integration_keys set not_after = now()", "setting_differs", "integration_keys"),
        ("delete from wagerledger.games", "setting_differs", "it is gone"),
        ("update wagerledger.rates set numerator = numerator + 1", "setting_differs", "rates"),
        ("insert into wagerledger.log_generation (generation, reason) values (9, 'x')", "setting_unexplained", "9"),
        ("delete from wagerledger.acts where action like 'rates.%'", "setting_unexplained", "rates"),
    ],
)
def test_a_setting_that_no_act_tells_is_found_by_the_audit(servers, administered, change, code, named):
    """Also what a superuser did with the triggers switched off: a planted key, another policy, another rate."""
    with fresh_database(servers.database_url, template=administered[0]) as url:
        assert (report := verify(Settings(database_url=url), topics=False)).ok, report.text()
        with psycopg.connect(url) as connection:
            disarm(connection)
            assert connection.execute(change).rowcount
        report = verify(Settings(database_url=url), topics=False)
    assert set(report.counts) == {code}, report.text()
    assert named in report.text()


ACTS = {
    "configure": lambda c, vault, n: integrations.set_options(c, STUDIO, {"policy.abandoned_after_s": n}, by=BY),
    "disable": lambda c, vault, n: integrations.set_enabled(c, STUDIO, enabled=False, by=BY),
    "rotate": lambda c, vault, n: integrations.rotate(c, vault, STUDIO, by=BY, overlap_s=60),
    "put games": lambda c, vault, n: games.put(c, STUDIO, [Game(STUDIO, f"g{n}", f"c{n}", "G", enabled=True)], by=BY),
    "replace games": lambda c, vault, n: games.put(
        c, STUDIO, [Game(STUDIO, f"h{n}", f"d{n}", "H", enabled=True)], by=BY, replace=True
    ),
}


def test_acts_at_the_same_time_tell_what_came_of_both(servers, administered, vault):
    """Whichever two: the one that is written down last tells how the settings are, and a restore would leave them so."""
    pairs = list(itertools.product(ACTS, ACTS))
    with (
        fresh_database(servers.database_url, template=administered[0]) as url,
        patient_connection(url) as first,
        psycopg.connect(url, autocommit=True) as second,
        ThreadPoolExecutor() as pool,
    ):
        for number, (one, other) in enumerate(pairs):
            first.execute("select 1")  # so that the act is a part of a transaction that is still open
            ACTS[one](first, vault, f"{number}1")
            twin = pool.submit(ACTS[other], second, vault, f"{number}2")
            until(lambda: twin.done() or locked_out(url), "a twin that is done, or waits")  # noqa: B023  # called at once
            first.commit()
            twin.result()
            report = verify(Settings(database_url=url), topics=False)
            assert report.ok, f"{one}, and {other}: {report.text()}"


@pytest.mark.parametrize(
    "change",
    [
        f"update wagerledger.integrations set enabled = not enabled where integration_id = '{STUDIO}'",
        f"update wagerledger.integrations set policy = '{{}}' where integration_id = '{STUDIO}'",
        f"insert into wagerledger.integration_keys (kid, integration_id, algorithm, material) values ('k_x', '{STUDIO}', 'ed25519', '')",
        f"update wagerledger.integration_keys set not_after = null where integration_id = '{STUDIO}'",
        f"insert into wagerledger.games values ('{STUDIO}', 'x', 'x', 'x')",
        f"delete from wagerledger.games where integration_id = '{STUDIO}'",
        "insert into wagerledger.rates (tenant_id, base, quote, numerator, denominator, base_exponent, source, as_of) values ('acme', 'SEK', 'EUR', 1, 11, 2, 'x', 1)",
        "insert into wagerledger.log_generation (generation, reason) values (9, 'x')",
    ],
)
def test_a_change_without_its_act_is_refused(administered, change):
    """At the end of the transaction, whoever asks, also where an act tells of something else."""
    elsewhere = AdminAction(BY, "integration.configured", "acme/eu/other", {})
    with psycopg.connect(administered[0]) as connection:
        for before in (None, elsewhere):
            connection.execute(change)
            if before:
                actions.record(connection, before)
            with pytest.raises(InsufficientPrivilege, match="no act in this transaction says who did it and why"):
                connection.commit()


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (Actor("", "why"), "actor ''"),
        (Actor("clerk", " "), "reason ''"),
        (Actor("clerk", "why\n"), None),
        (Actor("clerk", "a\nb"), "reason"),
        (Actor("clerk", "why", " Clerk"), "cannot approve"),
        (Actor("clerk", "why", ""), "approver"),
    ],
)
def test_an_act_says_who_and_why(administered, by, said):
    """And nobody approves their own. Else nothing is changed."""
    with psycopg.connect(administered[0]) as connection:
        integrations.set_enabled(connection, STUDIO, enabled=False, by=BY)
        if said is None:
            integrations.set_enabled(connection, STUDIO, enabled=True, by=by)
        else:
            with pytest.raises(AdminActionError, match=said):
                integrations.set_enabled(connection, STUDIO, enabled=True, by=by)
            assert not integrations.find(connection, STUDIO).enabled
        connection.rollback()
        blank = "insert into wagerledger.acts (act_id, acted_at, tenant_id, region, action, subject, actor, reason, content) values (gen_random_uuid(), now(), '', '', 'x', 'x', '', 'x', '{}')"
        with pytest.raises(CheckViolation):
            connection.execute(blank)
