"""CPU time of other processes, in seconds."""

from pathlib import Path

import psutil

from sandbox.servers.postgres import Postgres, processes_in


def process_cpu_s(pid: int | None) -> float:
    """0 where it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def postgres_cpu_s(postgres: Postgres) -> float:
    """CPU seconds of all processes of a PostgreSQL server, with those that have ended."""
    return server_cpu_s(postgres.pid, postgres.data)


def server_cpu_s(pid: int | None, data: Path) -> float:
    """The same, of the server with this process and data folder."""
    times = psutil.Process(pid).cpu_times()
    return sum(map(process_cpu_s, processes_in(data))) + float(times.children_user + times.children_system)
