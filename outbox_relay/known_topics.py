"""The topics that the relay publishes to, each by the id that Kafka gave it: one that was deleted and made again has
the same name and another id, and lacks what was published, however much is in it.
"""

from collections.abc import Collection

from ledger.relay_position import TopicIds, topic_ids_in
from outbox_relay.producer import Publisher
from patience.kafka import Brokers, topic_ids
from runtime.topics_reader import TopicsReader
from schemas.topics import Topics

TIMEOUT_S = 10.0


class KnownTopics:
    """What the relays remember beside their positions, and what Kafka says now."""

    def __init__(self, bootstrap_servers: str, topics: Topics) -> None:
        self._servers = bootstrap_servers
        self._topics = topics
        self._published = (topics.events, *topics.of_types, *topics.of_variants, topics.refusals)
        self._brokers = Brokers(bootstrap_servers)
        self._known = TopicIds()
        self._new: Collection[str] = ()

    def now(self) -> TopicIds:
        """The ids that the topics have now. Raises KafkaException (retryable), also where a topic is missing."""
        return TopicIds(self._brokers.ask(lambda admin: topic_ids(admin, self._published, timeout_s=TIMEOUT_S)))

    def made_anew(self) -> list[str]:
        """The names of topics whose ids are others than the relays remember. Raises PositionError; KafkaException
        (retryable).
        """
        remembered, now = topic_ids_in(TopicsReader(self._servers).read_to_end(self._topics.relay_position)), self.now()
        self._known, self._new = TopicIds(now | remembered), now.keys() - remembered.keys()
        return self._others(now)

    def learn(self, publisher: Publisher) -> list[str]:
        """The names of topics that were made anew, as `made_anew`. Where there are none, new ids are remembered from
        now on.
        """
        changed = self.made_anew()
        if not changed and self._new:
            publisher.write_topic_ids(self._known)
        return changed

    def changed(self) -> list[str]:
        """The names of topics that were made anew since `learn`."""
        return self._others(self.now())

    def _others(self, now: TopicIds) -> list[str]:
        return sorted(name for name, topic_id in now.items() if self._known[name] != topic_id)
