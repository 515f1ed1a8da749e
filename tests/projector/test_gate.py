import copy
from collections import Counter

import pytest
from confluent_kafka import Consumer, TopicPartition
from prometheus_client import REGISTRY

from ledger.core.commands import Origin
from ledger.core.events import Event
from ledger.core.money import Amount
from ledger.core.rollbacks import Rollback
from ledger.core.wallets import Deposit
from ledger.core.wins import BetSettled
from ledger.journal.recording import record
from schemas.topics import Topics
from tests.support.random_ledger import Ledger, key_of
from tests.support.seeds import seeded_random


def streams(ledger: Ledger) -> dict[str, list]:
    """The recorded events of each player."""
    found: dict[str, list] = {}
    for one in ledger.recorded:
        found.setdefault(one.stream.stream_id, []).append(one)
    return found


@pytest.fixture
def ledger() -> Ledger:
    """Four players, each with eleven events."""
    ledger = Ledger()
    for player in ("anna", "bert", "cora", "dave"):
        ledger.play(player, bets=4)
    return ledger


@pytest.mark.parametrize("missing", [1, 4, 10])
def test_gap_parks_its_stream_alone_until_the_event_comes(missing, ledger, publisher, read_models):
    """A missing event keeps back the later ones of its stream, and only those; when it comes, all are applied in order."""
    late = streams(ledger)["bert"][missing - 1]
    publisher.publish(one for one in ledger.recorded if one is not late)
    read_models.catch_up()
    assert read_models.parked() == [("bert", missing - 1, "gap")]
    assert read_models.query("select count(*) from projections.parked_events") == [(11 - missing,)]
    read_models.must_equal(
        ledger, without=lambda record: record["player_id"] == "bert" and record["stream_version"] >= missing
    )

    publisher.publish([late])
    read_models.catch_up()
    assert read_models.parked() == []
    assert read_models.query("select count(*) from projections.parked_events") == [(0,)]
    read_models.must_equal(ledger)


def test_two_gaps_heal_one_after_the_other(ledger, publisher, read_models):
    """With two events missing, the first that comes moves the stream up to the second hole."""
    anna = streams(ledger)["anna"]
    publisher.publish(one for one in ledger.recorded if one not in (anna[2], anna[6]))
    publisher.publish([anna[2]])
    read_models.catch_up()
    assert read_models.parked() == [("anna", 6, "gap")]
    publisher.publish([anna[6]])
    read_models.catch_up()
    assert read_models.parked() == []
    read_models.must_equal(ledger)


def test_duplicates_are_dropped_and_counted(ledger, publisher, read_models):
    """An event that comes again changes nothing but the counter."""
    before = REGISTRY.get_sample_value("wagerledger_projector_duplicates_total")
    publisher.publish(ledger.recorded)
    publisher.publish(ledger.recorded[-7:])
    publisher.publish([ledger.recorded[0]])
    read_models.catch_up()
    assert REGISTRY.get_sample_value("wagerledger_projector_duplicates_total") - before == 8
    assert read_models.parked() == []
    read_models.must_equal(ledger)


@pytest.mark.parametrize("ahead", [1, 3])
def test_fork_parks_its_stream_for_good(ahead, ledger, publisher, read_models):
    """Two events that claim one place park the stream, whatever comes later: which of them is true is not for us to say."""
    common = len(ledger.recorded)
    other = copy.deepcopy(ledger)
    for n in range(ahead):
        ledger.ask(
            Deposit, "brand-a", player="bert", currency="EUR", amount=Amount(n + 1, 0), reference="r", actor="test"
        )
    other.play("bert-s-friend", bets=2)
    other.start_session("bert")
    publisher.publish([*ledger.recorded, *other.recorded[common:]])
    read_models.catch_up()
    head = 11 + ahead
    assert read_models.parked() == [("bert", head, "fork")]

    ledger.start_session("bert")
    publisher.publish(ledger.recorded[-1:])
    read_models.catch_up()
    assert read_models.parked() == [("bert", head, "fork")]
    assert read_models.query("select stream_version from projections.parked_events order by 1") == [(12,), (head + 1,)]
    ledger.recorded += [one for one in other.recorded[common:] if one.stream.stream_id != "bert"]
    read_models.must_equal(
        ledger, without=lambda record: record["player_id"] == "bert" and record["stream_version"] > head
    )


def test_fork_behind_a_gap_parks_for_good(ledger, publisher, read_models):
    """Two kept events of one place are a fork when the stream gets to it."""
    other = copy.deepcopy(ledger)
    ledger.start_session("bert")
    other.start_session("bert")
    missing = streams(ledger)["bert"][10]
    publisher.publish([*(one for one in ledger.recorded if one is not missing), other.recorded[-1]])
    read_models.catch_up()
    assert read_models.parked() == [("bert", 10, "gap")]
    publisher.publish([missing])
    read_models.catch_up()
    assert read_models.parked() == [("bert", 11, "fork")]
    read_models.must_equal(
        ledger, without=lambda record: record["player_id"] == "bert" and record["stream_version"] > 11
    )


UNREADABLE = {
    "empty": lambda wire: b"",
    "short": lambda wire: wire[:4],
    "another magic byte": lambda wire: b"\x01" + wire[1:],
    "unknown schema": lambda wire: wire[:1] + b"\x7f\xff\xff\xf0" + wire[5:],
    "cut off": lambda wire: wire[:-9],
    "bytes behind": lambda wire: wire + b"more",
}


