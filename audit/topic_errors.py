"""What keeps an audit from reading, in its own words."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException

from audit.findings import CannotCheckError
from runtime.topics_reader import TopicError
from schemas.registry import RegistryUnavailableError


@contextmanager
def reading_topics() -> Iterator[None]:
    """Turn what keeps us from reading topics into CannotCheckError."""
    try:
        yield
    except RegistryUnavailableError as error:
        raise CannotCheckError(str(error)) from error
    except TopicError as error:
        raise CannotCheckError(str(error)) from None
    except KafkaException as error:
        # Without a cause, and so not transient: the reader has tried it again for as long as the settings say.
        text = f"the topics cannot be read: {error.args[0].str()}; check WAGERLEDGER_KAFKA_BOOTSTRAP_SERVERS"
        raise CannotCheckError(text) from None
