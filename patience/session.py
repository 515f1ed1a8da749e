"""A session of PostgreSQL whose settings are known to be in force, whatever stands between us and the server.

They are set after connecting and then asked for, never sent along as start-up options: poolers drop or refuse these.
Through a pooler that hands the session to others between two transactions nothing is set at all, because it would reach
them as well.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import Any, LiteralString, NamedTuple, TypeVar

import psycopg
from psycopg import AsyncConnection, Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import tuple_row

AnyConnection = TypeVar("AnyConnection", bound=AsyncConnection[Any])

# An idle connection is kept alive against firewalls, and known to be dead 20 s after its peer or the way to it is gone.
NETWORK: Mapping[str, int] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}

BACKEND = "select pg_backend_pid()"
SET = "select set_config(name, value, false) from unnest(%s::text[], %s::text[]) wanted (name, value)"
READ_ONLY = "pg_is_in_recovery() or current_setting('transaction_read_only')::boolean"
"""True of a session that cannot write: of a standby, or of a primary that was made read only."""
IN_FORCE = f"""
select pg_backend_pid(), {READ_ONLY},
    coalesce((select jsonb_object_agg(lower(name), setting) from pg_settings where lower(name) = any(%s)), '{{}}')
"""  # noqa: S608, made of constants

_LOOKS = 3
_REMEDY = "let it pool whole sessions (PgBouncer: pool_mode = session), or connect to the server itself"


class PoolerError(psycopg.OperationalError):
    """A pooler between us and the server does not keep a session as it was set."""


class ReadOnlyError(psycopg.OperationalError):
    """A session of PostgreSQL cannot write: the server is read only."""

    sqlstate = "25006"


class _Query(NamedTuple):
    """`elsewhere`: on a second connection, opened for this alone."""

    sql: LiteralString
    parameters: Sequence[Any] = ()
    elsewhere: bool = False

    @property
    def statement(self) -> tuple[LiteralString, Sequence[Any]]:
        return self.sql, self.parameters


_Steps = Generator[_Query, tuple[Any, ...], None]


def conninfo(url: str) -> str:
    """The connection string `url`, with time limits for the network where it has none of its own."""
    return make_conninfo("", **{**NETWORK, **conninfo_to_dict(url)})


def connect_as_is(url: str, *, autocommit: bool = False) -> Connection[Any]:
    """A connection with the role's own settings, for one short transaction, under the time limits of all others."""
    return psycopg.connect(conninfo(url), autocommit=autocommit)


def connect(
    url: str, wanted: Mapping[str, str], *, application_name: str, writes: bool = False, **options: Any
) -> Connection[Any]:
    """A connection to PostgreSQL in autocommit with the `wanted` settings in force: names in small letters, values as
    `pg_settings` has them (times in milliseconds). `writes` refuses a session that cannot. Raises
    psycopg.OperationalError, among them PoolerError and ReadOnlyError.
    """
    target = conninfo(url)
    with ExitStack() as opened:
        connection = psycopg.connect(target, autocommit=True, application_name=application_name, **options)
        opened.callback(connection.close)
        with ExitStack() as others:
            another: Connection[Any] | None = None
            steps = _steps(connection.info.backend_pid, wanted, writes=writes)
            query = next(steps, None)
            while query is not None:
                if query.elsewhere and another is None:
                    another = psycopg.connect(target, autocommit=True)
                    others.callback(another.close)
                chosen = another if query.elsewhere and another else connection
                query = _sent(steps, chosen.cursor(row_factory=tuple_row).execute(*query.statement).fetchone())
        opened.pop_all()
        return connection


async def connect_async(
    url: str, wanted: Mapping[str, str], kind: type[AnyConnection], *, application_name: str, writes: bool = False
) -> AnyConnection:
    """An asynchronous connection of `kind`, with settings in force as `connect` gives it."""
    target = conninfo(url)
    async with AsyncExitStack() as opened:
        connection = await kind.connect(target, autocommit=True, application_name=application_name)
        opened.push_async_callback(connection.close)
        async with AsyncExitStack() as others:
            another: AsyncConnection[Any] | None = None
            steps = _steps(connection.info.backend_pid, wanted, writes=writes)
            query = next(steps, None)
            while query is not None:
                if query.elsewhere and another is None:
                    another = await AsyncConnection.connect(target, autocommit=True)
                    others.push_async_callback(another.close)
                chosen = another if query.elsewhere and another else connection
                query = _sent(steps, await (await chosen.execute(*query.statement)).fetchone())
        opened.pop_all()
        return connection


def _steps(announced: int, wanted: Mapping[str, str], *, writes: bool) -> _Steps:
    """What is asked, one after the other, each in a transaction of its own. `announced` is the number of the server's
    process as it was said at connecting: a pooler makes one up.
    """
    (backend,) = yield _Query(BACKEND)
    if backend != announced:
        ours, others = {backend}, set()
        for _ in range(_LOOKS):
            others |= set((yield _Query(BACKEND, elsewhere=True)))
            ours |= set((yield _Query(BACKEND)))
        if len(ours) > 1 or len(others) > 1 or ours & others:
            raise PoolerError(f"a pooler hands this session to others between two transactions: {_REMEDY}")
    yield _Query(SET, (list(wanted), list(wanted.values())))
    now, read_only, found = yield _Query(IN_FORCE, (list(wanted),))
    lost = [f"{name} is {found.get(name)}, not {value}" for name, value in wanted.items() if found.get(name) != value]
    if now != backend or lost:
        raise PoolerError(f"a pooler drops what is set for this session ({', '.join(lost) or 'another'}): {_REMEDY}")
    if writes and read_only:
        raise ReadOnlyError("the server is read only: a standby, or a primary that was made so")


def _sent(steps: _Steps, row: tuple[Any, ...] | None) -> _Query | None:
    """The next question after this answer; None after the last."""
    assert row, "each of them has a row"
    try:
        return steps.send(row)
    except StopIteration:
        return None
