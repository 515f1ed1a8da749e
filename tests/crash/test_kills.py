"""kill -9 of every process, one after the other, under load. WAGERLEDGER_TEST_KILLS=n makes it longer."""

import pytest

from tests.crash.casino import Casino, option
from tests.support.faults import kill_one_after_another


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_whatever_is_killed(own_casino: Casino) -> None:
    """After kills of all processes at random moments under load, every promise holds: what was answered is in the ledger once, in the topics once, in the read models once."""
    casino = own_casino
    system, rng, stack = casino.system, casino.rng, casino.system.stack
    one_round = [system.gateway, casino.second_gateway, system.projector] * 3 + [
        system.relay,
        stack.ledger_database,
    ] * 4
    one_round += [stack.kafka, stack.kafka, stack.bi_database, stack.registry]
    kills = int(option("KILLS", len(one_round)))
    order = [process for _ in range(-(-kills // len(one_round))) for process in rng.sample(one_round, len(one_round))]
    with casino.new_load(clients=16, pause_s=0.12) as load:
        casino.faults += kill_one_after_another(system, order[:kills], rng, print)
    print(f"errors and silences: {dict(load.told)}")
    casino.check(
        "outcomes unknown to the caller",
        "of these silent",
        "duplicates while the first was in flight",
        "bets after their rollback",
        "bets beyond the balance",
        "settlements before their bet that worked later",
    )
