"""A batch: what was locked and loaded for many callbacks, and what has been decided of them so far."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ledger.core.rollbacks import Rollback
from ledger.core.state import Bet, Key, State
from ledger.idempotency import CommandKey, Remembered
from ledger.outcome import Proof
from ledger.store.commands import Decided
from ledger.streams import Recorded, StreamHead, StreamKey
from schemas.dual_write import EventVariant


@dataclass
class Batch:
    """`loaded`, `loaded_heads`, `remembered` and `proven` are as the database has them, read when `locked` was; the
    rest is what the batch adds.
    """

    locked: Collection[StreamKey]
    loaded: State
    loaded_heads: Mapping[StreamKey, StreamHead]
    remembered: dict[CommandKey, Remembered]
    now: int
    """Microseconds since the epoch; the only clock of all decisions of the batch."""
    variants: Mapping[str, EventVariant] = field(default_factory=dict)
    """Other forms of event types that are written too, by the type in the log."""
    proven: dict[bytes, Proof] = field(default_factory=dict)
    """Which call a proof belongs to, by its digest."""
    read: Collection[Key] | None = None
    """The keys that were asked for, whether something was there or not; None: all that there are."""
    state: State = field(init=False)
    heads: dict[StreamKey, StreamHead] = field(default_factory=dict)
    events: list[Recorded] = field(default_factory=list)
    commands: list[Decided] = field(default_factory=list)
    refusals: list[Decided] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = State(self.loaded)

    def head(self, stream: StreamKey) -> StreamHead:
        """Where `stream` ends, with what the batch has added to it."""
        return self.heads.get(stream) or self.loaded_heads.get(stream) or StreamHead()

    def made(self, command: Rollback) -> bool:
        """Whether the bet that is undone came to be in an earlier callback of this batch."""
        key = Bet, command.origin.integration_id, command.target_id
        return key in self.state.entities and key not in self.loaded.entities

    def remember(self, proof: Proof) -> None:
        """Let `proof` prove its own call from now on, and no other one."""
        if proof.digest not in self.proven:
            self.proven[proof.digest] = proof
            self.proofs.append(proof)
