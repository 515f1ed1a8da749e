"""Plays the recorded exchanges of a dialect; their form is told in `tests/gateway/providers/driver.py`."""

import itertools
import json
from pathlib import Path
from typing import Any

from sandbox.drivers import driver_of
from sandbox.drivers.driver import Request
from tests.gateway.providers.driver import Names, recorded_request
from tests.support.house import House, Table

_numbers = itertools.count(1)


def replay(house: House, dialect: str, path: Path) -> tuple[Table, list[Request]]:
    """All conversations of one file. Each has a tenant of its own, so that its players can have the recorded ids.
    Gives what was sent, as it was signed.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    table = house.mount(driver_of(dialect), f"recorded-{next(_numbers)}", **content.get("options", {}))
    names = Names()
    for player in content["players"]:
        play = table.sit(
            player["cash"], player["currency"], player["exponent"], player_id=player["player_id"],
            game_id=player.get("game_id", "game_1"),
        )  # fmt: skip
        names.known["session", player["player_id"]] = play.seat.session_id
    assert content["exchanges"], f"{path} records nothing"
    return table, [_play(table, exchange, names) for exchange in content["exchanges"]]


def _play(table: Table, exchange: dict[str, Any], names: Names) -> Request:
    request = recorded_request(exchange["request"], names)
    if not exchange["request"].get("signed", False):
        request = table.driver.signed(request)
    answer = table.house.run(table.sending_raw(request))
    recorded, about = exchange["answer"], exchange["about"]
    actual = answer.body.decode()
    assert names.match(recorded["body"], actual), f"{about}: {actual!r} is not the recorded {recorded['body']!r}"
    assert answer.status == recorded["status"], f"{about}: status {answer.status}, not {recorded['status']}"
    for name, value in recorded.get("headers", {}).items():
        told = answer.headers.get(name.lower(), "")
        assert names.match(value, told), f"{about}: header {name} is {told!r}, not the recorded {value!r}"
    return request
