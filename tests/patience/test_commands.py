"""Every one-shot command outlasts a leader election, a broker that restarts, a registry that is away and a primary that restarts."""

import asyncio
import itertools
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from sqlalchemy import make_url

from cli.reference import commands
from evidence.keys import new_key, to_text
from ledger.admin.secrets import new_secrets_key
from ledger.journal.writer import Journal
from ledger.relay_position import positions_in
from outbox_relay.relay import Relay
from patience import Patience
from patience.kafka import QUIET
from projector.consumer import project
from runtime.settings import PREFIX, Settings
from runtime.topics_reader import TopicsReader
from sandbox.servers.process import Process
from sandbox.servers.stack import Stack, at_once
from schemas.topics import Topics
from tests.patience.second_broker import SecondBroker
from tests.support import fork_server
from tests.support.commands import Asks
from tests.support.fork_server import Command
from tests.support.journals import accepted
from tests.support.servers import kind_of_servers, migrated_template
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(kind_of_servers() != "embedded", reason="stops servers, which must be our own")

LEDGER, BI, KAFKA, REGISTRY = "ledger", "bi", "kafka", "registry"
ACT = "--actor", "tests", "--reason", "a test"
WHOSE = "--brand", "acme", "--region", "eu"
SPIN = "acme/eu/spin"
LIMIT_S = 200
ELECTIONS = 3
"""Each time leaders move away and come back. Some commands take longer than the calm between two elections."""

OTHERS = {
    "demo": "has servers of its own", "up": "has servers of its own", "down": "stops what `up` started",
    "casino-provider": "a process", "gateway": "a process", "relay": "a process", "project": "a process",
    "bi page": "a process",
    "bench bets": "has servers of its own", "bench relay": "has servers of its own",
    "bench project": "has servers of its own", "bench freshness": "has servers of its own",
    "bench verify": "has servers of its own",
    "anchor-key": "asks nobody", "integration dialects": "asks nobody", "integration scaffold": "asks nobody",
    "schemas check-compatibility": "asks nobody", "schemas show": "asks nobody", "audit verify-archive": "asks nobody",
}  # fmt: skip
"""Commands that are no one-shots, or need no server, and why."""


@dataclass
class OneShot:
    """How a command is called, what it must end with, and whose absence it has to notice."""

    arguments: tuple[str, ...]
    needs: frozenset[str]
    code: int = 0
    settings: dict[str, str] = field(default_factory=dict)


class House:
    """Servers of our own with a small ledger in them, published, folded, sealed and archived."""

    def __init__(self, stack: Stack, root: Path) -> None:
        self.stack = stack
        self.second = SecondBroker(stack.root, stack.kafka)
        self.root = root
        self.numbers = itertools.count(1)
        self.secrets_key, self.anchor_key = new_secrets_key(), to_text(new_key())
        self.rates, self.games = root / "rates.csv", root / "games.json"
        self.secret, self.report, self.mapping = root / "secret", root / "report.csv", root / "mapping.toml"
        self.archive = root / "archive"

    def settings(self) -> dict[str, str]:
        stack = self.stack
        return {
            "DATABASE_URL": stack.ledger_database.url,
            "BI_DATABASE_URL": stack.bi_database.url,
            "KAFKA_BOOTSTRAP_SERVERS": f"{stack.kafka.bootstrap_servers},{self.second.bootstrap_servers}",
            "SCHEMA_REGISTRY_URL": stack.registry.url,
            "TOPIC_REPLICATION": "2",
            "TOPIC_PARTITIONS": "4",
            "SECRETS_KEY": self.secrets_key,
            "ANCHOR_KEY": self.anchor_key,
            "PATIENCE_S": str(LIMIT_S),
        }

    def start(self, one: OneShot) -> Command:
        settings = self.settings() | one.settings
        environment = {f"{PREFIX}{name}": value for name, value in settings.items()}
        return fork_server.start(one.arguments, os.environ | environment, self.root / f"{next(self.numbers)}")

    def run(self, *arguments: str) -> str:
        command = self.start(OneShot(arguments, frozenset()))
        assert command.wait() == 0, f"{arguments}: {command.stderr}"
        return command.stdout

    def prepare(self) -> None:
        self.run("migrate")
        self.run("topics", "apply")
        self.run("schemas", "register")
        self.run("brand", "add", "acme", "--region", "eu", *ACT)
        self.run("integration", "add", "--name", "spin", *WHOSE, *ACT)
        self.run("wallet", "open", "p_1", "EUR", *WHOSE)
        self.run("wallet", "deposit", "p_1", "EUR", "100", *WHOSE)
        settings = Settings(**{name.lower(): value for name, value in self.settings().items()})
        asyncio.run(_bet(settings))
        _publish(settings)
        project(settings, threading.Event(), until_caught_up=True)
        self.run("seal", "--once")
        self.run("audit", "export", str(self.archive))
        with psycopg.connect(self.stack.ledger_database.url, autocommit=True) as connection:
            connection.execute("create role app login password 'app' in role wagerledger_app")
        with psycopg.connect(self.stack.bi_database.url, autocommit=True) as connection:
            connection.execute("create role analyst; create role former")
        self.run("bi", "grant", "former", *WHOSE, *ACT)
        self.rates.write_text("base,quote,rate,source,as_of\nUSD,EUR,0.9,tests,2026-01-01T00:00:00Z\n")
        self.games.write_text('[{"game_id": "g-1", "provider_game_id": "G1"}]')
        self.secret.write_text("a-secret-of-the-provider")
        self.report.write_text("id,amount,currency,time,kind\n")


