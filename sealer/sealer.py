"""The sealer's loop: prove what was said before, seal what is new, sign a head, publish it."""

import contextlib
import threading
import time
from typing import Any

import psycopg
import structlog
from psycopg import Connection, IsolationLevel

from evidence import anchors
from evidence.anchors import AnchorsError, Tree
from evidence.heads import SignedHead
from evidence.keys import key_id, signing_key, trusted_keys
from patience import WAITED_FOR, session
from runtime import service
from runtime.service import REFUSED, STOPPED, RefusedError
from runtime.settings import Settings
from runtime.telemetry import serve_metrics
from schemas.topics import Topics
from sealer import metrics
from sealer.outlets import Outlet, OutletError, outlets

BUSY = 1
"""Exit code beside those of every process: another sealer has the log."""
STANDBY = "another sealer seals this log"
LONGEST_PAUSE_S = 30.0

RETRYABLE = (*WAITED_FOR, OSError)

# Plans that are right for a large log, however it looked when they were made. Waiting for Kafka is no idleness.
SESSION = {
    "timezone": "UTC", "enable_seqscan": "off", "statement_timeout": "0", "idle_in_transaction_session_timeout": "0",
    "work_mem": "65536",
}  # fmt: skip
# Two keys, as the relay's: the journal's locks have one.
LOCK = "select pg_try_advisory_lock(hashtext('sealer'), hashtext(%s))"
UNLOCK = "select pg_advisory_unlock_all()"

XMAX = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint"

logger = structlog.get_logger()


def run(settings: Settings, *, once: bool = False) -> int:
    """Seal until SIGTERM or SIGINT, or `once`. Gives the exit code: 0 stopped, 1 another sealer has the log, 2 refused.

    Raises AnchorKeyError.
    """
    stop = service.stop_event()
    sealer = Sealer(settings)
    logger.info("sealer_started", log=settings.anchor_log, metrics=None if once else serve_metrics(settings))
    return sealer.run(stop, once=once)


