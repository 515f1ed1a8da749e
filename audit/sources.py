"""Where an audit reads: the two databases, the topics and their schemas. What keeps it from reading is one error."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.schema_registry import SchemaRegistryClient

from audit.findings import CannotCheckError
from audit.snapshot import Snapshot, snapshot
from runtime.settings import Settings
from runtime.topics_reader import TopicError, TopicsReader, reader_of
from schemas.registry import RegistryUnavailableError, connect
from schemas.topics import Topics


@dataclass(frozen=True)
class Sources:
    """What one installation's audit reads. Made once per command and handed down, also to processes of its own."""

    settings: Settings

    @property
    def topics(self) -> Topics:
        """The names of the installation's topics."""
        return Topics(self.settings.topic_prefix)

    @property
    def records(self) -> TopicsReader:
        """A reader of the topics; use it in `reading_topics`, or beside `registry`."""
        return reader_of(self.settings)

    def ledger(self) -> AbstractContextManager[Snapshot]:
        """A snapshot of the ledger's database. Raises CannotCheckError."""
        return snapshot(self.settings.database_url, "WAGERLEDGER_DATABASE_URL")

    def read_models(self) -> AbstractContextManager[Snapshot]:
        """A snapshot of the read models' database. Raises CannotCheckError."""
        return snapshot(self.settings.bi_database_url, "WAGERLEDGER_BI_DATABASE_URL")

    @contextmanager
    def registry(self) -> Iterator[SchemaRegistryClient]:
        """A client of the schema registry, for as long as topics are read. Raises CannotCheckError, also where the
        topics cannot be read.
        """
        with reading_topics(), connect(self.settings.schema_registry_url.get_secret_value()) as client:
            yield client


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