def test_unreadable_record_goes_to_the_dead_letters_and_parks_its_stream_alone(
    ledger, publisher, read_models, settings
):
    """Bytes that cannot be read are kept with the reason; their stream waits, the others go on, and the true event heals it."""
    for number in range(len(UNREADABLE)):
        ledger.play(f"victim-{number}", bets=4)
    spoilt = {
        streams(ledger)[f"victim-{number}"][5].event_id: spoil for number, spoil in enumerate(UNREADABLE.values())
    }
    records = [(key_of(one), spoilt.get(one.event_id, bytes)(publisher.wire(one))) for one in ledger.recorded]
    publisher.publish_raw(records)
    read_models.catch_up()
    assert read_models.parked() == [(f"victim-{number}", 5, "undecodable") for number in range(len(UNREADABLE))]
    read_models.must_equal(
        ledger, without=lambda record: record["player_id"].startswith("victim") and record["stream_version"] > 5
    )
    letters = dead_letters(settings)
    assert Counter((key, value) for key, value, _ in letters) == Counter(
        (key.encode(), value)
        for (key, value), one in zip(records, ledger.recorded, strict=True)
        if one.event_id in spoilt
    )
    assert all(
        headers["wagerledger-reason"] and headers["wagerledger-topic"] == f"{settings.topic_prefix}ledger.events"
        for _, _, headers in letters
    )

    publisher.publish(one for one in ledger.recorded if one.event_id in spoilt)
    read_models.catch_up()
    assert read_models.parked() == []
    read_models.must_equal(ledger)


def test_foreign_bytes_in_a_stream_are_passed_when_the_chain_goes_on(ledger, publisher, read_models, settings):
    """A record that was never an event of its stream parks it only until the next event proves that nothing is missing."""
    publisher.publish(ledger.recorded)
    publisher.publish_raw(
        [("brand-a/anna", b"garbage"), ("brand-a/nobody", b"garbage"), ("brand-a/eu/acme", b"garbage")]
    )
    read_models.catch_up()
    assert read_models.parked() == [("anna", 11, "undecodable"), ("nobody", 0, "undecodable")]
    ledger.start_session("anna")
    ledger.play("nobody", bets=1)
    publisher.publish(ledger.recorded[44:])
    read_models.catch_up()
    assert read_models.parked() == []
    assert len(dead_letters(settings)) == 3
    read_models.must_equal(ledger)


def test_unreadable_record_parks_a_stream_that_has_no_player(publisher, read_models):
    """The key of an integration's stream is its id: that stream is found by it."""
    ledger = Ledger()
    for n in range(2):
        ledger.ask(Rollback, "brand-a", integration="acme", target_id=f"lost-{n}", round_id=None, reason="late")
    publisher.publish(ledger.recorded[:1])
    publisher.publish_raw([("brand-a/eu/acme", b"garbage")])
    read_models.catch_up()
    assert read_models.parked() == [("brand-a/eu/acme", 1, "undecodable")]
    publisher.publish(ledger.recorded[1:])
    read_models.catch_up()
    assert read_models.parked() == []
    read_models.must_equal(ledger)


def test_any_disorder_heals(publisher, read_models, settings):
    """Whatever the order in which a stream's events come, in whatever batches, once all are there the read models are right."""
    rng = seeded_random()
    ledger = Ledger()
    for player in ("anna", "bert", "cora"):
        ledger.play(player, bets=15)
    shuffled = rng.sample(ledger.recorded, len(ledger.recorded))
    publisher.publish(shuffled + rng.sample(ledger.recorded, 20))
    read_models.settings = settings.model_copy(update={"projector_batch": 7})
    read_models.catch_up()
    assert read_models.parked() == []
    read_models.must_equal(ledger)


def dead_letters(settings) -> list[tuple[bytes, bytes, dict[str, str]]]:
    """Key, value and headers of each dead letter."""
    topic = Topics(settings.topic_prefix).dead_letters
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": "unused", "enable.partition.eof": True}
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    letters = []
    while not (message := consumer.consume(1, timeout=60)[0]).error():
        letters.append((message.key(), message.value(), {name: value.decode() for name, value in message.headers()}))
    consumer.close()
    return letters


def test_an_event_that_no_fold_can_take_parks_its_stream_alone(ledger, publisher, read_models, settings):
    """A settlement of a bet that never was is readable and next in its stream; it is buried, and the others go on."""
    bert = streams(ledger)["bert"]
    last = bert[-1]
    origin = Origin("brand-a", "eu", "brand-a/eu/acme", "acme", "test", "key-poison", "trace-poison")
    settled = BetSettled(
        "st_x", None, "no such bet", "r", None, "game-1", "win", "EUR", 2, 100, 0,
        was_open=True, ends_bet=True, in_bonus=False, freespins_left=None, mode="real", conversion=None,
    )  # fmt: skip
    poison = record(Event(settled, "brand-a", "bert", "brand-a/eu/acme", ledger.now), origin, last.head())
    before = list(ledger.recorded)
    ledger.play("dora", bets=4)
    publisher.publish([*before, poison, *ledger.recorded[len(before) :]])
    read_models.catch_up()
    assert read_models.parked() == [("bert", len(bert), "undecodable")]
    (letter,) = dead_letters(settings)
    assert "cannot be folded" in letter[2]["wagerledger-reason"]
    played = read_models.query("select count(*) from bi.bets where player_id in ('bert', 'dora')")
    assert played == [(8,)]
