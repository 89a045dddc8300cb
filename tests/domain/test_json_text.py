"""JSON with exact decimals, strict in what it takes."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbridge.domain import json_text
from tollbridge.domain.json_text import MAX_DEPTH

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | st.decimals(allow_nan=False, allow_infinity=False, places=11),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_reads_back_exactly(value: object) -> None:
    assert json_text.parse(json_text.dump(value)) == value


def test_no_digit_of_a_number_is_lost() -> None:
    text = '{"amount":1234567890123456789012345.00000000001}'
    assert json_text.parse(text)["amount"] == Decimal("1234567890123456789012345.00000000001")
    assert json_text.dump(json_text.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"\xff", "utf-8"),
        ("[NaN]", "NaN is not JSON"),
        ("[-Infinity]", "Infinity is not JSON"),
        ('{"a":1,"a":2}', "the key 'a' stands twice"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested deeper than 40 levels"),
        ("[" * 100_000 + "]" * 100_000, "nested deeper than 40 levels"),
        ("{", "line 1 column 2"),
        ("", "line 1 column 1"),
    ],
)
def test_what_is_not_sound_json_is_refused_with_the_reason(text: str | bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        json_text.parse(text)


def test_the_deepest_nesting_allowed_is_taken() -> None:
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert json_text.dump(json_text.parse(text)) == text
