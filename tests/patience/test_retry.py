"""Patience: what is tried again, how often, how long, and what is said meanwhile."""

import ast
import logging
from concurrent.futures import Future
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import KafkaError, KafkaException

from patience import IMPATIENT, Backoff, Patience, TransientError, Trouble, is_transient, kafka, retry, session
from tests.support.pages import ROOT, source_files


class PassingError(TransientError):
    pass


class Unread(Trouble):
    pass


def raised_from(cause: BaseException) -> Unread:
    error = Unread("could not look")
    error.__cause__ = cause
    return error


def kafka_error(code: int) -> KafkaException:
    return KafkaException(KafkaError(code))


TRANSIENT = [
    kafka_error(KafkaError.NOT_LEADER_FOR_PARTITION),
    kafka_error(KafkaError.LEADER_NOT_AVAILABLE),
    kafka_error(KafkaError.UNKNOWN_TOPIC_OR_PART),
    kafka_error(KafkaError.REQUEST_TIMED_OUT),
    kafka_error(KafkaError._TRANSPORT),
    kafka_error(KafkaError._TIMED_OUT),
    kafka_error(KafkaError._NOENT),
    TimeoutError(),
    psycopg.OperationalError("server closed the connection unexpectedly"),
    psycopg.OperationalError("connection failed: Connection refused"),
    psycopg.OperationalError("FATAL:  the database system is starting up"),
    psycopg.errors.AdminShutdown(),
    psycopg.errors.CannotConnectNow(),
    psycopg.errors.ReadOnlySqlTransaction(),
    psycopg.errors.LockNotAvailable(),
    psycopg.errors.IdleInTransactionSessionTimeout(),
    psycopg.errors.SerializationFailure(),
    PassingError(),
    raised_from(TimeoutError()),
    raised_from(raised_from(kafka_error(KafkaError._TRANSPORT))),
]
LASTING = [
    kafka_error(KafkaError.TOPIC_AUTHORIZATION_FAILED),
    kafka_error(KafkaError.OFFSET_OUT_OF_RANGE),
    psycopg.OperationalError('FATAL:  password authentication failed for user "x"'),
    psycopg.OperationalError('FATAL:  database "x" does not exist'),
    psycopg.OperationalError('connection is bad: invalid port number: "99999"'),
    psycopg.errors.UniqueViolation(),
    psycopg.errors.InsufficientPrivilege(),
    psycopg.errors.DiskFull(),
    ValueError(),
    OSError(),
    raised_from(ValueError()),
    Unread("of nothing"),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_what_may_pass(error: BaseException) -> None:
    """Trouble of servers and networks may pass."""
    assert is_transient(error)


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_what_does_not_pass(error: BaseException) -> None:
    """What somebody must mend, and what nobody foresaw, is told at once."""
    assert not is_transient(error)


class Failing:
    """Fails so many times, then answers."""

    def __init__(self, times: int, error: BaseException | None = None) -> None:
        self.left = times
        self.error = error or PassingError("away")
        self.attempts = 0

    def __call__(self) -> str:
        self.attempts += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "here"


def test_tries_until_it_works() -> None:
    """Trouble that passes within the limit is not heard of by whoever asked."""
    assert Patience(30).call(Failing(3), "it") == "here"


def test_gives_up_with_the_last_error() -> None:
    """Trouble that outlasts the limit is raised as it was."""
    action = Failing(1000)
    with pytest.raises(PassingError):
        Patience(0.2).call(action, "it")
    assert action.attempts >= 2


def test_patience_around_patience_is_not_twice_as_long() -> None:
    """What was tried for as long as it may is not tried again by whoever called, not even under another name."""
    action = Failing(1000)

    def inner() -> str:
        try:
            return Patience(0.2).call(action, "it")
        except PassingError as error:
            raise Unread("could not look") from error

    with pytest.raises(Unread):
        Patience(30).call(inner, "all of it")


def test_a_long_attempt_is_tried_again() -> None:
    """However long the first attempt took, there is a second one: the limit counts from the first failure."""
    action = Failing(1)
    assert Patience(1e-9).call(action, "it") == "here"
    assert action.attempts == 2


def test_trouble_further_on_is_new_trouble() -> None:
    """What goes on from where it stopped is given the whole time again for each place at which it stops."""
    reached, fails = 0, Failing(3)

    def go_on() -> str:
        nonlocal reached
        reached += 1
        return fails()

    assert Patience(1e-9).call(go_on, "it", progress=lambda: reached) == "here"


def test_no_patience_is_one_attempt() -> None:
    """A caller that tries again on its own is not made to wait twice."""
    action = Failing(1)
    with pytest.raises(PassingError):
        IMPATIENT.call(action, "it")
    assert action.attempts == 1


def test_lasting_errors_are_raised_at_once() -> None:
    """What no second cures costs none."""
    action = Failing(1, ValueError("wrong"))
    with pytest.raises(ValueError, match="wrong"):
        Patience(30).call(action, "it")
    assert action.attempts == 1


def test_what_is_over_at_once_is_not_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    """A tenth of a second is no news: every first start would tell of leaders that were just elected."""
    with caplog.at_level(logging.WARNING):
        Patience(30).call(Failing(1), "it")
    assert not caplog.records


def test_says_once_what_it_waits_for(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits is told why and how long, once for a short stretch of trouble."""
    monkeypatch.setattr(retry, "UNSAID_S", 0.0)
    with caplog.at_level(logging.WARNING):
        Patience(30).call(Failing(3, PassingError("Kafka\nis away")), "the broker")
    assert [record.getMessage() for record in caplog.records] == ["the broker: Kafka is away; trying again for 30 s"]


def test_at_most_only_shortens() -> None:
    """A shorter patience never becomes a longer one."""
    assert Patience(30).at_most(5) == Patience(5)
    assert IMPATIENT.at_most(5) == IMPATIENT


def test_backoff_grows_and_begins_anew() -> None:
    """Pauses double up to the longest; an attempt that lasted begins them anew."""
    backoff = Backoff(first_s=1, longest_s=4)
    assert [backoff.after(0.0) for _ in range(4)] == [1, 2, 4, 4]
    assert backoff.after(10.0) == 1


def test_a_future_without_an_answer_is_kafka_s_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The builtin TimeoutError of a future never leaves: it is Kafka's own word, which everybody knows."""
    monkeypatch.setattr(kafka, "LATER_S", 0.0)
    with pytest.raises(KafkaException) as caught:
        kafka.answer(Future(), 0.01)
    assert caught.value.args[0].code() == KafkaError._TIMED_OUT
    assert is_transient(caught.value)


def test_no_connection_is_waited_for_without_end() -> None:
    """A server that is there and answers nothing, such as a stopped one, is given up after seconds and tried again."""
    unbounded = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in source_files()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] not in ("bench", "sandbox")  # servers of their own
        if path != Path(session.__file__)  # which has the limits of all that connect through it
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("psycopg.connect", "create_engine")
        if "connect_timeout" not in ast.unparse(call)
    ]
    assert unbounded == []
    assert session.NETWORK["connect_timeout"]
