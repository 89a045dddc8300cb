"""The helpers that connectors share."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.contracts import nested
from tollbridge.connectors.base import chunked, connector_of, cut, form_pairs

NAMES = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
FORMS = st.dictionaries(
    NAMES,
    st.recursive(
        st.text(max_size=5),
        lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
        max_leaves=10,
    ),
    max_size=4,
)


@given(FORMS)
def test_a_form_reads_back_as_it_was(value: dict[str, Any]) -> None:
    assert nested(form_pairs(value)) == value


def test_brackets_name_the_place() -> None:
    value = {"lines": [{"amount": -5, "metadata": {"line_id": "l1"}}], "auto_advance": False, "memo": ""}
    assert form_pairs(value) == (
        ("lines[0][amount]", "-5"),
        ("lines[0][metadata][line_id]", "l1"),
        ("auto_advance", "false"),
        ("memo", ""),
    )


def test_what_is_none_or_empty_is_left_out() -> None:
    assert form_pairs({"a": None, "b": {}, "c": [], "d": {"e": None}, "f": 0}) == (("f", "0"),)


@pytest.mark.parametrize("value", [0.1, Decimal("0.1"), b"x", object()])
def test_what_has_no_exact_text_is_refused_by_name(value: object) -> None:
    with pytest.raises(TypeError, match=r"lines\[0\]\[amount\] is a "):
        form_pairs({"lines": [{"amount": value}]})


def test_a_system_is_found_without_case() -> None:
    for name in ("stripe_test", "STRIPE-TEST", "Stripe_Test"):
        found = connector_of(name)
        assert found is not None
        assert found.key == "stripe"
    assert connector_of("stripes") is None


def test_chunks_keep_order_and_size() -> None:
    assert [list(chunk) for chunk in chunked([1, 2, 3, 4, 5], 2)] == [[1, 2], [3, 4], [5]]
    assert list(chunked([], 2)) == []


def test_a_cut_text_is_exactly_as_long_as_allowed() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
