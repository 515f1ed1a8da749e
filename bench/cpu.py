"""CPU time of other processes, in seconds."""

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
    times = psutil.Process(postgres.pid).cpu_times()
    return sum(map(process_cpu_s, processes_in(postgres.data))) + float(times.children_user + times.children_system)
