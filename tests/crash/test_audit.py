"""The comparison with the books finds what is wrong: without that the proof would prove nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.crash.bills import Bill, Verdict, audit

SENT = {"b1": {1: Bill("b1", "a1", (100, 250)), 2: Bill("b1", "a1", (99,))}}


def invoice(revision: int, total: int, **more: Any) -> dict[str, Any]:
    tags = {"bill_id": "b1", "bill_revision": str(revision)}
    return {"id": "in_1", "status": "open", "total": total, "emails": 1, "metadata": tags, **more}


def judged(
    *invoices: dict[str, Any], held: tuple[str, ...] = (), customers: int = 1, messages: tuple[str, ...] = ("b1",)
) -> Verdict:
    people = [{"metadata": {"billing_account_id": "a1"}}] * customers
    return audit(SENT, held, {"invoices": invoices, "customers": people}, messages)


def test_one_invoice_of_the_newest_version_is_right() -> None:
    assert judged(invoice(2, 99)) == Verdict(1, 0, 0, 0, [])


def test_an_older_invoice_is_right_where_the_newer_version_is_held_for_a_person() -> None:
    assert judged(invoice(1, 350), held=("b1",)) == Verdict(1, 0, 0, 0, [])


def test_a_void_invoice_does_not_count() -> None:
    assert judged(invoice(1, 350, status="void"), invoice(2, 99)).duplicates == 0


@pytest.mark.parametrize(
    ("invoices", "customers", "expected"),
    [
        ((invoice(2, 99), invoice(2, 99)), 1, (1, 0, 0)),
        ((invoice(2, 99, emails=2),), 1, (1, 0, 0)),
        ((invoice(2, 99),), 2, (1, 0, 0)),
        ((invoice(2, 99), invoice(1, 1, metadata={})), 1, (1, 0, 0)),
        ((), 1, (0, 1, 0)),
        ((invoice(1, 350),), 1, (0, 1, 0)),
        ((invoice(2, 99, status="draft"),), 1, (0, 1, 0)),
        ((invoice(2, 99, emails=0),), 1, (0, 1, 0)),
        ((invoice(2, 350),), 1, (0, 0, 1)),
    ],
)
def test_what_is_wrong_is_counted_and_told(
    invoices: tuple[dict[str, Any], ...], customers: int, expected: tuple[int, int, int]
) -> None:
    verdict = judged(*invoices, customers=customers)
    assert (verdict.duplicates, verdict.lost, verdict.wrong_total) == expected
    assert len(verdict.told) == 1


def test_a_bill_of_which_the_receiver_was_never_told_is_lost() -> None:
    assert judged(invoice(2, 99), messages=()) == Verdict(1, 0, 1, 0, ["lost: the receiver was never told of b1"])
