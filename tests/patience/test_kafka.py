"""Who asks Kafka, and for how long."""

import pytest
from confluent_kafka import KafkaException

from patience.kafka import LATEST, Brokers, offsets

TIMEOUT_S = 10.0
NOWHERE = "a-topic-that-nobody-made", 0


def test_one_client_asks_until_it_fails(servers):
    """A client that answers is asked again; one that failed is not."""
    brokers = Brokers(servers.kafka_bootstrap_servers)
    asked = [brokers.ask(lambda admin: (admin.list_topics(timeout=TIMEOUT_S), admin)[1]) for _ in range(3)]
    assert asked[0] is asked[1] is asked[2]
    with pytest.raises(KafkaException):
        brokers.ask(lambda admin: offsets(admin, [NOWHERE], LATEST, timeout_s=TIMEOUT_S))
    assert brokers.ask(lambda admin: admin) is not asked[0]
