"""Whatever happens to the records and to the projectors on the way, the read models end as the fold of the events."""

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY
from psycopg import Connection
from pydantic import SecretStr

from ledger.core.chain import hash_of
from ledger.streams import StreamKey
from projector import database, folding, models
from projector.checkpoint import Source
from projector.gate import Arrival, Gate, GateState, StreamMovedError, Unreadable, Verdict
from projector.projection import Admitted
from projector.projections import PROJECTIONS
from projector.rebuild import rebuild
from projector.records import Item, Records
from projector.replay import FOLDED, UNREADABLE, inspect, replay
from runtime.settings import Settings
from schemas import registry
from schemas.events import EVENTS
from schemas.registry import UndecodableRecord
from schemas.topics import Topics
from tests.projector.direct_fold import Folded, fold
from tests.projector.feed import POISON, Delivery, Feed, publish, random_feed
from tests.projector.projections.test_active_players import (
    test_active_is_who_bet_and_demo_never_counts as active_players,
)
from tests.projector.projections.test_liability import test_a_day_ends_with_what_all_wallets_hold_then as liability
from tests.projector.projections.test_open_holds import test_open_bets_hold_what_the_wallets_say as open_holds
from tests.projector.projections.test_player_statements import test_a_statement_runs_without_a_gap as player_statements
from tests.projector.projections.test_provider_settlement import (
    test_everything_counts_on_the_day_it_was_recorded as settlement,
)
from tests.projector.projections.test_revenue import test_corrections_tell_what_changed_an_earlier_hour as corrections
from tests.projector.projections.test_revenue import test_revenue_per_hour_and_day_is_a_plain_fold as revenue
from tests.projector.projections.test_settlement_lag import test_lags_are_counted_in_their_buckets as settlement_lag
from tests.projector.projections.test_wins import test_every_win_and_award_has_a_row as wins
from tests.projector.test_consumer import DIES, environment, wait_for_members
from tests.support.random_ledger import Ledger, decoded
from tests.support.read_models import ReadModels
from tests.support.seeds import seeded_random
from tests.support.servers import Servers, fresh_database
from tests.support.waiting import until_locked_out

PLAIN_FOLDS = (
    active_players, liability, open_holds, player_statements, settlement, corrections, revenue, settlement_lag, wins,
)  # fmt: skip
FEEDS = int(os.environ.get("WAGERLEDGER_TEST_FEEDS", "1"))
"""How many random feeds; more of them for a soak."""
COMMANDS = 700

FORBID = f"alter table projections.bets add constraint a_bug check (bet_id <> '{POISON}')"
MEND = "alter table projections.bets drop constraint a_bug"
PARKED = "select tenant_id, stream_type, stream_id, stream_version from bi.parked_streams"
REFUSALS = "select command_id::text, kind, code, player_id, idempotency_key from bi.refusals"
BY_CODE = "select kind, code, sum(refusals)::int from bi.refusals_by_day group by 1, 2"


@pytest.fixture
def deliver(settings, publisher) -> Callable[[list[Delivery]], None]:
    return lambda deliveries: publish(Topics(settings.topic_prefix), publisher, deliveries)


@pytest.fixture
def feed_of(publisher, wire_ids) -> Callable[[int], Feed]:
    """A random feed of that many commands."""

    def feed(commands: int) -> Feed:
        return random_feed(seeded_random(), commands, publisher, wire_ids.of_refusals())

    return feed


@pytest.fixture
def alter(settings) -> Callable[[str], None]:
    """Make the read models, and change their database."""
    with database.connect(settings.bi_database_url) as connection:
        models.ensure(connection)

    def run(statement: str) -> None:
        with psycopg.connect(settings.bi_database_url.get_secret_value()) as connection:
            connection.execute(statement)

    return run


def place(record: dict[str, Any]) -> StreamKey:
    return StreamKey(record["tenant_id"], record["stream_type"], record["stream_id"])


def ahead_of(heads: dict[StreamKey, int]) -> Callable[[dict[str, Any]], bool]:
    """Tells the records that must not be folded, because their stream stands earlier."""
    return lambda record: record["stream_version"] > heads.get(place(record), record["stream_version"])


