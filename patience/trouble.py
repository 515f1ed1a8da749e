"""Trouble that is transient: the next attempt may fare better without anybody's help."""

import re

import psycopg
from confluent_kafka import KafkaError, KafkaException

# `KafkaError.retriable()` speaks of transactions alone: for consumers and the admin client it is never true.
KAFKA_CODES = frozenset(
    getattr(KafkaError, name)
    for name in (
        # A partition that was just made, moves, or comes back.
        "NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE", "UNKNOWN_TOPIC_OR_PART", "UNKNOWN_TOPIC_ID",
        "INCONSISTENT_TOPIC_ID", "FENCED_LEADER_EPOCH", "UNKNOWN_LEADER_EPOCH", "OFFSET_NOT_AVAILABLE",
        "REPLICA_NOT_AVAILABLE", "KAFKA_STORAGE_ERROR", "NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        "PREFERRED_LEADER_NOT_AVAILABLE", "ELIGIBLE_LEADERS_NOT_AVAILABLE", "_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC",
        "_NOENT",  # "no leaders found", of the admin client
        # A broker that starts, stops or is busy; INVALID_REPLICATION_FACTOR while too few of them are back.
        "BROKER_NOT_AVAILABLE", "NOT_CONTROLLER", "NOT_COORDINATOR", "COORDINATOR_NOT_AVAILABLE",
        "COORDINATOR_LOAD_IN_PROGRESS", "CONCURRENT_TRANSACTIONS", "UNSTABLE_OFFSET_COMMIT", "STALE_BROKER_EPOCH",
        "INVALID_REPLICATION_FACTOR", "REBALANCE_IN_PROGRESS", "REASSIGNMENT_IN_PROGRESS",
        "THROTTLING_QUOTA_EXCEEDED", "REBOOTSTRAP_REQUIRED", "_WAIT_COORD",
        # The network, and time.
        "REQUEST_TIMED_OUT", "NETWORK_EXCEPTION", "_TRANSPORT", "_RESOLVE", "_ALL_BROKERS_DOWN", "_TIMED_OUT",
        "_TIMED_OUT_QUEUE", "_MSG_TIMED_OUT", "_RETRY",
    )
)  # fmt: skip

SQLSTATES = re.compile(
    "08|"  # connections
    "57P0[1235]|"  # shut down, crashed, starting, ended while idle
    "25P03|25P04|"  # ended while idle in a transaction, or for its length
    "25006|"  # read only: a primary that has become a standby
    "40001|40P01|55P03|"  # serialization, deadlock, a lock that was not to be had
    "53300"  # too many connections
)

SERVER_WIDE = re.compile(
    "25006|"  # read only
    "57P0|"  # shut down, crashed, starting
    "53100|58"  # a full disk, a file or device that fails
)

# A connection that fails has no SQLSTATE, only words. These no second cures.
REFUSED_CONNECTION = re.compile(
    r"authentication failed|no pg_hba.conf entry|(database|role) \".*\" does not exist|no password supplied"
    r"|permission denied for database|invalid connection option|unsupported startup parameter"
    r"|certificate|server does not support SSL|invalid port number|^a pooler "
)


class TransientError(Exception):
    """The base of our own errors for trouble that may pass."""


class Trouble(Exception):  # noqa: N818, it says how something went, not what is wrong
    """Something could not be done or looked at. It may pass where what it was raised from may."""


WAITED_FOR = (
    psycopg.OperationalError,
    psycopg.errors.IdleInTransactionSessionTimeout,  # which the driver takes for an internal error
    psycopg.errors.ReadOnlySqlTransaction,  # and this one: of a primary that has become a standby
    KafkaException,
    TransientError,
)
"""What a process waits for, however long it takes: also what somebody has to mend first. It then goes on by itself."""


def is_transient(error: BaseException | None) -> bool:
    """Whether an error is of the kind that the next attempt may not meet, without anybody's help."""
    if isinstance(error, Trouble):
        return is_transient(error.__cause__)
    if isinstance(error, KafkaException):
        cause = error.args[0] if error.args else None
        return isinstance(cause, KafkaError) and (cause.code() in KAFKA_CODES or cause.retriable())
    if isinstance(error, psycopg.Error):
        return _is_transient_in_postgresql(error)
    # The builtin one is what Kafka's futures raise.
    return isinstance(error, TransientError | TimeoutError)


def _is_transient_in_postgresql(error: psycopg.Error) -> bool:
    if error.sqlstate is not None:
        return SQLSTATES.match(error.sqlstate) is not None
    return isinstance(error, psycopg.OperationalError) and not REFUSED_CONNECTION.search(str(error))


def is_server_wide(error: BaseException | None) -> bool:
    """Whether an error is the whole server's: whatever else is asked of this session now would fare no better."""
    return isinstance(error, psycopg.Error) and SERVER_WIDE.match(error.sqlstate or "") is not None


def is_out_of_room(error: BaseException | None) -> bool:
    """Whether an error says that the server's disk is full: it may go on to answer whatever writes nothing."""
    return isinstance(error, psycopg.Error) and error.sqlstate == "53100"


def is_read_only(error: BaseException | None) -> bool:
    """Whether an error says that this session cannot write, where another one may."""
    return isinstance(error, psycopg.Error) and error.sqlstate == "25006"
