"""Sessions whose settings are known to be in force, whatever stands between."""

import ast
import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from patience import is_transient, session
from patience.session import PoolerError, ReadOnlyError
from tests.support.pages import PACKAGES
from tests.support.pooler import pooled

WANTED = {"statement_timeout": "7000", "synchronous_commit": "on", "enable_seqscan": "off", "timezone": "UTC"}
ASK = "select name, setting from pg_settings where lower(name) = any(%s)"


def at_once(url: str, *, writes: bool = False) -> dict[str, str]:
    with session.connect(url, WANTED, application_name="test", writes=writes) as connection:
        return {name.lower(): value for name, value in connection.execute(ASK, (list(WANTED),))}


def in_a_loop(url: str, *, writes: bool = False) -> dict[str, str]:
    async def main() -> dict[str, str]:
        connection = await session.connect_async(url, WANTED, AsyncConnection, application_name="test", writes=writes)
        async with connection:
            return {name.lower(): value async for name, value in await connection.execute(ASK, (list(WANTED),))}

    return asyncio.run(main())


BOTH = pytest.mark.parametrize("settings_of_session", [at_once, in_a_loop])


@pytest.fixture
def url(empty_database: str) -> Iterator[str]:
    """Of a database whose sessions begin with other settings than we want."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        name = conninfo_to_dict(empty_database)["dbname"]
        connection.execute(f"alter database {name} set synchronous_commit = off")  # type: ignore[call-overload]
    return empty_database


@BOTH
def test_settings_are_in_force_without_a_pooler_and_behind_one_of_whole_sessions(
    url: str, settings_of_session: Callable[[str], dict[str, str]]
) -> None:
    """Also behind one that refuses start-up options; it is told by its words."""
    assert settings_of_session(url) == WANTED
    with pooled(url, whole_sessions=True) as through:
        with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter: options"):
            psycopg.connect(through, options="-c statement_timeout=7000")
        assert settings_of_session(through) == WANTED


@BOTH
def test_a_session_that_others_have_as_well_is_refused(
    url: str, settings_of_session: Callable[[str], dict[str, str]]
) -> None:
    """Nothing was set in it, for the others had it too; and no waiting helps."""
    with pooled(url, whole_sessions=False) as through:
        with psycopg.connect(through, autocommit=True) as other:
            with pytest.raises(PoolerError, match="pool_mode = session") as raised:
                settings_of_session(through)
            assert dict(other.execute(ASK, (["synchronous_commit", "statement_timeout"],)).fetchall()) == {
                "synchronous_commit": "off", "statement_timeout": "0",
            }  # fmt: skip
        assert not is_transient(raised.value)


@BOTH
def test_a_session_that_cannot_write_is_refused_where_it_must(
    url: str, settings_of_session: Callable[..., dict[str, str]]
) -> None:
    """It may pass: another server becomes the primary."""
    with psycopg.connect(url, autocommit=True) as connection:
        name = conninfo_to_dict(url)["dbname"]
        connection.execute(f"alter database {name} set default_transaction_read_only = on")  # type: ignore[call-overload]
    assert settings_of_session(url) == WANTED
    with pytest.raises(ReadOnlyError) as raised:
        settings_of_session(url, writes=True)
    assert is_transient(raised.value)


def test_a_setting_that_is_lost_is_named() -> None:
    """A pooler that takes it and forgets it, at once or with the process behind it."""
    for backend, found, named in ((7, {"jit": "on"}, "jit is on, not off"), (8, {"jit": "off"}, "another")):
        steps = session._steps(7, {"jit": "off"}, writes=False)
        next(steps)
        steps.send((7,))
        steps.send(("off",))
        with pytest.raises(PoolerError, match=named):
            steps.send((backend, False, found))


def test_an_address_keeps_its_own_time_limits() -> None:
    """Ours stand where it has none."""
    parts = conninfo_to_dict(session.conninfo("postgresql://host/db?connect_timeout=2"))
    assert (parts["connect_timeout"], parts["keepalives_idle"]) == ("2", "5")


def test_nobody_sends_start_up_options() -> None:
    """What a pooler drops or refuses is relied on nowhere: settings are asked for by `patience.session`."""
    root = Path(session.__file__).parent.parent
    found = [
        f"{path.relative_to(root)}:{call.lineno}"
        for room in PACKAGES
        if room not in ("bench", "sandbox")  # servers of their own
        for path in sorted((root / room).rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call)
        and getattr(call.func, "attr", "") == "connect"
        and any(keyword.arg == "options" for keyword in call.keywords)
    ]
    assert found == []
