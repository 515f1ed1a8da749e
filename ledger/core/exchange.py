"""Exchange: an amount in the currency that it was asked in, turned into the wallet's at a locked rate. The only place
where anything rounds.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Conversion(NamedTuple):
    """An amount as it was asked for, and the rate that its bet has locked: one unit of `currency` is
    `rate_numerator` / `rate_denominator` units of the wallet's.
    """

    currency: str
    exponent: int
    amount_minor: int
    rate_numerator: int
    rate_denominator: int
    source: str
    as_of: int
    """When the rate was right, by its source: microseconds since the epoch."""

    @classmethod
    def from_record(cls, record: Mapping[str, Any] | None) -> "Conversion | None":
        """The conversion that an event carries, or None where it carries none."""
        return cls(**record) if record else None

    @staticmethod
    def to_record(conversion: "Conversion | None") -> dict[str, Any] | None:
        """The fields of `conversion` for an event to carry; None where there is none."""
        return conversion._asdict() if conversion else None

    def with_amount(self, amount_minor: int) -> "Conversion":
        """The same rate for another amount, in minor units of `currency`."""
        return self._replace(amount_minor=amount_minor)

    def times_ten_to(self, power: int) -> "Conversion":
        """The same amount in a unit that is 10 to the `power` of its currency."""
        exponent = self.exponent + power
        return self._replace(exponent=max(exponent, 0), amount_minor=self.amount_minor * 10 ** max(-exponent, 0))

    def stake_minor(self, exponent: int) -> int:
        """The amount in minor units of a wallet with `exponent` decimals, rounded up: against the player, who pays."""
        scaled, divisor = self._fraction(exponent)
        return -(-scaled // divisor)

    def win_minor(self, exponent: int) -> int:
        """The amount in minor units of a wallet with `exponent` decimals, rounded down: against the player too."""
        scaled, divisor = self._fraction(exponent)
        return scaled // divisor

    def _fraction(self, exponent: int) -> tuple[int, int]:
        scaled = self.amount_minor * self.rate_numerator * 10**exponent
        return scaled, self.rate_denominator * 10**self.exponent