def changes_nothing(record: dict[str, Any]) -> bool:
    """Tells the events of types whose rules come later: those of the feed have no postings."""
    return EVENTS[record["event_type"]].announced


def must_stand_at_the_gaps(feed: Feed, read_models: ReadModels) -> None:
    """Exactly the streams with something missing are parked, and shown as of the event before; all others went on."""
    heads, parked = feed.stands()
    assert set(read_models.query(PARKED)) == {(*stream, heads[stream]) for stream in parked}
    assert REGISTRY.get_sample_value("wagerledger_projector_parked_streams") == len(parked) > len(feed.forked)
    ahead = ahead_of(heads)
    read_models.must_equal(feed.ledger, without=lambda record: ahead(record) or changes_nothing(record))


def must_be_true(feed: Feed, read_models: ReadModels) -> None:
    """The read models are an independent fold of all events but those after a forgery, with every refusal once."""
    assert set(read_models.query(PARKED)) == {(*stream, version) for stream, version in feed.forked.items()}
    ahead = ahead_of(feed.forked)
    read_models.must_equal(feed.ledger, without=lambda record: ahead(record) or changes_nothing(record))
    told = [(r["command_id"], r["kind"], r["code"], r["player_id"], r["idempotency_key"]) for r in feed.refusals]
    assert sorted(read_models.query(REFUSALS)) == sorted(told)
    assert {(kind, code): n for kind, code, n in read_models.query(BY_CODE)} == Counter(one[1:3] for one in told)


def must_be_the_fold(feed: Feed, read_models: ReadModels, servers: Servers) -> None:
    """Every view has the rows that the events in order give."""
    must_be_true(feed, read_models)
    url = read_models.settings.bi_database_url.get_secret_value()
    records = [record for record in decoded(feed.ledger.recorded) if not ahead_of(feed.forked)(record)]
    with (
        psycopg.connect(url, autocommit=True) as connection,
        fresh_database(servers.bi_database_url) as plain,
        fold(plain, records, random.Random(1)) as in_order,
    ):
        found = Folded(url, [record for record in records if not changes_nothing(record)], lambda: connection)
        for check in PLAIN_FOLDS:
            check(found)
        for view in (view for one in PROJECTIONS if one.name != "refusals" for view in one.view_names):
            rows = f"select to_jsonb(v)::text from {view} v order by 1"
            assert found.query(rows) == in_order.query(rows), view


def must_have_dead_letters(feed: Feed, read_models: ReadModels) -> None:
    """Dead letters are what could not be read or folded, byte for byte, and nothing else."""
    poison = {stream: version + 1 for stream, version in feed.poisoned.items()}
    unfoldable = [one for one in feed.delivered if one.event and poison.get(one.event.stream) == one.event.version]
    found = [one.letter for one in inspect(read_models.settings)]
    assert Counter((one.key and one.key.decode(), one.value) for one in found) == Counter(
        (one.key, one.value) for one in feed.garbage + unfoldable
    )


