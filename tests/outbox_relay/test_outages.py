"""A server that is down costs delay and nothing else."""

import contextlib
import time
from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY

from runtime.settings import Settings
from sandbox.servers.process import Process
from sandbox.servers.stack import Stack
from tests.support.log_writer import LogWriter
from tests.support.relays import DEADLINE_S, Kafka, process, running
from tests.support.waiting import until


@pytest.mark.parametrize(
    "server", [lambda stack: stack.kafka, lambda stack: stack.ledger_database], ids=["kafka", "postgres"]
)
def test_a_killed_server_costs_only_delay(
    settings: Settings, log: LogWriter, kafka: Kafka, stack: Stack, server: Callable[[Stack], Process]
):
    """Kafka or PostgreSQL is killed under the running relay; when it is back, everything is published once."""
    log.write(50)
    with running(settings) as relay:
        kafka.wait_for(log)
        server(stack).kill()
        time.sleep(2)
        server(stack).start()
        log.write(50)
        kafka.wait_for(log)
        assert relay.code is None
    kafka.assert_exactly_once(log)


def test_lag_grows_while_kafka_is_down(settings: Settings, log: LogWriter, kafka: Kafka, stack: Stack):
    """The lag of what cannot be published shows on /metrics, and SIGTERM still ends the relay."""
    log.write(5)
    with running(settings):
        kafka.wait_for(log)
        stack.kafka.stop()
        try:
            log.write(20)
            until(lambda: REGISTRY.get_sample_value("wagerledger_relay_lag_rows") == 20, "20 rows of lag")
            until(lambda: (REGISTRY.get_sample_value("wagerledger_relay_lag_seconds") or 0) > 2, "a lag of 2 s")
        finally:
            stack.kafka.start()
        kafka.wait_for(log)
        until(lambda: REGISTRY.get_sample_value("wagerledger_relay_lag_rows") == 0, "the end of the lag")
    kafka.assert_exactly_once(log)


def test_a_relay_stops_while_kafka_is_down(settings: Settings, log: LogWriter, kafka: Kafka, stack: Stack):
    """SIGTERM ends a relay that cannot reach Kafka, in the middle of its work too."""
    log.write(5)
    with process(settings) as relay:
        kafka.wait_for(log)
        stack.kafka.stop()
        try:
            log.write(5)
            time.sleep(1)
            relay.terminate()
            assert relay.wait(DEADLINE_S) == 0
        finally:
            stack.kafka.start()
    with running(settings):
        kafka.wait_for(log)
    kafka.assert_exactly_once(log)


def test_the_registry_is_needed_once_per_schema(settings: Settings, log: LogWriter, kafka: Kafka, stack: Stack):
    """Known schemas are published while the registry is down; a relay that starts without it waits for it."""
    log.write(60)
    with running(settings):
        kafka.wait_for(log)
        stack.registry.stop()
        try:
            log.write(60)
            kafka.wait_for(log)
        finally:
            stack.registry.start()
    stack.registry.stop()
    with contextlib.ExitStack() as relay:
        try:
            log.write(10)
            relay.enter_context(running(settings))
            time.sleep(1)
            assert kafka.published() == 120
        finally:
            stack.registry.start()
        kafka.wait_for(log)
    kafka.assert_exactly_once(log)
