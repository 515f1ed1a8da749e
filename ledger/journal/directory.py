"""Whose command is it? Many name a bet or a session, and the player must be known before the locks are taken."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from ledger.core.commands import Command
from ledger.core.players import EndSession
from ledger.core.state import Bet, Entity, Key, Session, Settlement
from ledger.streams import INTEGRATION, StreamKey, player_stream

_CAPACITY = 200_000
_OWNED = (Bet, Session, Settlement)


class Owner(NamedTuple):
    """The owner of a bet, a win or a session: the integration that may name it, and its player's stream."""

    integration_id: str
    stream: StreamKey


def owner_of(entity: Entity | None) -> Owner | None:
    """None where the entity has no player, as the tombstone of an unknown one's bet."""
    if isinstance(entity, _OWNED) and entity.player_id is not None:
        return Owner(entity.integration_id, player_stream(entity.tenant_id, entity.player_id))
    return None


def stream_of(command: Command, needs: Iterable[Key], owner: Callable[[Key], Owner | None]) -> StreamKey:
    """The stream that `command` with these `needs` goes to, as far as `owner` knows: its player's, or its integration's
    where nothing names a player.
    """
    origin, player_id = command.origin, command.player_id
    if player_id is not None:
        return player_stream(origin.tenant_id, player_id)
    for key in needs:
        found = owner(key)
        if found and (found.integration_id == origin.integration_id or _by_operator(command, found)):
            return found.stream
    assert origin.integration_id, f"{command.kind} names no player"
    return StreamKey(origin.tenant_id, INTEGRATION, origin.integration_id)


def _by_operator(command: Command, owner: Owner) -> bool:
    return (
        isinstance(command, EndSession) and command.by_operator and owner.stream.tenant_id == command.origin.tenant_id
    )


class Directory:
    """Remembers the players of bets, wins and sessions, which never change. It only guesses what to lock; under the
    locks the state decides.
    """

    def __init__(self) -> None:
        self._owners: dict[Key, Owner] = {}

    def stream_of(self, command: Command) -> StreamKey:
        """The stream that `command` goes to, as far as it is known here."""
        return stream_of(command, command.needs, self._owners.get)

    def unknown(self, command: Command) -> tuple[Key, ...]:
        """Keys to look up before `stream_of` can be trusted."""
        if command.player_id is not None:
            return ()
        needs = command.needs
        if not self._owners.keys().isdisjoint(needs):
            return ()
        return tuple(key for key in needs if key[0] in _OWNED)

    def learn(self, entities: Iterable[Entity]) -> None:
        """Remember the players of `entities`; past the capacity, those learnt first are forgotten."""
        for entity in entities:
            if not isinstance(entity, _OWNED) or entity.key in self._owners:
                continue
            if isinstance(entity, Settlement) and entity.win_id == entity.settlement_id:
                continue  # no provider can name it
            if owner := owner_of(entity):
                self._owners[entity.key] = owner
        while len(self._owners) > _CAPACITY:
            del self._owners[next(iter(self._owners))]

    def forget(self, keys: Iterable[Key]) -> None:
        """Drop what turned out to be gone, as after a failover that lost commits."""
        for key in keys:
            self._owners.pop(key, None)
