"""Trying again: how often, how long, and what is said meanwhile."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from tenacity import RetryCallState, Retrying, retry_if_exception
from tenacity.stop import stop_base
from tenacity.wait import wait_exponential_jitter

from patience.trouble import Trouble, is_transient

T = TypeVar("T")

DEFAULT_S = 30.0
"""More than a leader election, a broker's or a primary's restart takes."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
LEAST_ATTEMPTS = 2
UNSAID_S, SAID_AGAIN_S = 1.0, 10.0
"""What is over so soon is nobody's trouble: a topic that was just made has no leader for a moment."""
SPENT = "patience_spent"

# Without any set-up it goes to standard error as it is: what a command answers on standard output stays whole.
log = logging.getLogger("wagerledger.patience")


@dataclass(frozen=True)
class Patience:
    """How long trouble may last, counted from the first attempt that failed, however long that one took."""

    limit_s: float = DEFAULT_S

    def at_most(self, limit_s: float) -> "Patience":
        """This patience, or one of `limit_s` seconds where that is shorter."""
        return replace(self, limit_s=min(limit_s, self.limit_s))

    def call(self, action: Callable[[], T], what: str, *, progress: Callable[[], object] = lambda: None) -> T:
        """The result of `action`, tried again while it fails with what may pass: at least twice, unless the limit is 0.
        Trying it again must be safe. `what` is its subject in the words for those who wait, such as "Kafka". Where
        `action` goes on from where it stopped, `progress` says how far it is: trouble further on is new trouble.
        Raises the last error, which is not tried again by somebody's patience around this one: limits do not add up.
        """
        trouble = _Stretch(self.limit_s, what, progress)
        return Retrying(
            retry=retry_if_exception(_may_be_tried),
            wait=wait_exponential_jitter(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S, jitter=FIRST_PAUSE_S),
            stop=trouble,
            before_sleep=trouble.say,
            reraise=True,
        )(action)


IMPATIENT = Patience(0)
"""One attempt: for callers that try again on their own."""


class _Stretch(stop_base):
    """One stretch of trouble: when it began, and when it was last spoken of."""

    def __init__(self, limit_s: float, what: str, progress: Callable[[], object]) -> None:
        self._limit_s = limit_s
        self._what = what
        self._progress = progress
        self._reached: object = None
        self._since: float | None = None
        self._said: float | None = None

    def __call__(self, state: RetryCallState) -> bool:
        now = state.outcome_timestamp or 0.0
        reached = self._progress()
        if self._since is None or reached != self._reached:
            self._since, self._reached = now, reached
        if self._limit_s <= 0:
            return True
        spent = state.attempt_number >= LEAST_ATTEMPTS and now - self._since >= self._limit_s
        if spent and state.outcome:
            setattr(state.outcome.exception(), SPENT, True)
        return spent

    def say(self, state: RetryCallState) -> None:
        now = state.outcome_timestamp or 0.0
        if now - (self._said or state.start_time) < (SAID_AGAIN_S if self._said else UNSAID_S):
            return
        self._said = now
        left_s = max(0.0, self._limit_s - (now - (self._since or now)))
        error = state.outcome.exception() if state.outcome else None
        log.warning("%s: %s; trying again for %.0f s", self._what, said(error), left_s)


def _may_be_tried(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if getattr(cause, SPENT, False):
            return False
        cause = cause.__cause__ if isinstance(cause, Trouble) else None
    return is_transient(error)


def said(error: BaseException | None) -> str:
    """An error's message in one line, for logs."""
    if isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError):
        error = RuntimeError(error.args[0].str())
    return " ".join(str(error).split()) or type(error).__name__


class Backoff:
    """The pauses of a process that waits for as long as it takes: longer and longer, from the first again after an
    attempt that lasted.
    """

    def __init__(self, first_s: float = FIRST_PAUSE_S, longest_s: float = 5.0) -> None:
        self._first_s = self._next_s = first_s
        self._longest_s = longest_s

    def after(self, attempt_s: float) -> float:
        """The seconds to pause after an attempt that took `attempt_s` seconds."""
        if attempt_s > self._longest_s:
            self._next_s = self._first_s
        pause_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return pause_s
