"""The catalogue: taken in whole or not at all, found by either id."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import COULD_NOT, FINDING, STUDIO, Commands

CSV = "game_id,provider_game_id,name,enabled\ndice,D-1,Dice,true\nslots,S-1,Fruit,false\n"


@pytest.fixture(scope="module")
def cli(ledger_database_of_module: str) -> Commands:
    commands = Commands.on(ledger_database_of_module)
    commands.add_integration("studio")
    commands.add_integration("other")
    return commands


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "games.csv"
    path.write_text(CSV)
    return path


def take(cli: Commands, file: Path, *more: str, code: int = 0) -> str:
    return cli("games", "import", str(file), "--integration", STUDIO, *more, code=code)


def codes(cli: Commands) -> dict[str, str]:
    return {game["game_id"]: game["provider_game_id"] for game in cli.json("games", "list", "--integration", STUDIO)}


def test_games_come_in_and_are_found(cli: Commands, file: Path) -> None:
    """By our id and by the provider's code, with what the file says of them."""
    told = cli.json("games", "import", str(file), "--integration", STUDIO, "--replace")
    assert told == {"integration_id": STUDIO, "imported": 2, "games": 2}
    for name in ("slots", "S-1"):
        assert cli.json("games", "show", name) == [
            {"integration_id": STUDIO, "game_id": "slots", "provider_game_id": "S-1", "name": "Fruit", "enabled": False}
        ]
    assert "Fruit" in cli("games", "list")
    assert cli.json("games", "list", "--integration", "brand-1/EU/other") == []
    assert "no integration has a game" in cli("games", "show", "poker", code=FINDING)


def test_a_second_file_changes_what_it_names(cli: Commands, file: Path) -> None:
    """Others stay, unless the file is to replace them; two games may exchange their codes."""
    take(cli, file, "--replace")
    file.write_text("game_id,provider_game_id\nslots,D-1\ndice,S-1\npoker,P-1\n")
    take(cli, file)
    assert codes(cli) == {"dice": "S-1", "slots": "D-1", "poker": "P-1"}
    file.write_text("\ufeffgame_id,provider_game_id\r\ndice,S-1\r\n")
    take(cli, file)
    assert len(codes(cli)) == 3
    take(cli, file, "--replace")
    assert codes(cli) == {"dice": "S-1"}


def test_json_does_as_well(cli: Commands, tmp_path: Path) -> None:
    path = tmp_path / "games.json"
    path.write_text(json.dumps([{"game_id": "dice", "provider_game_id": 17, "enabled": True, "name": None}]))
    take(cli, path, "--replace")
    (game,) = cli.json("games", "list", "--integration", STUDIO)
    assert (game["provider_game_id"], game["name"], game["enabled"]) == ("17", "dice", True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("game_id,provider_game_id\ndice,D-1\nbad id,B-1\n", "line 3: game_id 'bad id'"),
        ("game_id,provider_game_id\ndice,D-1\ndice,D-2\n", "line 3: game_id 'dice' is in games.csv line 2 already"),
        ("game_id,provider_game_id\ndice,D-1\nslots,D-1\n", "line 3: provider_game_id 'D-1' is in games.csv line 2"),
        ("game_id,provider_game_id\ndice,D-1\nslots,\n", "line 3: provider_game_id is missing"),
        ("game_id,provider_game_id,enabled\ndice,D-1,perhaps\n", "line 2: enabled 'perhaps'"),
        ("game_id,provider_game_id,price\ndice,D-1,2\n", "line 2: price is not a column"),
        ("game_id\ndice\n", "line 2: provider_game_id is missing"),
        ('game_id,provider_game_id\n"dice,D-1\n', "unexpected end"),
        ("game_id,provider_game_id\n", "has no rows"),
        ("", "has no rows"),
    ],
)
def test_a_bad_file_changes_nothing(cli: Commands, file: Path, content: str, said: str) -> None:
    """The line is named, and not even the good lines come in."""
    take(cli, file, "--replace")
    before = codes(cli)
    bad = file.with_name("games.csv")
    bad.write_text(content)
    assert said in take(cli, bad, "--replace", code=COULD_NOT)
    assert codes(cli) == before


@pytest.mark.parametrize("content", ["{", "{}", '[{"game_id": ["x"], "provider_game_id": "a"}]', "[1]"])
def test_bad_json_is_told(cli: Commands, tmp_path: Path, content: str) -> None:
    path = tmp_path / "games.json"
    path.write_text(content)
    assert "games.json" in take(cli, path, code=COULD_NOT)


def test_a_code_has_one_game(cli: Commands, file: Path) -> None:
    """A code that another game has already is refused, and nothing of the file comes in."""
    take(cli, file, "--replace")
    file.write_text("game_id,provider_game_id\nnew,N-1\npoker,D-1\n")
    assert "D-1" in take(cli, file, code=FINDING)
    assert codes(cli) == {"dice": "D-1", "slots": "S-1"}


def test_an_unknown_integration_is_told(cli: Commands, file: Path) -> None:
    said = cli("games", "import", str(file), "--integration", "brand-1/EU/nobody", code=FINDING)
    assert "integration brand-1/EU/nobody is not known" in said


def test_long_files_come_in_whole(cli: Commands, file: Path) -> None:
    """Several chunks are still one transaction."""
    file.write_text("game_id,provider_game_id\n" + "".join(f"g{n},P{n}\n" for n in range(4500)))
    assert "4500" in take(cli, file, "--replace")
    assert len(codes(cli)) == 4500
