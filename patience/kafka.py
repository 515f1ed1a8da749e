"""What the Kafka clients answer, with their time limits in one kind of error."""

from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException

T = TypeVar("T")

QUIET: dict[str, str | int | float | bool] = {"log_level": 0}
"""For clients whose errors are raised and told in our words: their own lines say it again ten times a second."""

LATER_S = 5.0
"""How much longer than the request its future is waited for: the client's own word for a time-out comes first."""


def timed_out(text: str) -> KafkaException:
    """A time limit of ours, as the client says it."""
    return KafkaException(KafkaError(KafkaError._TIMED_OUT, text))  # noqa: SLF001, its name


def answer(future: "Future[T]", request_timeout_s: float) -> T:
    """What a request of the admin client gives. Raises KafkaException, also where nothing comes in time: a future that
    is waited for as long as its request raises the builtin TimeoutError instead.
    """
    try:
        return future.result(request_timeout_s + LATER_S)
    except TimeoutError as error:
        raise timed_out(f"no answer within {request_timeout_s + LATER_S:.0f} s") from error


def answers(futures: dict[Any, "Future[T]"], request_timeout_s: float) -> dict[Any, T]:
    """The same for all that one request asked."""
    return {key: answer(future, request_timeout_s) for key, future in futures.items()}
