"""Data residency: the regions whose data this deployment may hold."""

from dataclasses import dataclass
from typing import Self

from runtime.identifiers import name_fault


class ForeignRegionError(ValueError):
    """This deployment may not hold that region's data. The message names the region and the setting."""


@dataclass(frozen=True, slots=True)
class Residency:
    """What a deployment may hold."""

    regions: frozenset[str] = frozenset()
    """The regions that may be held here; empty: every region."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Regions separated by commas. Raises ValueError for one that none can have."""
        regions = frozenset(filter(None, map(str.strip, text.split(","))))
        for region in sorted(regions):
            if fault := name_fault(region):
                raise ValueError(f"region {region!r} {fault}")
        if text.strip() and not regions:  # to read it as "every region" would open what somebody meant to close
            raise ValueError(f"{text!r} names no region; leave it empty to hold every region")
        return cls(regions)

    def holds(self, region: str) -> bool:
        return not self.regions or region in self.regions

    def check(self, region: str) -> None:
        """Check that a region may be held here. Raises ForeignRegionError where it may not."""
        if not self.holds(region):
            raise ForeignRegionError(
                f"region {region!r} is not among those that this deployment holds (WAGERLEDGER_REGIONS: "
                f"{', '.join(sorted(self.regions))})"
            )


ANYWHERE = Residency()
