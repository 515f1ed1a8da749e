"""How to read a provider's own report: which column says what. A TOML or JSON file per provider, written by hand."""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from audit.findings import CannotCheckError

BET, WIN, ROLLBACK, WIN_ROLLBACK, AWARD, REINSTATED = "bet", "win", "rollback", "win_rollback", "award", "reinstated"
KINDS = BET, WIN, ROLLBACK, WIN_ROLLBACK, AWARD, REINSTATED
"""What a line of a report can be."""
NEAREST = {WIN_ROLLBACK: ROLLBACK, AWARD: WIN, REINSTATED: BET}
"""What a report that has no such type has instead."""
TAKEN_FROM_THE_PLAYER = {BET, WIN_ROLLBACK, REINSTATED}

Kind = Literal["bet", "win", "rollback", "win_rollback", "award", "reinstated"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Columns(_Part):
    """The names of the columns; in JSON, `a.b` is the field b of the object a."""

    id: str
    """The provider's id of the transaction."""
    type: str | None = None
    amount: str | None = None
    currency: str | None = None
    time: str | None = None
    bet: str | None = None
    round: str | None = None


class Amounts(_Part):
    """How amounts are written."""

    form: Literal["decimal", "minor"] = "decimal"
    decimals: Annotated[int, Field(ge=0, le=18)] | None = None
    """Of `minor`: what an integer is counted in, 10^-decimals. None: the currency's own minor units."""
    decimal_mark: Literal[".", ","] = "."
    thousands: str = ""
    """What stands between groups of digits."""
    sign: Literal["unsigned", "player", "provider"] = "unsigned"
    """Whose gain is positive; unsigned: the type says it."""


class Times(_Part):
    """How times are written."""

    form: str = "iso"
    """iso, unix_s, unix_ms, or a format such as %d.%m.%Y %H:%M:%S."""
    zone: str = "UTC"
    """Of times that do not name theirs, such as UTC or Europe/Berlin."""

    @field_validator("zone")
    @classmethod
    def _is_known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (LookupError, ValueError, OSError) as error:
            raise ValueError(f"{zone!r} is no time zone such as UTC or Europe/Berlin") from error
        return zone


class Mapping(_Part):
    """One provider's form of report."""

    provider: str = ""
    """The provider's name, for people to read."""
    format: Literal["csv", "json", "jsonl"] | None = None
    """None: what the file's name says."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    rows: str | None = None
    """In JSON: the field with the list, where the file is not the list itself."""
    match: Literal["transaction", "bet", "round"] = "transaction"
    """What both books have in common: the provider's id of each transaction, or that of the bet or the round."""
    currency: str | None = None
    """Where no column says it."""
    currencies: dict[str, str] = {}
    """The provider's codes that are not ours."""
    columns: Columns
    types: dict[str, Kind] = {}
    """What the values of the type column mean; a value that is not here makes its line unreadable."""
    each: dict[str, Kind] = {}
    """Instead of type and amount: columns of amounts, each an item of this kind where it is not empty or 0."""
    amounts: Amounts = Amounts()
    times: Times = Times()
    skip: dict[str, list[str]] = {}
    """Lines to leave out: columns with the values that say so, such as a failed transaction."""
    ignore: tuple[Kind, ...] = ()
    """Kinds that this report does not have: the ledger's are left out too."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        columns = self.columns
        if not self.each and not (columns.type and columns.amount and self.types):
            raise ValueError("say either columns.type, columns.amount and [types], or [each]")
        if self.each and (columns.type or columns.amount or self.types):
            raise ValueError("[each] takes the place of columns.type, columns.amount and [types]")
        if not columns.currency and not self.currency:
            raise ValueError("say columns.currency, or currency for all lines")
        return self

    @property
    def needed(self) -> set[str]:
        """The columns that every line must have."""
        named = {name for name in self.columns.model_dump().values() if name is not None}
        return named | set(self.each) | set(self.skip)

    @property
    def kinds(self) -> set[str]:
        """What the report can hold, and so what is read of the ledger."""
        kinds: set[str] = {*self.types.values(), *self.each.values()}
        return kinds - set(self.ignore)

    def reported_as(self, kind: str) -> str | None:
        """What the report calls the ledger's `kind`: where it has no such type, the nearest one. None: left out."""
        if kind in self.ignore:
            return None
        kinds = self.kinds
        return next((name for name in (kind, NEAREST.get(kind)) if name in kinds), None)


def load(path: Path) -> Mapping:
    """Read a mapping. Raises CannotCheckError, naming what is wrong and where."""
    try:
        text = path.read_text("utf-8")
        content = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
        return Mapping.model_validate_json(json.dumps(content))  # its lists may be tuples here
    except OSError as error:
        raise CannotCheckError(f"the mapping {path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        places = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in error.errors(include_url=False)
        )
        raise CannotCheckError(f"the mapping {path} cannot be used: {places}; see docs/how-to/reconcile.md") from error
    except (ValueError, TypeError, RecursionError) as error:  # TOML and JSON errors are ValueErrors
        raise CannotCheckError(f"the mapping {path} cannot be read: {error}") from error
