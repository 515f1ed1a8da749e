"""A provider's own report, line by line: CSV, JSON or JSON Lines, as a mapping says. Amounts are never floats."""

import csv
import json
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TextIO
from zoneinfo import ZoneInfo

from audit.findings import CannotCheckError
from audit.reconcile.mapping import TAKEN_FROM_THE_PLAYER, Mapping
from ledger.core.money import Amount, parse_amount
from runtime.clock import to_us

CHUNK_CHARACTERS = 1 << 20
LARGEST_OBJECT_CHARACTERS = 64 << 20
"""Most of one JSON value that is held at once."""

_number = re.compile(r"([+-]?)0*(\d+(?:\.\d+)?|\.\d+)")


class Unreadable(ValueError):  # noqa: N818  # a value that is reported, not a failure
    """A line that says nothing we could compare. The message says why."""


class NotOfFormError(CannotCheckError):
    """The file does not look like the format that it is read as."""


class Line(NamedTuple):
    """A line, or one of the amounts of a line."""

    place: str
    """Such as: report.csv line 7."""
    kind: str
    entry: str
    """The provider's id of the transaction."""
    key: str
    """What it is matched by."""
    currency: str
    amount: Amount
    negative: bool
    """Its sign is the other one than its kind has."""
    in_minor_units: bool
    """The amount is an integer in the currency's own minor units."""
    at_us: int | None


