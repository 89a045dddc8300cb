"""Which bills an integration sends, and why not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from tollbridge.domain.integrations import (
    BillFacts,
    BillOptions,
    Filtered,
    Scope,
    Split,
    Verdict,
    decide,
    read_layer,
    scope_of,
)

BILL = BillFacts("bill", 1, "a", date(2026, 10, 31), "PENDING")


def _filter(**came_to: Any) -> Scope:
    return Scope(account_filter="currency == USD", filtered=Filtered(**came_to))


@pytest.mark.parametrize(
    ("scope", "verdict", "word"),
    [
        (Scope(), Verdict.SEND, "in scope"),
        (Scope(account_ids=("a",)), Verdict.SEND, "in scope"),
        (Scope(account_ids=("b",)), Verdict.OUT_OF_SCOPE, "not among the integration's account ids"),
        (Scope(restricted_account_ids=("a",)), Verdict.OUT_OF_SCOPE, "restricted account ids"),
        (Scope(("a",), ("a",)), Verdict.OUT_OF_SCOPE, "restricted account ids"),
        (Scope(send_from=date(2026, 10, 31)), Verdict.SEND, "in scope"),
        (Scope(send_from=date(2026, 11, 1)), Verdict.TOO_OLD, "2026-11-01"),
        (Scope(approved_only=True), Verdict.AWAITS_APPROVAL, "approved"),
        (_filter(), Verdict.SEND, "in scope"),
        (_filter(left_out=frozenset("a")), Verdict.OUT_OF_SCOPE, "account filter: currency == USD"),
        (_filter(undecided={"a": "division by zero"}), Verdict.UNDECIDED, "division by zero"),
        (replace(_filter(undecided={"a": "?"}), approved_only=True), Verdict.AWAITS_APPROVAL, "approved"),
        (replace(_filter(undecided={"a": "?"}), restricted_account_ids=("a",)), Verdict.OUT_OF_SCOPE, "restricted"),
    ],
)
def test_the_scope_decides_and_says_why(scope: Scope, verdict: Verdict, word: str) -> None:
    decided, reason = decide(scope, BILL)
    assert decided is verdict
    assert word in reason


def test_a_scope_whose_filter_was_not_applied_decides_nothing() -> None:
    with pytest.raises(ValueError, match="not applied"):
        decide(Scope(account_filter="currency == USD"), BILL)


def test_an_approved_bill_is_sent_where_only_approved_ones_are() -> None:
    assert decide(Scope(approved_only=True), replace(BILL, status="APPROVED"))[0] is Verdict.SEND


def test_an_approval_does_not_lift_the_cut_over() -> None:
    scope = Scope(send_from=date(2026, 11, 1), approved_only=True)
    assert decide(scope, replace(BILL, status="APPROVED"))[0] is Verdict.TOO_OLD


def test_a_layer_is_read_out_of_options_that_lie_side_by_side() -> None:
    stored = {"finish": "draft", "sendFrom": "2026-10-01", "accountIds": ["a"], "splitUsageLines": "PRODUCT"}
    assert read_layer(BillOptions, stored).split_usage_lines is Split.PRODUCT
    assert scope_of(stored) == Scope(("a",), (), date(2026, 10, 1), False)
    assert scope_of({"accountFilter": "currency == USD"}).account_filter == "currency == USD"
    assert scope_of({"accountFilter": ""}) == Scope()
    with pytest.raises(ValidationError):
        read_layer(BillOptions, {"sendFrom": "soon"})