@pytest.mark.parametrize("number", range(FEEDS))
def test_a_faulty_feed_ends_as_the_fold(number, settings, feed_of, deliver, alter, read_models, servers):
    """Records that come twice, late, out of order, forged, broken or not at all, projectors that are killed, join and leave, a model that cannot take an event: meanwhile exactly the streams concerned wait, in sight of the alarm; at the end every read model is the fold of the events, and so is a rebuild."""
    feed = feed_of(COMMANDS)
    rng = seeded_random()
    alter(FORBID)
    first, second, third = feed.parts
    deliver(first)
    # In a group of its own: its partitions need not wait for the end of its session.
    dying = environment(settings.model_copy(update={"projector_batch": 53})) | {"WAGERLEDGER_PROJECTOR_GROUP": "dying"}
    died = subprocess.run([sys.executable, "-c", DIES, str(rng.randrange(1, 4))], env=dying, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL
    with read_models.kept_up(projector_batch=rng.choice((7, 60, 500))):
        deliver(second)
        with read_models.kept_up(projector_batch=rng.choice((13, 97))):
            wait_for_members(settings, 2)
            deliver(third)
    read_models.catch_up()
    must_stand_at_the_gaps(feed, read_models)
    must_have_dead_letters(feed, read_models)

    with read_models.kept_up():
        alter(MEND)
        assert {fate.state for fate in replay(settings)} == {FOLDED, UNREADABLE}
        deliver(feed.late)
        found = rebuild(settings, "all")
    assert found.differing == []
    read_models.catch_up()
    must_be_the_fold(feed, read_models, servers)


def no_gate(patch: pytest.MonkeyPatch) -> None:
    def judge(gate: Gate, arrivals: Any) -> Verdict:
        events = [Admitted(one.record, one.partition) for one in arrivals if hasattr(one, "record")]
        return Verdict(admitted=events)

    patch.setattr(Gate, "judge", judge)


def no_chain(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(GateState, "follows", lambda head, version, _: version == head.version + 1)


def no_dedupe_of_refusals(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(folding, "unseen", lambda _, refusals: list(refusals))


def test_planted_faults_are_found(settings, feed_of, read_models, monkeypatch):
    """The same feed and checks fail a projector that folds in the order of arrival, does not look at hashes, or folds a refusal as often as it comes; and only such a one."""
    feed = feed_of(100)

    def fold_and_check() -> None:
        fold_alone(feed, settings)
        must_be_true(feed, read_models)

    fold_and_check()
    for fault in (no_gate, no_chain, no_dedupe_of_refusals):
        with monkeypatch.context() as patch:
            fault(patch)
            with pytest.raises((AssertionError, psycopg.IntegrityError)):
                fold_and_check()


def fold_alone(feed: Feed, settings: Settings) -> None:
    """Fold the feed into empty models, as one partition of each topic, without a projector around it."""
    topics = Topics(settings.topic_prefix)
    with (
        registry.connect(settings.schema_registry_url.get_secret_value()) as client,
        contextlib.closing(database.connect(settings.bi_database_url)) as connection,
    ):
        models.reset(connection)
        records = Records(topics, client, settings.residency)
        deliveries = [*feed.delivered, *feed.late]
        for batch in (deliveries[at : at + 40] for at in range(0, len(deliveries), 40)):
            items = [
                item(records, one, Source(topics.refusals if one.to_refusals else topics.events, 0)) for one in batch
            ]
            with database.transaction(connection) as tables:
                folding.fold(items, tables, PROJECTIONS, records.decode)


def item(records: Records, delivery: Delivery, source: Source) -> Item:
    try:
        return records.read(source, delivery.value)
    except UndecodableRecord:
        return records.unreadable(source, (delivery.key or "").encode())


@pytest.mark.parametrize("known", [0, 3])
@pytest.mark.parametrize("misplaced", ["garbage", "event"])
def test_a_stream_that_another_projector_moves_meanwhile_is_judged_again(known, misplaced, bi_database_of_module):
    """A record of a player in another partition than theirs makes the slower of two projectors begin again: it does not forget what the other folded."""
    ledger = Ledger()
    ledger.play("anna", bets=4)
    events = [
        Arrival(one.stream, one.version, hash_of(one.body), record, 0, one.body)
        for one, record in zip(ledger.recorded, decoded(ledger.recorded), strict=True)
    ]
    url = SecretStr(bi_database_of_module)
    with database.connect(url) as owner, database.connect(url) as other, ThreadPoolExecutor(1) as pool:
        models.reset(owner)
        judge(owner, events[:known])
        with database.transaction(owner) as tables:
            Gate(tables, no_decoding).judge(events[known : known + 2])
            slower = pool.submit(judge, other, [Unreadable(b"brand-a/anna") if misplaced == "garbage" else events[8]])
            until_locked_out(bi_database_of_module)
        with pytest.raises(StreamMovedError):
            slower.result()
        assert owner.execute("select version, parked_reason from streams").fetchall() == [(known + 2, None)]
        assert owner.execute("select count(*) from parked_events").fetchall() == [(0,)]


def judge(connection: Connection, arrivals: list[Arrival | Unreadable]) -> None:
    with database.transaction(connection) as tables:
        Gate(tables, no_decoding).judge(arrivals)


def no_decoding(wire: bytes) -> dict[str, Any]:
    raise AssertionError("nothing is let go here")
