"""A feed as no relay would give it: histories published twice, late, out of order, with holes, forgeries and garbage."""

import copy
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from uuid_utils import uuid7

from ledger.core.bets import FinalizeBet
from ledger.core.commands import Command, Origin
from ledger.core.evolve import event_of
from ledger.core.rollbacks import ReinstateBet, Rollback
from ledger.journal.recording import record
from ledger.streams import PLAYER, Recorded, StreamKey, stream_of
from schemas.events import EVENTS, REFUSAL
from schemas.examples import example
from schemas.topics import Topics
from tests.projector.direct_fold import PACE_US
from tests.support.random_ledger import START_US, Ledger, Publisher, chunks, key_of, random_ledger

POISON = "pia-2"
"""A bet that the read models cannot fold until they are mended."""


class Delivery(NamedTuple):
    """A record on its way."""

    key: str | None
    value: bytes | None
    event: Recorded | None = None
    """The true event that it is."""
    broken: bool = False
    """It cannot be read."""
    to_refusals: bool = False


@dataclass
class Feed:
    """What is delivered, in its order, and what is true."""

    ledger: Ledger
    refusals: list[dict[str, Any]]
    parts: list[list[Delivery]] = field(default_factory=list)
    late: list[Delivery] = field(default_factory=list)
    """What was missing all the time: the last event of each stream, some others, and refusals."""
    forked: dict[StreamKey, int] = field(default_factory=dict)
    """Streams with a forgery among their events: the version after which it comes and nothing more may be folded."""
    poisoned: dict[StreamKey, int] = field(default_factory=dict)
    """Streams with an event that cannot be folded yet: the version before it."""

    @property
    def delivered(self) -> list[Delivery]:
        return [delivery for part in self.parts for delivery in part]

    @property
    def garbage(self) -> list[Delivery]:
        return [one for one in self.delivered if one.broken]

    def stands(self) -> tuple[dict[StreamKey, int], set[StreamKey]]:
        """Each stream's version before the late ones come, and the streams that are parked: the gate once more, plain."""
        version = {one.stream: 0 for one in self.ledger.recorded}
        here: dict[StreamKey, set[int]] = defaultdict(set)
        doubtful = set()
        for one in self.delivered:
            if one.event:
                stream, before = one.event.stream, version[one.event.stream]
                here[stream].add(one.event.version)
                while version[stream] + 1 in here[stream]:
                    version[stream] += 1
                if version[stream] > before:
                    doubtful.discard(stream)
            elif one.broken and one.key and "/" in one.key and not one.to_refusals:
                tenant_id, player_id = one.key.split("/")
                doubtful.add(StreamKey(tenant_id, PLAYER, player_id))
        version |= self.forked | self.poisoned
        behind = {stream for stream, versions in here.items() if max(versions) > version[stream]}
        return version, behind | doubtful | self.forked.keys()


