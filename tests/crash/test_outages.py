"""Servers that are gone for a while, and processes that stand still: retryable errors or delay, and nothing else.

WAGERLEDGER_TEST_OUTAGE_S=60 keeps broker and registry away for the full minute.
"""

import time
from contextlib import ExitStack

import pytest

from sandbox.servers.process import Process
from sandbox.servers.stack import at_once
from tests.crash.casino import PATIENT_S, Casino, option
from tests.support.faults import down_for, standing_still
from tests.support.load import Call, Load

STILL_S = 5.0


def _heard_during(history: list[Call], begin: float, end: float) -> set[str]:
    """Codes of infrastructure, and silences, that callers heard of what they sent in that time."""
    attempts = [attempt for call in history for attempt in call.attempts if begin <= attempt.sent_at <= end]
    assert attempts, "nobody called during the outage, so the run proves nothing"
    return {attempt.code or "SILENCE" for attempt in attempts if attempt.ended_at and not attempt.final}


def _under_load(casino: Casino, **options: object) -> Load:
    return casino.new_load(clients=12, pause_s=0.1, **options)


@pytest.mark.slow
def test_a_ledger_database_that_is_down_costs_retryable_errors(casino: Casino) -> None:
    """Without its PostgreSQL for ten seconds the gateway answers with retryable errors; afterwards all that was asked is there once."""
    with _under_load(casino) as load:
        load.until_answered(50)
        begin = time.monotonic()
        down_for(casino.system.stack.ledger_database, 10)
        heard = _heard_during(casino.history, begin, time.monotonic())
        load.until_answered(50)
    assert heard <= {"UNAVAILABLE", "DEADLINE_EXCEEDED", "OVERLOADED", "SILENCE"}
    casino.check("outcomes unknown to the caller")


@pytest.mark.slow
def test_what_lies_behind_the_ledger_costs_delay_only(casino: Casino) -> None:
    """Without Kafka, the registry and the BI database callers notice nothing; afterwards the topics and the read models catch up by themselves."""
    system, stack = casino.system, casino.system.stack
    with _under_load(casino, timeouts_s=PATIENT_S) as load:
        load.until_answered(50)
        begin = time.monotonic()
        for process in (stack.kafka, stack.registry, stack.bi_database, system.relay):
            process.kill()
        system.relay.start()  # it knows no schema id yet, and finds nobody to ask
        time.sleep(option("OUTAGE_S", 8))
        load.until_answered(50)
        at_once(Process.start, (stack.kafka, stack.registry, stack.bi_database))
        heard = _heard_during(casino.history, begin, time.monotonic())
    assert not heard
    casino.check()


@pytest.mark.slow
def test_processes_that_stand_still_come_back(casino: Casino) -> None:
    """PostgreSQL, a gateway, the relay, the projector or the broker stands still for seconds with all connections open: callers hear nothing or retryable errors, and afterwards everything holds."""
    system = casino.system
    groups = (
        [system.stack.ledger_database],
        [casino.second_gateway, system.relay],
        [system.projector, system.stack.kafka],
    )
    for group in groups:
        heard = _while_still(casino, group)
        print(f"{[process.name for process in group]} stood still: {heard or 'nobody noticed'}")
        assert heard <= {"UNAVAILABLE", "DEADLINE_EXCEEDED", "OVERLOADED", "SILENCE"}
    casino.check()


def _while_still(casino: Casino, processes: list[Process]) -> set[str]:
    with _under_load(casino, timeouts_s=(1.0, 4.0)) as load, ExitStack() as still:
        load.until_answered(50)
        begin = time.monotonic()
        for process in processes:
            still.enter_context(standing_still(process))
        time.sleep(STILL_S)
        still.close()
        return _heard_during(casino.history, begin, time.monotonic())
