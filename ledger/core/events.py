"""What happened. Each payload class mirrors the fields of its Avro schema (a test holds them together)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ledger.core.postings import Posting
from ledger.core.value import value


@value(slots=False)
class Payload:
    """The fields of one event type."""

    event_type: ClassVar[str]
    command_kind: ClassVar[str]
    """The command that it comes from."""

    @property
    def result(self) -> dict[str, str]:
        """What the command's caller is told: the status and the ids that the event made. The log alone can repeat the
        answer.
        """
        raise NotImplementedError


@value(slots=False)
class WalletOpened(Payload):
    event_type = "wallet.opened"
    command_kind = "OpenWallet"
    currency: str
    exponent: int

    @property
    def result(self) -> dict[str, str]:
        return {"status": "opened"}


@value(slots=False)
class Deposited(Payload):
    event_type = "wallet.credit.deposit"
    command_kind = "Deposit"
    currency: str
    exponent: int
    amount_minor: int
    reference: str
    actor: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "deposited"}


@value(slots=False)
class Withdrawn(Payload):
    event_type = "wallet.debit.withdrawal"
    command_kind = "Withdraw"
    currency: str
    exponent: int
    amount_minor: int
    reference: str
    actor: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "withdrawn"}


@value(slots=False)
class Adjusted(Payload):
    """What both directions of an adjustment say."""

    command_kind = "Adjust"
    adjustment_id: str
    currency: str
    exponent: int
    amount_minor: int
    reason: str
    reference: str
    actor: str
    approver: str | None
    round_id: str | None
    game_id: str | None

    @property
    def result(self) -> dict[str, str]:
        return {"status": "adjusted", "adjustment_id": self.adjustment_id}


@value(slots=False)
class AdjustedUp(Adjusted):
    event_type = "wallet.credit.adjustment"


@value(slots=False)
class AdjustedDown(Adjusted):
    event_type = "wallet.debit.adjustment"


@value(slots=False)
class PlayerRestricted(Payload):
    event_type = "player.restricted"
    command_kind = "RestrictPlayer"
    restriction: str
    reason: str
    actor: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "restricted"}


@value(slots=False)
class PlayerFreed(Payload):
    event_type = "player.freed"
    command_kind = "RestrictPlayer"
    reason: str
    actor: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "freed"}


@value(slots=False)
class SessionStarted(Payload):
    event_type = "session.started"
    command_kind = "StartSession"
    session_id: str
    integration_id: str
    """Whose session it is."""
    currency: str
    mode: str
    game_id: str
    locale: str | None
    expires_at: int
    """Microseconds since the epoch, UTC."""
    jurisdiction: str | None

    @property
    def result(self) -> dict[str, str]:
        return {"status": "started", "session_id": self.session_id, "expires_at": str(self.expires_at)}


@value(slots=False)
class SessionEnded(Payload):
    event_type = "session.ended"
    command_kind = "EndSession"
    session_id: str
    currency: str
    mode: str
    reason: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "ended", "session_id": self.session_id}


@value(slots=False)
class BetAuthorized(Payload):
    event_type = "bet.authorized"
    command_kind = "AuthorizeBet"
    bet_id: str
    hold_id: str
    round_id: str | None
    session_id: str | None
    game_id: str | None
    kind: str
    currency: str
    exponent: int
    stake_minor: int
    stake_cash_minor: int
    stake_bonus_minor: int
    capture: str
    mode: str
    conversion: Mapping[str, Any] | None
    session_expires_at: int | None
    """The new end of its session, microseconds since the epoch, where the bet moved it."""

    @property
    def result(self) -> dict[str, str]:
        return {"status": "authorized", "hold_id": self.hold_id}


@value(slots=False)
class BetSettled(Payload):
    event_type = "bet.settled"
    command_kind = "SettleBet"
    settlement_id: str
    win_id: str | None
    bet_id: str | None
    round_id: str | None
    session_id: str | None
    game_id: str | None
    kind: str
    currency: str
    exponent: int
    stake_minor: int
    win_minor: int
    was_open: bool
    """The bet was open until now."""
    ends_bet: bool
    in_bonus: bool
    freespins_left: int | None
    mode: str
    conversion: Mapping[str, Any] | None

    @property
    def result(self) -> dict[str, str]:
        return {"status": "credited", "settlement_id": self.settlement_id}


@value(slots=False)
class Awarded(Payload):
    event_type = "wallet.credit.award"
    command_kind = "Award"
    settlement_id: str
    win_id: str
    kind: str
    campaign_id: str | None
    round_id: str | None
    game_id: str | None
    currency: str
    exponent: int
    amount_minor: int
    account: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "credited", "settlement_id": self.settlement_id}


@value(slots=False)
class BetRolledBack(Payload):
    event_type = "bet.rolled_back"
    command_kind = "RollbackBet"
    rollback_id: str
    bet_id: str
    round_id: str | None
    session_id: str | None
    game_id: str | None
    currency: str
    exponent: int
    stake_minor: int
    win_reversed_minor: int
    undoes: Sequence[str]
    """Win ids of the settlements that are undone with it."""
    was_open: bool
    """The bet was open until now."""
    reason: str
    mode: str
    conversion: Mapping[str, Any] | None

    @property
    def result(self) -> dict[str, str]:
        return {"status": "rolled_back", "rollback_id": self.rollback_id}


@value(slots=False)
class WinReversed(Payload):
    event_type = "wallet.debit.reversal"
    command_kind = "RollbackBet"
    rollback_id: str
    win_id: str
    settlement_id: str
    bet_id: str | None
    round_id: str | None
    session_id: str | None
    game_id: str | None
    kind: str
    currency: str
    exponent: int
    amount_minor: int
    account: str
    reopens_bet: bool
    held_minor: int
    """What the bet, open again, holds again."""
    reason: str
    mode: str
    conversion: Mapping[str, Any] | None

    @property
    def result(self) -> dict[str, str]:
        return {"status": "rolled_back", "rollback_id": self.rollback_id}


@value(slots=False)
class BetTombstoned(Payload):
    event_type = "bet.tombstoned"
    command_kind = "RollbackBet"
    rollback_id: str
    bet_id: str
    round_id: str | None
    currency: str | None
    """Of the session that the rollback names, or as it says itself."""
    reason: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "tombstoned", "rollback_id": self.rollback_id}


@value(slots=False)
class BetReinstated(Payload):
    event_type = "bet.reinstated"
    command_kind = "ReinstateBet"
    bet_id: str
    undoes: str
    """Our id of the rollback."""
    round_id: str | None
    session_id: str | None
    game_id: str | None
    currency: str
    exponent: int
    stake_minor: int
    held_minor: int
    reason: str
    mode: str
    conversion: Mapping[str, Any] | None

    @property
    def result(self) -> dict[str, str]:
        return {"status": "reinstated"}


@value(slots=False)
class BetFinalized(Payload):
    event_type = "bet.finalized"
    command_kind = "FinalizeBet"
    bet_id: str
    round_id: str | None
    session_id: str | None
    game_id: str | None
    currency: str
    mode: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "finalized"}


@value(slots=False)
class RoundFinished(Payload):
    event_type = "round.finished"
    command_kind = "FinishRound"
    round_id: str
    game_id: str | None
    currency: str
    exponent: int
    bets: Sequence[Mapping[str, Any]]
    """Those that it ended."""

    @property
    def result(self) -> dict[str, str]:
        return {"status": "finished"}


PAYLOADS: dict[str, type[Payload]] = {
    payload.event_type: payload
    for payload in (
        WalletOpened,
        Deposited,
        Withdrawn,
        AdjustedUp,
        AdjustedDown,
        PlayerRestricted,
        PlayerFreed,
        SessionStarted,
        SessionEnded,
        BetAuthorized,
        BetSettled,
        Awarded,
        BetRolledBack,
        WinReversed,
        BetTombstoned,
        BetReinstated,
        BetFinalized,
        RoundFinished,
    )
}


@value(slots=False)
class Announced(Payload):
    """An event of a type whose rule comes later. It can be read, and what it moves is in its postings."""

    command_kind = ""

    @property
    def result(self) -> dict[str, str]:
        return {}


@value()
class Event:
    """A fact with its journal entry, as `decide` makes it and `evolve` folds it. Its place in the stream comes when it
    is recorded.
    """

    payload: Payload
    tenant_id: str
    player_id: str | None
    integration_id: str | None
    postings: tuple[Posting, ...] = ()
    region: str = ""
    """Where its command came from. The fold takes a player's from the first wallet."""

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Event":
        """The event that a decoded envelope (see schemas/avro/envelope.avsc) carries."""
        known = PAYLOADS.get(record["event_type"])
        payload = object.__new__(known or Announced)
        payload.__dict__.update(record["payload"])  # as __init__ would, at a sixth of its time: a fold does little else
        if known is None:
            payload.__dict__["event_type"] = record["event_type"]
        return cls(
            payload,
            record["tenant_id"],
            record["player_id"],
            record["integration_id"],
            tuple([Posting(p["account"], p["amount_minor"], p["currency"]) for p in record["postings"]]),
            record["region"],
        )
