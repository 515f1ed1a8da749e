"""The game catalogue: our game ids and the provider's codes for them, per integration. A gateway sees a change within
seconds.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import psycopg
from psycopg.errors import UniqueViolation

from ledger.admin import actions
from ledger.admin.actions import Actor, AdminAction
from ledger.store import games as store
from ledger.store import integrations
from runtime.identifiers import ID_RULE, is_id

CHUNK = 2000
"""Games between two signs of progress."""

_printable = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class CatalogueError(ValueError):
    """The catalogue cannot be so; the message says why."""


class Game(NamedTuple):
    integration_id: str
    game_id: str
    """Our id of the game."""
    provider_game_id: str
    name: str
    enabled: bool
    """A game that is off cannot be launched; sessions that run go on."""


def parse(integration_id: str, fields: Mapping[str, str]) -> Game:
    """One game from the texts of a file. Without a name it is called by its id; without `enabled` it is on. Raises
    CatalogueError.
    """
    game_id, code = fields["game_id"], fields["provider_game_id"]
    if not is_id(game_id):
        raise CatalogueError(f"game_id {game_id!r} {ID_RULE}")
    if not _printable.fullmatch(code):
        raise CatalogueError(f"provider_game_id {code!r} must be 1 to 200 printable characters")
    name = fields.get("name") or game_id
    if not _printable.fullmatch(name):
        raise CatalogueError(f"name {name!r} must be at most 200 printable characters")
    enabled = _FLAGS.get((fields.get("enabled") or "true").lower())
    if enabled is None:
        raise CatalogueError(f"enabled {fields['enabled']!r} must be one of {', '.join(_FLAGS)}")
    return Game(integration_id, game_id, code, name, enabled)


def unique(placed: Iterable[tuple[str, Game]]) -> list[Game]:
    """The games, each with its place in the file, as long as no id is there twice. Raises CatalogueError."""
    games: list[Game] = []
    places: dict[tuple[str, str], str] = {}
    for place, game in placed:
        for name, value in (("game_id", game.game_id), ("provider_game_id", game.provider_game_id)):
            earlier = places.setdefault((name, value), place)
            if earlier != place:
                raise CatalogueError(f"{place}: {name} {value!r} is in {earlier} already")
        games.append(game)
    return games


def put(
    connection: psycopg.Connection,
    integration_id: str,
    games: Sequence[Game],
    *,
    by: Actor,
    replace: bool = False,
    progress: Callable[[int], object] = lambda done: None,
) -> int:
    """Write the games, all or none; with `replace` the integration has no others afterwards. Gives how many it has now.
    Raises CatalogueError, AdminActionError.
    """
    try:
        with connection.transaction():
            place = _locked(connection, integration_id)
            # The old ones go first: two games may have exchanged their codes.
            if replace:
                connection.execute(store.DELETE_ALL, (integration_id,))
            else:
                connection.execute(store.DELETE, (integration_id, [game.game_id for game in games]))
            for start in range(0, len(games), CHUNK):
                chunk = games[start : start + CHUNK]
                connection.cursor().executemany(store.INSERT, chunk)
                progress(start + len(chunk))
            content = {"games": [game._asdict() for game in games], "replaced": replace}
            actions.record(connection, AdminAction(by, "games.put", integration_id, content, *place))
            row = connection.execute(store.COUNT, (integration_id,)).fetchone()
            assert row, "a count is a row"
            return int(row[0])
    except UniqueViolation as error:
        raise CatalogueError(f"another game has this code already: {error.diag.message_detail}") from error


def _locked(connection: psycopg.Connection, integration_id: str) -> tuple[str, str]:
    """Wait for whoever changes the integration now. Gives its brand and region. Raises CatalogueError."""
    row = connection.execute(integrations.LOCK, (integration_id,)).fetchone()
    if row is None:
        raise CatalogueError(f"integration {integration_id} is not known: `wagerledger integration list` names all")
    return row[0], row[1]


def find(connection: psycopg.Connection, *, integration_id: str | None = None, game: str | None = None) -> list[Game]:
    """All games, or those of an integration, or those that `game` names: our id or the provider's code."""
    rows = connection.execute(store.LIST, {"integration_id": integration_id, "game": game})
    return [Game(*row) for row in rows]
