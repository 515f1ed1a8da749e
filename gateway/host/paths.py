"""Where the paths of provider calls lead: to endpoints of dialects."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from gateway.dialect.dialect import Dialect
from gateway.dialect.endpoint import Endpoint


class Target(NamedTuple):
    """Where one path of one dialect leads."""

    dialect: Dialect
    endpoint: Endpoint
    operation: str
    """What logs and metrics call it."""
    params: Mapping[str, str] = {}


class Route(NamedTuple):
    """Where a request leads. `targets` are several where contracts fix the same absolute path; without any, `methods`
    are what the path takes.
    """

    targets: list[Target]
    methods: tuple[str, ...] = ()


@dataclass(slots=True)
class Paths:
    """Targets by method and path. Paths without parts are found at once."""

    plain: dict[tuple[str, str], list[Target]] = field(default_factory=dict)
    with_parts: list[tuple[str, list[str], Target]] = field(default_factory=list)
    _all_methods: set[str] = field(default_factory=set)

    def add(self, path: str, target: Target) -> None:
        """Let `path`, which may name parts as {part}, lead to `target` by its endpoint's method."""
        self._all_methods.add(target.endpoint.method)
        if "{" in path:
            self.with_parts.append((target.endpoint.method, path.split("/"), target))
        else:
            self.plain.setdefault((target.endpoint.method, path), []).append(target)

    def targets(self, method: str, path: str) -> Route:
        """Where a request leads; `path` as it was sent, for a part may hold an encoded slash."""
        found = self._find(method, path)
        return Route(found, () if found else self._methods(path))

    def have(self, path: str) -> bool:
        """Whether any method of `path` leads somewhere."""
        return bool(self._methods(path))

    def _find(self, method: str, path: str) -> list[Target]:
        return self.plain.get((method, path)) or list(self._matching(method, path.split("/")))

    def _methods(self, path: str) -> tuple[str, ...]:
        return tuple(sorted(method for method in self._all_methods if self._find(method, path)))

    def _matching(self, method: str, parts: list[str]) -> Iterable[Target]:
        for known, template, target in self.with_parts:
            if known == method and len(template) == len(parts):
                params = _params(template, parts)
                if params is not None:
                    yield target._replace(params=params)


def _params(template: list[str], parts: list[str]) -> dict[str, str] | None:
    params: dict[str, str] = {}
    for wanted, part in zip(template, parts, strict=True):
        if wanted.startswith("{"):
            try:
                params[wanted[1:-1]] = unquote_to_bytes(part).decode()
            except UnicodeDecodeError:
                return None
            if not part:
                return None
        elif wanted != part:
            return None
    return params
