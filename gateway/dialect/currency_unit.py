"""Option `currencies`: how a provider writes and counts currencies."""

import re
from typing import NamedTuple

from gateway.dialect.option import OptionError
from ledger.core.currencies import is_real
from runtime.identifiers import is_currency


class CurrencyUnit(NamedTuple):
    """What a provider's code of a currency stands for: a currency of ours, and how many of it are one of theirs."""

    ours: str
    power: int = 0
    """One of theirs is 10 to the `power` of ours."""


_UNIT = re.compile(r"(?P<ours>[^*/]+)(?:(?P<sign>[*/])1(?P<zeros>0{0,12}))?")
_SCALES = "k|m|u|µ|μ|n|kilo|mega|milli|mili|micro|nano|sat|sats|satoshi|gwei|wei|1000|1k|000|thousand|thousands"


def currency_units(text: str) -> dict[str, CurrencyUnit]:
    """The units of a list THEIRS:OURS,… by their codes; a code alone is both. THEIRS:OURS*1000 says that one of theirs
    is 1000 of ours, THEIRS:OURS/1000 that it is a thousandth. Raises OptionError.
    """
    units: dict[str, CurrencyUnit] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        theirs, colon, said = part.partition(":")
        stated = _UNIT.fullmatch(said if colon else theirs)
        well_formed = theirs and stated and is_currency(stated["ours"]) and (colon or not stated["sign"])
        if not stated or not well_formed or theirs in units:
            raise OptionError(
                f"option currencies: {part!r} is not THEIRS:OURS with a code of ours, each of theirs once, nor "
                "THEIRS:OURS*1000 or THEIRS:OURS/1000"
            )
        power = len(stated["zeros"] or "") * (-1 if stated["sign"] == "/" else 1)
        if fault := _unit_fault(theirs, stated["ours"], stated=stated["sign"] is not None):
            raise OptionError(f"option currencies: {part!r} {fault}")
        units[theirs] = CurrencyUnit(stated["ours"], power)
    for ours in {unit.ours for unit in units.values() if unit.power}:
        if len({unit.power for unit in units.values() if unit.ours == ours}) > 1:
            raise OptionError(f"option currencies: balances in {ours} are told in one unit, so it is named in one unit")
    return units


def _unit_fault(theirs: str, ours: str, *, stated: bool) -> str | None:
    """What is wrong with taking one of theirs for one, or a power of ten, of ours."""
    if theirs != ours and is_real(theirs.upper()) and is_real(ours):
        return "names two currencies: from one to another it takes a rate, see option wallet_currency and `rates set`"
    if not stated and _is_scaled(theirs, ours):
        return f"looks like another unit: say how much it is, such as {theirs}:{ours}*1000, or *1 where it is the same"
    return None


def _is_scaled(theirs: str, ours: str) -> bool:
    """kVND, VND(K), mBTC, BTC_1000 and their like."""
    plain, code = re.sub(r"[\W_]", "", theirs.lower()), re.escape(re.sub(r"\W", "", ours.lower()))
    if theirs == ours or plain == code:
        return False
    return re.fullmatch(rf"(?:{_SCALES}){code}|{code}(?:{_SCALES})|sats?|satoshis?|g?wei", plain) is not None
