"""What commands print: data on stdout, everything else on stderr.

A table on a terminal, lines with tabs when piped, JSON where asked: one value per line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import typer

from tollbridge.domain import json_text
from tollbridge.domain.money import plain

STYLES = {
    "COMPLETE": "green",
    "CONNECTED": "green",
    "VALID": "green",
    "STARTED": "cyan",
    "WAITING": "cyan",
    "AWAITING_RETRY": "yellow",
    "RATE_LIMIT_RETRY": "yellow",
    "DISABLED": "yellow",
    "DISCONNECTED": "yellow",
}
"""Colours of states; every other state in these columns is trouble."""


_quiet = False


def set_quiet(quiet: bool) -> None:
    """Leave out, in this process, what `say` says."""
    global _quiet
    _quiet = quiet


def say(text: str) -> None:
    """A sentence for a person, on stderr; errors are not said but complained of."""
    if not _quiet:
        typer.echo(text, err=True)


def put(text: str) -> None:
    """A line of data, on stdout."""
    typer.echo(text)


def put_json(value: Any) -> None:
    """A value as one line of JSON, on stdout."""
    put(json_text.dump(value))


def put_rows(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str], *, as_json: bool, empty: str) -> None:
    """Rows by `columns` (field → heading); `empty` is said where there is none."""
    found = list(rows)
    if as_json:
        for row in found:
            put_json(row)
        return
    cells = [[_cell(row.get(name)) for name in columns] for row in found]
    if not cells:
        say(empty)
    elif sys.stdout.isatty():
        _table(list(columns), list(columns.values()), cells)
    else:
        for line in cells:
            put("\t".join(line))


def _table(names: Sequence[str], headings: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for line in cells:
        table.add_row(*(Text(cell, style_of(name, cell)) for name, cell in zip(names, line, strict=True)))
    Console().print(table)


def style_of(column: str, value: str) -> str:
    """The colour of a cell: only states have one."""
    return STYLES.get(value, "red") if column in ("status", "connectionStatus") and value else ""


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if hasattr(value, "as_tuple"):
        return plain(value)
    return " ".join(str(value).split())


def moment(text: str | None) -> datetime | None:
    """A moment of the wire, aware UTC."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def show_moment(text: str | None) -> str:
    """A moment of the wire for people, in UTC, to the second."""
    at = moment(text)
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def sums(totals: Mapping[str, Any]) -> str:
    """Sums by currency for people."""
    return ", ".join(f"{plain(Decimal(total))} {currency}" for currency, total in sorted(totals.items()))


def in_brackets(totals: Mapping[str, Any]) -> str:
    """The same behind a count; nothing where there are none."""
    return f" ({sums(totals)})" if totals else ""
