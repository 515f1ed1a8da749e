"""pgbench on the ledger's own tables: what PostgreSQL does with the same rows without us."""

import subprocess
import tempfile
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import psycopg

from ledger.store import migrate
from sandbox.servers.postgres import Postgres, binary

_DATABASE = "yardstick"
_SAMPLED = 0.1
"""Part of the transactions whose latency is written down: writing all of them would slow the yardstick."""


@dataclass(frozen=True)
class Run:
    bets: int
    seconds: float
    latencies_s: "array[float]"


class Yardsticks:
    """A database beside the ledger's, on the same instance: the same tables by the same migrations, as many players."""

    def __init__(self, postgres: Postgres, wallets: int, row_sizes: Mapping[str, int]) -> None:
        self._wallets = wallets
        self._row_sizes = row_sizes
        self._url = postgres.url_of(_DATABASE)
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"create database {_DATABASE} template template0")
        migrate.upgrade(self._url)
        with psycopg.connect(self._url) as connection:
            connection.execute("select set_config('yardstick.wallets', %s, false)", [str(wallets)])
            connection.execute(_sql("players.sql"))
            connection.execute("set role wagerledger_owner")  # nobody else may add a function to the ledger's
            connection.execute(_sql("create_function.sql"))
            connection.execute("reset role")
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("vacuum analyze")

    def measure(self, script: str, concurrency: int, seconds: float, *, one_wallet: bool) -> Run:
        """Run `script` of this folder: prepared statements, a player by chance or always the same one."""
        variables = {"wallets": 1 if one_wallet else self._wallets, **self._row_sizes}
        threads = min(concurrency, 2)
        with tempfile.TemporaryDirectory() as folder, as_file(files(__package__) / script) as path:
            command: list[str | Path] = [
                *(binary("pgbench"), "--no-vacuum", "--protocol=prepared", f"--client={concurrency}"),
                *(f"--jobs={threads}", f"--time={max(1, round(seconds))}", f"--file={path}"),
                *("--log", f"--sampling-rate={_SAMPLED}", f"--log-prefix={folder}/latency"),
                *(f"--define={name}={value}" for name, value in variables.items()),
                self._url,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"pgbench {script} failed with code {done.returncode}: {done.stderr.strip()}")
            lines = [line for log in Path(folder).iterdir() for line in log.read_text().splitlines()]
        latencies = array("d", (int(line.split()[2]) / 1e6 for line in lines))
        bets = int(_value(done.stdout, "number of transactions actually processed: ").split("/")[0])
        return Run(bets, bets / float(_value(done.stdout, "tps = ").split()[0]), latencies)


def _sql(name: str) -> bytes:
    return (files(__package__) / name).read_bytes()


def _value(output: str, label: str) -> str:
    found = next((line for line in output.splitlines() if line.startswith(label)), None)
    if found is None:
        raise RuntimeError(f"pgbench said nothing of {label!r}:\n{output}")
    return found.removeprefix(label)
