"""The embedded PostgreSQL keeps what it was given, whatever ends it."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from sandbox.servers.postgres import BI, Postgres, binary, processes_in
from tests.support.strangers import Robbed, started


@pytest.fixture(scope="module")
def root(own_servers, tmp_path_factory):
    """A folder closed to everybody else, as a home folder is."""
    folder = tmp_path_factory.mktemp("closed")
    folder.chmod(0o700)
    return folder


@pytest.fixture(scope="module")
def postgres(root):
    """One whose port a stranger took in the last moment."""
    with started([server := RobbedPostgres("postgres", root, database="wallets")]):
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE written (number int)")
        yield server


class RobbedPostgres(Robbed, Postgres):
    pass


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_data_survives(postgres, end):
    """What was committed is there after a stop and after a SIGKILL of every process, without a hand laid on it."""
    postgres.start()
    with psycopg.connect(postgres.url) as connection:
        connection.execute("INSERT INTO written VALUES (1)")
        before = connection.execute("SELECT count(*) FROM written").fetchone()
    getattr(postgres, end)()
    assert processes_in(postgres.data) == []
    postgres.start()
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("SELECT count(*) FROM written").fetchone() == before


def test_stale_pid_file_of_a_living_stranger_is_no_hindrance(postgres):
    """After a SIGKILL the pid in postmaster.pid may belong to somebody else; the server starts all the same."""
    postgres.start()
    postgres.kill()
    pid_file = postgres.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        postgres.start()
        stranger.kill()
    assert postgres.running


def test_orphaned_backends_are_stopped(postgres):
    """When only the postmaster was killed, the next start waits for no backend and shares the data with none."""
    postgres.start()
    orphans = set(processes_in(postgres.data)) - {postgres.pid}
    os.kill(postgres.pid, 9)
    postgres.wait(10)
    postgres.start()
    assert not orphans & set(processes_in(postgres.data))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("server_encoding", "UTF8"),
        ("max_prepared_transactions", "0"),
        ("max_locks_per_transaction", "1024"),
        ("idle_in_transaction_session_timeout", "10s"),
    ],
)
def test_settings(postgres, setting, value):
    """Durability is on, only loopback is served, and nothing idle can hold up the relay for long."""
    postgres.start()
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute(f"SHOW {setting}").fetchone() == (value,)


def test_wrong_password_is_refused(postgres):
    """Being on this machine is not enough to read the ledger."""
    postgres.start()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://postgres:wrong@127.0.0.1:{postgres.port}/wallets")


def test_password_is_for_its_owner_only(postgres):
    """Nobody else on the machine can read the password."""
    assert (postgres.home / "password").stat().st_mode & 0o777 == 0o600


def test_interrupted_initdb_is_repeated(root):
    """A data folder that was not finished is never taken for a database."""
    server = Postgres("again", root, database="wallets", settings=BI)
    (server.home / "data.unfinished").mkdir(parents=True)
    (server.home / "data.unfinished" / "PG_VERSION").write_text("18\n")
    server.start()
    server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must become somebody else")
def test_root_runs_the_server_as_nobody(postgres):
    """Started by root, the server runs as an unprivileged user with one capability and no other."""
    postgres.start()
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{postgres.pid}/status").read_text().splitlines())
    assert status["Uid"].split() == ["65534"] * 4
    assert status["Groups"].strip() == ""
    assert int(status["CapPrm"], 16) == 1 << 1


def test_client_programs_are_there():
    """The benchmarks and a curious person find pgbench and psql beside the server."""
    for name in ("pgbench", "psql"):
        subprocess.run([binary(name), "--version"], check=True, capture_output=True)