async def _bet(settings: Settings) -> None:
    async with Journal(settings) as journal:
        await accepted(journal, Asks("acme", SPIN).debit("5", player="p_1"), session="ignored")


def _publish(settings: Settings) -> None:
    stop = threading.Event()
    relay = threading.Thread(target=Relay(settings).run, args=(stop,), daemon=True)
    relay.start()
    try:
        topic = Topics(settings.topic_prefix).relay_position
        reader = TopicsReader(settings.kafka_bootstrap_servers)
        until(
            lambda: sum(one.published for one in positions_in(reader.read_to_end(topic)).values()) >= 3,
            "three published events",
        )
    finally:
        stop.set()
        relay.join(60)


@pytest.fixture(scope="module")
def house(own_servers: None) -> Iterator[House]:
    with (
        tempfile.TemporaryDirectory(prefix="wagerledger-patience-", ignore_cleanup_errors=True) as folder,
        Stack(Path(folder) / "stack") as stack,
    ):
        opened = House(stack, Path(folder))
        stack.add(opened.second)
        opened.prepare()
        yield opened


@pytest.fixture
def emptied(house: House) -> Iterator[str]:
    """A migrated, empty database on the ledger's server."""
    with migrated_template(house.stack.ledger_database.url) as url:
        yield url


@pytest.fixture
def one_shots(house: House, emptied: str) -> dict[str, OneShot]:
    """Every one-shot command that asks a server: a new one has to be added here."""
    event_id = _event_id(house.stack.ledger_database.url)
    kid = _kid(house.stack.ledger_database.url)
    app = (
        make_url(house.stack.ledger_database.url)
        .set(username="app", password="app")
        .render_as_string(hide_password=False)
    )
    topics = frozenset({LEDGER, KAFKA, REGISTRY})
    models = frozenset({BI, KAFKA, REGISTRY})
    ledger, bi = frozenset({LEDGER}), frozenset({BI})
    all_four = topics | models

    def one(
        line: str, needs: Iterable[str] = ledger, code: int = 0, more: tuple[str, ...] = (), **settings: str
    ) -> OneShot:
        return OneShot((*line.split(), *more), frozenset(needs), code, settings)

    return {
        "seal": one("seal --once", {LEDGER, KAFKA}),
        "migrate": one("migrate"),
        "new-generation": one("new-generation", more=ACT),
        "doctor": one("doctor", all_four, DATABASE_URL=app),
        "relay recover": one("relay recover", topics, more=ACT),
        "project rebuild": one("project rebuild all", models),
        "project dead-letters list": one("project dead-letters list", models - {REGISTRY}),
        "project dead-letters replay": one("project dead-letters replay", models - {REGISTRY}),
        "brand add": one(f"brand add brand-{next(house.numbers)} --region eu", more=ACT),
        "brand list": one("brand list"),
        "wallet open": one("wallet open p_2 EUR", more=WHOSE),
        "wallet deposit": one("wallet deposit p_1 EUR 5", more=WHOSE),
        "wallet withdraw": one("wallet withdraw p_1 EUR 5", more=WHOSE),
        "wallet adjust": one("wallet adjust p_1 EUR up 1 --reason test --actor clerk --approver chief", more=WHOSE),
        "wallet show": one("wallet show p_1 --brand acme"),
        "wallet events": one("wallet events p_1 --brand acme"),
        "player lock": one("player lock p_1 --reason test --actor clerk", more=WHOSE),
        "player exclude": one("player exclude p_1 --reason test --actor clerk", more=WHOSE),
        "player free": one("player free p_1 --reason test --actor clerk", more=WHOSE),
        "player show": one("player show p_1 --brand acme"),
        "limits set": one("limits set p_1 loss month 1000 EUR --actor clerk --reason test", more=WHOSE),
        "limits remove": one("limits remove p_1 stake day EUR --actor clerk --reason test", more=WHOSE),
        "limits confirm": one(
            "limits confirm p_1 loss/week/player EUR --actor clerk --reason test", code=1, more=WHOSE
        ),
        "limits list": one("limits list p_1 --brand acme"),
        "bets open": one("bets open"),
        "bets close-abandoned": one("bets close-abandoned"),
        "rates set": one("rates set USD EUR 0.9 --source tests --brand acme", more=ACT),
        "rates import": one(f"rates import {house.rates} --brand acme", more=ACT),
        "rates list": one("rates list --brand acme"),
        "integration add": one(f"integration add --name new-{next(house.numbers)}", more=(*WHOSE, *ACT)),
        "integration rotate-key": one(f"integration rotate-key {SPIN}", more=ACT),
        "integration configure": one(f"integration configure {SPIN} --option policy.abandoned_after_s=86400", more=ACT),
        "integration restore-secret": one(
            f"integration restore-secret {kid} --secret-file {house.secret}", code=1, more=ACT
        ),
        "integration disable": one(f"integration disable {SPIN}", more=ACT),
        "integration enable": one(f"integration enable {SPIN}", more=ACT),
        "integration list": one("integration list"),
        "integration show": one(f"integration show {SPIN}"),
        "games import": one(f"games import {house.games} --integration {SPIN}", more=ACT),
        "games list": one("games list"),
        "games show": one("games show nonsense", code=1),
        "audit verify": one("audit verify", topics),
        "audit replay": one("audit replay --wallet acme/p_1/EUR --source topics", topics - {LEDGER}),
        "audit prove": one(f"audit prove {event_id}"),
        "audit acts": one("audit acts"),
        "audit export": one(f"audit export {house.root / f'export-{next(house.numbers)}'}"),
        "audit restore": one(f"audit restore {house.archive}", more=ACT, DATABASE_URL=emptied),
        "audit detach": one(
            f"audit detach --month 2020-01 --archive {house.archive}", {LEDGER, KAFKA}, code=1, more=ACT
        ),
        "audit explain": one("audit explain b1"),
        "audit reconcile": one("audit reconcile", all_four),
        "audit liability": one("audit liability"),
        "bi grant": one("bi grant analyst", bi, more=(*WHOSE, *ACT)),
        "bi revoke": one("bi revoke former", bi, more=ACT),
        "bi list": one("bi list", bi),
        "bi rotate-masking-key": one("bi rotate-masking-key --brand acme", bi, more=ACT),
        "topics apply": one("topics apply", {KAFKA}),
        "schemas register": one("schemas register", {REGISTRY}),
        "schemas check": one("schemas check", {REGISTRY}),
    }


