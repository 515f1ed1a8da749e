"""The log goes back to an earlier moment, or the relay's position is lost: the relay refuses to guess, and `relay recover` heals it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from schemas import topics
from schemas.topics import Topics
from tests.crash.casino import Casino
from tests.support.checker import wait_until_caught_up
from tests.support.waiting import until

REFUSED = 2
RECOVER = "recover", "--actor", "tester", "--reason", "a failover"


def _relay(casino: Casino, *arguments: str, writing: bool = False) -> tuple[int, str]:
    """Run `wagerledger relay ...` to its end, with the relay's own rights or with the gateway's."""
    system = casino.system
    environment: Mapping[str, str] = system._gateway_environment() if writing else system._environment()
    run = subprocess.run(
        [sys.executable, "-m", "cli", "relay", *arguments],
        env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    print(f"relay {' '.join(arguments)}: exit code {run.returncode}: {(run.stdout + run.stderr)[-600:]}")
    return run.returncode, run.stdout + run.stderr


def _demand_refusal(casino: Casino) -> None:
    code, output = _relay(casino)
    assert code == REFUSED, output
    assert "wagerledger relay recover" in output


def _play(casino: Casino, answers: int) -> None:
    with casino.new_load(clients=10, pause_s=0.05) as load:
        load.until_answered(answers)
    assert casino.history[-1].answer


def _events(casino: Casino) -> int:
    with psycopg.connect(casino.system.stack.ledger_database.url) as connection:
        (count,) = connection.execute("select count(*) from wagerledger.event_log").fetchone() or (0,)
        return int(count)


@pytest.mark.slow
def test_a_log_that_was_set_back_gets_everything_back_from_the_topics(own_casino: Casino) -> None:
    """After the ledger's data folder was replaced by an older copy the relay refuses to run and names the cure; after it nothing is lost, nothing is twice, and repeats of yes-answers hear the same bytes."""
    casino, system = own_casino, own_casino.system
    database = system.stack.ledger_database
    gateways = [system.gateway, casino.second_gateway]
    copy = system.root / "copy-of-data"
    _play(casino, 300)
    database.stop()
    subprocess.run(["cp", "-a", database.data, copy], check=True)  # with its owner, who is not us when we are root
    database.start()
    before = _events(casino)
    _play(casino, 300)
    wait_until_caught_up(system)
    lost = _events(casino) - before
    assert lost > 50, "too little happened after the copy was made, so the run proves nothing"

    for process in (*gateways, database):
        process.stop()
    shutil.rmtree(database.data)
    copy.rename(database.data)
    database.start()
    assert _events(casino) == before
    assert system.relay.wait(60) == REFUSED, "the running relay must refuse too, once it meets the old log"
    _demand_refusal(casino)
    code, output = _relay(casino, *RECOVER, "--json", writing=True)
    assert code == 0, output
    assert f'"restored": {lost}' in output
    casino.restored = True

    for process in (system.relay, *gateways):
        process.start()
    casino.repeat(len(casino.history))
    _play(casino, 200)
    casino.check()


@pytest.mark.slow
def test_a_lost_position_is_found_again(own_casino: Casino) -> None:
    """After the position topic was emptied the relay refuses to run and names the cure, which works under load: nothing is lost or published twice."""
    casino, system = own_casino, own_casino.system
    settings = system.settings()
    names = Topics(settings.topic_prefix)
    _play(casino, 100)
    with casino.new_load(clients=6, pause_s=0.1) as load:
        system.relay.kill()
        _empty(settings.kafka_bootstrap_servers, names)
        _demand_refusal(casino)
        code, output = _relay(casino, *RECOVER, writing=True)
        assert code == 0, output
        system.relay.start()
        load.until_answered(50)
    casino.check()


def _empty(servers: str, names: Topics) -> None:
    """As an operator does it by mistake: deleted, and made again."""
    admin = AdminClient({"bootstrap.servers": servers})
    for answer in admin.delete_topics([names.relay_position], operation_timeout=30).values():
        answer.result(30)
    until(lambda: names.relay_position not in admin.list_topics(timeout=10).topics, "a topic that is gone")
    assert topics.apply(servers, names, partitions=6, replication=1) == [names.relay_position]
