"""Which address leads where: words win over ids, and no id that a caller may bring is such a word."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from tollbridge.api.app import ROUTERS
from tollbridge.api.permissions import routes_of
from tollbridge.api.wire import ORG
from tollbridge.domain.common_fields import RESERVED_IDS

ROUTES = [
    (method, route.path.removeprefix(ORG).strip("/").split("/"))
    for route in routes_of(ROUTERS)
    for method in route.methods or ()
]
THEIRS = {"accounts", "products", "bills", "externalmappings"}
"""Entities whose ids callers may bring."""


def test_words_win_over_ids() -> None:
    for first, second in overlapping():
        words = [not is_parameter(part) for part in first]
        assert words >= [not is_parameter(part) for part in second], (first, second)


def test_no_id_that_a_caller_brings_is_a_word_of_an_address() -> None:
    shadowing = {
        word
        for first, second in overlapping()
        for word, parameter in zip(first, second, strict=True)
        if not is_parameter(word) and (parameter == "{entityId}" or (is_parameter(parameter) and second[0] in THEIRS))
    }
    assert {"latest", "search", "steps"} <= shadowing <= RESERVED_IDS


def overlapping() -> Iterator[tuple[list[str], list[str]]]:
    """Pairs of addresses that one request could mean, in the order in which they are tried."""
    for (method, first), (other, second) in combinations(ROUTES, 2):
        if method == other and len(first) == len(second) and first != second:
            pairs = list(zip(first, second, strict=True))
            if all(a == b or is_parameter(a) or is_parameter(b) for a, b in pairs):
                yield first, second


def is_parameter(part: str) -> bool:
    return part.startswith("{")
