"""Dead letters, judged again: once what was wrong with one is mended, it takes its place, and its stream goes on."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from confluent_kafka import KafkaException
from psycopg import Connection

from patience import Trouble
from projector import database, models
from projector.dead_letters import DeadLetter, once
from projector.folding import UNFOLDABLE, fold
from projector.gate import Arrival
from projector.projection import Projection
from projector.records import Item, Records, Refused
from projector.tables import Tables
from runtime.settings import Settings
from runtime.topics_reader import TopicError, reader_of
from schemas import registry
from schemas.registry import UndecodableRecord
from schemas.topics import Topics

FOLDED, WAITING, KEPT, UNREADABLE, UNFOLDED = "folded", "waiting", "kept back", "unreadable", "cannot be folded"
"""In the read models; readable, and not in them yet; judged, but an earlier event of its stream is still missing, or it
contradicts one; still as it was."""

# Row locks that stop whoever projects the partition, until the end of the transaction.
HOLD = "select from checkpoints where topic = %s and partition = %s for update"
HEAD = "select version from streams where (tenant_id, stream_type, stream_id) = (%s, %s, %s)"
KNOWN_REFUSAL = "select 1 from refused_commands where command_id = %s"


class ReplayResult(NamedTuple):
    """A dead letter, and what a replay makes or has made of it."""

    letter: DeadLetter
    state: str
    reason: str
    """Why not, where it is not in the read models."""


def inspect(settings: Settings) -> list[ReplayResult]:
    """Every dead letter, and where it stands now. Changes nothing.

    Raises Trouble where the topic cannot be read; RegistryUnavailableError,
    psycopg.OperationalError (retryable).
    """
    with _opened(settings) as (connection, records):
        return [_look(letter, connection, records) for letter in _letters(settings)]


def replay(settings: Settings) -> list[ReplayResult]:
    """Judge every dead letter again; what was folded before stays so. Safe to repeat, beside running projectors.

    Raises as `inspect`; OutdatedModelsError.
    """
    with _opened(settings) as (connection, records):
        projections = models.ensure(connection)
        return [_replay(letter, connection, records, projections) for letter in _letters(settings)]


@contextlib.contextmanager
def _opened(settings: Settings) -> Iterator[tuple[Connection, Records]]:
    with (
        registry.connect(settings.schema_registry_url.get_secret_value()) as client,
        contextlib.closing(database.connect(settings.bi_database_url)) as connection,
    ):
        yield connection, Records(Topics(settings.topic_prefix), client, settings.residency)


def _letters(settings: Settings) -> list[DeadLetter]:
    reader = reader_of(settings)
    try:
        return once(reader.read_to_end(Topics(settings.topic_prefix).dead_letters))
    except KafkaException as error:
        # Without a cause, and so not transient: the reader has tried it again for as long as the settings say.
        if isinstance(error, TopicError):
            raise Trouble(str(error)) from None
        text = f"the topics cannot be read: {error.args[0].str()}; check WAGERLEDGER_KAFKA_BOOTSTRAP_SERVERS"
        raise Trouble(text) from None


def _look(letter: DeadLetter, connection: Connection, records: Records) -> ReplayResult:
    try:
        item = records.read(letter.source, letter.value)
    except UndecodableRecord as error:
        return ReplayResult(letter, UNREADABLE, str(error))
    with database.transaction(connection) as tables:
        return (
            ReplayResult(letter, FOLDED, "") if _is_in(item, tables) else ReplayResult(letter, WAITING, letter.reason)
        )


def _replay(
    letter: DeadLetter, connection: Connection, records: Records, projections: tuple[Projection, ...]
) -> ReplayResult:
    try:
        item = records.read(letter.source, letter.value)
    except UndecodableRecord as error:
        return ReplayResult(letter, UNREADABLE, str(error))
    try:
        with database.transaction(connection) as tables:
            tables.execute(HOLD, letter.source)
            fold([item], tables, projections, records.decode)
            return ReplayResult(letter, FOLDED, "") if _is_in(item, tables) else ReplayResult(letter, KEPT, "")
    except UNFOLDABLE as error:
        return ReplayResult(letter, UNFOLDED, repr(error))


def _is_in(item: Item, tables: Tables) -> bool:
    if isinstance(item, Refused):
        assert item.record
        return tables.execute(KNOWN_REFUSAL, [item.record["command_id"]]).fetchone() is not None
    assert isinstance(item, Arrival)
    head = tables.execute(HEAD, item.stream).fetchone()
    return head is not None and item.version <= head[0]