def _event_id(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select event_id::text from wagerledger.event_log order by position limit 1"
        ).fetchone()
    assert row
    return str(row[0])


def _kid(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("select kid from wagerledger.integration_keys limit 1").fetchone()
    assert row
    return str(row[0])


def test_every_command_is_in_the_table(one_shots: dict[str, OneShot]) -> None:
    """A command that is new is either tried with all four troubles or says why not."""
    names = {name.removeprefix("wagerledger ") for name, _ in commands()}
    assert set(one_shots) | set(OTHERS) == names


def outlasts(house: House, one_shots: dict[str, OneShot], absent: set[str], end: Callable[[], None]) -> None:
    """Start every command that needs one of the absent servers; when each of them waits, end the trouble; then each must do what it has to."""
    running = {name: (one, house.start(one)) for name, one in one_shots.items() if one.needs & absent}
    until(
        lambda: all(command.waits or command.ended for _, command in running.values()),
        "commands that all say that they wait",
        limit_s=LIMIT_S,
    )
    early = {name: command.stderr for name, (_, command) in running.items() if command.ended and not command.waits}
    end()
    check_ends(running)
    assert early == {}, "these have noticed nothing"


def check_ends(running: dict[str, tuple[OneShot, Command]]) -> None:
    """Every command ends, and as it has to."""
    wrong = [
        f"{name} ended with {command.wait()} instead of {one.code}:\n{command.stderr}{command.stdout}"
        for name, (one, command) in running.items()
        if command.wait() != one.code
    ]
    assert not wrong, "\n\n".join(wrong)


@contextmanager
def stopped(*servers: Process) -> Iterator[None]:
    at_once(Process.stop, servers)
    try:
        yield
    finally:
        at_once(Process.start, servers)


def test_a_primary_that_restarts(house: House, one_shots: dict[str, OneShot]) -> None:
    """Both databases are shut down, and come back while every command waits for them."""
    databases = house.stack.ledger_database, house.stack.bi_database
    with ExitStack() as trouble:
        trouble.enter_context(stopped(*databases))
        outlasts(house, one_shots, {LEDGER, BI}, trouble.close)


def test_a_broker_that_restarts(house: House, one_shots: dict[str, OneShot]) -> None:
    """All brokers are killed, and come back while every command waits for them."""
    brokers = house.stack.kafka, house.second
    for broker in brokers:
        broker.kill()
    outlasts(house, one_shots, {KAFKA}, lambda: at_once(Process.start, brokers))


def test_a_registry_that_is_away(house: House, one_shots: dict[str, OneShot]) -> None:
    """The registry is away for ten seconds and more, and comes back while every command waits for it."""
    with ExitStack() as trouble:
        trouble.enter_context(stopped(house.stack.registry))
        since = time.monotonic()

        def end() -> None:
            until(lambda: time.monotonic() - since > 10, "ten seconds")
            trouble.close()

        outlasts(house, one_shots, {REGISTRY}, end)


def test_leaders_that_are_elected(house: House, one_shots: dict[str, OneShot]) -> None:
    """Leaders move from one broker to the other and back while every command reads and writes the topics."""
    running = {name: (one, house.start(one)) for name, one in one_shots.items() if KAFKA in one.needs}
    for _ in range(ELECTIONS):
        house.second.stop()
        house.second.start()
    check_ends(running)


def test_a_reader_finds_a_leader_that_comes_back(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """While a partition's only leader is dead its end is not known, whatever the client says; and once it is back the same reader finds it."""
    servers = house.settings()["KAFKA_BOOTSTRAP_SERVERS"]
    admin = AdminClient({**QUIET, "bootstrap.servers": servers})
    on_the_second = NewTopic("on-the-second", 1, replica_assignment=[[2]])
    admin.create_topics([on_the_second])[on_the_second.topic].result(60)
    reader = TopicsReader(servers, Patience(LIMIT_S))
    assert reader.ends([on_the_second.topic]) == {(on_the_second.topic, 0): 0}
    house.second.kill()
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(1) as pool:
        ends = pool.submit(reader.ends, [on_the_second.topic])
        until(lambda: ends.done() or "trying again" in caplog.text, "a reader that waits")
        house.second.start()
        assert ends.result(LIMIT_S) == {(on_the_second.topic, 0): 0}
    admin.delete_topics([on_the_second.topic])[on_the_second.topic].result(60)
