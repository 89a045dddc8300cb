"""What accountants argue about: amounts, texts, dates and tax of an invoice in Stripe."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.stripe.samples import ACCOUNT, TODAY, bill, line, options, usage, with_account
from tollbridge.connectors.stripe.amounts import Scale, scale_of
from tollbridge.connectors.stripe.payloads import Plan, customer_params, invoice_params, planned
from tollbridge.domain import money
from tollbridge.domain.billing import Bill, LineItemType
from tollbridge.domain.errors import Fault
from tollbridge.domain.flows import Skipped


def plan_of(of: Bill, **given: Any) -> Plan:
    plan = planned(of, options(**given), TODAY)
    assert isinstance(plan, Plan), plan
    return plan


def fault_of(of: Bill, **given: Any) -> Fault:
    fault = planned(of, options(**given), TODAY)
    assert isinstance(fault, Fault), fault
    return fault


def amounts_of(plan: Plan) -> list[int]:
    return [each["amount"] for part in plan.parts for each in part.lines]


def texts_of(plan: Plan) -> list[str]:
    return [each["description"] for part in plan.parts for each in part.lines]


def invoice_of(of: Bill, **given: Any) -> dict[str, Any]:
    plan = plan_of(of, **given)
    return invoice_params(of, options(**given), "cus_1", plan, plan.parts[0])


# Amounts


def test_tiers_with_four_decimal_prices_add_up_to_the_total() -> None:
    plan = plan_of(bill(usage(1, "10000", "0.0004"), usage(2, "2345", "0.00035"), usage(3, "77", "0.0003")))
    assert plan.total == Decimal("4.84")
    assert amounts_of(plan) == [400, 82, 2]
    assert texts_of(plan)[1] == "Usage 2 (2345 calls × 0.00035 USD)"


def test_the_exact_amount_is_kept_beside_the_rounded_one() -> None:
    metadata = plan_of(bill(usage(1, "2345", "0.00035"))).parts[0].lines[0]["metadata"]
    assert metadata["exact_amount"] == "0.82075"
    assert metadata["quantity"] == "2345"
    assert metadata["unit_price"] == "0.00035"
    assert metadata["line_id"] == "l1"


def test_credits_stand_as_negative_lines() -> None:
    credit = line(2, "-4.005", type=LineItemType.CREDIT_DEDUCTION)
    plan = plan_of(bill(line(1, "10.00"), credit))
    assert plan.total == Decimal("6.00")
    assert amounts_of(plan) == [1000, -400]


def test_a_minimum_spend_tops_usage_up() -> None:
    top_up = line(2, "37.6655", type=LineItemType.MINIMUM_SPEND)
    plan = plan_of(bill(usage(1, "123345", "0.0001"), top_up))
    assert plan.total == Decimal("50.00")
    assert amounts_of(plan) == [1233, 3767]


def test_a_calculation_is_shown_only_where_it_is_true() -> None:
    plan = plan_of(bill(usage(1, "1000", "0.01", "7.50"), usage(2, "1", "3.00", unit=None), usage(3, "3", "1.50")))
    assert texts_of(plan) == ["Usage 1 (1000 calls)", "Usage 2", "Usage 3 (3 calls × 1.5 USD)"]


@pytest.mark.parametrize(
    ("currency", "subtotal", "units"),
    [
        ("USD", "12.34", 1234),
        ("JPY", "1234", 1234),
        ("KWD", "1.230", 1230),
        ("TND", "7.990", 7990),
        ("MGA", "1234.00", 1234),
        ("ISK", "1234", 123400),
        ("UGX", "5", 500),
        ("HUF", "12.34", 1234),
        ("TWD", "12.34", 1234),
    ],
)
def test_amounts_are_counted_by_the_table_of_stripe(currency: str, subtotal: str, units: int) -> None:
    plan = plan_of(bill(line(1, subtotal), currency=currency))
    assert amounts_of(plan) == [units]
    assert plan.scale.amount(units) == Decimal(subtotal)


@pytest.mark.parametrize(("currency", "total"), [("KWD", "1.235"), ("MGA", "1234.50")])
def test_a_total_that_stripe_cannot_hold_is_refused(currency: str, total: str) -> None:
    fault = fault_of(bill(line(1, total), currency=currency))
    assert fault.code == "stripe.inexact_total"
    assert f"{total} {currency}" in fault.message
    assert "inexactTotal" in fault.hint


@pytest.mark.parametrize(
    ("currency", "total", "units", "rounding"), [("KWD", "1.235", 1240, "0.005"), ("MGA", "1234.49", 1234, "-0.49")]
)
def test_or_rounded_with_the_difference_noted(currency: str, total: str, units: int, rounding: str) -> None:
    of = bill(line(1, total), currency=currency)
    plan = plan_of(of, inexactTotal="round")
    assert amounts_of(plan) == [units]
    assert plan.notes == (f"rounded by {rounding} {currency}",)
    assert invoice_of(of, inexactTotal="round")["metadata"]["rounding"] == rounding


@pytest.mark.parametrize("currency", ["CLF", "UYW", "IQD", "LYD", "UYI"])
def test_a_currency_outside_the_table_is_refused_and_never_guessed(currency: str) -> None:
    assert scale_of(currency) is None
    assert fault_of(bill(line(1, "1"), currency=currency)).code == "stripe.currency"


@given(
    currency=st.sampled_from(["USD", "JPY", "KWD", "MGA", "ISK", "UGX", "BHD", "VND"]),
    subtotals=st.lists(st.decimals("-99999", "99999", places=11), min_size=1, max_size=30),
)
def test_lines_always_add_up_to_the_total_in_amounts_that_stripe_takes(currency: str, subtotals: list[Decimal]) -> None:
    of = bill(*(line(number, str(each)) for number, each in enumerate(subtotals)), currency=currency)
    plan = plan_of(of, inexactTotal="round", zeroTotal="send", negativeTotal="send")
    scale = scale_of(currency)
    assert scale is not None
    amounts = amounts_of(plan)
    assert scale.amount(sum(amounts)) == plan.total
    assert all(amount % scale.units(1) == 0 for amount in amounts)
    assert abs(plan.total - of.total) <= money.quantum(scale.decimals) / 2
    for amount, subtotal in zip(amounts, subtotals, strict=True):
        assert abs(scale.amount(amount) - subtotal) <= money.quantum(scale.decimals)


def test_lines_that_do_not_add_up_are_refused_with_both_figures() -> None:
    fault = fault_of(bill(line(1, "10.00"), total="10.02"))
    assert fault.code == "stripe.total"
    assert "10.00 USD" in fault.message
    assert "10.02" in fault.message


def test_a_scale_uses_fewer_decimals_than_stripe_counts() -> None:
    assert Scale(2, 3).units(123) == 1230
    assert not Scale(2, 3).fits(Decimal("1.235"))
    assert Scale(2, 3).fits(Decimal("1.2300"))


# Totals of zero and below


def test_a_zero_total_is_skipped_or_sent() -> None:
    of = bill(usage(1, "3", "0.0001"))
    assert planned(of, options(), TODAY) == Skipped("the bill adds up to zero, and zeroTotal is skip")
    assert amounts_of(plan_of(of, zeroTotal="send")) == [0]


def test_a_total_that_rounding_makes_zero_counts_as_zero() -> None:
    of = bill(line(1, "0.40"), currency="MGA")
    assert isinstance(planned(of, options(inexactTotal="round"), TODAY), Skipped)


def test_a_bill_without_lines_is_skipped() -> None:
    assert planned(bill(), options(zeroTotal="send"), TODAY) == Skipped("the bill has no line items")


def test_a_negative_total_is_refused_or_sent() -> None:
    of = bill(line(1, "-5.00"))
    assert fault_of(of).code == "stripe.negative_total"
    assert amounts_of(plan_of(of, negativeTotal="send")) == [-500]


# More lines than Stripe takes


def many(count: int, products: int = 1, subtotal: str = "0.015") -> Bill:
    return bill(
        *(
            line(number, subtotal, product_code=f"P{number % products}", product_name=f"Product {number % products}")
            for number in range(count)
        )
    )


def test_250_lines_stay_as_they_are() -> None:
    plan = plan_of(many(250), overflow="refuse")
    assert [len(part.lines) for part in plan.parts] == [250]
    assert plan.notes == ()


def test_more_lines_are_refused_by_option() -> None:
    assert fault_of(many(251), overflow="refuse").code == "stripe.too_many_lines"


def test_more_lines_are_rolled_up_by_product_and_type() -> None:
    plan = plan_of(many(600, products=3))
    assert texts_of(plan) == [f"Product {number}: standing charge (200 lines)" for number in range(3)]
    assert amounts_of(plan) == [300, 300, 300]
    assert plan.parts[0].lines[0]["metadata"]["exact_amount"] == "3.000"
    assert plan.notes == ("600 lines were rolled up to 3",)


def test_and_by_type_alone_where_products_are_too_many() -> None:
    plan = plan_of(many(600, products=300))
    assert texts_of(plan) == ["Standing charge (600 lines)"]
    assert "product_code" not in plan.parts[0].lines[0]["metadata"]
    assert plan.total == Decimal("9.00")


def test_or_the_bill_is_split_and_the_parts_add_up() -> None:
    of = many(600)
    plan = plan_of(of, overflow="split")
    assert [len(part.lines) for part in plan.parts] == [250, 250, 100]
    assert sum(part.total for part in plan.parts) == 900
    positions = [each["metadata"]["position"] for part in plan.parts for each in part.lines]
    assert positions == [str(number) for number in range(1, 601)]
    tags = [invoice_params(of, options(), "cus_1", plan, part)["metadata"]["bill_part"] for part in plan.parts]
    assert tags == ["1/3", "2/3", "3/3"]


def test_a_split_with_a_part_below_zero_is_refused() -> None:
    of = bill(*(line(number, "1.00") for number in range(250)), line(250, "-9.00"))
    assert fault_of(of, overflow="split").code == "stripe.negative_part"


def test_lines_of_different_tax_rates_are_never_joined() -> None:
    plan = plan_of(many(300, products=2), tax="rates", taxRates={"P0": ["txr_a"], "*": []})
    assert [each["tax_rates"] for each in plan.parts[0].lines] == [["txr_a"], []]


# Tax


def test_tax_rates_go_by_product_then_type_then_star() -> None:
    rates = {"P1": ["txr_p"], "USAGE": ["txr_u", "txr_v"], "*": []}
    of = bill(usage(1, "1", "1.00", product_code="P1"), usage(2, "1", "1.00", product_code="P2"), line(3, "1.00"))
    plan = plan_of(of, tax="rates", taxRates=rates)
    assert [each["tax_rates"] for each in plan.parts[0].lines] == [["txr_p"], ["txr_u", "txr_v"], []]


def test_a_line_without_a_tax_rate_is_refused_by_name() -> None:
    fault = fault_of(bill(line(7, "1.00", product_code="P9")), tax="rates", taxRates={"P1": ["txr_p"]})
    assert fault.code == "stripe.tax_rate"
    assert "line l7" in fault.message
    assert "P9" in fault.hint


@pytest.mark.parametrize(("tax", "enabled"), [("none", False), ("automatic", True)])
def test_automatic_tax_is_always_said(tax: str, enabled: bool) -> None:
    assert invoice_of(bill(line(1, "1.00")), tax=tax)["automatic_tax"] == {"enabled": enabled}


# Dates


def noon(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("choice", "day"),
    [
        ("bill_date", date(2026, 11, 1)),
        ("service_end", date(2026, 10, 31)),
        ("external_invoice_date", date(2026, 11, 3)),
        ("sent", None),
    ],
)
def test_the_date_of_issue_is_chosen(choice: str, day: date | None) -> None:
    of = bill(line(1, "1.00"), external_invoice_date=date(2026, 11, 3))
    assert invoice_of(of, documentDate=choice)["effective_at"] == (day and noon(day))


def test_a_date_of_issue_that_the_bill_lacks_is_refused() -> None:
    fault = fault_of(bill(line(1, "1.00")), documentDate="external_invoice_date")
    assert fault.code == "stripe.document_date"
    assert "external invoice date" in fault.message


def test_payment_is_due_on_the_due_date_of_the_bill() -> None:
    params = invoice_of(bill(line(1, "1.00")))
    assert params["due_date"] == noon(date(2099, 12, 1))
    assert "days_until_due" not in params


def test_without_a_due_date_the_days_of_the_account_then_of_the_option_count() -> None:
    of = bill(line(1, "1.00"), due_date=None)
    assert invoice_of(of)["days_until_due"] == 30
    assert invoice_of(with_account(of, days_before_bill_due=0))["days_until_due"] == 0
    assert invoice_of(bill(line(1, "1.00")), due="days", daysUntilDue=14)["days_until_due"] == 14


@pytest.mark.parametrize("due_date", [date(2026, 11, 2), date(2024, 2, 29)])
def test_a_due_date_that_has_come_makes_the_invoice_due_at_once_and_is_noted(due_date: date) -> None:
    of = bill(line(1, "1.00"), due_date=due_date)
    params = invoice_of(of)
    assert params["days_until_due"] == 0
    assert "due_date" not in params
    assert plan_of(of).notes == (f"the due date {due_date} has come: due at once",)


def test_an_invoice_that_is_charged_has_no_due_date() -> None:
    params = invoice_of(bill(line(1, "1.00")), collectionMethod="charge_automatically")
    assert not {"due_date", "days_until_due"} & params.keys()


def test_service_periods_are_moments() -> None:
    start, end = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
    of = bill(line(1, "1.00", service_start=start, service_end=end), line(2, "1.00", service_start=start))
    periods = [each["period"] for each in plan_of(of).parts[0].lines]
    assert periods == [{"start": int(start.timestamp()), "end": int(end.timestamp())}, None]


# Texts and references


def test_memo_and_reference_are_filled_in() -> None:
    params = invoice_of(bill(line(1, "1.00")), memo="{accountName}, {periodStart} to {periodEnd}", reference="{billId}")
    assert params["description"] == "Acme Ltd, 2026-10-01 to 2026-10-31"
    assert params["custom_fields"] == [{"name": "Reference", "value": "b1"}]


def test_a_value_with_braces_is_not_filled_in_again() -> None:
    of = with_account(bill(line(1, "1.00")), name="{total}")
    assert invoice_of(of, memo="{accountName}")["description"] == "{total}"


def test_an_empty_reference_is_not_shown() -> None:
    assert invoice_of(bill(line(1, "1.00"), invoice_number=None))["custom_fields"] == []


@pytest.mark.parametrize(
    ("of_bill", "of_account", "field", "shown"),
    [
        ("PO-B", "PO-A", "", "PO-B"),
        (None, "PO-A", "", "PO-A"),
        ("PO-B", "PO-A", "order", "PO-C"),
        (None, None, "", None),
    ],
)
def test_the_purchase_order_comes_from_field_then_bill_then_account(
    of_bill: str | None, of_account: str | None, field: str, shown: str | None
) -> None:
    of = with_account(
        bill(line(1, "1.00"), purchase_order_number=of_bill),
        purchase_order_number=of_account,
        custom_fields={"order": "PO-C"},
    )
    params = invoice_of(of, purchaseOrderField=field, reference="")
    assert params["custom_fields"] == ([{"name": "Purchase order", "value": shown}] if shown else [])


def test_texts_are_cut_to_the_limits_of_stripe() -> None:
    of = bill(line(1, "1.00", description="x" * 6000))
    assert len(texts_of(plan_of(of))[0]) == 5000
    assert len(invoice_of(with_account(of, name="n" * 2000), memo="{accountName}")["description"]) == 1500


# Customers


def customer_of(account: dict[str, Any], **given: Any) -> dict[str, Any]:
    params = customer_params(with_account(bill(line(1, "1.00")), **account), options(**given))
    assert isinstance(params, dict), params
    return params


def test_a_customer_has_name_address_and_our_id() -> None:
    address = {
        "addressLine1": "1 Road",
        "addressLine2": "Floor 2",
        "addressLine4": "Rear",
        "locality": "Leeds",
        "postCode": "LS1",
        "country": "gb",
    }
    params = customer_of({"address": address})
    assert params["name"] == "Acme Ltd"
    assert params["email"] == "billing@acme.example"
    assert params["address"] == {
        "line1": "1 Road",
        "line2": "Floor 2, Rear",
        "city": "Leeds",
        "postal_code": "LS1",
        "country": "GB",
    }
    assert params["metadata"] == {"billing_account_id": "a1", "billing_account_code": "ACME"}
    assert customer_of({"address": address}, sendAddress=False)["address"] is None


def test_the_address_for_invoices_may_stand_in_a_custom_field() -> None:
    fields = {"custom_fields": {"invoices_to": "ap@acme.example"}}
    assert customer_of(fields, emailField="invoices_to")["email"] == "ap@acme.example"
    assert customer_of(fields, emailField="nothing")["email"] is None


@pytest.mark.parametrize(
    ("country", "option", "kind"),
    [("DE", "", "eu_vat"), ("GB", "", "gb_vat"), ("ch", "", "ch_vat"), ("??", "x_y", "x_y")],
)
def test_the_type_of_a_vat_id_goes_by_country_or_option(country: str, option: str, kind: str) -> None:
    account = {"custom_fields": {"vat": "123"}, "address": {"country": country}}
    params = customer_of(account, vatIdField="vat", vatIdType=option)
    assert params["tax_id_data"] == [{"type": kind, "value": "123"}]


def test_a_vat_id_of_an_unknown_country_is_refused() -> None:
    of = with_account(bill(line(1, "1.00")), custom_fields={"vat": "123"})
    fault = customer_params(of, options(vatIdField="vat"))
    assert isinstance(fault, Fault)
    assert fault.code == "stripe.vat_id_type"
    assert ACCOUNT.id in fault.message
