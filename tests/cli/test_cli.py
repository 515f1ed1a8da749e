"""The `wagerledger` command as a person or a script uses it: real processes, real servers."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from psycopg import sql
from sqlalchemy import make_url

from cli.output import logging_to_stderr
from cli.reference import commands
from ledger.admin.secrets import new_secrets_key
from sandbox.servers.ports import LOOPBACK
from tests.cli.commands import register_brand, with_act
from tests.support import fork_server
from tests.support.pooler import pooled
from tests.support.servers import Servers, fresh_topic_prefix

OK, FINDING, COULD_NOT = 0, 1, 2
TIMEOUT_S = 60
WALLET = "--brand", "brand-1", "--region", "EU"
INTEGRATION = "--brand", "brand-1", "--region", "EU", "--provider", "studio"
WITHOUT_JSON = {
    "demo",
    "up",
    "gateway",
    "relay",
    "project",
    "casino-provider",
    "seal",
    "bi page",
    "schemas show",
    "audit prove",
}
"""They tell a story, run until they are stopped, or print JSON anyway."""

COMMANDS = {name.removeprefix("wagerledger "): command for name, command in commands()}


class Said(NamedTuple):
    """What a command wrote."""

    stdout: str
    stderr: str


def checked(arguments: Sequence[str], ended: int, said: Said, code: int) -> Said:
    assert ended == code, f"{' '.join(arguments)}: {ended}\n{said.stdout}\n{said.stderr}"
    assert "Traceback" not in said.stderr
    return said


class Cli:
    """Runs commands with settings of its own."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("WAGERLEDGER_")}
        self.environment = plain | {f"WAGERLEDGER_{name}": value for name, value in settings.items()}

    def __call__(self, *arguments: str, code: int = OK) -> Said:
        """Run a command as a process of its own, forked from one that has imported everything."""
        with tempfile.TemporaryDirectory() as folder:
            command = fork_server.start(with_act(arguments), self.environment, Path(folder))
            return checked(arguments, command.wait(), Said(command.stdout, command.stderr), code)

    def afresh(self, *arguments: str) -> Said:
        """The same by an interpreter of its own, as a shell starts it."""
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            env=self.environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
        return checked(arguments, done.returncode, Said(done.stdout, done.stderr), OK)

    def json(self, *arguments: str, code: int = OK):
        """What `--json` prints, which is JSON and nothing else."""
        return json.loads(self(*arguments, "--json", code=code).stdout)

    def start(self, *arguments: str, stderr: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "cli", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def but(self, **settings: str) -> "Cli":
        other = Cli({})
        other.environment = self.environment | {f"WAGERLEDGER_{name}": value for name, value in settings.items()}
        return other


@pytest.fixture(scope="module")
def login(servers: Servers) -> Iterator[tuple[str, str]]:
    """A login role like the gateway's, and its password."""
    name, password = f"test_cli_{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        role = sql.Identifier(name)
        connection.execute(sql.SQL("create role {} login password {}").format(role, sql.Literal(password)))
        yield name, password
        connection.execute(sql.SQL("drop role {}").format(role))


@pytest.fixture(scope="module")
def settings(
    servers: Servers, ledger_database_of_module: str, bi_database_of_module: str, login: tuple[str, str]
) -> dict[str, str]:
    name, password = login
    with psycopg.connect(ledger_database_of_module, autocommit=True) as connection:
        connection.execute(sql.SQL("grant wagerledger_app to {}").format(sql.Identifier(name)))
    register_brand(ledger_database_of_module)
    url = make_url(ledger_database_of_module).set(username=name, password=password)
    return {
        "DATABASE_URL": url.render_as_string(hide_password=False),
        "BI_DATABASE_URL": bi_database_of_module,
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap_servers,
        "SCHEMA_REGISTRY_URL": servers.schema_registry_url,
        "TOPIC_PREFIX": fresh_topic_prefix(),
        "SECRETS_KEY": new_secrets_key(),
    }


@pytest.fixture(scope="module")
def cli(settings: dict[str, str]) -> Cli:
    return Cli(settings)


@pytest.fixture(scope="module")
def deployed(cli: Cli) -> Cli:
    """With topics and schemas."""
    cli("topics", "apply")
    cli("schemas", "register")
    return cli


@pytest.fixture
def player() -> str:
    return f"p_{secrets.token_hex(6)}"


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


# What it says of itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_help_teaches(name: str) -> None:
    """Every command says in a sentence what it does, and every parameter what it is."""
    command = COMMANDS[name]
    assert (command.help or "").strip().endswith((".", "`.")), f"{name} has no sentence"
    for parameter in command.params:
        if parameter.name != "help":
            assert getattr(parameter, "help", None), f"{name} {parameter.name} has no meaning"


@pytest.mark.parametrize("arguments", [(), ("wallet",), ("audit", "verify")])
def test_help_is_shown(arguments: tuple[str, ...]) -> None:
    """`--help` works without a setting and without a server."""
    assert "Usage: wagerledger" in Cli({}).afresh(*arguments, "--help").stdout


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - WITHOUT_JSON))
def test_machines_are_served(name: str) -> None:
    """Whatever has a result has `--json`."""
    assert any("--json" in parameter.opts for parameter in COMMANDS[name].params)


