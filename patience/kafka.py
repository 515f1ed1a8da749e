"""Answers of the Kafka clients, with their time limits in one kind of error, and no answer that is none."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from patience.retry import IMPATIENT, Patience

T = TypeVar("T")

At = tuple[str, int]
"""A topic and one of its partitions."""

EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]

QUIET: dict[str, str | int | float | bool] = {"log_level": 0}
"""For clients whose errors are raised in our own words: their own log lines say it again ten times a second."""

LATER_S = 5.0
"""How much longer than the request its future is waited for: the client's own word for a time-out comes first."""


def timed_out(text: str) -> KafkaException:
    """The error with which a time limit of ours is raised, as the client raises its own."""
    return KafkaException(KafkaError(KafkaError._TIMED_OUT, text))  # noqa: SLF001, its name


def answer(future: "Future[T]", request_timeout_s: float) -> T:
    """The answer to a request of the admin client. Raises KafkaException, also where nothing comes in time: a future
    that is waited for as long as its request raises the builtin TimeoutError instead.
    """
    try:
        return future.result(request_timeout_s + LATER_S)
    except TimeoutError as error:
        raise timed_out(f"no answer within {request_timeout_s + LATER_S:.0f} s") from error


def answers(futures: dict[Any, "Future[T]"], request_timeout_s: float) -> dict[Any, T]:
    """The answers to all that one request of the admin client asked, by what was asked. Raises as `answer` does."""
    return {key: answer(future, request_timeout_s) for key, future in futures.items()}


def offsets(
    admin: AdminClient, partitions: Iterable[At], which: OffsetSpec, *, timeout_s: float, committed: bool = False
) -> dict[At, int]:
    """The offsets at which partitions begin or end; `committed`: where the records end that readers of committed ones
    see. Raises KafkaException, also where a partition's leader is gone: then the client gives an offset below zero, as
    if it had been answered.
    """
    wanted = {TopicPartition(*at): which for at in partitions}
    if not wanted:
        return {}
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    found = answers(admin.list_offsets(wanted, isolation_level=level, request_timeout=timeout_s), timeout_s)
    ends = {(at.topic, at.partition): int(result.offset) for at, result in found.items()}
    for (topic, partition), offset in ends.items():
        if offset < 0:
            text = f"topic {topic}, partition {partition}, has no leader that answers"
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE, text))
    return ends


def topic_ids(admin: AdminClient, names: Iterable[str], *, timeout_s: float) -> dict[str, str]:
    """The ids that Kafka tells topics apart by: one that is deleted and made again has another id. Raises
    KafkaException, also where there is no such topic.
    """
    wanted = TopicCollection(list(names))
    found = answers(admin.describe_topics(wanted, request_timeout=timeout_s), timeout_s)
    return {name: str(description.topic_id) for name, description in found.items()}


class Brokers:
    """Brokers that are asked, through the admin client, with patience. After an error another client asks: one that has
    met a partition without a leader, or with another one, does not find it again, however often it is asked. Before an
    error the same one: where the leaders are not known yet, its first question of offsets sometimes takes three
    seconds.
    """

    def __init__(self, bootstrap_servers: str, patience: Patience = IMPATIENT) -> None:
        self._servers = bootstrap_servers
        self._patience = patience
        self._admin: AdminClient | None = None

    def ask(self, question: Callable[[AdminClient], T]) -> T:
        """The answer that `question` gets of an admin client, tried again with patience. Raises what it raises."""
        return self._patience.call(lambda: self._once(question), "Kafka")

    def _once(self, question: Callable[[AdminClient], T]) -> T:
        if self._admin is None:  # an idle client is falsy: it has a length
            self._admin = AdminClient({**QUIET, "bootstrap.servers": self._servers})
        try:
            return question(self._admin)
        except KafkaException:
            self._admin = None
            raise
