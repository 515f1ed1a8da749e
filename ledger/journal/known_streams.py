"""Streams as this process saw them last: what is decided on that needs no reading, and so no exchange before the last.

Everything of a player changes only with their stream. So what was loaded at one head of it is exact for as long as that
is its head, version and hash; whether it is, the compare-and-set of the same transaction finds out, under the locks.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from ledger.core.state import OPEN, Bet, Entity, Key, Player, Round, Session, State, Wallet
from ledger.idempotency import Request
from ledger.journal.batch import Batch
from ledger.streams import PLAYER, StreamHead, StreamKey

CAPACITY = 50_000
"""Streams; those that were not seen for longest are forgotten first."""
NAMED_OF_STREAM = 100
"""Entities of one stream besides wallets."""
LIKELY = 0.8
"""An attempt whose chance is smaller is not made: one that fails has to be undone, and costs as much as two."""
SMALL = 4
"""Streams: in a batch up to this size an attempt costs little, and it is learnt from; a larger one is only where most
attempts go through.
"""
STEADY = 4
"""A stream that so often in a row was where we had left it is taken to stay ours, whatever the others do."""
MEMORY = 1 / 64
"""The weight of one observation."""
MOSTLY = 2
"""So many streams must be known for each one that has to be read: with fewer, taking the locks first costs no more."""


class Recalled(NamedTuple):
    """What is known of a batch's streams, and which of them have to be read."""

    state: State
    heads: dict[StreamKey, StreamHead]
    unread: set[StreamKey]


@dataclass(slots=True)
class _Known:
    head: StreamHead
    player: dict[Key, Entity] = field(default_factory=dict)
    """The player and all their wallets."""
    named: dict[Key, Entity] = field(default_factory=dict)
    """Some of what commands name: sessions, open bets, rounds."""
    kept: int = 0
    """How often in a row it was where we had left it."""

    def keep(self, key: Key, entity: Entity) -> None:
        """Have it as it is now, unless it is over: whoever names that still, reads it."""
        self.named.pop(key, None)
        if not (isinstance(entity, Bet) and entity.status != OPEN):
            self.named[key] = entity
            if len(self.named) > NAMED_OF_STREAM:
                del self.named[next(iter(self.named))]


_OF_PLAYER = (Wallet, Player)
"""Loaded for each stream, whatever is named: their keys begin with tenant and player."""
_NAMED = (Session, Bet, Round)


class KnownStreams:
    """Streams of players, their heads and their entities. A wrong memory costs time and nothing else."""

    def __init__(self) -> None:
        self._streams: dict[StreamKey, _Known] = {}
        self._fresh = 1.0
        """How often a stream was found where we had left it."""

    def may_recall(self, streams: int) -> bool:
        """Whether it is worth looking for so many streams."""
        return streams <= SMALL or self._fresh**streams >= LIKELY

    def recall(self, requests: Iterable[Request]) -> Recalled | None:
        """What is known of all that `requests` are decided on, and the heads of their streams; None where too little
        is, or one of them is too likely to have moved.
        """
        recalled, chance = Recalled(State(), {}, set()), 1.0
        state, heads, unread = recalled
        for request in requests:
            known = self._streams.get(request.stream)
            if known is None:
                unread.add(request.stream)
                continue
            if request.stream not in heads and known.kept < STEADY:
                chance *= self._fresh
            heads[request.stream] = known.head
            state.entities.update(known.player)
            for key in request.needs:
                if (entity := known.named.get(key)) is not None:
                    state.entities[key] = entity
        return recalled if chance >= LIKELY and len(unread) * MOSTLY <= len(heads) else None

    def check(self, batch: Batch) -> None:
        """Compare with the heads that `batch` read under its locks; what had moved is forgotten."""
        for stream in batch.locked:
            known = self._streams.get(stream)
            if known is not None:
                fresh = known.head == batch.loaded_heads.get(stream)
                self._fresh += MEMORY * (fresh - self._fresh)
                known.kept += 1
                if not fresh:
                    del self._streams[stream]

    def learn(self, batch: Batch, requests: Iterable[Request]) -> None:
        """Remember what a committed batch had loaded for `requests`, and what it changed."""
        if self._fresh < LIKELY and len(batch.locked) > SMALL:  # beside another busy process all of it is in vain
            self.forget(batch.locked)
            return
        of_players: dict[Key, _Known] = {}  # by tenant and player
        for stream in batch.locked:
            if stream.stream_type == PLAYER:
                moved = self._streams.pop(stream, None) or _Known(batch.head(stream))
                moved.head = batch.head(stream)
                self._streams[stream] = of_players[stream[::2]] = moved
        for key, entity in chain(batch.loaded.entities.items(), batch.state.entities.items()):
            if key[0] in _OF_PLAYER and key[1:3] in of_players:
                of_players[key[1:3]].player[key] = entity
        for request in requests:
            if request.stream.stream_type == PLAYER:
                for key in request.needs:
                    if (found := batch.loaded.get(key)) is not None:
                        self._streams[request.stream].keep(key, found)
        # All that has changed, and not only what commands name: the end of a round ends bets that nobody named.
        for key, entity in batch.state.entities.items():
            if isinstance(entity, _NAMED) and (known := of_players.get((entity.tenant_id, entity.player_id))):
                known.keep(key, entity)
        while len(self._streams) > CAPACITY:
            del self._streams[next(iter(self._streams))]

    def forget(self, streams: Iterable[StreamKey]) -> None:
        """Drop what is not known any more, as after a commit whose answer was lost."""
        for stream in streams:
            self._streams.pop(stream, None)
