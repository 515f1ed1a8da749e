"""`wagerledger doctor`: whether all that the processes need is there, tried with their very credentials."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import typer
from pydantic import SecretStr

from cli.options import Json
from cli.output import FINDING, show, table
from cli.settings import settings_or_fail
from cli.trouble import in_words, naming
from ledger.admin.secrets import SecretsKeyError, Vault
from ledger.store import proofs
from patience import Patience, TransientError, is_transient, session
from runtime.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

    from schemas.topics import Topics

TIMEOUT_S = 5
SECOND_PATIENCE_S = 1.0
LOCKS_PER_CALLBACK, GATEWAYS = 4, 4
OLD_WRITER_S = 30
CLOCKS_APART_S = 5
WAL_BYTES, TELLING_COMMANDS = 8_000, 100_000
"""Most write-ahead log of a command, and of how many commands it is told: migrations and the like are in it too."""


MAY_CHANGE_EVENTS = """
select bool_or(has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')) from pg_class c
where c.relnamespace = to_regnamespace('wagerledger') and c.relkind in ('r', 'p')
  and c.relname ~ '^(event_log|commands|refusals|proofs|acts|brands|sealed_leaves|anchors|archived|rates|'
    'currencies|log_generation)'
"""

# Of what is only ever added to, all partitions included: what has lost its trigger.
NOT_APPEND_ONLY = """
select coalesce(string_agg(c.relname, ', ' order by c.relname), '') from pg_class c
where c.relnamespace = to_regnamespace('wagerledger') and c.relkind in ('r', 'p')
    and c.relname ~ '^(event_log|commands|refusals|proofs|acts|brands|sealed_leaves|anchors|archived|rates|'
    'currencies|log_generation)'
    and not exists (
        select from pg_trigger t where t.tgrelid = c.oid and t.tgname = 'append_only' and t.tgenabled in ('O', 'A')
    )
"""

# As they come, triggers are passed by in a session that plays the replica.
GUARDS_THAT_SLEEP = """
select coalesce(string_agg(guard, ', ' order by guard), '') from (
    select t.tgname || ' on ' || t.tgrelid::regclass as guard, t.tgenabled as mode
    from pg_trigger t join pg_class c on c.oid = t.tgrelid
    where c.relnamespace = to_regnamespace('wagerledger') and not t.tgisinternal
    union all
    select 'event trigger ' || evtname, evtenabled from pg_event_trigger where evtname ~ '^wagerledger_'
) guards where mode <> 'A'
"""

SETTINGS = "select name, setting from pg_settings where name = any(%s)"

# Months that are over may stay in the default partition.
PARTITIONS = """
select to_regclass('wagerledger.event_log_' || to_char(this_month + interval '1 month', 'YYYY_MM')) is not null,
    exists (select from wagerledger.event_log_default where recorded_at >= this_month at time zone 'UTC'),
    exists (select from wagerledger.event_log_default)
from date_trunc('month', now() at time zone 'UTC') this_month
"""

# The order of text is the operating system's library's: another version of it makes indexes wrong without a word.
COLLATION = """
select case datlocprovider when 'c' then 'libc' when 'i' then 'icu' else 'builtin' end,
    coalesce(to_jsonb(d) ->> 'datlocale', datcollate), coalesce(datcollversion, ''),
    coalesce(pg_database_collation_actual_version(oid), '')
from pg_database d where datname = current_database()
"""

OLDEST_WRITER_S = """
select coalesce(max(extract(epoch from now() - xact_start)), 0)::int
from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid()
"""


# Since statistics were last reset, of the whole server. Nearly every command makes one event.
WRITTEN_AHEAD = """
select n_tup_ins, (wal_bytes / greatest(n_tup_ins, 1))::bigint
from pg_stat_wal, pg_stat_all_tables where relid = to_regclass('wagerledger.commands')
"""


class Check(NamedTuple):
    """One thing that was looked at. `variable` names the setting to mend."""

    name: str
    ok: bool
    variable: str
    text: str


def doctor(*, as_json: Json = False) -> None:
    """Look at each dependency with the real credentials and name the variable that is wrong. Exit code 1 when something
    is.
    """
    settings, checks = settings_or_fail(), []
    patience = settings.patience
    for look in _LOOKS:
        try:
            checks += _patiently(look, settings, patience)
        except Exception as error:  # what is not trouble with a server goes on
            text = in_words(error)
            if text is None:
                raise
            checks.append(Check(look.name, ok=False, variable=look.variable, text=text))
            patience = patience.at_most(SECOND_PATIENCE_S)  # whoever is away is not waited for by each look
    rows = (("ok" if check.ok else "WRONG", check.name, check.variable, check.text) for check in checks)
    show([check._asdict() for check in checks], as_json=as_json, text=table(("", "what", "variable", "says"), rows))
    raise typer.Exit(0 if all(check.ok for check in checks) else FINDING)


def _patiently(look: "_Look", settings: Settings, patience: Patience) -> list[Check]:
    return patience.call(lambda: list(look.at(settings)), look.name)


def _ledger(settings: Settings) -> Iterator[Check]:
    from ledger.journal import writing_session

    variable = "WAGERLEDGER_DATABASE_URL"
    url = settings.database_url.get_secret_value()
    # As the gateway does: what it cannot have in force is found here.
    wanted = writing_session.wanted(settings)
    with naming(variable), session.connect(url, wanted, application_name="wagerledger doctor") as connection:
        info = connection.info
        yield Check("ledger database", True, variable, f"PostgreSQL {info.server_version // 10000} as {info.user}")
        yield from (look(connection, variable, settings) for look in _LEDGER_CHECKS)


def _migrations(connection: psycopg.Connection, variable: str, _: Settings) -> Check:
    from ledger.store.migrate import head

    known = connection.execute("select to_regclass('public.alembic_version')").fetchone()
    current = connection.execute("select version_num from alembic_version").fetchone() if known and known[0] else None
    ok = current is not None and current[0] == head()
    return Check(
        "migrations",
        ok,
        variable,
        f"at {current[0] if current else 'nothing'}, wanted {head()}" + ("" if ok else ": run `wagerledger migrate`"),
    )


def _privileges(connection: psycopg.Connection, variable: str, _: Settings) -> Check:
    row = connection.execute(MAY_CHANGE_EVENTS).fetchone()
    if row and row[0]:
        text = "this role may change recorded events: give the services a member of wagerledger_app instead"
        return Check("least privilege", ok=False, variable=variable, text=text)
    return Check("least privilege", ok=True, variable=variable, text="recorded events cannot be changed by this role")


def _append_only(connection: psycopg.Connection, variable: str, _: Settings) -> Check:
    row = connection.execute(NOT_APPEND_ONLY).fetchone()
    open_tables = row[0] if row else ""
    text = f"these can be changed: {open_tables}" if open_tables else "every table and partition of the evidence is"
    return Check("append only", not open_tables, variable, text)


def _guards(connection: psycopg.Connection, variable: str, _: Settings) -> Check:
    row = connection.execute(GUARDS_THAT_SLEEP).fetchone()
    asleep = row[0] if row else ""
    wrong = f"passed by where session_replication_role is replica: {asleep}: set them ENABLE ALWAYS"
    return Check("guards", not asleep, variable, wrong if asleep else "every trigger stands in every session")


def _durability(connection: psycopg.Connection, variable: str, _: Settings) -> Check:
    found = _pg_settings(connection, "fsync", "full_page_writes", "synchronous_commit", "synchronous_standby_names")
    on = found["fsync"] == found["full_page_writes"] == "on" and found["synchronous_commit"] not in ("off", "local")
    standby = "a synchronous standby confirms"
    if not found["synchronous_standby_names"]:
        standby = "no synchronous standby: a yes survives a crash, not the loss of this server"
    text = f"fsync {found['fsync']}, synchronous_commit {found['synchronous_commit']}; {standby}"
    return Check("durability", on, variable, text)


def _locks(connection: psycopg.Connection, variable: str, settings: Settings) -> Check:
    found = _pg_settings(connection, "max_locks_per_transaction", "max_connections")
    room = int(found["max_locks_per_transaction"]) * int(found["max_connections"])
    wanted = settings.journal_writers * settings.journal_batch * LOCKS_PER_CALLBACK * GATEWAYS
    text = f"room for {room} locks; {GATEWAYS} gateways of these settings want {wanted} (max_locks_per_transaction)"
    return Check("lock table", room >= wanted, variable, text)


def _prepared(connection: psycopg.Connection, variable: str, _: Settings) -> Check:
    ok = _pg_settings(connection, "max_prepared_transactions")["max_prepared_transactions"] == "0"
    text = "off" if ok else "set max_prepared_transactions to 0: a forgotten one stops the relay"
    return Check("prepared transactions", ok, variable, text)


def _partitions(connection: psycopg.Connection, variable: str, _: Settings) -> Check:
    row = connection.execute(PARTITIONS).fetchone()
    assert row, "a query without a table has a row"
    ahead, spills, spilled = row
    text = "next month's is there" if ahead else "next month's partition is missing: run `wagerledger migrate`"
    if spills:
        text += (
            "; rows of this month are in the default partition: run `wagerledger migrate`, or as the owner `select "
            "wagerledger.adopt_event_log_default()` (docs/operations.md)"
        )
    elif spilled:
        text += "; rows of earlier months are in the default partition, where they may stay"
    return Check("event log partitions", ahead and not spills, variable, text)


def _horizon(connection: psycopg.Connection, variable: str, _: Settings) -> Check:
    row = connection.execute(OLDEST_WRITER_S).fetchone()
    age_s = row[0] if row else 0
    text = f"{age_s} s old; it holds up the relay"
    return Check("oldest writing transaction", age_s < OLD_WRITER_S, variable, text)


def _pg_settings(connection: psycopg.Connection, *names: str) -> dict[str, str]:
    return dict(connection.execute(SETTINGS, [list(names)]).fetchall())


def _clock(connection: psycopg.Connection, variable: str, _: Settings) -> Check:
    before = time.time()
    row = connection.execute("select extract(epoch from clock_timestamp())::float8").fetchone()
    after = time.time()
    assert row, "a query without a table has a row"
    off_s = max(before - row[0], row[0] - after, 0.0)
    text = f"the server's is within {off_s:.1f} s of ours"
    if off_s > CLOCKS_APART_S:
        text = f"the server's ({datetime.fromtimestamp(row[0], UTC):%Y-%m-%d %H:%M:%S} UTC) is {off_s:.0f} s from ours"
    return Check("clock", off_s <= CLOCKS_APART_S, variable, text)


def _collation(connection: psycopg.Connection, variable: str, _: Settings) -> Check:
    row = connection.execute(COLLATION).fetchone()
    assert row, "the database that answers is there"
    provider, locale, made_with, now = row
    text = f"{locale} ({provider})"
    if made_with != now:
        text += (
            f", version {now}, but the database was made with {made_with}: indexes on text may have another order. "
            "`reindex database`, then `alter database … refresh collation version` (docs/operations.md)"
        )
    elif made_with and provider != "builtin":
        text += f", version {now}: it may change with the operating system, as builtin C.UTF-8 does not"
    return Check("collation", made_with == now, variable, text)


def _writable(connection: psycopg.Connection, variable: str, _: Settings) -> Check:
    row = connection.execute(f"select {session.READ_ONLY}").fetchone()
    read_only = bool(row and row[0])
    text = "read only: a standby, or a primary that was made so; no bet is taken here" if read_only else "takes writes"
    return Check("primary", not read_only, variable, text)


def _room(connection: psycopg.Connection, variable: str, _: Settings) -> Check:
    """Tried as the gateways do it, where this role may."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(proofs.FILL)
    except psycopg.errors.DiskFull as error:
        return Check("room", False, variable, f"no bet is taken: {error.diag.message_primary}: make room on its disk")
    except (
        psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable,
    ):  # fmt: skip
        return Check("room", True, variable, "not tried: this session may not write")
    return Check("room", True, variable, "its disk takes writes")


def _written_ahead(connection: psycopg.Connection, variable: str, _: Settings) -> Check:
    row = connection.execute(WRITTEN_AHEAD).fetchone()
    commands, wal_bytes = row or (0, 0)
    if commands < TELLING_COMMANDS:
        return Check("write-ahead log", True, variable, f"of {commands:,} commands only: nothing can be told")
    found = _pg_settings(connection, "max_wal_size", "checkpoint_timeout")
    ok = wal_bytes <= WAL_BYTES
    text = f"{wal_bytes:,} bytes per command, of {commands:,}"
    if not ok:
        text += (
            f", more than {WAL_BYTES:,}: whole pages after each checkpoint; raise max_wal_size "
            f"({found['max_wal_size']} MB) and checkpoint_timeout ({found['checkpoint_timeout']} s), then reset the "
            "statistics (docs/operations.md)"
        )
    return Check("write-ahead log", ok, variable, text)


_LEDGER_CHECKS: tuple[Callable[[psycopg.Connection, str, Settings], Check], ...] = (
    _writable, _migrations, _privileges, _append_only, _guards, _durability, _locks, _prepared, _partitions, _horizon,
    _clock, _collation, _room, _written_ahead,
)  # fmt: skip


def _bi(settings: Settings) -> Iterator[Check]:
    variable = "WAGERLEDGER_BI_DATABASE_URL"
    with naming(variable), _connected(settings.bi_database_url) as connection:
        info = connection.info
        yield Check("BI database", True, variable, f"PostgreSQL {info.server_version // 10000} as {info.user}")
        bi = (info.host, info.port)
    try:
        with _connected(settings.database_url) as ledger:
            apart = bi != (ledger.info.host, ledger.info.port)
    except psycopg.Error:
        return  # said above
    text = "another instance" if apart else "the same instance as the ledger: its transactions hold up the relay"
    yield Check("BI apart", apart, variable, text)


def _kafka(settings: Settings) -> Iterator[Check]:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient, ConfigResource

    from patience.kafka import QUIET, answer

    variable = "WAGERLEDGER_KAFKA_BOOTSTRAP_SERVERS"
    admin = AdminClient({**QUIET, "bootstrap.servers": settings.kafka_bootstrap_servers})
    metadata = admin.list_topics(timeout=TIMEOUT_S)
    yield Check("Kafka", True, variable, f"{len(metadata.brokers)} broker(s)")
    missing = _missing_topics(admin, settings)
    yield Check(
        "topics",
        not missing,
        "WAGERLEDGER_TOPIC_PREFIX",
        f"missing: {', '.join(missing)}: run `wagerledger topics apply`" if missing else "all there",
    )
    if not missing:
        yield _made_anew(settings)
    yield _held_up(admin, settings, variable)
    resource = ConfigResource(ConfigResource.Type.BROKER, str(next(iter(metadata.brokers))))
    try:
        yield _topic_policies(admin, settings)
        config = answer(admin.describe_configs([resource], request_timeout=TIMEOUT_S)[resource], TIMEOUT_S)
    except KafkaException as error:
        if is_transient(error):
            raise
        yield Check("configuration", False, variable, f"cannot be looked up: {error.args[0].str()}")
        return
    automatic = config["auto.create.topics.enable"].value == "true"
    wrong = "brokers make topics by themselves: set auto.create.topics.enable=false"
    yield Check("topic creation", not automatic, variable, wrong if automatic else "by deploy step only")


def _made_anew(settings: Settings) -> Check:
    from ledger.relay_position import PositionError
    from outbox_relay.known_topics import KnownTopics

    known = KnownTopics(settings.kafka_bootstrap_servers, _topics(settings))
    try:
        changed = known.made_anew()
    except PositionError as error:
        return Check("same topics", False, "WAGERLEDGER_TOPIC_PREFIX", f"{error}; run `wagerledger relay recover`")
    text = f"made anew since events were published: {', '.join(changed)} (docs/operations.md)"
    return Check("same topics", not changed, "WAGERLEDGER_TOPIC_PREFIX", text if changed else "those of the relays")


def _held_up(admin: "AdminClient", settings: Settings, variable: str) -> Check:
    from projector.held_partitions import HELD_AFTER_S, held_up, known_producer, ways_out

    topics = _topics(settings)
    held = held_up(admin, [topics.events, topics.refusals], watch_s=HELD_AFTER_S, timeout_s=TIMEOUT_S)
    texts = []
    for (topic, partition), offset in held.items():
        out = ways_out(settings.kafka_bootstrap_servers, topic, partition, offset)
        texts.append(
            f"{topic}/{partition} cannot be read from offset {offset} on: a transaction of producer id "
            f"{known_producer(admin, topic, partition, offset)} is open there (`{out['named_by']}`); where that is no "
            f"running relay's, `{out['ended_by']}` ends it"
        )
    return Check("open transactions", not held, variable, "; ".join(texts) or "none holds up the readers")


def _topics(settings: Settings) -> "Topics":
    from schemas.topics import Topics

    return Topics(settings.topic_prefix)


def _topic_policies(admin: "AdminClient", settings: Settings) -> Check:
    from schemas.topics import differences

    found = differences(
        admin,
        _topics(settings),
        partitions=settings.topic_partitions,
        replication=settings.topic_replication,
    )
    text = "; ".join(found) or "as `wagerledger topics apply` wants them"
    return Check("topic policies", not found, "WAGERLEDGER_TOPIC_PREFIX", text)


def _registry(settings: Settings) -> Iterator[Check]:
    from schemas import registry

    variable = "WAGERLEDGER_SCHEMA_REGISTRY_URL"
    with registry.connect(settings.schema_registry_url.get_secret_value()) as client:
        findings = registry.check(client, _topics(settings))
    text = (
        f"{len(findings)} differences: see `wagerledger schemas check`"
        if findings
        else "holds the schemas of this version"
    )
    yield Check("schema registry", not findings, variable, text)


def _missing_topics(admin: "AdminClient", settings: Settings) -> list[str]:
    """Asked more than once: what was just made is not in the first answer of every broker."""

    def ask() -> list[str]:
        there = admin.list_topics(timeout=TIMEOUT_S).topics
        if missing := [name for name in _topics(settings).all if name not in there]:
            raise _MissingError(missing)
        return missing

    try:
        return settings.patience.at_most(TIMEOUT_S).call(ask, "Kafka")
    except _MissingError as error:
        return error.topics


class _MissingError(TransientError):
    def __init__(self, topics: list[str]) -> None:
        super().__init__(f"there is no topic {topics[0]}")
        self.topics = topics


def _connected(url: SecretStr) -> psycopg.Connection:
    return session.connect_as_is(url.get_secret_value(), autocommit=True)


def _secrets(settings: Settings) -> Iterator[Check]:
    variable = "WAGERLEDGER_SECRETS_KEY"
    try:
        vault = Vault(settings)
        with _connected(settings.database_url) as connection:
            sealed = connection.execute(
                "select kid, material from wagerledger.integration_keys"
                " where algorithm in ('hmac-sha256', 'secret') and material is not null"
            ).fetchall()
        for kid, material in sealed:
            vault.open(kid, material)
    except SecretsKeyError as error:
        yield Check("secrets", False, variable, str(error))
    except psycopg.Error:
        yield Check("secrets", True, variable, "well formed; the keys could not be tried without the ledger database")
    else:
        yield Check("secrets", True, variable, f"opens all {len(sealed)} secrets")


class _Look(NamedTuple):
    """Where `doctor` looks, and what it says where that cannot be looked at."""

    name: str
    variable: str
    at: Callable[[Settings], Iterator[Check]]


_LOOKS = (
    _Look("ledger database", "WAGERLEDGER_DATABASE_URL", _ledger),
    _Look("BI database", "WAGERLEDGER_BI_DATABASE_URL", _bi),
    _Look("Kafka", "WAGERLEDGER_KAFKA_BOOTSTRAP_SERVERS", _kafka),
    _Look("schema registry", "WAGERLEDGER_SCHEMA_REGISTRY_URL", _registry),
    _Look("secrets", "WAGERLEDGER_SECRETS_KEY", _secrets),
)


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)
