"""Rebuilding read models beside the live ones, blue/green: fold from the first event into a shadow schema, compare,
swap. Readers and the projector go on meanwhile; whatever breaks before the swap leaves the live models as they were.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Self, TypeVar

import psycopg
import structlog
from confluent_kafka import Message
from confluent_kafka.schema_registry import SchemaRegistryClient
from psycopg import IsolationLevel, sql
from uuid_utils import uuid7

from evidence.archive.reader import Archive
from patience import TransientError
from patience.kafka import At
from projector import database, models
from projector.archive import fold_archive
from projector.bookkeeping import BOOKKEEPING
from projector.checkpoint import Checkpoint, Source
from projector.comparison import Comparison, compare
from projector.database import LOCK
from projector.folding import Folder
from projector.projection import Projection
from projector.projections import PROJECTIONS
from projector.records import Records, place
from runtime.progress import Progress, silent
from runtime.settings import Settings
from runtime.topics_reader import TopicsReader
from schemas import registry
from schemas.topics import Topics

T = TypeVar("T")

ALL = "all"
SWAPPED = "swapped"
SHADOW = "projections_rebuild"
# One rebuild at a time. Any constant does.
ONE_REBUILD = int.from_bytes(b"rebuildr")
SWAP_LOCK_TIMEOUT = "100ms"
"""How long the swap waits for the readers of a view before it lets all pass and tries again: much less than the second
after which a server looks for deadlocks and ends one of the two.
"""
RETRY_S = 0.5

# The shadow schema's comment: whose it is, and whether its tables have taken the live ones' place. It is written with
# what it tells, so that whoever has lost their connection finds out.
MARK = "comment on schema {} is {}"
MARKED = "select obj_description(to_regnamespace(%s), 'pg_namespace')"

LIVE_OFFSETS = "select topic, partition, next_offset from projections.checkpoints"

log = structlog.get_logger()


class RebuildError(RuntimeError):
    """The rebuild cannot take the place of the live models, which are as they were. The message says what to do."""


def chosen(name: str, projections: Iterable[Projection] = PROJECTIONS) -> list[Projection]:
    """The models to rebuild together: with the named one those that fold what it has, and all that these read.

    Raises RebuildError where there is no such model.
    """
    by_name = {one.name: one for one in projections}
    if name == ALL:
        return list(by_name.values())
    if name not in by_name:
        raise RebuildError(f"there is no read model {name!r}; there are {', '.join(by_name)}, and {ALL}")
    wanted = {name}
    for one in by_name.values():  # what a model needs comes before it
        if wanted & set(one.needs):
            wanted.add(one.name)
    for one in reversed(by_name.values()):
        if one.name in wanted:
            wanted |= set(one.needs)
    return [one for one in by_name.values() if one.name in wanted]


def rebuild(
    settings: Settings,
    name: str,
    *,
    compare_only: bool = False,
    archive: Archive | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Rebuild a model, or `all`, and put it in the place of the live one, unless only to compare.

    With an archive its entries come first; the topics, which may begin later, give the rest. What fails for the moment
    is gone on with where it stopped. Raises RebuildError, OutdatedModelsError, SchemaMismatchError and ArchiveError,
    which waiting does not heal; psycopg.OperationalError, KafkaException and RegistryUnavailableError, which lasted.
    """
    with registry.connect(settings.schema_registry_url.get_secret_value()) as client:
        run = settings.patience.call(lambda: _Rebuild(settings, client, name, progress), "read models")
        with run:
            if archive:
                run.fold_archive(archive)
            run.catch_up()
            found = run.compare()
            if not compare_only:
                run.refuse(found)
                run.swap()
            return found


