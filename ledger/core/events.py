"""What happened. Each payload class mirrors the fields of its Avro schema (a test holds them together)."""

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
class SessionStarted(Payload):
    event_type = "session.started"
    command_kind = "StartSession"
    session_id: str
    currency: str
    mode: str
    game_id: str
    locale: str | None
    expires_at: int
    """Microseconds since the epoch, UTC."""

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
    round_id: str
    session_id: str
    game_id: str
    currency: str
    exponent: int
    stake_minor: int
    stake_cash_minor: int
    stake_bonus_minor: int
    capture: str
    mode: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "authorized", "hold_id": self.hold_id}


@value(slots=False)
class BetSettled(Payload):
    event_type = "bet.settled"
    command_kind = "SettleBet"
    settlement_id: str
    bet_id: str
    round_id: str
    game_id: str
    currency: str
    exponent: int
    stake_minor: int
    win_minor: int
    in_bonus: bool
    freespins_left: int | None
    mode: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "credited", "settlement_id": self.settlement_id}


@value(slots=False)
class BetRolledBack(Payload):
    event_type = "bet.rolled_back"
    command_kind = "RollbackBet"
    rollback_id: str
    bet_id: str
    round_id: str
    game_id: str
    currency: str
    exponent: int
    stake_minor: int
    win_reversed_minor: int
    undoes: str | None
    reason: str
    mode: str

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
    """Of the session that the rollback names."""
    reason: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "tombstoned", "rollback_id": self.rollback_id}


PAYLOADS: dict[str, type[Payload]] = {
    payload.event_type: payload
    for payload in (
        WalletOpened,
        Deposited,
        Withdrawn,
        SessionStarted,
        SessionEnded,
        BetAuthorized,
        BetSettled,
        BetRolledBack,
        BetTombstoned,
    )
}


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

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Event":
        """The event that a decoded envelope (see schemas/avro/envelope.avsc) carries."""
        payload = object.__new__(PAYLOADS[record["event_type"]])
        payload.__dict__.update(record["payload"])  # as __init__ would, at a sixth of its time: a fold does little else
        return cls(
            payload,
            record["tenant_id"],
            record["player_id"],
            record["integration_id"],
            tuple([Posting(p["account"], p["amount_minor"], p["currency"]) for p in record["postings"]]),
        )
