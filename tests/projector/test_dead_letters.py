import json
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from cli.main import app
from patience import Trouble
from projector.rebuild import RebuildError, rebuild
from projector.replay import FOLDED, UNREADABLE, WAITING, inspect, replay
from schemas.topics import Topics
from tests.projector.test_consumer import environment
from tests.support.random_ledger import Ledger
from tests.support.servers import fresh_topic_prefix

FORBID = "alter table projections.bets add constraint a_bug check (bet_id <> 'bert-2')"
MEND = "alter table projections.bets drop constraint a_bug"


@pytest.fixture
def alter(settings):
    """Change the read models' database."""

    def run(statement: str) -> None:
        with psycopg.connect(settings.bi_database_url.get_secret_value()) as connection:
            connection.execute(statement)

    return run


def test_unreadable_topics_are_said_with_what_to_check(settings):
    """Where Kafka cannot be asked, the message names the setting; where the topic is missing, the command that makes it."""
    away = settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1", "patience_s": 0})
    with pytest.raises(Trouble, match=r"^the topics cannot be read: .*; check WAGERLEDGER_KAFKA_BOOTSTRAP_SERVERS$"):
        inspect(away)
    missing = settings.model_copy(update={"topic_prefix": fresh_topic_prefix(), "patience_s": 0})
    with pytest.raises(Trouble, match=r"^there is no topic .*\.ledger\.dead-letters; .*run `wagerledger topics apply`"):
        inspect(missing)


def test_dead_letters_take_their_place_once_the_cause_is_mended(settings, publisher, read_models, alter):
    """A record that could not be folded keeps its bytes and place among the dead letters; after the cause is mended a replay puts it where it belongs and lets its stream go on, however often it is run. What still cannot be read stays."""
    read_models.catch_up()
    alter(FORBID)
    ledger = Ledger()
    for player in ("anna", "bert"):
        ledger.play(player, bets=4)
    bad = next(one for one in ledger.recorded if one.event_type == "bet.authorized" and b"bert-2" in one.body)
    publisher.publish(ledger.recorded)
    add_a_dead_letter(settings)
    read_models.catch_up()
    assert read_models.parked() == [("bert", bad.version - 1, "undecodable")]
    found = inspect(settings)
    assert sorted(one.state for one in found) == [UNREADABLE, WAITING]
    letter = next(one.letter for one in found if one.state == WAITING)
    assert (letter.value, letter.key, letter.source.topic) == (publisher.wire(bad), b"brand-a/bert", publisher.topic)
    assert "a_bug" in letter.reason
    with pytest.raises(RebuildError, match=r"bert .*dead-letters replay"):
        rebuild(settings, "bets")
    with read_models.kept_up():
        assert sorted(one.state for one in replay(settings)) == ["cannot be folded", UNREADABLE]
        assert read_models.parked() != []
        alter(MEND)
        for _ in range(2):
            assert sorted(one.state for one in replay(settings)) == [FOLDED, UNREADABLE]
        ledger.play("cora", bets=1)
        publisher.publish(ledger.recorded[-5:])
    read_models.catch_up()
    assert read_models.parked() == []
    read_models.must_equal(ledger)
    (unreadable,) = (one for one in said(settings, "dead-letters", "list") if one["state"] != FOLDED)
    assert (unreadable["topic"], unreadable["bytes"]) == (Topics(settings.topic_prefix).refusals, 13)
    found = said(settings, "rebuild", "bets", "--compare-only")
    assert all(table["same"] for table in found["tables"])


def said(settings, *words: str) -> Any:
    """What `wagerledger project ... --json` prints."""
    outcome = CliRunner().invoke(app, ["project", *words, "--json"], env=environment(settings))
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.stdout)


def add_a_dead_letter(settings) -> None:
    """A record that no schema explains, among the refusals."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    producer.produce(Topics(settings.topic_prefix).refusals, key="brand-a/anna", value=b"not a refusal")
    assert producer.flush(30) == 0
