"""The read models of the projector, one file each. A new one is a file that has a `Projection`, and its test."""

import importlib
import pkgutil
from collections.abc import Iterable

from projector.projection import Projection


def _found() -> list[Projection]:
    modules = [importlib.import_module(f"{__name__}.{one.name}") for one in pkgutil.iter_modules(__path__)]
    return [value for module in modules for value in vars(module).values() if isinstance(value, Projection)]


def _ordered(projections: Iterable[Projection]) -> tuple[Projection, ...]:
    """The projections by name, each after those that it needs. Raises KeyError for a need that is no model."""
    by_name = {projection.name: projection for projection in projections}
    ordered: dict[str, Projection] = {}

    def put(name: str) -> None:
        for needed in by_name[name].needs:
            put(needed)
        ordered[name] = by_name[name]

    for name in sorted(by_name):
        put(name)
    return tuple(ordered.values())


# One order for all transactions, so that projectors side by side lock in one order.
PROJECTIONS = _ordered(_found())