@dataclass
class ReportFile:
    """A provider's report as a file, read line by line."""

    path: Path
    mapping: Mapping
    read: int = 0
    skipped: int = 0

    def lines(self) -> Iterator[Line | tuple[str, str]]:
        """The lines of the report; one that cannot be read comes as (place, reason).

        Raises CannotCheckError where the file is not what the mapping says.
        """
        for place, fields in self._rows():
            self.read += 1
            if any(_text(_field(fields, name)) in values for name, values in self.mapping.skip.items()):
                self.skipped += 1
                continue
            try:
                yield from self._lines_of(place, fields)
            except Unreadable as error:
                yield place, str(error)

    def _lines_of(self, place: str, fields: dict[str, Any]) -> list[Line]:
        columns, mapping = self.mapping.columns, self.mapping

        def value(name: str | None) -> str:
            return _text(_field(fields, name)) if name else ""

        entry = value(columns.id)
        key = {"transaction": entry, "bet": value(columns.bet) or entry, "round": value(columns.round) or entry}
        if not key[mapping.match]:
            raise Unreadable(f"{columns.id} is empty")
        currency = value(columns.currency) or mapping.currency
        if not currency:
            raise Unreadable(f"{columns.currency} is empty")
        currency = mapping.currencies.get(currency, currency)
        at_us = self._time(value(columns.time)) if columns.time else None
        amounts = [(kind, value(name)) for name, kind in mapping.each.items()]
        if not mapping.each:
            kind = mapping.types.get(value(columns.type))
            if kind is None:
                raise Unreadable(f"{columns.type} is {value(columns.type)!r}, which [types] does not name")
            amounts = [(kind, value(columns.amount))]
        found = []
        for kind, text in amounts:
            if kind in mapping.ignore or (mapping.each and not text):
                continue
            amount, negative = self._amount(kind, text)
            if amount.unscaled or not mapping.each:
                minor = mapping.amounts.form == "minor" and mapping.amounts.decimals is None
                line = Line(
                    place=place,
                    kind=kind,
                    entry=entry,
                    key=key[mapping.match],
                    currency=currency,
                    amount=amount,
                    negative=negative,
                    in_minor_units=minor,
                    at_us=at_us,
                )
                found.append(line)
        return found

    def _amount(self, kind: str, text: str) -> tuple[Amount, bool]:
        """The amount and whether its sign is wrong for its kind."""
        form = self.mapping.amounts
        plain = text.replace(form.thousands, "") if form.thousands else text
        if form.decimal_mark == ",":
            plain = plain.replace(",", ".")
        match = _number.fullmatch(plain.strip())
        digits = match[2] if match else ""
        amount = parse_amount(f"0{digits}" if digits.startswith(".") else digits)
        if match is None or amount is None or (form.form == "minor" and "." in digits):
            raise Unreadable(f"amount {text!r} is not written as the mapping says ({form.form})")
        if form.form == "minor" and form.decimals is not None:
            amount = Amount(amount.unscaled, form.decimals)
        positive = match[1] != "-"
        if form.sign != "unsigned" and amount.unscaled:
            takes = kind in TAKEN_FROM_THE_PLAYER
            return amount, positive != (takes if form.sign == "provider" else not takes)
        return amount, not positive

    def _time(self, text: str) -> int:
        form, zone = self.mapping.times.form, self.mapping.times.zone
        try:
            if form in {"unix_s", "unix_ms"}:
                whole, _, fraction = text.partition(".")
                digits = {"unix_s": 6, "unix_ms": 3}[form]
                return int(whole + fraction[:digits].ljust(digits, "0"))
            moment = datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)  # noqa: DTZ007
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"time {text!r} is not written as the mapping says ({form})") from error
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(zone))
        return to_us(moment.astimezone(UTC))

    # The file

    def _rows(self) -> Generator[tuple[str, dict[str, Any]]]:
        suffix = self.path.suffix.lower().lstrip(".")
        form = self.mapping.format or {"ndjson": "jsonl"}.get(suffix, suffix)
        reader = {"csv": self._csv, "json": self._json, "jsonl": self._jsonl}.get(form)
        if reader is None:
            raise CannotCheckError(f"{self.path} is neither .csv, .json nor .jsonl: say format in the mapping")
        try:
            with self.path.open(encoding="utf-8-sig", newline="" if form == "csv" else None) as file:
                yield from reader(file)
        except NotOfFormError as error:
            whence = "as the mapping says" if self.mapping.format else "as its name says"
            raise CannotCheckError(
                f"{error}; it was read as {form}, {whence}: where it is another format, say "
                'format = "csv", "json" or "jsonl" in the mapping'
            ) from error
        except OSError as error:
            raise CannotCheckError(f"{self.path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise CannotCheckError(f"{self.path} is not UTF-8 text: {error}") from error

    def _csv(self, file: TextIO) -> Iterator[tuple[str, dict[str, Any]]]:
        reader = csv.DictReader(file, strict=True, delimiter=self.mapping.delimiter, restval="")
        if missing := self.mapping.needed - set(reader.fieldnames or ()):
            raise NotOfFormError(
                f"{self.path} has no column {', '.join(sorted(missing))}; its heading is {reader.fieldnames}"
            )
        try:
            for fields in reader:
                yield f"line {reader.line_num}", fields
        except csv.Error as error:
            raise NotOfFormError(f"{self.path.name} line {reader.line_num}: {error}") from error

    def _jsonl(self, file: TextIO) -> Iterator[tuple[str, dict[str, Any]]]:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"line {number}", self._object(f"line {number}", _DECODER.decode, line)

    def _json(self, file: TextIO) -> Iterator[tuple[str, dict[str, Any]]]:
        if self.mapping.rows is None:
            for number, text in enumerate(_elements(file, self.path.name), 1):
                yield f"entry {number}", self._object(f"entry {number}", lambda one: one, text)
            return
        text = file.read(LARGEST_OBJECT_CHARACTERS + 1)
        if len(text) > LARGEST_OBJECT_CHARACTERS:
            raise CannotCheckError(f"{self.path} is too long for one object: make JSON Lines of its list and say jsonl")
        try:
            rows = _field(_DECODER.decode(text), self.mapping.rows)
        except (ValueError, RecursionError) as error:
            raise NotOfFormError(f"{self.path.name}: {error}") from error
        if not isinstance(rows, list):
            raise CannotCheckError(f"{self.path.name} has no list {self.mapping.rows}")
        for number, row in enumerate(rows, 1):
            yield f"entry {number}", self._object(f"entry {number}", lambda one: one, row)

    def _object(self, place: str, decode: Any, text: Any) -> dict[str, Any]:
        try:
            found = decode(text)
        except (ValueError, RecursionError) as error:
            raise NotOfFormError(f"{self.path.name} {place}: {error}") from error
        if not isinstance(found, dict):
            raise NotOfFormError(f"{self.path.name} {place} is no object")
        return found


_DECODER = json.JSONDecoder(parse_float=str, parse_int=str)
_BETWEEN = re.compile(r"[\s,]*")


def _elements(file: TextIO, name: str) -> Iterator[Any]:
    """The elements of a JSON list, one at a time, however long the list is."""
    text = file.read(CHUNK_CHARACTERS).lstrip()
    if not text.startswith("["):
        raise NotOfFormError(f"{name} is no list: say `rows`, the field that holds it, in the mapping")
    at, last = 1, False
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches anything
        if text.startswith("]", at):
            return
        try:
            element, end = _DECODER.raw_decode(text, at)
            if end == len(text) and not last:
                raise ValueError("it may go on in the next chunk")  # noqa: TRY301  # as where it is cut
        except (ValueError, RecursionError) as error:
            more = file.read(CHUNK_CHARACTERS)
            if last or len(text) - at > LARGEST_OBJECT_CHARACTERS:
                raise NotOfFormError(f"{name} is no list of objects: {error}") from error
            text, at, last = text[at:] + more, 0, not more
            continue
        yield element
        at = end


def _field(fields: Any, name: str) -> Any:
    if isinstance(fields, dict) and name in fields:
        return fields[name]
    for part in name.split("."):
        fields = fields.get(part) if isinstance(fields, dict) else None
    return fields


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()
