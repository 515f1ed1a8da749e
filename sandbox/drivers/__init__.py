"""Drivers, the providers' sides of their protocols: one file `<name>.py` per dialect, with `class <Name>Driver(Driver)`
and `DRIVER = <Name>Driver`.

A driver is written from the provider's contract alone and imports nothing of `gateway`: where driver and dialect agree,
two readings of the contract agree. From which material a contract is known says the provider's page in
`docs/providers/`. The conformance suite, the recorded exchanges and `wagerledger bench` speak through them.
"""

from importlib import import_module
from pkgutil import iter_modules

from sandbox.drivers.driver import Driver

__all__ = ["NAMES", "Driver", "driver_of"]

NAMES = tuple(sorted(module.name for module in iter_modules(__path__) if module.name != "driver"))


def driver_of(dialect: str, who: str = "studio") -> Driver:
    """A fresh driver of a dialect. Two of one dialect with another `who` have other keys. Raises KeyError for an
    unknown dialect.
    """
    if dialect not in NAMES:
        raise KeyError(f"no driver for dialect {dialect}: there are {', '.join(NAMES) or 'none'}")
    maker: type[Driver] = import_module(f"sandbox.drivers.{dialect}").DRIVER
    return maker(who)
