"""Whose command is it? Many name a bet or a session, and the player must be known before the locks are taken."""

from collections.abc import Iterable

from ledger.core.commands import Command
from ledger.core.state import Bet, Entity, Key, Session
from ledger.recording import INTEGRATION, StreamKey, player_stream

_CAPACITY = 200_000


class Directory:
    """Remembers the players of bets and sessions. They never change, so what is found here is right; what is missing is looked up."""

    def __init__(self) -> None:
        self._streams: dict[Key, tuple[str, StreamKey]] = {}

    def stream_of(self, command: Command) -> StreamKey:
        """The stream that `command` goes to: its player's, or its integration's where nothing names a player."""
        origin = command.origin
        if command.player_id is not None:
            return player_stream(origin.tenant_id, command.player_id)
        for key in command.needs:
            integration_id, stream = self._streams.get(key, ("", None))
            if stream and integration_id == origin.integration_id:
                return stream
        assert origin.integration_id, f"{command.kind} names no player"
        return StreamKey(origin.tenant_id, INTEGRATION, origin.integration_id)

    def unknown(self, command: Command) -> tuple[Key, ...]:
        """Keys to look up before `stream_of` can be trusted."""
        if command.player_id is not None or any(key in self._streams for key in command.needs):
            return ()
        return tuple(key for key in command.needs if key[0] is Bet or key[0] is Session)

    def learn(self, entities: Iterable[Entity]) -> None:
        for entity in entities:
            if isinstance(entity, Bet | Session) and entity.player_id is not None:
                self._streams[entity.key] = entity.integration_id, player_stream(entity.tenant_id, entity.player_id)
        while len(self._streams) > _CAPACITY:
            del self._streams[next(iter(self._streams))]
