"""The policy of an integration: named values, for where providers' contracts differ, and the words they may be."""

from typing import Final, Literal

from ledger.core.value import value

AT_SETTLEMENT: Final = "settlement"
AT_AUTHORIZATION: Final = "authorization"
REFUSE: Final = "refuse"
REVERSE: Final = "reverse"
REFUND: Final = "refund"
ACKNOWLEDGE: Final = "acknowledge"
ACCEPT: Final = "accept"
APPLY: Final = "apply"
REQUIRED: Final = "required"
KNOWN: Final = "known"
IGNORED: Final = "ignored"
STORED: Final = "stored"
CURRENT: Final = "current"
RECEIVABLE: Final = "receivable"
LOSE: Final = "lose"


@value()
class Policy:
    """Where integrations differ: named values, the same for every command of one integration."""

    capture: Literal["settlement", "authorization"] = AT_SETTLEMENT
    """When the house has the stake: at the `settlement` (until then it is held) or at the `authorization`."""
    rollback_of_settled: Literal["refuse", "reverse", "refund", "acknowledge"] = REFUSE
    """A rollback of a bet that was paid for (itself or by a win of its round): `refuse`; `reverse` it, win and all;
    `refund` the stake and leave the wins to rollbacks of their own; `acknowledge` it without effect.
    """
    refusal_consumes_key: bool = True
    """A refusal by a rule (not: something that was not found) is remembered under its key."""
    rollback_of_win: Literal["refuse", "reverse", "acknowledge"] = REFUSE
    """A rollback that names a win: `refuse`, `reverse` (take it back), or `acknowledge` without effect."""
    shortfall: Literal["receivable", "refuse"] = RECEIVABLE
    """What a win that is taken back, or a negative adjustment, does where the money is spent: the rest becomes a
    `receivable`, or the command is refused (`refuse`).
    """
    session: Literal["required", "known", "ignored"] = REQUIRED
    """What a debit needs: a live session (`required`), a live one where it names one that we `known`, or `ignored`."""
    win_needs_bet: bool = True
    """A win that names no bet needs one in its round."""
    win_after_rollback: Literal["refuse", "accept"] = REFUSE
    """A win whose bet was rolled back: `refuse` or `accept`."""
    late_bet: Literal["refuse", "acknowledge"] = REFUSE
    """A bet or win that arrives after the rollback that named it: `refuse`, or `acknowledge` without effect."""
    zero_stake: Literal["refuse", "accept"] = REFUSE
    """A bet of 0: `refuse` or `accept`."""
    bet_after_round_end: Literal["refuse", "accept"] = REFUSE
    """A debit in a round that was finished: `refuse` or `accept`. Credits and rollbacks always pass."""
    partial_duplicate: Literal["apply", "refuse"] = APPLY
    """A callback of several commands of which some are repeats: `apply` the new ones, or `refuse` them all."""
    replay_balance: Literal["stored", "current"] = STORED
    """The answer to a repeat has the balance as `stored` with the first answer, or the `current` one."""
    abandoned_after_s: int = 0
    """An open hold older than this is closed by the job; 0 is never."""
    abandoned_action: Literal["refund", "lose"] = REFUND
    """How the job closes it: `refund` the stake, or `lose` it."""
    rate_max_age_s: int = 0
    """How old an exchange rate may be when a bet locks it, seconds; 0: bets in another currency are refused."""
    session_idle_s: int = 3_600
    """How long a bet keeps its session alive, seconds. It moves the end only where less than half of this is left."""
    session_overtime_s: int = 39_600
    """How far bets may move a session's end beyond the first one, seconds; 0: it ends there, whatever is played."""
