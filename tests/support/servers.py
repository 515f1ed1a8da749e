"""The servers that the tests run against: the embedded stack, containers, or your own.

- by default the embedded stack of `sandbox`, once per test run, in a temporary folder;
- `WAGERLEDGER_TEST_SERVERS=testcontainers`: containers of the official images, where a Docker engine answers;
- your own, when WAGERLEDGER_DATABASE_URL, WAGERLEDGER_BI_DATABASE_URL, WAGERLEDGER_KAFKA_BOOTSTRAP_SERVERS and
  WAGERLEDGER_SCHEMA_REGISTRY_URL are all set. The database roles must be allowed to create databases and roles.

Tests never use a database, a topic or a subject that was there before: each asks for its own.
"""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url

from ledger.store import migrate
from sandbox.servers.artifacts import DownloadError
from sandbox.servers.process import StartError, StateReport, silent
from sandbox.servers.stack import Stack
from tests.support.traces import keep_logs

VARIABLES = (
    "WAGERLEDGER_DATABASE_URL",
    "WAGERLEDGER_BI_DATABASE_URL",
    "WAGERLEDGER_KAFKA_BOOTSTRAP_SERVERS",
    "WAGERLEDGER_SCHEMA_REGISTRY_URL",
)
POSTGRES_IMAGE = "postgres:18"
KAFKA_IMAGE = "confluentinc/cp-kafka:8.2.0"
REGISTRY_IMAGE = "apicurio/apicurio-registry:3.3.3"
REGISTRY_PORT = 8080
START_ATTEMPTS = 3
START_TIMEOUT_S = 240.0
"""For each server. Longer than `up` waits: nobody watches, and other workers start theirs at the same time."""


class ServersError(RuntimeError):
    """The servers asked for cannot be had."""


@dataclass(frozen=True)
class Servers:
    """Where to find the servers. `stack` is there only when they are embedded, for tests that stop and kill them."""

    database_url: str
    bi_database_url: str
    kafka_bootstrap_servers: str
    schema_registry_url: str
    stack: Stack | None = None


def kind_of_servers() -> str:
    """What the environment asks for."""
    return os.environ.get("WAGERLEDGER_TEST_SERVERS", "own" if any(map(os.environ.get, VARIABLES)) else "embedded")


@contextlib.contextmanager
def running_servers(report: StateReport = silent) -> Iterator[Servers]:
    """Servers as the environment asks for them; those that were started here are stopped afterwards."""
    given = [os.environ.get(name, "") for name in VARIABLES]
    match kind := kind_of_servers():
        case "own":
            missing = [name for name, value in zip(VARIABLES, given, strict=True) if not value]
            if missing:
                raise ServersError(f"own servers need all four variables; not set: {', '.join(missing)}")
            yield Servers(*given)
        case "testcontainers":
            with containers() as servers:
                yield servers
        case "embedded":
            with embedded(report) as servers:
                yield servers
        case _:
            raise ServersError(f"WAGERLEDGER_TEST_SERVERS is {kind!r}; known are embedded, testcontainers and own")


@contextlib.contextmanager
def embedded(report: StateReport = silent) -> Iterator[Servers]:
    with contextlib.ExitStack() as opened:
        stack = _started(opened, report)
        yield Servers(
            database_url=stack.ledger_database.url,
            bi_database_url=stack.bi_database.url,
            kafka_bootstrap_servers=stack.kafka.bootstrap_servers,
            schema_registry_url=stack.registry.url,
            stack=stack,
        )


def _started(opened: contextlib.ExitStack, report: StateReport) -> Stack:
    """A stack that runs until `opened` ends. All tests stand on it, so one bad start on a busy machine is not the end."""
    for attempt in range(1, START_ATTEMPTS + 1):
        folder = opened.enter_context(
            tempfile.TemporaryDirectory(prefix="wagerledger-tests-", ignore_cleanup_errors=True)
        )
        keep_logs(Path(folder))
        stack = Stack(Path(folder), report=report)
        for server in (stack.ledger_database, stack.bi_database, stack.kafka, stack.registry):
            server.start_timeout_s = START_TIMEOUT_S
        try:
            return opened.enter_context(stack)
        except DownloadError as error:
            raise ServersError(f"the embedded servers cannot be had: {error}") from error
        except StartError as error:
            if attempt == START_ATTEMPTS:
                raise ServersError(f"the embedded servers did not start in {attempt} attempts: {error}") from error
    raise AssertionError("the last attempt returns or raises")


@contextlib.contextmanager
def containers() -> Iterator[Servers]:
    import docker
    from testcontainers.community.kafka import KafkaContainer
    from testcontainers.community.postgres import PostgresContainer
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import HttpWaitStrategy

    try:
        docker.from_env().ping()
    except docker.errors.DockerException as error:
        raise ServersError(f"WAGERLEDGER_TEST_SERVERS=testcontainers, but no Docker engine answers: {error}") from error
    locks = "postgres -c max_locks_per_transaction=1024"
    registry_container = (
        DockerContainer(REGISTRY_IMAGE)
        .with_exposed_ports(REGISTRY_PORT)
        .waiting_for(HttpWaitStrategy(REGISTRY_PORT, "/apis/ccompat/v7/subjects"))
    )
    with (
        PostgresContainer(POSTGRES_IMAGE, driver=None).with_command(locks) as ledger,
        PostgresContainer(POSTGRES_IMAGE, driver=None) as bi,
        KafkaContainer(KAFKA_IMAGE).with_kraft() as kafka,
        registry_container as registry,
    ):
        host, port = registry.get_container_host_ip(), registry.get_exposed_port(REGISTRY_PORT)
        yield Servers(
            database_url=ledger.get_connection_url(),
            bi_database_url=bi.get_connection_url(),
            kafka_bootstrap_servers=kafka.get_bootstrap_server(),
            schema_registry_url=f"http://{host}:{port}/apis/ccompat/v7",
        )


@contextlib.contextmanager
def fresh_database(admin_url: str, *, template: str = "template0") -> Iterator[str]:
    """A new database of its own, as a copy of the template; dropped afterwards, whoever is still connected. Yields its URL."""
    name = f"test_{secrets.token_hex(6)}"
    identifiers = {"name": sql.Identifier(name), "template": sql.Identifier(database_name(template))}
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {name} TEMPLATE {template}").format(**identifiers))
    try:
        yield make_url(admin_url).set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(**identifiers))


def fresh_topic_prefix() -> str:
    """A prefix for topics and subjects that nobody else uses, nor any run before on the same servers."""
    return f"test-{secrets.token_hex(4)}."


@contextlib.contextmanager
def migrated_template(admin_url: str) -> Iterator[str]:
    """The URL of a database with the ledger's schema, to copy from: much faster than migrating each one."""
    with fresh_database(admin_url) as url:
        migrate.upgrade(url)
        yield url


def database_name(url_or_name: str) -> str:
    return str(conninfo_to_dict(url_or_name)["dbname"]) if "://" in url_or_name else url_or_name