class _Rebuild:
    """One run: it folds into the shadow schema under the same locks as the projector. A connection that is lost is
    replaced, and the run goes on from the shadow's own checkpoint.
    """

    def __init__(self, settings: Settings, client: SchemaRegistryClient, name: str, progress: Progress) -> None:
        self.settings = settings
        self.client = client
        self.everything = name == ALL
        self.projections = chosen(name)
        self._show_progress = progress
        self._records = Records(Topics(settings.topic_prefix), client, settings.residency)
        self._mark = str(uuid7())
        self._archived = 0
        self._connect()
        try:
            self._make_shadow()
        except BaseException:
            self.connection.close()
            raise

    def _connect(self) -> None:
        self.checkpoint = Checkpoint()
        self.connection = database.connect(self.settings.bi_database_url, SHADOW)
        try:
            self.connection.execute("set statement_timeout = 0")
            self._be_the_only_one()
            self.live = self._live_models()
            self.folder = Folder(self.connection, self.checkpoint, self.projections, self._records, _note_unreadable)
        except BaseException:
            self.connection.close()
            raise

    def _be_the_only_one(self) -> None:
        if not _truth(self.connection, f"select pg_try_advisory_lock({ONE_REBUILD})"):
            raise RebuildError("another rebuild runs")

    def _patiently(self, step: Callable[[], T]) -> T:
        """A step that goes on from what the shadow holds, again while it fails for the moment."""

        def attempt() -> T:
            if self.connection.closed:
                self._reconnect()
            return step()

        return self.settings.patience.call(attempt, "rebuild", progress=self._progress)

    def _progress(self) -> int:
        return self._archived + sum(self.checkpoint.next_offsets.values())

    def _reconnect(self) -> None:
        """Into the same shadow. Raises RebuildError where it is another's by now; what is to be tried again."""
        try:
            self._connect()
        except RebuildError as error:
            # Most likely it is our own former connection that holds the lock: the server has not noticed its end yet.
            raise TransientError(str(error)) from error
        mark = self._marked()
        if mark is None:
            self._make_shadow()  # a crash of the server has taken it along, or it could not be made yet
        elif not mark.startswith(self._mark):
            raise RebuildError("another rebuild has begun meanwhile; nothing was changed by this one")

    def _marked(self) -> str | None:
        row = self.connection.execute(MARKED, [SHADOW]).fetchone()
        return row[0] if row else None

    def _set_mark(self, mark: str) -> None:
        self.connection.execute(sql.SQL(MARK).format(sql.Identifier(SHADOW), sql.Literal(mark)))

    def _live_models(self) -> dict[str, models.Model]:
        live = models.models(self.connection)
        if not live:
            raise RebuildError("there are no read models yet; start the projector")
        models.refuse_others(live, PROJECTIONS)
        return live

    def _make_shadow(self) -> None:
        with self.connection.transaction():
            self.connection.execute(f"drop schema if exists {SHADOW} cascade")  # of a run that broke off
            self.connection.execute(f"create schema {SHADOW}")
            self._set_mark(self._mark)
            for projection in (BOOKKEEPING, *self.projections):
                models.make_tables(self.connection, projection, SHADOW)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(psycopg.Error):
            self.connection.execute(f"drop schema if exists {SHADOW} cascade")
        self.connection.close()

    def fold_archive(self, archive: Archive) -> None:
        """Fold what an archive holds. Begun again it reads from the start: what is folded is dropped as known."""

        def show(step: str, done: int, total: int) -> None:
            self._archived = max(done, self._archived)
            self._show_progress(step, done, total)

        self._patiently(
            lambda: fold_archive(
                archive.entries(), archive.tree_size, self.folder, self.client, self.settings.projector_batch, show
            )
        )

    def catch_up(self) -> None:
        """Fold until hardly anything is left, while the live models move on."""
        while self._patiently(lambda: self._fold_to(self._target())) > self.settings.projector_batch:
            pass

    def compare(self) -> Comparison:
        """Compare at one checkpoint: its snapshot is taken in a moment of standstill, and looked at afterwards."""
        return self._patiently(self._compare)

    def _compare(self) -> Comparison:
        with database.connect(self.settings.bi_database_url) as witness, ExitStack() as looking:
            witness.isolation_level = IsolationLevel.REPEATABLE_READ
            witness.execute("set statement_timeout = 0")
            with self._standstill():
                # Not before: a transaction that waits is ended by a server that limits how long one may be idle.
                looking.enter_context(witness.transaction())
                witness.execute("select")
            self._show_progress("comparing", 0, 0)
            return compare(witness, SHADOW, self.projections, self.live)

    def refuse(self, found: Comparison) -> None:
        """Refuse the swap where the live models could not go on from what was rebuilt. Raises RebuildError."""
        behind = [one for one in found.streams if one.rebuilt_version < one.live_version]
        if behind:
            shown = ", ".join(f"{one.stream} ({one.rebuilt_version} of {one.live_version})" for one in behind)
            raise RebuildError(
                f"the rebuild lacks events that the live models have: {shown}; where the topics no longer hold them, "
                "rebuild with `--from-archive`"
            )
        if found.refusals_fewer:
            raise RebuildError(
                f"the rebuild lacks {found.refusals_fewer} refusals that the live models have; rebuild with "
                "`--from-archive`"
            )
        if not self.everything and not found.same_gate:
            shown = ", ".join(f"{one.stream} ({one.rebuilt_version}, not {one.live_version})" for one in found.streams)
            raise RebuildError(
                f"the rebuild has events or refusals that the live models lack: {shown or found.refusals_more}; give "
                f"them theirs with `wagerledger project dead-letters replay`, let the projector catch up with the "
                f"archive, or rebuild `{ALL}`"
            )

    def swap(self) -> None:
        """Take the live models' place, as soon as no reader is in the way."""
        while True:
            self.catch_up()
            if self._patiently(self._swap):
                return
            self._show_progress("waiting for readers", 0, 0)
            time.sleep(RETRY_S)

    def _swap(self) -> bool:
        """Whether it is done; False where a reader was in the way."""
        done = f"{self._mark} {SWAPPED}"
        if self._marked() == done:
            return True  # the connection was lost after the commit
        swapped = [BOOKKEEPING, *self.projections] if self.everything else self.projections
        try:
            with self._standstill(), self.connection.transaction():
                self.refuse(compare(self.connection, SHADOW, [], self.live))
                # What is reported must stay, unlike a batch, which a crash may take along with its checkpoint.
                self.connection.execute("set local synchronous_commit = on")
                self.connection.execute(f"set local lock_timeout = '{SWAP_LOCK_TIMEOUT}'")
                if not self.everything:
                    for table in BOOKKEEPING.table_names:
                        self.connection.execute(f"drop table {SHADOW}.{table}")
                models.swap(self.connection, SHADOW, swapped)
                self._set_mark(done)
        except psycopg.errors.LockNotAvailable:
            return False
        return True

    @contextlib.contextmanager
    def _standstill(self) -> Iterator[None]:
        """The live models and the shadow at the same checkpoint, until the end of the block."""
        self.connection.execute(f"select pg_advisory_lock({LOCK})")
        try:
            self._fold_to(self._target())
            yield
        finally:
            if not self.connection.closed:  # else the lock went with it, and the reason must be heard
                self.connection.execute(f"select pg_advisory_unlock({LOCK})")

    def _target(self) -> dict[Source, int]:
        rows = self.connection.execute(LIVE_OFFSETS).fetchall()
        target = {Source(topic, partition): next_offset for topic, partition, next_offset in rows}
        if any(target.get(source, 0) < offset for source, offset in self.checkpoint.next_offsets.items()):
            raise RebuildError("the live models were emptied meanwhile; rebuild again")
        return target

    def _fold_to(self, target: dict[Source, int]) -> int:
        """Fold up to these offsets, and not a record further. Returns how many records there were."""
        with database.transaction(self.connection) as tables:
            self.checkpoint.load(tables, target.keys() - self.checkpoint.next_offsets.keys())
        ends = {source: end for source, end in target.items() if self.checkpoint.next_offsets[source] < end}
        done, total = sum(self.checkpoint.next_offsets.values()), sum(target.values())
        records = 0
        if ends:
            for messages in self._batches(ends):
                self.folder.fold(messages)
                records += len(messages)
                self._show_progress("folding", done + records, total)
        return records

    def _batches(self, ends: dict[Source, int]) -> Iterator[list[Message]]:
        """The records before `ends`, in batches; what the topics have lost at their beginning, the archive has.

        Raises RebuildError where a topic ends earlier.
        """
        reader = TopicsReader(self.settings.kafka_bootstrap_servers)
        # A leader that was just elected says that it does not know its end yet (KIP-207), and is asked again.
        spans = reader.spans({source.topic for source in ends})
        for source, end in ends.items():
            if spans[source].end < end:
                raise RebuildError(
                    f"{source.topic}, partition {source.partition}, ends at {spans[source].end}, before the live "
                    f"models' {end}: they were folded from another topic"
                )
        begins: dict[At, int] = {at: max(self.checkpoint.next_offsets[at], spans[at].begin) for at in ends}
        return reader.read_batches(dict[At, int](ends.items()), begins=begins, at_once=self.settings.projector_batch)


def _note_unreadable(message: Message, reason: str) -> None:
    """The dead letters have it already; here it parks its stream, as it did there."""
    source, offset = place(message)
    log.warning("unreadable_record", reason=reason, **source._asdict(), offset=offset)


def _truth(connection: psycopg.Connection, question: str) -> bool:
    return connection.execute(question).fetchone() == (True,)
