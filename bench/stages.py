"""Where a bet's time goes in the gateway, by stage: the own time of functions, gathered by their files."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

Function = tuple[str, int, str]
"""File, line, name. What is written in C has no file: its time is its callers'."""
Times = tuple[int, int, float, float]
"""Calls, those among them that are no recursion, own seconds, seconds with what it called."""
Profile = dict[Function, tuple[int, int, float, float, dict[Function, Times]]]
"""As `pstats.Stats` has it: the times of each function, and by whom it was called."""

STAGES = {
    "HTTP": ("gateway/callback_protocol", "gateway/http_protocol", "uvicorn/", "gateway/dialect/incoming"),
    "signature": ("gateway/auth/", "gateway/dialect/signing", "lib/hmac"),
    "JSON and fields": ("gateway/dialect/", "pydantic", "json/"),
    "log and metrics": ("runtime/telemetry", "structlog/", "prometheus_client/", "gateway/metrics"),
    "request, command, answer": ("gateway/",),
    "exchange with PostgreSQL": ("ledger/journal/pipeline", "ledger/journal/kept_reader", "psycopg"),
    "event bytes": ("ledger/journal/recording", "schemas/", "ledger/core/chain", "<string>"),
    "rows": ("ledger/store/", "runtime/arrays"),
    "rules and folds": ("ledger/core/",),
    "outcome, repeats": ("ledger/outcome", "ledger/idempotency", "ledger/streams"),
    "locks, batch, queue": ("ledger/journal/",),
}
"""Which files are which stage: the first that fits."""
REST = "event loop, sockets, rest"


def stages(profile: Profile, profiled_cpu_s: float, cpu_us: float) -> list[dict[str, Any]]:
    """The stages of a profile of a process that took so many CPU seconds, most expensive first: as shares of `cpu_us`,
    which is what a bet costs the gateway when nobody looks.
    """
    own_s: dict[str, float] = defaultdict(float)
    for file, seconds in _own_times(profile):
        own_s[_stage_of(file)] += seconds
    # By the clock on the wall it also waited there.
    own_s[REST] = max(profiled_cpu_s - sum(own_s.values()) + own_s[REST], 0.0)
    whole_s = sum(own_s.values())
    by_time = sorted(own_s.items(), key=lambda item: -item[1])
    return [{"stage": stage, "us_per_bet": round(cpu_us * seconds / whole_s, 1)} for stage, seconds in by_time]


def _own_times(profile: Profile) -> Iterator[tuple[str, float]]:
    """Each function's file with its own time, seconds; with the file that called it, what one written in C took."""
    for (file, line, _), (_, _, own_s, _, callers) in profile.items():
        if line or not callers:
            yield file, own_s
        else:
            for (caller, _, _), (_, _, of_caller_s, _) in callers.items():
                yield caller, of_caller_s


def _stage_of(file: str) -> str:
    place = file.replace("\\", "/")
    return next((stage for stage, parts in STAGES.items() if any(part in place for part in parts)), REST)