def test_version() -> None:
    assert Cli({}).afresh("--version").stdout.strip() == version("wagerledger")


# Wallets --------------------------------------------------------------------------------------------------------------


def test_a_wallet_lives(cli: Cli, player: str) -> None:
    """Open, pay in, pay out, look: text for people, JSON for machines, amounts exact."""
    assert cli.json("wallet", "open", player, "EUR", *WALLET)["status"] == "opened"
    assert "25.50 EUR" in cli("wallet", "deposit", player, "EUR", "25.50", *WALLET, "--reference", "r-1").stdout
    assert cli.json("wallet", "withdraw", player, "EUR", "5.25", *WALLET)["balances"]["cash_minor"] == 2025
    (wallet,) = cli.json("wallet", "show", player, "--brand", "brand-1")
    assert (wallet["wallet_id"], wallet["cash"], wallet["held"]) == (f"brand-1/{player}/EUR", "20.25", "0.00")
    assert "20.25" in cli("wallet", "show", player, "EUR", "--brand", "brand-1").stdout
    events = cli.json("wallet", "events", player, "--brand", "brand-1", "--limit", "2")
    assert [event["event_type"] for event in events] == ["wallet.debit.withdrawal", "wallet.credit.deposit"]
    assert "cashier -2550, cash +2550" in cli("wallet", "events", player, "--brand", "brand-1").stdout


def test_a_repeat_changes_nothing(cli: Cli, player: str) -> None:
    """The same key again says that it is a repeat."""
    cli("wallet", "open", player, "EUR", *WALLET)
    deposits = [
        cli.json("wallet", "deposit", player, "EUR", "1.00", *WALLET, "--key", f"pay:{player}") for _ in range(2)
    ]
    assert [(one["replayed"], one["balances"]["cash_minor"]) for one in deposits] == [(False, 100), (True, 100)]


def test_a_refusal_is_1_and_says_why(cli: Cli, player: str) -> None:
    """Refused by a rule: code 1, the code of the catalogue and its message."""
    assert "WALLET_NOT_FOUND" in cli("wallet", "deposit", player, "EUR", "1.00", *WALLET, code=FINDING).stdout
    cli("wallet", "open", player, "EUR", *WALLET)
    refused = cli.json("wallet", "withdraw", player, "EUR", "0.01", *WALLET, code=FINDING)
    assert refused["refused"] == "INSUFFICIENT_FUNDS"
    assert "0.00 EUR available" in refused["message"]
    cli("wallet", "show", "p_nobody", "--brand", "brand-1", code=FINDING)
    cli("wallet", "events", "p_nobody", "--brand", "brand-1", code=FINDING)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("somebody@example.com", "EUR", "1.00"), "e-mail"),
        (("p_1", "eur", "1.00"), "currency"),
        (("p_1", "EUR", "1e2"), "plain decimal"),
        (("p_1", "EUR", "-1"), "No such option"),
    ],
)
def test_a_bad_argument_is_2_and_named(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    assert said in cli("wallet", "deposit", *WALLET, *arguments, code=COULD_NOT).stderr


# Settings and servers that are wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        ({"TOPIC_PARTITIONS": "0"}, "WAGERLEDGER_TOPIC_PARTITIONS"),
        ({"GATEWAY_PORT": "http"}, "WAGERLEDGER_GATEWAY_PORT"),
        ({"DATABASE_URL_FILE": "/nowhere/at/all"}, "WAGERLEDGER_DATABASE_URL_FILE"),
    ],
)
def test_a_bad_setting_is_2_and_named(settings: dict[str, str], variable: str) -> None:
    assert variable in Cli(settings)("integration", "list", code=COULD_NOT).stderr


