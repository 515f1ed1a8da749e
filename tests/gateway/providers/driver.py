"""Recorded exchanges: `tests/gateway/providers/<name>/exchanges.json`, spoken by the dialect's driver in `sandbox/drivers/<name>.py`.

A dialect brings three files of its own for tests:

- `sandbox/drivers/<name>.py`: its driver (see `sandbox/drivers/driver.py`); the suite, the bench and the demo use it.
- `tests/gateway/providers/<name>/exchanges.json`: `{"options": {…}, "players": […], "exchanges": […]}`, whole conversations:
  a player is `{"player_id": "p_1", "currency": "EUR", "exponent": 2, "cash": "100.00"}` (a session is opened for each,
  in game `game_1`); an exchange is
  `{"about": "…", "request": {"method": "POST", "path": "/bet", "query": "", "headers": {…}, "body": "…"},
  "answer": {"status": 200, "headers": {"content-type": "application/json"}, "body": "…"}}`.
  The driver (`who="studio"`) signs each request when it is sent, unless its request says `"signed": true`. Bodies are
  texts and are compared byte by byte; of the headers those that are listed.
- `tests/gateway/providers/<name>/test_<name>.py`: what only this protocol knows.

Only what we make up has placeholders: `<<session:p_1>>` in requests and answers; `<<our:NAME>>` in an answer stands for an
id of ours, the same for the same NAME in all later requests and answers; `<<time:NAME>>` for a time of ours.
"""

import re
from dataclasses import dataclass, field

from sandbox.drivers.driver import Request

_PLACEHOLDER = re.compile(r"<<(session|our|time):([A-Za-z0-9_.\-]+)>>")
_FORMS = {"our": r"[A-Za-z0-9_:\-]{1,100}", "time": r"[0-9TZ:.+\- ]{1,40}"}


@dataclass
class Names:
    """What the placeholders stand for so far."""

    known: dict[tuple[str, str], str] = field(default_factory=dict)

    def fill(self, text: str) -> str:
        """`text` with its placeholders replaced. Raises KeyError for one that nothing has told yet."""
        return _PLACEHOLDER.sub(lambda found: self.known[found[1], found[2]], text)

    def match(self, recorded: str, actual: str) -> bool:
        """Whether `actual` is `recorded`; learns what new placeholders stand for."""
        new: list[tuple[str, str]] = []
        pattern, end = "", 0
        for found in _PLACEHOLDER.finditer(recorded):
            pattern += re.escape(recorded[end : found.start()])
            end, name = found.end(), (found[1], found[2])
            if name in self.known:
                pattern += re.escape(self.known[name])
            elif name in new:
                pattern += f"(?P=g{new.index(name)})"
            else:
                pattern += f"(?P<g{len(new)}>{_FORMS[name[0]]})"
                new.append(name)
        matched = re.fullmatch(pattern + re.escape(recorded[end:]), actual)
        if matched is None:
            return False
        self.known.update({name: matched[f"g{index}"] for index, name in enumerate(new)})
        return True


def recorded_request(recorded: dict[str, object], names: Names) -> Request:
    """Not signed yet, unless the recording says so."""
    headers = recorded.get("headers", {})
    assert isinstance(headers, dict)
    return Request(
        path=names.fill(str(recorded["path"])),
        body=names.fill(str(recorded.get("body", ""))).encode(),
        method=str(recorded.get("method", "POST")),
        query=names.fill(str(recorded.get("query", ""))),
        headers={name: names.fill(value) for name, value in headers.items()},
    )
