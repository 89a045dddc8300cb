"""A file that a person uploads or pastes: its columns are matched with fields, and it is tried before it is kept."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollbridge.domain import json_text
from tollbridge.domain.bill_shape import BILL, LINE
from tollbridge.domain.catalog import EXTERNAL_MAPPING
from tollbridge.domain.errors import Invalid
from tollbridge.services import imports, sources
from tollbridge.services.caller import Caller
from tollbridge.services.imports import Noun, RefusedLine
from tollbridge.services.sources import LINE_PREFIX, Item, Lines, Refused
from tollbridge.services.taken_in import Put
from tollbridge.store.db import Database

MAX_TEXT = 4 * 1024 * 1024
"""Bytes of one sheet; longer files are for `tollbridge import`."""
_DELIMITERS = ",;\t"
_ALIASES = {
    "billid": "id",
    "invoiceid": "id",
    "account": "accountId",
    "customer": "accountId",
    "customerid": "accountId",
    "customercode": "accountCode",
    "date": "billDate",
    "invoicedate": "billDate",
    "total": "billTotal",
    "amount": "billTotal",
    "invoicenumber": "sequentialInvoiceNumber",
    "description": "lineItems.description",
    "quantity": "lineItems.quantity",
    "unitprice": "lineItems.averageUnitPrice",
    "lineamount": "lineItems.subtotal",
    "subtotal": "lineItems.subtotal",
    "type": "lineItems.lineItemType",
    "entity": "m3terEntity",
    "entityid": "m3terId",
    "system": "externalSystem",
    "table": "externalTable",
}
"""How other programs call the fields, in small letters without anything between them."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a file says. `columns` are those of a CSV as it names them, `fields` where each of them goes (an empty text
    leaves it out); both are empty for JSON lines. `wrong` says why its rows could not be read at all."""

    noun: Noun
    columns: Sequence[str]
    fields: Sequence[str]
    items: Sequence[Item]
    refused: Sequence[Refused]
    wrong: Invalid | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One that was or would be taken in, by the line of the file on which it begins."""

    line: int
    value: Mapping[str, Any]
    put: Put


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became, or would become, of a sheet; `decisions` counts bills by integration and verdict."""

    rows: Sequence[Row]
    refused: Sequence[RefusedLine]
    decisions: Counter[tuple[str, str]]

    @property
    def counts(self) -> Counter[str]:
        """Rows by what became of them: created, updated, unchanged."""
        return Counter(row.put.outcome for row in self.rows)


def fields_of(noun: Noun) -> list[str]:
    """The fields to which a column can go."""
    if noun is not Noun.BILLS:
        return list(EXTERNAL_MAPPING.fields)
    lines = [LINE_PREFIX + name for name in _plain(LINE.schema)]
    return ["id", *_plain(BILL.schema), *lines]


def read(noun: Noun, text: str, chosen: Sequence[str] = ()) -> Sheet:
    """The sheet; `chosen` are the fields of its columns, where somebody chose them."""
    if text.lstrip().startswith("{"):
        return _sorted(noun, (), (), list(sources.read_jsonl(_lines(text))))
    delimiter = _delimiter(text)
    columns: list[str] = []
    fields: Sequence[str] = ()
    try:
        columns = sources.columns_of(text, delimiter)
        fields = chosen if len(chosen) == len(columns) else _guessed(noun, columns)
        found = list(sources.read_csv(_lines(text), noun, fields, delimiter))
    except Invalid as refusal:
        return Sheet(noun, columns, fields, (), (), refusal)
    return _sorted(noun, columns, fields, found)


async def take_in(db: Database, caller: Caller, sheet: Sheet, *, keep: bool) -> Outcome:
    """Import the sheet, or find out what would become of it and keep nothing."""
    report = await imports.take_in(db, caller, sheet.noun, _chunks(sheet.items), keep=keep)
    rows = [Row(sheet.items[line - 1].line, _value(sheet.items[line - 1]), put) for line, put in report.puts]
    there = [RefusedLine(sheet.items[each.line - 1].line, each.id, each.refusal) for each in report.refused]
    here = [RefusedLine(each.line, each.id, each.refusal) for each in sheet.refused]
    return Outcome(rows, sorted([*here, *there], key=lambda each: each.line), report.decisions)


async def _chunks(items: Sequence[Item]) -> AsyncIterator[bytes]:
    for item in items:
        yield item.text + b"\n"


def _sorted(noun: Noun, columns: Sequence[str], fields: Sequence[str], found: Sequence[Item | Refused]) -> Sheet:
    items = [each for each in found if isinstance(each, Item)]
    return Sheet(noun, columns, fields, items, [each for each in found if isinstance(each, Refused)])


def _value(item: Item) -> Mapping[str, Any]:
    value: Mapping[str, Any] = json_text.parse(item.text)
    return value


def _lines(text: str) -> Lines:
    return Lines(io.BytesIO(text.encode()))


def _delimiter(text: str) -> str:
    """What stands between the columns: what the first line has most of."""
    first = text.lstrip().partition("\n")[0]
    return max(_DELIMITERS, key=first.count)


def _guessed(noun: Noun, columns: Sequence[str]) -> list[str]:
    """Where each column goes by its name: as the API has it, or as others call it; the first that fits has it."""
    known = fields_of(noun)
    by_letters = {_letters(name): name for name in reversed(known)}
    taken: list[str] = []
    for column in columns:
        letters = _letters(column)
        field = column if column in known else by_letters.get(letters) or _ALIASES.get(letters, "")
        taken.append(field if field in known and field not in taken else "")
    return taken


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _plain(schema: Mapping[str, Any]) -> list[str]:
    """The fields that one value of a row can fill."""
    return [name for name, each in schema["properties"].items() if each.get("type") not in ("array", "object")]
