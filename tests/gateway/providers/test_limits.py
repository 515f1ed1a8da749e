"""A limit that a player has reached is told in each protocol's own word, and never as trouble to be repeated."""

from pathlib import Path

import gateway.providers


def test_whoever_knows_restricted_players_knows_limits() -> None:
    """What stops a stake for good has a word in every table of refusals: without one it would be a temporary error."""
    files = [file for folder in gateway.providers.__path__ for file in Path(folder).rglob("*.py")]
    tables = {str(file): file.read_text() for file in files if '"PLAYER_RESTRICTED"' in file.read_text()}
    assert len(tables) > 3
    assert [name for name, text in tables.items() if '"LIMIT_REACHED"' not in text] == []
