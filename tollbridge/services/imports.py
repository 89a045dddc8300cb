"""Bulk imports: lines of JSON, each taken in or refused on its own, many in one transaction.

A batch holds an id once at most, so that two lines about the same bill count in their order.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from tollbridge.domain import json_text
from tollbridge.domain.bill_input import BillInput, read_bill
from tollbridge.domain.errors import Invalid, Refusal
from tollbridge.domain.ndjson import Splitter
from tollbridge.services import clock
from tollbridge.services.accounts import ACCOUNTS
from tollbridge.services.bill_intake import put_many
from tollbridge.services.caller import Caller
from tollbridge.services.external_mappings import EXTERNAL_MAPPINGS
from tollbridge.services.products import PRODUCTS
from tollbridge.services.submissions import EventImporter
from tollbridge.services.taken_in import Put, Taken
from tollbridge.store import bulk
from tollbridge.store.db import Database, Tx

MAX_LINE = 10 * 1024 * 1024
"""Bytes of one line."""

MAX_LINES = 100_000
"""Lines of one import."""

BATCH_ITEMS = 500
BATCH_BYTES = 4 * 1024 * 1024
"""A transaction ends with the line that reaches either."""

_BREATHE = 50
"""Lines after which other requests have their turn."""


class Noun(StrEnum):
    """What can be imported, as it stands in the address."""

    ACCOUNTS = "accounts"
    PRODUCTS = "products"
    BILLS = "bills"
    EXTERNAL_MAPPINGS = "externalmappings"
    EVENTS = "events"


class Importer(Protocol):
    """What an import needs of a noun."""

    def read(self, value: Any) -> Any:
        """Check one that came in; raises Invalid."""

    def alone(self, item: Any) -> str | None:
        """An id that may stand in a batch only once, or None."""

    async def put_many(self, tx: Tx, caller: Caller, items: Sequence[Any], now: datetime) -> list[Taken]:
        """Create or replace; each stands or falls alone."""


class _Bills:
    def read(self, value: Any) -> BillInput:
        # A file may come from elsewhere and comes again: its versions are not ours.
        return replace(read_bill(value), version=None)

    def alone(self, item: BillInput) -> str:
        return item.id

    async def put_many(self, tx: Tx, caller: Caller, items: Sequence[BillInput], now: datetime) -> list[Taken]:
        return await put_many(tx, caller, items, now)


IMPORTERS: Mapping[Noun, Importer] = {
    Noun.ACCOUNTS: ACCOUNTS,
    Noun.PRODUCTS: PRODUCTS,
    Noun.BILLS: _Bills(),
    Noun.EXTERNAL_MAPPINGS: EXTERNAL_MAPPINGS,
    Noun.EVENTS: EventImporter(),
}


@dataclass(frozen=True, slots=True)
class RefusedLine:
    line: int
    id: str | None
    refusal: Refusal


@dataclass(slots=True)
class Report:
    """What became of each line; `decisions` counts bills by integration and verdict."""

    puts: list[tuple[int, Put]] = field(default_factory=list)
    refused: list[RefusedLine] = field(default_factory=list)
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Read:
    line: int
    size: int
    item: Any


class _TakenBack(Exception):
    """Ends a transaction of which nothing is kept; carries what was found out."""

    def __init__(self, taken: list[Taken]) -> None:
        super().__init__()
        self.taken = taken


async def take_in(
    db: Database, caller: Caller, noun: Noun, chunks: AsyncIterator[bytes], *, keep: bool = True
) -> Report:
    """Import lines of that noun as they arrive; what is taken in before the stream breaks off stays.

    Where nothing is to be kept, each batch is taken back as soon as it is known what would become of it.
    """
    importer = IMPORTERS[noun]
    report = Report()
    batch: list[_Read] = []
    alone: set[str] = set()
    size = 0
    async for line, raw in _lines(chunks):
        try:
            item = importer.read(_parse(line, raw))
        except Refusal as refusal:
            report.refused.append(RefusedLine(line, _id_in(raw), refusal))
            if line > MAX_LINES:
                break
            continue
        id = importer.alone(item)
        if len(batch) >= BATCH_ITEMS or size >= BATCH_BYTES or id in alone:
            await _put(db, caller, importer, batch, report, keep)
            batch, alone, size = [], set(), 0
        batch.append(_Read(line, len(raw or b""), item))
        size += len(raw or b"")
        if id is not None:
            alone.add(id)
    await _put(db, caller, importer, batch, report, keep)
    report.refused.sort(key=lambda refused: refused.line)
    return report


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes | None]]:
    splitter = Splitter(MAX_LINE)
    async for chunk in chunks:
        for found in splitter.feed(chunk):
            if found[0] % _BREATHE == 0:
                await asyncio.sleep(0)
            yield found
    for found in splitter.finish():
        yield found


def _parse(line: int, raw: bytes | None) -> Any:
    if line > MAX_LINES:
        raise Invalid(
            "import.too_many_lines",
            f"The import has more than {MAX_LINES} lines; this line and those after it were not read.",
            "Send the rest as another import.",
        )
    if raw is None:
        raise Invalid(
            "import.line_too_long",
            f"The line has more than {MAX_LINE} bytes.",
            "Split what it says, or check that lines end in a line feed.",
        )
    try:
        return json_text.parse(raw)
    except ValueError as error:
        raise Invalid("import.json", f"The line is not JSON: {error}.", "Write one JSON object in UTF-8.") from None


def _id_in(raw: bytes | None) -> str | None:
    """The id of a refused line, where it can be told."""
    try:
        value = json_text.parse(raw or b"")
    except ValueError:
        return None
    id = value.get("id") if isinstance(value, dict) else None
    return id[:200] if isinstance(id, str) else None


async def _put(
    db: Database, caller: Caller, importer: Importer, batch: Sequence[_Read], report: Report, keep: bool
) -> None:
    if not batch:
        return
    items = [read.item for read in batch]

    async def work(tx: Tx) -> list[Taken]:
        found = await importer.put_many(tx, caller, items, clock.now())
        if not keep:
            raise _TakenBack(found)
        return found

    try:
        taken = await bulk.settle_races(db, work)
    except _TakenBack as undone:
        taken = undone.taken
    for read, result in zip(batch, taken, strict=True):
        if isinstance(result, Put):
            report.puts.append((read.line, result))
            report.decisions.update((each.integration_id, each.verdict.value) for each in result.decisions)
        else:
            report.refused.append(RefusedLine(read.line, read.item.id, result))
