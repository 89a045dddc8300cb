"""Lists with cursors, search pages, range filters and the expansion of ids: what many endpoints share."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from itertools import dropwhile, islice, takewhile
from typing import Any, TypeVar, cast

from tollbridge.sandbox.stripe.books import Books, Record
from tollbridge.sandbox.stripe.errors import ParameterError, StripeError, no_such

T = TypeVar("T")
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}


def page(
    rows: Iterable[T],
    given: Record,
    url: str,
    *,
    noun: str,
    known: Container[str],
    keep: Callable[[T], bool] = lambda row: True,
    show: Callable[[T], Record] = lambda row: cast(Record, row),
    id_of: Callable[[T], str] = lambda row: str(cast(Record, row)["id"]),
) -> Record:
    """One page of rows that are in Stripe's order (newest first, lines oldest first).

    A cursor may be any `known` id, also of a row that the filter `keep` leaves out: it marks a place in the order.
    """
    limit = _limit(given)
    after, before = given.get("starting_after"), given.get("ending_before")
    if after is not None and before is not None:
        message = "You may only specify one of these parameters: ending_before, starting_after."
        raise ParameterError(message, code="parameters_exclusive")
    for name, cursor in (("starting_after", after), ("ending_before", before)):
        if cursor is not None and cursor not in known:
            raise no_such(noun, cursor, name)
    if before is not None:
        found = list(filter(keep, takewhile(lambda row: id_of(row) != before, rows)))
        shown = found[-limit:]
    else:
        rest = dropwhile(lambda row: after is not None and id_of(row) != after, rows)
        found = list(islice(filter(keep, islice(rest, 0 if after is None else 1, None)), limit + 1))
        shown = found[:limit]
    return {"object": "list", "url": url, "has_more": len(found) > limit, "data": [show(row) for row in shown]}


def search_page(books: Books, kind: str, table: dict[str, Record], given: Record, url: str) -> Record:
    """One page of search results. The page token is the position; `total_count` only where expanded."""
    limit, start = _limit(given), given.get("page", "0")
    if not start.isdecimal():
        raise StripeError(f"Invalid page: {start}", param="page")
    ids = [id for id in books.search[kind].find(given["query"], books.clock.now()) if id in table]
    first = int(start)
    more = len(ids) > first + limit
    return {
        "object": "search_result",
        "url": url,
        "has_more": more,
        "next_page": str(first + limit) if more else None,
        "total_count": len(ids),
        "data": [table[id] for id in islice(ids, first, first + limit)],
    }


def within(value: int | None, bounds: Record | None) -> bool:
    """Whether a moment is inside a range filter; no filter lets everything pass."""
    if bounds is None:
        return True
    return value is not None and all(_COMPARE[op](value, bound) for op, bound in bounds.items())


def expand(books: Books, answer: Record, paths: list[str]) -> Record:
    """Replace ids by the objects that they name, as `expand[]=data.customer` asks."""
    for path in paths:
        answer = _expanded(books, answer, path.split("."), path)
    return answer


def _expanded(books: Books, value: Any, path: list[str], whole: str) -> Any:
    if isinstance(value, list):
        return [_expanded(books, each, path, whole) for each in value]
    if not isinstance(value, dict) or path[0] not in value:
        message = f"This property cannot be expanded ({whole})."
        raise StripeError(message, param="expand")
    inner = value[path[0]]
    if not isinstance(inner, dict | list | None):
        inner = _resolved(books, inner, whole)
    if len(path) > 1 and inner is not None:
        inner = _expanded(books, inner, path[1:], whole)
    return {**value, path[0]: inner}


def _resolved(books: Books, id: Any, whole: str) -> Record:
    tables = (books.customers, books.deleted_customers, books.invoices, books.products, books.tax_rates)
    for table in (*tables, books.credit_notes):
        if id in table:
            return table[id]
    message = f"This property cannot be expanded ({whole})."
    raise StripeError(message, param="expand")


def _limit(given: Record) -> int:
    limit = int(given.get("limit", 10))
    if not 1 <= limit <= 100:
        bound = "less than or equal to 100" if limit > 100 else "greater than or equal to 1"
        raise ParameterError(f"This value must be {bound}.", param="limit")
    return limit
