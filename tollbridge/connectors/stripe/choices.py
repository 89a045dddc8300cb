"""What Stripe holds from which a person chooses: customers for mappings, tax rates for options. Reads only."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any

from tollbridge.connectors.base import chunked
from tollbridge.connectors.stripe.look_ups import get
from tollbridge.domain.choices import EMAIL, NAME, Asked, Thing
from tollbridge.domain.flows import Flow, Found, Reply, Step

CLAUSES = 10
"""The most clauses of one search query."""
SHORTEST_PART = 3
"""Characters with which a search finds parts of words; shorter ones must be the whole."""
PAGES = 10
"""Lists that cannot be searched are read so far."""
_ID = re.compile(r"cus_\w+")
_NO_SEARCH = frozenset({400, 404})
"""Where Stripe offers no search, as in India."""

Pages = Generator[Step, Reply, list[Mapping[str, Any]]]


def customers(asked: Asked) -> Flow:
    """Customers with the words in name or e-mail address, or with that id; or with one of the marks."""
    if asked.marks:
        return Found(tuple(map(_customer, (yield from _with_marks(asked.marks)))))
    words = asked.words.strip()
    # Nothing else may stand in the path: what is typed here is asked for with the key.
    if _ID.fullmatch(words):
        reply = yield Step("Read the customer", get(f"/v1/customers/{words}"), "customer", accept=frozenset({404}))
        return Found((_customer(reply.json),) if reply.ok and not reply.json.get("deleted") else ())
    if not words:
        reply = yield Step("List customers", get("/v1/customers", {"limit": asked.limit}), "customers")
        return _found(reply)
    query = {"query": _either((name, words) for name in (NAME, EMAIL)), "limit": asked.limit}
    reply = yield Step("Search customers", get("/v1/customers/search", query), "search", accept=_NO_SEARCH)
    if reply.ok:
        return _found(reply)
    only = {"email": words} if "@" in words else {}
    reply = yield Step("List customers", get("/v1/customers", {**only, "limit": 100}), "customers")
    fits = [each for each in map(_customer, reply["data"]) if words.casefold() in each.label.casefold()]
    return Found(tuple(fits[: asked.limit]), more=bool(reply["has_more"]))


def tax_rates(asked: Asked) -> Flow:
    """Exclusive tax rates in use with all the words in what they are called."""
    words, found, after = asked.words.casefold().split(), list[Thing](), None
    for number in range(PAGES):
        query = {"active": True, "inclusive": False, "limit": 100, "starting_after": after}
        reply = yield Step("List tax rates", get("/v1/tax_rates", query), f"rates:{number}")
        named = [_tax_rate(each) for each in reply["data"]]
        found += [each for each in named if all(word in f"{each.label} {each.id}".casefold() for word in words)]
        if len(found) > asked.limit or not reply["has_more"]:
            break
        after = reply["data"][-1]["id"]
    return Found(tuple(islice(found, asked.limit)), more=len(found) > asked.limit or bool(reply["has_more"]))


def _with_marks(marks: Sequence[tuple[str, str]]) -> Pages:
    """Every customer that has one of the marks, once."""
    found: dict[str, Mapping[str, Any]] = {}
    for number, some in enumerate(chunked(marks, CLAUSES)):
        page: str | None = None
        for turn in range(PAGES):
            query = {"query": _either(some, whole=True), "limit": 100, "page": page}
            reply = yield Step("Search customers", get("/v1/customers/search", query), f"search:{number}:{turn}")
            found |= {each["id"]: each for each in reply["data"]}
            page = reply.json.get("next_page")
            if not page:
                break
    return list(found.values())


def _either(marks: Any, *, whole: bool = False) -> str:
    """The search for what has one of the marks."""
    return " OR ".join(_clause(name, value, whole) for name, value in marks)


def _clause(name: str, value: str, whole: bool) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}{':' if whole or len(value) < SHORTEST_PART else '~'}'{escaped}'"


def _found(reply: Reply) -> Found:
    return Found(tuple(map(_customer, reply["data"])), more=bool(reply["has_more"]))


def _customer(customer: Mapping[str, Any]) -> Thing:
    marks = {mark: str(customer[mark]) for mark in (NAME, EMAIL) if customer.get(mark)}
    return Thing(str(customer["id"]), ", ".join(marks.values()) or "without a name", marks)


def _tax_rate(rate: Mapping[str, Any]) -> Thing:
    words = [rate["display_name"], f"{Decimal(rate['percentage']).normalize():f}%", rate.get("jurisdiction")]
    return Thing(str(rate["id"]), " ".join(str(word) for word in words if word))
