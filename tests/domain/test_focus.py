"""FOCUS rows become bills that are exact to the last decimal."""

from __future__ import annotations

import csv
import os
from decimal import Decimal
from pathlib import Path

import pytest

from tollbridge.domain import focus
from tollbridge.domain.errors import Invalid

SAMPLE = Path(os.environ.get("TOLLBRIDGE_DATA", Path(__file__).parents[3] / "shared" / "data")) / "focus-1.0-sample.csv"

ROW = {
    "BilledCost": "0.10",
    "BillingCurrency": "USD",
    "BillingPeriodStart": "2024-09-01 00:00:00",
    "BillingPeriodEnd": "2024-10-01 00:00:00",
    "ChargeCategory": "Usage",
    "ServiceName": "Storage",
    "SkuId": "S1",
    "SubAccountId": "acme",
    "SubAccountName": "Acme",
    "ChargeDescription": "Gigabytes kept",
    "PricingQuantity": "2",
    "PricingUnit": "GB",
}


def charges(*rows: dict[str, str]) -> focus.Charges:
    added = focus.Charges(list(ROW))
    for number, row in enumerate(rows, start=2):
        added.add(number, list({**ROW, **row}.values()))
    return added


def test_rows_of_one_service_sku_and_category_become_one_line() -> None:
    (bill,) = charges({"BilledCost": "0.00000000001"}, {"BilledCost": "8E-7"}).bills()
    (line,) = bill["lineItems"]
    assert line["subtotal"] == Decimal("0.00000080001")
    assert (line["quantity"], line["unit"], line["lineItemType"]) == (4, "GB", "USAGE")
    assert line["description"] == "Gigabytes kept"


def test_service_sku_and_category_each_make_a_line_of_their_own() -> None:
    (bill,) = charges({}, {"ServiceName": "Compute"}, {"SkuId": "S2"}, {"ChargeCategory": "Tax"}).bills()
    assert len(bill["lineItems"]) == 4
    assert len({line["id"] for line in bill["lineItems"]}) == 4


def test_period_currency_and_sub_account_each_make_a_bill_of_their_own() -> None:
    added = charges(
        {},
        {"BillingCurrency": "EUR"},
        {"BillingPeriodEnd": "2024-09-15 00:00:00"},
        {"SubAccountId": "other"},
        {"BillingPeriodStart": "2024-09-01T00:00:00Z"},
    )
    assert len({bill["id"] for bill in added.bills()}) == 4
    assert [account["id"] for account in added.accounts()] == ["acme", "other"]


def test_credits_and_adjustments_are_kept_as_such() -> None:
    (bill,) = charges(
        {"BilledCost": "5"},
        {"BilledCost": "-2", "ChargeCategory": "Credit"},
        {"BilledCost": "-1", "ChargeCategory": "Adjustment"},
    ).bills()
    assert bill["billTotal"] == Decimal("2.00")
    assert {line["lineItemType"]: line["subtotal"] for line in bill["lineItems"]} == {
        "USAGE": 5,
        "CREDIT_MEMO": -2,
        "MANUAL_ADJUSTMENT": -1,
    }


def test_the_total_is_rounded_once_half_up_and_the_bill_says_so() -> None:
    (bill,) = charges({"BilledCost": "0.004"}, {"BilledCost": "0.001", "SkuId": "S2"}).bills()
    assert bill["billTotal"] == Decimal("0.01")
    assert bill["rounding"] == {
        "mode": "HALF_UP",
        "exactTotal": Decimal("0.005"),
        "difference": Decimal("0.005"),
    }


def test_the_total_has_the_decimals_of_its_currency() -> None:
    totals = {
        bill["currency"]: bill["billTotal"]
        for bill in charges(
            {"BillingCurrency": "JPY", "BilledCost": "99.5"}, {"BillingCurrency": "KWD", "BilledCost": "1.2345"}
        ).bills()
    }
    assert totals == {"JPY": Decimal("100"), "KWD": Decimal("1.235")}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("SubAccountId", "NULL"),
        ("SubAccountId", ""),
        ("BilledCost", "NaN"),
        ("BilledCost", "Infinity"),
        ("BilledCost", "1,5"),
        ("BilledCost", "NULL"),
        ("BilledCost", "1E+400"),
        ("BillingCurrency", "DOLLAR"),
        ("BillingPeriodStart", "September"),
        ("BillingPeriodEnd", "2024-08-01 00:00:00"),
        ("ChargeCategory", "Gift"),
        ("PricingQuantity", "many"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_by_column(column: str, value: str) -> None:
    with pytest.raises(Invalid) as refusal:
        charges({column: value})
    assert refusal.value.field == column
    assert refusal.value.hint


def test_a_bill_with_a_refused_row_is_left_out_whole() -> None:
    added = charges({}, {"SubAccountId": "other"})
    with pytest.raises(Invalid):
        added.add(9, list({**ROW, "BilledCost": "?"}.values()))
    assert [bill["accountId"] for bill in added.bills()] == ["other"]
    assert list(added.refused_bills()) == [(9, "focus-acme-20240901-20241001-USD")]


def test_a_row_of_another_width_is_refused() -> None:
    with pytest.raises(Invalid, match="3 values"):
        focus.Charges(list(ROW)).add(2, ["1", "2", "3"])


def test_a_header_without_a_needed_column_is_refused() -> None:
    with pytest.raises(Invalid, match="SkuId is missing"):
        focus.Charges([name for name in ROW if name != "SkuId"])


def test_ids_are_fit_for_addresses_and_stay_apart() -> None:
    one, two = focus.account_id("/subscriptions/a?b"), focus.account_id("/subscriptions/a#b")
    assert one != two
    assert not set("/?#% ") & set(one + two)
    assert focus.account_id("51738928782") == "51738928782"


@pytest.mark.skipif(
    not SAMPLE.exists(), reason=f"the sample {SAMPLE.name} is not here; set TOLLBRIDGE_DATA to its folder"
)
def test_the_published_sample_gives_73_bills_that_add_up_to_20_55() -> None:
    with SAMPLE.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        added = focus.Charges(next(rows))
        for row in rows:
            added.add(rows.line_num, row)
    bills = list(added.bills())
    assert len(bills) == len(list(added.accounts())) == 73
    assert sum(1 for bill in bills if bill["billTotal"] == 0) == 27
    assert sum(bill["billTotal"] for bill in bills) == Decimal("20.55")
    assert sum(line["subtotal"] for bill in bills for line in bill["lineItems"]) == Decimal("20.52022672899")
    assert all(bill["billTotal"] - bill["rounding"]["difference"] == bill["rounding"]["exactTotal"] for bill in bills)