def random_feed(rng: random.Random, commands: int, wire: Publisher, refusal_prefix: bytes, parts: int = 3) -> Feed:
    """A history with everything that may happen on the way."""
    ledger = random_ledger(rng, commands, PACE_US)
    for player in ("pia", "rob", "sue"):
        ledger.play(player, bets=rng.randrange(4, 9))
    _rare(ledger, "rob")
    _announced(ledger, "sue")
    late_forgery, next_forgery = _forged_events(ledger, "fay")[0], _forged_events(ledger, "mia")[1]
    feed = Feed(ledger, [_refusal(rng, number) for number in range(commands // 5)])
    poison = next(one for one in ledger.recorded if one.event_type == "bet.authorized" and POISON.encode() in one.body)
    feed.poisoned[poison.stream] = poison.version - 1
    feed.forked[late_forgery.stream] = late_forgery.version + rng.randrange(7)
    feed.forked[next_forgery.stream] = next_forgery.version - 1
    placed = [*_events(rng, feed, wire), *_told(rng, feed, refusal_prefix)]
    for forgery in (late_forgery, next_forgery):
        placed += _forged(rng, feed, forgery, wire)
    placed += _garbage(rng, [delivery for _, delivery in placed if delivery.event], feed)
    order = [delivery for _, delivery in sorted(placed, key=lambda place: place[0])]
    feed.parts = [list(part) for part in chunks(order, len(order) // parts + 1)]
    rng.shuffle(feed.late)
    return feed


def _rare(ledger: Ledger, player: str) -> None:
    """What few histories have: a bet that is reinstated, and then made final."""
    ledger.bet(ledger.start_session(player), "reinstated")

    def ask(kind: Callable[..., Command], **more: Any) -> None:
        ledger.ask(kind, "brand-a", integration="acme", **more)

    ask(Rollback, target_id="reinstated", round_id=None, reason="void")
    ask(ReinstateBet, bet_id="reinstated", reason="not void")
    ledger.settle("reinstated", 5)
    ask(FinalizeBet, bet_id="reinstated")


def _announced(ledger: Ledger, player: str) -> None:
    """Events of the types whose rules come later, without postings: they change no read model."""
    origin = Origin("brand-a", "eu", None, None, "test", "key", "trace")
    for name in (name for name, schema in EVENTS.items() if schema.announced):
        place = {"tenant_id": "brand-a", "player_id": player, "integration_id": None, "postings": []}
        event = event_of(example(name) | place | {"occurred_at": ledger.now})
        one = record(event, origin, ledger.heads[stream_of(event)])
        ledger.heads[one.stream] = one.head()
        ledger.recorded.append(one)


def _forged_events(ledger: Ledger, player: str) -> list[Recorded]:
    """What a player who plays on did in another past: its first event contradicts the true one, the next follows it."""
    session_id = ledger.open_player(player)
    other, common = copy.deepcopy(ledger), len(ledger.recorded)
    for mode in ("demo", "real"):
        other.start_session(player, mode=mode)
    for number in range(8):
        ledger.bet(session_id, f"{player}-{number}")
    return other.recorded[common:]


def _events(rng: random.Random, feed: Feed, wire: Publisher) -> Iterable[tuple[float, Delivery]]:
    """Most events in time, some later, some twice, some missing; those of forged and poisoned streams in order."""
    recorded = feed.ledger.recorded
    last = {one.stream: one.version for one in recorded}
    calm = feed.forked.keys() | feed.poisoned.keys()
    places = sorted(rng.random() for _ in recorded)
    for place, one in zip(places, recorded, strict=True):
        delivery = Delivery(key_of(one), wire.wire(one), event=one)
        if one.stream in calm:
            if one.stream not in feed.forked:
                yield place, delivery
        elif one.version == last[one.stream] or rng.random() < 0.01:
            feed.late.append(delivery)
        else:
            yield place + rng.choice((0, 0, 0, 0.02, 0.4)) * rng.random() ** 2, delivery
            if rng.random() < 0.1:
                yield place + rng.choice((0, 0.01, 0.5)) * rng.random(), delivery


def _told(rng: random.Random, feed: Feed, prefix: bytes) -> Iterable[tuple[float, Delivery]]:
    """Refusals in any order, some twice, some missing."""
    for refusal in feed.refusals:
        key = f"{refusal['tenant_id']}/{refusal['player_id']}"
        delivery = Delivery(key, prefix + REFUSAL.encode(refusal), to_refusals=True)
        if rng.random() < 0.1:
            feed.late.append(delivery)
        else:
            yield from ((rng.random(), delivery) for _ in range(rng.choice((1, 1, 1, 2, 3))))


def _forged(rng: random.Random, feed: Feed, forgery: Recorded, wire: Publisher) -> Iterable[tuple[float, Delivery]]:
    """A stream in order, with a forgery in it."""
    events = [one for one in feed.ledger.recorded if one.stream == forgery.stream]
    head = feed.forked[forgery.stream]
    places = sorted(rng.random() for _ in range(len(events) + 1))
    for place, one in zip(places, [*events[:head], forgery, *events[head:]], strict=True):
        yield place, Delivery(key_of(one), wire.wire(one), event=one if one is not forgery else None)


def _garbage(rng: random.Random, sent: Sequence[Delivery], feed: Feed) -> Iterable[tuple[float, Delivery]]:
    """Records that cannot be read, some with the key of a player whose events they seem to be."""
    calm = feed.forked.keys() | feed.poisoned.keys()
    players = {one.event.stream for one in sent if one.event and one.event.stream.stream_type == PLAYER} - calm
    keys = sorted(f"{player.tenant_id}/{player.stream_id}" for player in players)
    for number in range(12):
        whole = rng.choice(sent).value
        assert whole
        value = rng.choice((None, b"", rng.randbytes(40), b"\0\x7f\xff\xff\xff" + whole[5:], whole[: len(whole) // 2]))
        yield rng.random(), Delivery(rng.choice((None, "nobody's", *keys)), value, broken=True, to_refusals=number < 4)


def _refusal(rng: random.Random, number: int) -> dict[str, Any]:
    details = {"required": str(number)}
    return {
        "command_id": str(uuid7()), "refused_at": START_US + number * PACE_US * 5, "tenant_id": "brand-a",
        "region": "eu", "integration_id": "brand-a/eu/acme", "provider_id": "acme", "player_id": f"p{number % 5}",
        "kind": rng.choice(("AuthorizeBet", "SettleBet")), "code": rng.choice(("INSUFFICIENT_FUNDS", "BET_NOT_FOUND")),
        "details": json.dumps(details), "operation": "bet", "idempotency_key": f"key-{number}", "fingerprint": None,
        "asked": "{}", "kid": "k", "trace_id": f"trace-{number}",
    }  # fmt: skip


def publish(topics: Topics, publisher: Publisher, deliveries: Iterable[Delivery]) -> None:
    """Publish, each topic in its order."""
    by_topic: dict[str, list[Delivery]] = defaultdict(list)
    for one in deliveries:
        by_topic[topics.refusals if one.to_refusals else topics.events].append(one)
    for topic, records in by_topic.items():
        replace(publisher, topic=topic).publish_raw((one.key, one.value) for one in records)
