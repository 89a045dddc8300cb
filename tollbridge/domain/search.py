"""The search language of the wire: conditions joined by `$`, such as `name~Acme$currency:EUR`.

Reads a query into conditions over named fields; which fields a noun has, and where they are stored, others know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import NoReturn

from tollbridge.domain.errors import Invalid
from tollbridge.domain.fields import did_you_mean, printable, read_day, read_instant, shown

MAX_CONDITIONS = 50
MAX_VALUE = 500
"""Characters of one condition's value."""

_CONDITION = re.compile(r"\s*(?P<field>\w+)\s*(?P<comparator>>=|<=|[><:~])(?P<value>.*)", re.DOTALL)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Kind(StrEnum):
    """What a field holds, which decides what it can be compared with."""

    TEXT = "text"
    DAY = "a day as 2026-01-31"
    MOMENT = "a moment as 2026-01-31T12:00:00Z or a day as 2026-01-31"
    FLAG = "true or false"
    AMONG = "values separated by commas"


class Comparator(StrEnum):
    EQUAL = ":"
    LIKE = "~"
    """Contains these words, in capitals or not."""
    MORE = ">"
    LEAST = ">="
    LESS = "<"
    MOST = "<="


_ORDERS = frozenset({Comparator.EQUAL, Comparator.MORE, Comparator.LEAST, Comparator.LESS, Comparator.MOST})
_COMPARATORS: Mapping[Kind, frozenset[Comparator]] = {
    Kind.TEXT: frozenset(Comparator),
    Kind.DAY: _ORDERS,
    Kind.MOMENT: _ORDERS,
    Kind.FLAG: frozenset({Comparator.EQUAL}),
    Kind.AMONG: frozenset({Comparator.EQUAL}),
}


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` until before `end`: a whole day, or the millisecond that a moment is shown as."""

    start: datetime
    end: datetime


Value = str | date | Span | bool | Sequence[str]


@dataclass(frozen=True, slots=True)
class Condition:
    """`value` has the type of the field's kind: str, date, Span, bool or a list of str."""

    field: str
    comparator: Comparator
    value: Value


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked for: conditions of which all must hold, or `any_of` them; sorted; from the `start`th on."""

    query: str = ""
    any_of: bool = False
    sort_by: str | None = None
    descending: bool = False
    start: int = 0
    size: int = 10


def read_query(query: str, fields: Mapping[str, Kind]) -> list[Condition]:
    """The conditions of the query; raises Invalid that names the condition which is not right."""
    printable(query, "searchQuery")
    if not query.strip():
        return []
    parts = query.split("$")
    if len(parts) > MAX_CONDITIONS:
        _refuse(f"searchQuery has {len(parts)} conditions, but may have {MAX_CONDITIONS}.", "Ask for fewer at once.")
    return [_condition(part, fields) for part in parts]


def sortable(name: str, fields: Mapping[str, Kind]) -> str:
    """The field to sort by; raises Invalid where there is no such field, or one cannot sort by it."""
    able = [field for field, kind in fields.items() if kind is not Kind.AMONG]
    if name not in able:
        hint = did_you_mean(name, able) or f"One can sort by {', '.join(able)}."
        raise Invalid("search.sort", f"sortBy is {shown(name)}, by which one cannot sort.", hint, "sortBy")
    return name


def _condition(text: str, fields: Mapping[str, Kind]) -> Condition:
    told = f"The condition {shown(text)}"
    found = _CONDITION.fullmatch(text)
    if found is None:
        _refuse(
            f"{told} of searchQuery is none.",
            "Write field, comparator (: ~ > >= < <=) and value; join conditions by $, as in name~Acme$currency:EUR.",
        )
    name, comparator, value = found["field"], Comparator(found["comparator"]), found["value"].strip()
    kind = fields.get(name)
    if kind is None:
        hint = did_you_mean(name, fields) or f"Known fields are {', '.join(fields)}."
        _refuse(f"{told} names {name}, by which one cannot search.", hint)
    if comparator not in _COMPARATORS[kind]:
        able = " ".join(each for each in Comparator if each in _COMPARATORS[kind])
        _refuse(f"{told} compares {name} by {comparator}.", f"{name} can be compared by {able}")
    read = _read(value, kind) if 0 < len(value) <= MAX_VALUE else None
    if read is None:
        _refuse(f"{told} compares {name} with {shown(value)}.", f"{name} is compared with {_expected(kind)}.")
    return Condition(name, comparator, read)


def _expected(kind: Kind) -> str:
    return f"text of 1 to {MAX_VALUE} characters" if kind is Kind.TEXT else kind.value


def _read(value: str, kind: Kind) -> Value | None:
    match kind:
        case Kind.TEXT:
            return value
        case Kind.DAY:
            return read_day(value)
        case Kind.FLAG:
            return {"true": True, "false": False}.get(value.lower())
        case Kind.AMONG:
            return [part.strip() for part in value.split(",")]
        case Kind.MOMENT:
            return _span(value)


def _span(value: str) -> Span | None:
    day = read_day(value) if _DAY.fullmatch(value) else None
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) if day else read_instant(value.replace(" ", "+"))
    if start is None:
        return None
    try:
        return Span(start, start + (timedelta(days=1) if day else timedelta(milliseconds=1)))
    except OverflowError:
        return None


def _refuse(message: str, hint: str) -> NoReturn:
    raise Invalid("search.condition", message, hint, "searchQuery")
