import random
import time

import pytest

from tests.support.random_ledger import random_ledger
from tests.support.seeds import seeded_random


@pytest.mark.parametrize("server", ["postgres-bi", "kafka"])
def test_killed_server_costs_delay_and_nothing_else(server, stack, publisher, read_models):
    """The projector waits for a server that was killed, and goes on where it was when it is back."""
    ledger = random_ledger(seeded_random(), 600)
    half = len(ledger.recorded) // 2
    (process,) = (one for one in stack.processes if one.name == server)
    with read_models.kept_up():
        publisher.publish(ledger.recorded[:half])
        read_models.wait_until(f"select coalesce(sum(version), 0) >= {half} from projections.streams")
        process.kill()
        time.sleep(3)
        process.start()
        publisher.publish(ledger.recorded[half:])
        read_models.wait_until(
            f"select coalesce(sum(version), 0) >= {len(ledger.recorded)} from projections.streams", timeout_s=120
        )
    read_models.must_equal(ledger)


def test_registry_that_is_down_is_waited_for(stack, publisher, read_models):
    """Without the registry nothing can be read; nothing is taken for unreadable either."""
    ledger = random_ledger(random.Random(1), 100)
    publisher.publish(ledger.recorded)
    stack.registry.stop()
    with read_models.kept_up():
        read_models.wait_until("select count(*) > 0 from projections.checkpoints")
        time.sleep(1)
        assert read_models.query("select sum(next_offset) from projections.checkpoints") == [(0,)]
        stack.registry.start()
        read_models.wait_until(
            f"select coalesce(sum(version), 0) >= {len(ledger.recorded)} from projections.streams", timeout_s=120
        )
    assert read_models.parked() == []
    read_models.must_equal(ledger)