def test_a_secret_may_come_from_a_file(cli: Cli, tmp_path: Path) -> None:
    """`_FILE` names a file that holds the value."""
    path = tmp_path / "url"
    path.write_text(cli.environment["WAGERLEDGER_DATABASE_URL"] + "\n")
    cli.but(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", DATABASE_URL_FILE=str(path))("integration", "list")


@pytest.mark.parametrize(
    "arguments",
    [
        ("wallet", "deposit", "p_1", "EUR", "1.00", *WALLET),
        ("wallet", "show", "p_1", "--brand", "brand-1"),
        ("integration", "list"),
        ("integration", "add", *INTEGRATION),
        ("migrate",),
        ("audit", "verify", "--no-topics"),
        ("audit", "replay", "--wallet", "brand-1/p_1/EUR"),
        ("relay", "recover"),
    ],
)
def test_an_unreachable_database_is_2_and_names_its_variable(deployed: Cli, arguments: tuple[str, ...]) -> None:
    """And never shows the password."""
    other = deployed.but(
        DATABASE_URL=f"postgresql://somebody:hunter2@127.0.0.1:{closed_port()}/none",
        JOURNAL_DEADLINE_MS="500",
        PATIENCE_S="0",
    )
    done = other(*arguments, code=COULD_NOT)
    assert "WAGERLEDGER_DATABASE_URL" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_a_payment_of_unknown_outcome_tells_its_key(deployed: Cli) -> None:
    """Whoever repeats it without that key would pay twice."""
    gone = deployed.but(DATABASE_URL=f"postgresql://nobody@{LOOPBACK}:1/nothing", PATIENCE_S="0")
    done = gone("wallet", "deposit", "p_1", "EUR", "5", *WALLET, "--json", code=COULD_NOT)
    assert done.stdout == ""
    assert "Connection refused" in done.stderr
    key = json.loads(done.stderr)["error"].split("--key ")[1].split()[0]
    payment = "wallet", "deposit", "p_1", "EUR", "5", *WALLET, "--key", key
    deployed("wallet", "open", "p_1", "EUR", *WALLET)
    assert not deployed.json(*payment)["replayed"]
    assert deployed.json(*payment)["replayed"]


def test_a_payment_does_not_wait_for_what_somebody_must_mend(deployed: Cli, ledger_database_of_module: str) -> None:
    """It says at once what is wrong."""
    wrong = make_url(ledger_database_of_module).set(database="nowhere").render_as_string(hide_password=False)
    other = deployed.but(DATABASE_URL=wrong, PATIENCE_S="300")
    said = other("wallet", "deposit", "p_1", "EUR", "5", *WALLET, code=COULD_NOT).stderr
    assert 'database "nowhere" does not exist' in said
    assert "trying again" not in said


def test_a_payment_that_is_broken_off_tells_its_key(deployed: Cli) -> None:
    """Ctrl-C while it waits ends it at once, with 130."""
    away = deployed.but(DATABASE_URL=f"postgresql://nobody@{LOOPBACK}:1/nothing", PATIENCE_S="300")
    with away.start("wallet", "deposit", "p_1", "EUR", "5", *WALLET, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr
            assert "trying again" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "--key " in said
    assert "Traceback" not in said


def test_what_a_command_logs_is_no_part_of_its_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """It goes to standard error."""
    with logging_to_stderr():
        structlog.get_logger("tests").warning("on the way")
    said = capsys.readouterr()
    assert said.out == ""
    assert "on the way" in said.err


@pytest.mark.parametrize("action", ["register", "check"])
def test_an_unreachable_registry_is_2_and_names_its_variable(cli: Cli, action: str) -> None:
    other = cli.but(SCHEMA_REGISTRY_URL=f"http://127.0.0.1:{closed_port()}", PATIENCE_S="0")
    assert "WAGERLEDGER_SCHEMA_REGISTRY_URL" in other("schemas", action, code=COULD_NOT).stderr


# Doctor ---------------------------------------------------------------------------------------------------------------


def test_doctor_is_content(deployed: Cli) -> None:
    """With everything in place each check is in order."""
    checks = deployed.json("doctor")
    assert [check for check in checks if not check["ok"]] == []
    assert {check["variable"].removeprefix("WAGERLEDGER_") for check in checks} == {
        "DATABASE_URL", "BI_DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "TOPIC_PREFIX", "SCHEMA_REGISTRY_URL", "SECRETS_KEY",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "postgresql://nobody:hunter2@127.0.0.1:1/none"),
        ("BI_DATABASE_URL", "postgresql://nobody:hunter2@127.0.0.1:1/none"),
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"),
        ("SCHEMA_REGISTRY_URL", "http://127.0.0.1:1"),
        ("SECRETS_KEY", "not base64!"),
        ("TOPIC_PREFIX", "nobody-made-these."),
    ],
)
def test_doctor_names_the_variable_that_is_wrong(deployed: Cli, variable: str, value: str) -> None:
    """Exit code 1; the wrong one is named and no other, with a reason, and no secret is shown."""
    done = deployed.but(**{variable: value}, PATIENCE_S="0")("doctor", "--json", code=FINDING)
    wrong = [check for check in json.loads(done.stdout) if not check["ok"]]
    named = {check["variable"].removeprefix("WAGERLEDGER_") for check in wrong}
    assert named == ({variable, "SCHEMA_REGISTRY_URL"} if variable == "TOPIC_PREFIX" else {variable})
    assert all(check["text"] for check in wrong)
    assert "hunter2" not in done.stdout + done.stderr


def test_doctor_connects_as_the_gateway_does(deployed: Cli) -> None:
    """So it meets the pooler behind which a gateway is unready, and names the variable and the pooler."""
    with pooled(deployed.environment["WAGERLEDGER_DATABASE_URL"], whole_sessions=False) as url:
        checks = deployed.but(DATABASE_URL=url).json("doctor", code=FINDING)
    (check,) = [check for check in checks if check["name"] == "ledger database"]
    assert (check["ok"], check["variable"]) == (False, "WAGERLEDGER_DATABASE_URL")
    assert "a pooler hands this session to others" in check["text"]


def test_doctor_refuses_a_role_that_may_change_history(deployed: Cli, ledger_database_of_module: str) -> None:
    """A service that runs as an administrator is a finding."""
    checks = deployed.but(DATABASE_URL=ledger_database_of_module).json("doctor", code=FINDING)
    assert [check["name"] for check in checks if not check["ok"]] == ["least privilege"]


# Integrations ---------------------------------------------------------------------------------------------------------


def test_a_secret_is_shown_once(cli: Cli) -> None:
    """`add` and `rotate-key` print the new secret; nothing prints it ever again."""
    issued = cli.json("integration", "add", *INTEGRATION)
    rotated = cli.json("integration", "rotate-key", issued["integration_id"], "--overlap-s", "60")
    (listed,) = [one for one in cli.json("integration", "list") if one["integration_id"] == issued["integration_id"]]
    assert set(listed["kids"]) == {issued["kid"], rotated["kid"]}
    shown = cli("integration", "list").stdout + json.dumps(listed)
    assert issued["secret"] not in shown
    assert rotated["secret"] not in shown
    assert "exists already" in cli("integration", "add", *INTEGRATION, code=FINDING).stderr
    assert "Keep the secret now" in cli("integration", "add", *INTEGRATION[:-1], "other").stdout


def test_a_provider_may_bring_a_public_key(cli: Cli, tmp_path: Path) -> None:
    """Then there is no secret at all; what is no key is refused."""
    path = tmp_path / "key.pem"
    path.write_bytes(
        Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    added = cli.json("integration", "add", *INTEGRATION[:-1], "signer", "--public-key", str(path))
    assert "secret" not in added
    path.write_text("nonsense")
    assert (
        "PEM"
        in cli("integration", "add", *INTEGRATION[:-1], "signer-2", "--public-key", str(path), code=COULD_NOT).stderr
    )


def test_an_integration_is_switched_off_and_on(cli: Cli) -> None:
    issued = cli.json("integration", "add", *INTEGRATION[:-1], "switched")
    for action, enabled in (("disable", False), ("enable", True)):
        assert cli.json("integration", action, issued["integration_id"])["enabled"] is enabled
        assert [one["enabled"] for one in cli.json("integration", "list") if one["provider_id"] == "switched"] == [
            enabled
        ]
    assert "not known" in cli("integration", "disable", "brand-1/EU/nobody", code=FINDING).stderr


def test_a_policy_has_named_values(cli: Cli) -> None:
    sometimes = cli("integration", "add", *INTEGRATION, "--option", "policy.capture=sometimes", code=COULD_NOT)
    assert "settlement or authorization" in sometimes.stderr


# Deploy steps ---------------------------------------------------------------------------------------------------------


def test_migrate_may_be_repeated(cli: Cli, empty_database: str) -> None:
    """From nothing to tables, and from there to the same."""
    administrator = cli.but(DATABASE_URL=empty_database)
    for _ in range(2):
        assert administrator.json("migrate") == {"migrated": True, "months_without_partition": []}


def test_topics_are_made_once_and_never_changed(cli: Cli) -> None:
    """A second run finds them; another number of partitions is a finding that names the variable."""
    fresh = cli.but(TOPIC_PREFIX=fresh_topic_prefix())
    assert set(fresh.json("topics", "apply")["topics"].values()) == {"created"}
    assert set(fresh.json("topics", "apply")["topics"].values()) == {"there"}
    assert "WAGERLEDGER_TOPIC_PARTITIONS" in fresh.but(TOPIC_PARTITIONS="7")("topics", "apply", code=FINDING).stderr


def test_schemas_are_registered_and_checked(cli: Cli) -> None:
    """Before the deploy step `check` names what is missing, after it nothing."""
    fresh = cli.but(TOPIC_PREFIX=fresh_topic_prefix())
    missing = {finding["subject"] for finding in fresh.json("schemas", "check", code=FINDING)}
    registered = {one["subject"] for one in fresh.json("schemas", "register")}
    assert missing <= registered
    assert fresh.json("schemas", "check") == []
    assert "exactly the schemas" in fresh("schemas", "check").stdout


def test_a_schema_is_shown() -> None:
    """Whole and valid, without any server; an unknown one is answered with the known ones."""
    assert json.loads(Cli({})("schemas", "show", "bet.authorized").stdout)["name"] == "BetAuthorized"
    assert "bet.authorized" in Cli({})("schemas", "show", "bet.invented", code=COULD_NOT).stderr


# Audit and recovery ---------------------------------------------------------------------------------------------------


def test_the_audit_tells_its_verdict_by_its_exit_code(deployed: Cli, player: str) -> None:
    """0 while all agrees; what nobody has published yet is a finding only when asked to be strict."""
    deployed("wallet", "open", player, "EUR", *WALLET)
    report = deployed.json("audit", "verify")
    assert (report["ok"], report["findings"]) == (True, [])
    assert report["not_checked"] == ["read models (--bi)", "tree heads (--anchors)"]
    said = deployed("audit", "verify", "--no-topics").stdout
    assert "Everything agrees" in said
    assert said.rstrip().endswith("Not checked: topics (--topics), read models (--bi), tree heads (--anchors).")
    strict = deployed.json("audit", "verify", "--strict", code=FINDING)
    codes = {finding["code"] for finding in strict["findings"]}
    assert {"topic_unpublished"} <= codes <= {"topic_unpublished", "refusal_unpublished"}


def test_a_wallet_is_replayed(cli: Cli, player: str) -> None:
    """As it is, and as it was at a version."""
    cli("wallet", "open", player, "EUR", *WALLET)
    for amount in ("10.00", "5.00"):
        cli("wallet", "deposit", player, "EUR", amount, *WALLET)
    wallet = "--wallet", f"brand-1/{player}/EUR"
    assert "15.00" in cli("audit", "replay", *wallet).stdout
    assert cli.json("audit", "replay", *wallet, "--version", "2")["version"] == 2
    cli("audit", "replay", "--wallet", "brand-1/p_nobody/EUR", code=FINDING)
    assert "the stream is at version 3" in cli("audit", "replay", *wallet, "--version", "99", code=FINDING).stderr
    cli("audit", "replay", "--wallet", player, code=COULD_NOT)
    cli("audit", "replay", *wallet, "--source", "memory", code=COULD_NOT)


def test_recovery_of_what_is_well_changes_nothing(deployed: Cli) -> None:
    assert deployed.json("relay", "recover")["restored"] == 0


# Processes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "event"), [("relay", "relay_publishes"), ("project", "partitions_assigned")])
def test_a_process_logs_json_and_stops_in_order(deployed: Cli, command: str, event: str) -> None:
    """Each line of its standard output is JSON with time, level and process; SIGTERM ends it with 0."""
    lines = []
    with deployed.start(command) as process:
        try:
            assert process.stdout
            for text in process.stdout:
                lines.append(json.loads(text))
                if lines[-1].get("event") == event:
                    break
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()
    lines += [json.loads(text) for text in rest.splitlines()]
    assert process.returncode == OK, lines
    assert all({"ts", "level", "process"} <= line.keys() for line in lines)


def test_a_gateway_without_its_secrets_key_does_not_start(cli: Cli) -> None:
    assert "WAGERLEDGER_SECRETS_KEY" in cli.but(SECRETS_KEY="")("gateway", code=COULD_NOT).stderr


def test_a_taken_port_is_named(cli: Cli) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "WAGERLEDGER_GATEWAY_PORT" in cli("gateway", "--port", port, code=COULD_NOT).stderr
        for command in ("relay", "project"):
            assert "WAGERLEDGER_METRICS_PORT" in cli.but(METRICS_PORT=port)(command, code=COULD_NOT).stderr


def test_down_without_up_is_told(tmp_path: Path) -> None:
    """Nothing to stop is no error."""
    assert Cli({}).json("down", "--data-dir", str(tmp_path / "nothing")) == {"stopped": False}