class Sealer:
    """The one writer of the tree. Raises AnchorKeyError."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = signing_key(settings)
        public = self._key.public_key()
        self._trusted = {**trusted_keys(settings), key_id(public): public}
        self._outlets = outlets(settings)

    def run(self, stop: threading.Event, *, once: bool = False) -> int:
        """Seal until `stop` is set, whatever fails meanwhile; `once` ends when all is sealed that was there, and raises
        what did not get better for the time of WAGERLEDGER_PATIENCE_S, or is not the kind that does (`RETRYABLE`).
        """
        try:
            if once:
                busy = self._settings.patience.call(lambda: self._run_once(stop, once=True), "sealer")
                return BUSY if busy else STOPPED
            service.keep_trying(
                lambda: self._run_once(stop),
                stop,
                retryable=RETRYABLE,
                on_retry=note_retry,
                on_standby=note_standby,
                longest_pause_s=LONGEST_PAUSE_S,
            )
        except (RefusedError, AnchorsError, OutletError) as error:
            logger.error("sealer_refused", reason=str(error))
            return REFUSED
        logger.info("sealer_stopped")
        return STOPPED

    def _run_once(self, stop: threading.Event, *, once: bool = False) -> str | None:
        """Seal until `stop` is set, or `once`; gives the reason where another sealer has the lock."""
        with self._connect() as writer, self._connect() as reader:
            reader.isolation_level, reader.read_only = IsolationLevel.REPEATABLE_READ, True
            if not _one(writer, LOCK, f"wagerledger {Topics(self._settings.topic_prefix).anchors}"):
                return STANDBY
            try:
                tree = anchors.load(writer)
                self._prove(tree, writer)
                metrics.SEALING.set(1)
                while not stop.is_set():
                    self._seal_and_publish(tree, reader, writer, stop)
                    if once:
                        break
                    stop.wait(self._settings.anchor_interval_s)
            finally:
                metrics.SEALING.set(0)
                # At once: the server lets go only when it has noticed that we are gone.
                with contextlib.suppress(psycopg.Error):
                    writer.execute(UNLOCK)
        return None

    def _connect(self) -> Connection[Any]:
        """Autocommit: a connection that waits holds nothing open."""
        url = self._settings.database_url.get_secret_value()
        return session.connect(url, SESSION, application_name="wagerledger sealer", writes=True)

    # Proving what was said before

    def _prove(self, tree: Tree, writer: Connection[Any]) -> None:
        """What is stored goes on from what was published. Raises RefusedError."""
        if tree.last_xid >= (xmax := int(_one(writer, XMAX))):
            raise RefusedError(
                f"transaction {tree.last_xid} is sealed, which this server ({xmax}) has not reached: it was dumped and "
                f"restored; stop it and move it on with pg_resetwal past {tree.last_xid}"
            )
        if tree.newest and not tree.newest.valid(self._trusted):
            raise RefusedError(
                f"the newest head in table anchors ({tree.anchored} entries, key {tree.newest.key_id}) has no valid "
                "signature of a key in WAGERLEDGER_ANCHOR_PUBLIC_KEYS or of WAGERLEDGER_ANCHOR_KEY"
            )
        for outlet in self._outlets:
            published = outlet.last()
            if published and published.head.log == self._settings.anchor_log:
                self._prove_published(outlet, published, tree, writer)

    def _prove_published(self, outlet: Outlet, published: SignedHead, tree: Tree, writer: Connection[Any]) -> None:
        """Prove what was published: of this generation there may be nothing that the table does not say as well."""
        head, generation = published.head, anchors.generation(writer)
        if not published.valid(self._trusted):
            raise RefusedError(f"the newest head of {outlet.name} ({head.tree_size} entries) is not signed by our key")
        if head.generation < generation:
            return  # the log was restored on purpose: what is lost is the audit's to say
        anchor = anchors.last_up_to(writer, head.tree_size)
        if head.generation == generation and anchor and anchor.head.root == head.root:
            return
        raise RefusedError(
            f"{outlet.name} has a head of {head.tree_size} entries, generation {head.generation}, root {head.root}; "
            f"this database ({tree.anchored} entries anchored, generation {generation}) does not: it was restored to "
            "an earlier moment, or changed. After a restore raise the generation (docs/operations.md); else call the "
            "auditor: `wagerledger audit verify --anchors`"
        )

    # Sealing

    def _seal_and_publish(
        self, tree: Tree, reader: Connection[Any], writer: Connection[Any], stop: threading.Event
    ) -> None:
        started_at = time.time()
        with metrics.PASS_SECONDS.time():
            for size in anchors.extend(tree, reader, writer):
                metrics.TREE_SIZE.set(size)
                if stop.is_set():
                    break  # what is stored stays; the next start goes on from there
            metrics.TREE_SIZE.set(tree.size)
            if tree.size > tree.anchored:
                signed = anchors.anchor(tree, writer, self._key, self._settings.anchor_log)
                metrics.HEADS.inc()
                logger.info("head_signed", tree_size=tree.size, root=signed.head.root)
            if tree.newest:
                metrics.Times.anchored_at = tree.newest.head.sealed_at / 1e6
                for outlet in self._outlets:
                    self._publish(outlet, tree.newest, writer)
        metrics.Times.sealed_at = started_at

    def _publish(self, outlet: Outlet, newest: SignedHead, writer: Connection[Any]) -> None:
        """Give the outlet the heads that it lacks."""
        last = outlet.last()
        if last and last.hash == newest.hash:
            return
        if last is None and outlet.begins_anywhere:
            outlet.append([newest])
            return
        known = last.head if last and last.head.log == newest.head.log else None
        outlet.append(anchors.heads_after(writer, known, newest.head))


def note_standby(reason: str) -> None:
    logger.info("sealer_waits", reason=reason)


def note_retry(error: Exception, pause_s: float) -> None:
    metrics.RESTARTS.labels(type(error).__name__).inc()
    logger.warning("sealer_retries", error=type(error).__name__, reason=str(error), after_s=pause_s)


def _one(connection: Connection[Any], query: str, *parameters: object) -> Any:
    row = connection.execute(query, parameters).fetchone()
    assert row, "a query without a table has a row"
    return row[0]
