"""Queries become conditions over named fields, and what is wrong in one is said of that condition."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from tollbridge.domain.errors import Invalid
from tollbridge.domain.search import MAX_CONDITIONS, Condition, Kind, Span, read_query, sortable

FIELDS = {"name": Kind.TEXT, "day": Kind.DAY, "at": Kind.MOMENT, "locked": Kind.FLAG, "ids": Kind.AMONG}


def test_conditions_are_joined_by_dollars_and_keep_what_stands_behind_the_first_comparator() -> None:
    found = read_query("name~A:B > c$ day >=2026-01-31$locked:TRUE$ids:a, b", FIELDS)
    assert [(each.field, each.comparator.value, each.value) for each in found] == [
        ("name", "~", "A:B > c"),
        ("day", ">=", date(2026, 1, 31)),
        ("locked", ":", True),
        ("ids", ":", ["a", "b"]),
    ]
    assert read_query("  ", FIELDS) == []


@pytest.mark.parametrize(
    ("value", "start", "end"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)),
        (
            "2026-01-31T13:00:00.5+01:00",
            datetime(2026, 1, 31, 12, 0, 0, 500_000, UTC),
            datetime(2026, 1, 31, 12, 0, 0, 501_000, UTC),
        ),
    ],
)
def test_a_day_means_all_of_it_and_a_moment_its_millisecond(value: str, start: datetime, end: datetime) -> None:
    [condition] = read_query(f"at:{value}", FIELDS)
    assert isinstance(condition, Condition)
    assert condition.value == Span(start, end)


@pytest.mark.parametrize(
    ("query", "words", "hint"),
    [
        ("name:a$nonsense", '"nonsense" of searchQuery is none', "name~Acme"),
        ("name:a$$day:2026-01-01", '""', "join conditions"),
        ("nam:a", "names nam", "name"),
        ("locked>true", "compares locked by >", "by :"),
        ("day~2026-01-01", "compares day by ~", ">="),
        ("day:soon", 'compares day with "soon"', "2026-01-31"),
        ("at:9999-12-31", "compares at", "moment"),
        ("name:", "compares name", "1 to 500"),
        (f"name:{'x' * 501}", "compares name", "1 to 500"),
        ("name:a$" * MAX_CONDITIONS + "name:a", "51 conditions", "fewer"),
        ("name:\x00", "U+0000", "Remove"),
    ],
)
def test_a_condition_that_is_not_right_is_named(query: str, words: str, hint: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_query(query, FIELDS)
    assert words in refused.value.message
    assert hint in str(refused.value.hint)
    assert refused.value.field == "searchQuery"


def test_one_sorts_by_single_fields_only() -> None:
    assert sortable("day", FIELDS) == "day"
    with pytest.raises(Invalid, match="sortBy"):
        sortable("ids", FIELDS)
