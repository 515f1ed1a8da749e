"""What happened: what all events share. Each payload class stands in the file of its subject, and mirrors the fields of
its Avro schema (a test holds them together).
"""

from typing import ClassVar

from ledger.core.postings import Posting
from ledger.core.state import Bet, Key
from ledger.core.value import value


@value(slots=False)
class Payload:
    """The fields of one event type."""

    event_type: ClassVar[str]
    command_kind: ClassVar[str]
    """The command that it comes from."""

    @property
    def result(self) -> dict[str, str]:
        """What the answer to the command says: the status and the ids that the event made. The log alone can repeat the
        answer.
        """
        raise NotImplementedError

    def needs(self, event: "Event") -> tuple[Key, ...]:
        """Keys of the entities, besides the player and the player's wallets, that the fold of `event` looks at: its
        bet, where it names one, and what a type says besides.
        """
        bet_id = getattr(self, "bet_id", None)
        return ((Bet, event.integration_id, bet_id),) if bet_id else ()


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
    at: int
    """When it became true, microseconds since the epoch: never before the event before it in the stream."""
    postings: tuple[Posting, ...] = ()
    region: str = ""
    """Where its command came from. The fold takes a player's from the first wallet."""

    @property
    def needs(self) -> tuple[Key, ...]:
        """Keys of the entities, besides the player and the player's wallets, that `evolve` looks at."""
        return self.payload.needs(self)
