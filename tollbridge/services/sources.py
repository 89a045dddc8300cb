"""Files to import, read as a stream: each item is one JSON line for the bulk endpoints, with its place in the file.

JSONL is passed on byte for byte, CSV is put together, FOCUS is added up by `domain.focus`. It sends nothing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from itertools import groupby
from typing import Any, BinaryIO

from tollbridge.domain import json_text
from tollbridge.domain.errors import Invalid
from tollbridge.domain.focus import Charges

MAX_LINE = 10 * 1024 * 1024
"""Bytes of one line; longer ones are refused without being read into memory whole."""

NUMBERS = frozenset(
    "billTotal billFrequencyInterval averageUnitPrice conversionRate convertedSubtotal quantity subtotal units "
    "sequenceNumber daysBeforeBillDue".split()
)
BOOLEANS = frozenset({"locked"})
LINE_PREFIX = "lineItems."


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to import. `line` is where it begins in the file, `text` the JSON, `source` how the file writes it."""

    line: int
    text: bytes
    source: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that is not imported, and why."""

    line: int
    refusal: Invalid
    source: bytes
    id: str | None = None


class Lines:
    """The lines of a file with their numbers; knows how many bytes were read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0
        self.bytes = 0
        self.recent: list[bytes] = []
        """The lines since it was last emptied: what a reader of rows took for one row."""

    def __iter__(self) -> Iterator[bytes]:
        while line := self._file.readline(MAX_LINE + 1):
            self.number += 1
            self.bytes += len(line)
            yield line

    def skip_rest(self, line: bytes) -> bool:
        """Whether the line is longer than allowed; the rest of it is then read and forgotten."""
        if len(line) <= MAX_LINE:
            return False
        while not line.endswith(b"\n") and (line := self._file.readline(MAX_LINE)):
            self.bytes += len(line)
        return True

    def text(self) -> Iterator[str]:
        """The lines as UTF-8 text, a byte order mark at the start left out; raises Invalid for the first bad line."""
        for line in self:
            if self.skip_rest(line):
                raise _too_long()
            self.recent.append(line)
            try:
                text = line.decode("utf-8-sig" if self.number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise Invalid(
                    "import.encoding",
                    f"Line {self.number} is not UTF-8: byte {error.object[error.start]:#04x} at {error.start + 1}.",
                    "Save the file as UTF-8.",
                ) from None
            if "\0" in text:
                raise Invalid("import.null", f"Line {self.number} contains a null character.", "Is it a text file?")
            yield text

    def taken(self) -> bytes:
        """The recent lines, which are forgotten."""
        source = b"".join(self.recent)
        self.recent.clear()
        return source


def read_jsonl(lines: Lines) -> Iterator[Item | Refused]:
    """Each line that is not blank, unread: the server checks it, and names what is wrong."""
    for line in lines:
        if lines.skip_rest(line):
            yield Refused(lines.number, _too_long(), b"")
            continue
        text = line.removeprefix(b"\xef\xbb\xbf") if lines.number == 1 else line
        if text.strip():
            yield Item(lines.number, text.strip(), line)


def read_csv(
    lines: Lines, kind: str, fields: Sequence[str] | None = None, delimiter: str = ","
) -> Iterator[Item | Refused]:
    """One thing per row; for bills one line item per row, the rows of one bill together.

    The first row names the fields, unless `fields` do, one for each column; a column without a name is left out.
    """
    rows = _rows(lines, delimiter)
    header = [name.strip() for name in fields or next(rows, (0, [], b""))[1]]
    if fields is not None:
        next(rows, None)
    _check_header(header, kind)
    if kind == "bills":
        yield from _read_bills(rows, header)
        return
    for line, row, source in rows:
        try:
            yield Item(line, _dump(_nested(_fields(header, row))), source)
        except Invalid as refusal:
            yield Refused(line, refusal, source)


def read_focus(lines: Lines) -> tuple[Charges, Iterator[Refused]]:
    """The charges, which are complete once all refused rows were taken."""
    rows = _rows(lines)
    charges = Charges(next(rows, (0, [], b""))[1])

    def refused() -> Iterator[Refused]:
        for line, row, source in rows:
            try:
                charges.add(line, row)
            except Invalid as refusal:
                yield Refused(line, refusal, source)

    return charges, refused()


def as_items(values: Iterable[dict[str, Any]]) -> Iterator[Item]:
    """Values that were made here, numbered from 1."""
    for number, value in enumerate(values, start=1):
        yield Item(number, _dump(value), b"")


def columns_of(text: str, delimiter: str) -> list[str]:
    """The columns as the first row of the text has them; raises Invalid where that is no CSV."""
    first = next(_rows(Lines(io.BytesIO(text.encode())), delimiter), (0, [], b""))
    return [name.strip() for name in first[1]]


def _rows(lines: Lines, delimiter: str = ",") -> Iterator[tuple[int, list[str], bytes]]:
    """The line on which each row begins, its values, and its text."""
    csv.field_size_limit(MAX_LINE)
    reader = csv.reader(lines.text(), strict=True, delimiter=delimiter)
    while True:
        lines.recent.clear()
        begins = lines.number + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise Invalid(
                "import.csv",
                f"Line {begins} is not CSV: {error}",
                "Put values with commas, quotation marks or line breaks in quotation marks, and double those inside.",
            ) from None
        if row is None:
            return
        if row:
            yield begins, row, lines.taken()


def _check_header(header: list[str], kind: str) -> None:
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise Invalid("import.header", f"The column {twice!r} stands twice.", "Name each column once.", twice)
    needed = "id" if kind != "externalmappings" else "externalId"
    if needed not in header:
        raise Invalid(
            "import.header",
            f"The column {needed!r} is missing; the first line has {', '.join(header[:8]) or 'nothing'}.",
            "The first line names the columns as the API names the fields; fields of line items as lineItems.quantity.",
            needed,
        )


def _fields(header: list[str], row: list[str]) -> dict[str, Any]:
    if len(row) != len(header):
        raise Invalid(
            "import.row",
            f"The row has {len(row)} values, but there are {len(header)} columns.",
            "Quote values that contain commas, quotation marks or line breaks.",
        )
    return {name: _value(name, text) for name, text in zip(header, row, strict=True) if name and text != ""}


def _value(name: str, text: str) -> Any:
    """The text as the wire's kind of value; what cannot be read stays text, which the server refuses by its field."""
    last = name.rpartition(".")[2]
    if last in BOOLEANS:
        return {"true": True, "false": False}.get(text.lower(), text)
    if last in NUMBERS:
        try:
            number = Decimal(text)
        except DecimalException:
            return text
        if not number.is_finite():
            return text
        return int(number) if number == number.to_integral_value() and abs(number.adjusted()) < 18 else number
    return text


def _nested(fields: dict[str, Any]) -> dict[str, Any]:
    """Names with a point as objects: `address.country` becomes a field of `address`."""
    value: dict[str, Any] = {}
    for name, inner in fields.items():
        outer, point, rest = name.partition(".")
        if point:
            value.setdefault(outer, {})[rest] = inner
        else:
            value[outer] = inner
    return value


def _read_bills(rows: Iterator[tuple[int, list[str], bytes]], header: list[str]) -> Iterator[Item | Refused]:
    seen: set[str] = set()
    place = header.index("id")
    for identity, group in groupby(rows, lambda each: each[1][place] if place < len(each[1]) else ""):
        members = list(group)
        line, source = members[0][0], b"".join(text for _, _, text in members)
        try:
            if identity in seen:
                raise _apart(identity)
            seen.add(identity)
            parsed = []
            for line, row, _ in members:
                parsed.append((line, _fields(header, row)))
            yield Item(members[0][0], _dump(_bill(parsed)), source)
        except Invalid as refusal:
            yield Refused(line, refusal, source, identity or None)


def _bill(rows: list[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    """The bill that the rows make together: its own fields once, a line item for each."""
    bill: dict[str, Any] = {}
    items = []
    for line, row in rows:
        for name, value in row.items():
            if name.startswith(LINE_PREFIX):
                continue
            if bill.setdefault(name, value) != value:
                raise Invalid(
                    "import.differs",
                    f"On line {line}, {name} is {value}, but an earlier row of the bill says {bill[name]}.",
                    "Give a bill's own fields alike on all its rows, or on its first row only.",
                    name,
                )
        item = {name.removeprefix(LINE_PREFIX): row[name] for name in row if name.startswith(LINE_PREFIX)}
        if item:
            items.append(_nested(item))
    return {**_nested(bill), "lineItems": items}


def _apart(identity: str) -> Invalid:
    return Invalid(
        "import.apart",
        f"The rows of the bill {identity} do not stand together.",
        "Sort the file by the column id.",
        "id",
    )


def _too_long() -> Invalid:
    return Invalid("import.too_long", f"The line is longer than {MAX_LINE // 1024 // 1024} MB.", "Split the bill.")


def _dump(value: dict[str, Any]) -> bytes:
    return json_text.dump(value).encode()
