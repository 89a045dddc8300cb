"""Bills as they are sent: accounting products in place, usage lines joined, every figure exact."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbridge.domain.bill_output import bill_of
from tollbridge.domain.billing import Bill
from tollbridge.domain.integrations import BillOptions, Split
from tollbridge.domain.money import total_of

BODY = {
    "billDate": "2026-10-31",
    "currency": "EUR",
    "billTotal": Decimal("12.50"),
    "dueDate": "2026-11-30",
    "startDate": "2026-10-01",
    "endDate": "2026-11-01",
    "sequentialInvoiceNumber": "INV-1",
}
ACCOUNT = {
    "name": "Acme",
    "code": "acme",
    "emailAddress": "a@acme.example",
    "address": {"country": "DE", "region": None},
}


def line(id: str, subtotal: str = "1.00", **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        "lineItemType": "USAGE",
        "description": f"Line {id}",
        "quantity": Decimal(2),
        "averageUnitPrice": Decimal("0.50"),
        "unit": "GB",
        "subtotal": Decimal(subtotal),
        **more,
    }


def made(*lines: dict[str, Any], split: Split = Split.LINE, accounting: bool = True) -> Bill:
    options = BillOptions(split_usage_lines=split, use_accounting_product=accounting)
    return bill_of("bill", 3, BODY, lines, "acc", ACCOUNT, options)


def test_a_bill_is_read_from_what_the_caller_sent() -> None:
    bill = made(
        line("1", servicePeriodStartDate="2026-10-01T00:00:00Z", servicePeriodEndDate="2026-11-01T01:00:00+01:00")
    )
    assert (bill.id, bill.revision, bill.total, bill.currency) == ("bill", 3, Decimal("12.50"), "EUR")
    assert (bill.bill_date, bill.due_date, bill.end) == (date(2026, 10, 31), date(2026, 11, 30), date(2026, 11, 1))
    assert (bill.account.email, bill.account.address) == ("a@acme.example", {"country": "DE"})
    assert bill.lines[0].service_end == datetime(2026, 11, 1, tzinfo=UTC)


def test_the_converted_subtotal_is_the_amount_where_there_is_one() -> None:
    assert made(line("1", "1.00")).lines[0].subtotal == Decimal("1.00")
    assert made(line("1", "1.00", convertedSubtotal=Decimal("0.92"))).lines[0].subtotal == Decimal("0.92")
    assert made(line("1", "1.00", convertedSubtotal=0)).lines[0].subtotal == 0


def test_an_accounting_product_takes_the_place_of_the_product_if_the_option_says_so() -> None:
    both = line("1", productId="p", productCode="pc", accountingProductId="ap", accountingProductCode="apc")
    assert (made(both).lines[0].product_id, made(both).lines[0].product_code) == ("ap", "apc")
    assert made(both, accounting=False).lines[0].product_id == "p"
    assert made(line("1", productId="p")).lines[0].product_id == "p"


@pytest.mark.parametrize(
    ("split", "ids"),
    [
        (Split.LINE, ["1", "2", "fee", "3", "4"]),
        (Split.AGGREGATION, ["1", "2", "fee", "4"]),
        (Split.PRODUCT, ["1", "fee", "4"]),
        (Split.BILL, ["1", "fee"]),
    ],
)
def test_usage_lines_are_joined_where_the_first_of_them_stood(split: Split, ids: list[str]) -> None:
    bill = made(
        line("1", productId="p", aggregationId="x"),
        line("2", productId="p", aggregationId="y"),
        line("fee", lineItemType="STANDING_CHARGE"),
        line("3", productId="p", aggregationId="x"),
        line("4", productId="q", aggregationId="x"),
        split=split,
    )
    assert [each.id for each in bill.lines] == ids


@pytest.mark.parametrize("name", ["productId", "productCode", "productName"])
def test_products_stay_apart_by_whatever_names_them(name: str) -> None:
    lines = [line("1", **{name: "a"}), line("2", **{name: "b"}), line("3", **{name: "a"})]
    assert [each.id for each in made(*lines, split=Split.PRODUCT).lines] == ["1", "2"]


def test_joined_lines_add_up_and_say_what_they_have_in_common() -> None:
    day = "2026-10-{:02}T00:00:00Z".format
    (joined,) = made(
        line("1", "0.123456", productId="p", productName="Storage", servicePeriodStartDate=day(2)),
        line("2", "0.000001", productId="p", productName="Storage", servicePeriodStartDate=day(1)),
        split=Split.PRODUCT,
    ).lines
    assert (joined.subtotal, joined.quantity, joined.unit) == (Decimal("0.123457"), Decimal(4), "GB")
    assert (joined.unit_price, joined.description) == (Decimal("0.50"), "Storage")
    assert joined.service_start == datetime(2026, 10, 1, tzinfo=UTC)


def test_quantities_of_different_units_are_not_added() -> None:
    (joined,) = made(line("1", "1.00"), line("2", "2.00", unit="h"), split=Split.BILL).lines
    assert (joined.quantity, joined.unit_price, joined.subtotal) == (Decimal(1), Decimal("3.00"), Decimal("3.00"))
    assert joined.unit is None


def test_a_credit_stays_apart_from_the_usage_that_it_credits() -> None:
    bill = made(line("1", "5.00"), line("2", "-5.00", lineItemType="USAGE_CREDIT"), split=Split.BILL)
    assert [each.subtotal for each in bill.lines] == [Decimal("5.00"), Decimal("-5.00")]


@given(
    st.lists(
        st.tuples(st.decimals(-(10**9), 10**9, places=11), st.sampled_from("pq"), st.sampled_from("xy")), min_size=1
    ),
    st.sampled_from(Split),
)
def test_no_way_of_joining_changes_the_sum(lines: list[tuple[Decimal, str, str]], split: Split) -> None:
    bill = made(
        *(line(str(n), str(amount), productId=p, aggregationId=a) for n, (amount, p, a) in enumerate(lines)),
        split=split,
    )
    assert total_of([each.subtotal for each in bill.lines]) == total_of([amount for amount, _, _ in lines])
