"""Audits of a healthy system beside its load never raise an alarm.

`WAGERLEDGER_TEST_AUDITS` says how many for each number of shards; they are done in rounds, each a test, on fresh databases
and topics, so that each stays short.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from audit.findings import AuditReport
from audit.reconcile.stores import reconcile
from audit.refusals import RefusalsAudit
from audit.relay_positions import borne_out, read_positions
from audit.snapshot import snapshot
from audit.sources import Sources
from audit.topics import TopicsAudit
from audit.verify import verify
from runtime.progress import silent
from runtime.settings import Settings
from tests.support.relays import process
from tests.support.servers import Servers, fresh_database
from tests.support.topic_filler import kafka_of
from tests.support.waiting import until

AUDITS = int(os.environ.get("WAGERLEDGER_TEST_AUDITS", "2"))
IN_A_ROUND = 12
BETS_PER_S = 500
ROUNDS = [
    (shards, done, min(IN_A_ROUND, AUDITS - done))
    for shards in ((1, 2) if AUDITS > 2 else (2,))  # one shard: `test_a_running_system_is_clean`
    for done in range(0, AUDITS, IN_A_ROUND)
]


@pytest.mark.parametrize(("shards", "done", "audits"), ROUNDS)
def test_audits_beside_load_raise_no_alarm(
    servers: Servers, ledger_template: str, topic_prefix: str, shards: int, done: int, audits: int
):
    """While bets are placed and relays publish, no audit and no reconciliation takes what is on its way for lost."""
    unpublished = events = 0
    with healthy_system(servers, ledger_template, f"{topic_prefix}{done}.", shards) as settings:
        (result,) = reconcile(settings, read_models=False)
        assert result.ok, result.differences[:3]
        for number in range(audits):
            report = topics_against_database(settings) if number else verify(settings)
            assert report.ok, report.text()
            events += report.checked["topics.events"]
            unpublished += report.checked["topics.not_yet_published"] > 0
    print(f"{audits} audits of {shards} shards, {events} events read; {unpublished} met events that were on their way")


def topics_against_database(settings: Settings) -> AuditReport:
    """What `verify` says of the topics, without what it says of the database by itself."""
    report = AuditReport()
    positions = read_positions(Sources(settings))
    audits = TopicsAudit(Sources(settings), report, silent), RefusalsAudit(Sources(settings), report, silent)
    for audit in audits:
        audit.read()
    with snapshot(settings.database_url, "WAGERLEDGER_DATABASE_URL") as ledger:
        passed = borne_out(positions, ledger)
        assert not passed.doubts
        for audit in audits:
            audit.compare(ledger, passed, strict=False)
    return report


@contextmanager
def healthy_system(servers: Servers, template: str, prefix: str, shards: int) -> Iterator[Settings]:
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database(servers.database_url, template=template))
        kafka = stack.enter_context(kafka_of(servers, url, prefix))
        settings = kafka.settings.model_copy(update={"relay_batch_rows": 100})
        stack.enter_context(bets(url))
        for shard in range(shards):
            stack.enter_context(process(settings.model_copy(update={"relay_shard": shard, "relay_shards": shards})))
        until(lambda: verify(settings, database=False).checked["topics.events"] > BETS_PER_S, "the relays to publish")
        yield settings


@contextmanager
def bets(database_url: str) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.audit.steady_bets", database_url, str(BETS_PER_S)]
    with subprocess.Popen(command) as child:
        try:
            yield
            assert child.poll() is None, "the bets ended early"
        finally:
            child.terminate()
