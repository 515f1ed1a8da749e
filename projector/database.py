"""The read models' PostgreSQL: the connection, and the tables of all models at the versions that this code knows."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import Connection
from pydantic import SecretStr

from projector.projection import Rows
from projector.projections import PROJECTIONS

# Shared by projection transactions, exclusive while tables are made or dropped. Any constant does.
LOCK = int.from_bytes(b"projectr")

# What the projector itself keeps. The private functions give the views their units.
VERSION = 1
DDL = """
create table projections.checkpoints (
    topic text not null,
    partition integer not null,
    next_offset bigint not null,
    primary key (topic, partition)
) with (fillfactor = 50);

create table projections.streams (
    tenant_id text not null,
    stream_type text not null,
    stream_id text not null,
    version bigint not null,
    tail_hashes bytea not null, -- of the last events, the newest last
    parked_reason text,
    parked_at timestamptz,
    primary key (tenant_id, stream_type, stream_id)
) with (fillfactor = 70);
create index on projections.streams (parked_at) where parked_reason is not null;

create table projections.parked_events (
    tenant_id text not null,
    stream_type text not null,
    stream_id text not null,
    stream_version bigint not null,
    hash bytea not null,
    partition integer not null,
    wire bytea not null, -- the record's value as it came
    primary key (tenant_id, stream_type, stream_id, stream_version, hash)
);

create function projections.amount(minor numeric, exponent integer) returns numeric immutable language sql
    return round(minor / 10::numeric ^ exponent, exponent);

create function projections.moment(micros bigint) returns timestamptz stable language sql
    return timestamptz 'epoch' + micros * interval '1 microsecond';

create view bi.parked_streams as
        select tenant_id, stream_type, stream_id, version as stream_version, parked_reason as reason, parked_at
    from projections.streams where parked_reason is not null;
comment on view bi.parked_streams is
    'Streams whose later events are kept back. While a stream is here, the read models show it as of stream_version.';
comment on column bi.parked_streams.stream_version is 'Last event that the read models have.';
comment on column bi.parked_streams.reason is
    'gap: an event is missing; undecodable: a record could not be read (see the dead letters); '
    'fork: two events claim one place.';
"""

MODELS_DDL = """
create table projections.models (
    name text primary key,
    version integer not null,
    since timestamptz not null default now()
)
"""

MODELS = {"projector": (VERSION, DDL)} | {
    projection.name: (projection.version, projection.ddl) for projection in PROJECTIONS
}
VIEWS = [view for _, ddl in MODELS.values() for view in re.findall(r"^create view (bi\.\w+)", ddl, re.MULTILINE)]


class OutdatedModelsError(RuntimeError):
    """The tables were made by another version of this code. The message names the models and what to do."""


def connect(url: SecretStr) -> Connection:
    """A connection for one projector. Raises psycopg.OperationalError (retryable)."""
    # A commit that a crash of the server loses takes its checkpoint along, so waiting for the disk would buy nothing.
    return psycopg.connect(
        url.get_secret_value(),
        autocommit=True,
        connect_timeout=10,
        application_name="wagerledger-projector",
        options="-c synchronous_commit=off -c statement_timeout=60s -c lock_timeout=30s -c timezone=UTC",
    )


@contextmanager
def transaction(connection: Connection) -> Iterator[Rows]:
    """A transaction under which no model is made or dropped."""
    with connection.transaction(), connection.cursor(binary=True) as cursor:
        cursor.execute("select pg_advisory_xact_lock_shared(%s)", [LOCK])
        yield cursor


def ensure_models(connection: Connection) -> None:
    """Make the tables and views where there are none. Raises OutdatedModelsError where there are others."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [LOCK])
        found = _versions(connection)
        if not found:
            _create(connection)
            return
    wanted = {name: version for name, (version, _) in MODELS.items()}
    if differing := sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)):
        versions = ", ".join(
            f"{name} (there {found.get(name, 'none')}, here {wanted.get(name, 'none')})" for name in differing
        )
        raise OutdatedModelsError(
            f"read models differ from this version of the code: {versions}; "
            "fold them again with `wagerledger project --refold`"
        )


def reset(connection: Connection) -> None:
    """Drop all models with checkpoints and gate, and make them empty. A running projector notices and begins again.

    Raises psycopg.errors.DependentObjectsStillExist where somebody else's view stands on one of ours: it would be lost.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [LOCK])
        connection.execute(f"drop view if exists {', '.join(VIEWS)}")
        connection.execute("drop schema if exists projections cascade")
        _create(connection)


def _versions(connection: Connection) -> dict[str, int]:
    if connection.execute("select to_regclass('projections.models')").fetchone() == (None,):
        return {}
    return dict(connection.execute("select name, version from projections.models").fetchall())


def _create(connection: Connection) -> None:
    connection.execute("create schema projections")
    connection.execute("create schema if not exists bi")
    connection.execute(MODELS_DDL)
    for name, (version, ddl) in MODELS.items():
        connection.execute(ddl)
        connection.execute("insert into projections.models (name, version) values (%s, %s)", [name, version])


def parked_streams(connection: Connection) -> int:
    """How many streams are parked, whoever projects them."""
    row = connection.execute("select count(*) from projections.streams where parked_reason is not null").fetchone()
    assert row
    return int(row[0])
