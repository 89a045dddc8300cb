"""What a bill must be to be taken in: one test per refusal, one past each limit, and what is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbridge.domain import json_text
from tollbridge.domain.bill_input import BillInput, content_hash, read_bill
from tollbridge.domain.bill_shape import BILL, LINE
from tollbridge.domain.billing import MAX_LINES, LineItemType
from tollbridge.domain.errors import Invalid
from tollbridge.domain.money import apportion, exponent, quantum, round_half_up, to_minor, total_of

ABSENT = object()


def a_line(**changes: Any) -> dict[str, Any]:
    line = {"lineItemType": "USAGE", "description": "Calls", "subtotal": Decimal("12.5"), **changes}
    return {name: value for name, value in line.items() if value is not ABSENT}


def a_bill(*lines: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    bill = {
        "id": "b-1",
        "accountId": "acme",
        "billDate": "2026-10-31",
        "currency": "EUR",
        "billTotal": Decimal("12.50"),
        "lineItems": list(lines) or [a_line()],
        **changes,
    }
    return {name: value for name, value in bill.items() if value is not ABSENT}


def refusal(value: Any, id: str | None = None) -> Invalid:
    with pytest.raises(Invalid) as caught:
        read_bill(value, id)
    return caught.value


def taken(value: Any) -> BillInput:
    return read_bill(value)


def test_a_plain_bill_is_taken_as_it_is() -> None:
    bill = taken(a_bill(dueDate="2026-11-30", purchaseOrderNumber="PO 7"))
    assert (bill.id, bill.account_id, bill.total) == ("b-1", "acme", Decimal("12.50"))
    assert bill.body["dueDate"] == "2026-11-30"
    assert bill.body["purchaseOrderNumber"] == "PO 7"
    assert "rounding" not in bill.body


def test_a_hand_written_line_gets_what_the_wire_requires() -> None:
    [line] = taken(a_bill(a_line(quantity=5))).lines
    assert line["id"] == "1"
    assert (line["quantity"], line["units"], line["unit"]) == (5, 5, "")
    assert (line["currency"], line["conversionRate"], line["convertedSubtotal"]) == ("EUR", 1, Decimal("12.5"))
    assert line["averageUnitPrice"] == Decimal("2.5")


def test_a_line_without_quantity_counts_once() -> None:
    [line] = taken(a_bill()).lines
    assert (line["quantity"], line["units"], line["averageUnitPrice"]) == (1, 1, Decimal("12.5"))


def test_a_line_of_nothing_used_keeps_its_subtotal_as_price() -> None:
    [line] = taken(a_bill(a_line(quantity=0))).lines
    assert line["averageUnitPrice"] == Decimal("12.5")


def test_what_the_caller_gave_is_not_overwritten() -> None:
    given_line = a_line(id="x", quantity=2, units=20, unit="GB", averageUnitPrice=Decimal("0.6"), conversionRate=1)
    [line] = taken(a_bill(given_line)).lines
    assert {name: line[name] for name in given_line} == given_line


def test_what_we_keep_ourselves_is_ignored_when_it_comes_back() -> None:
    bill = taken(a_bill(status="APPROVED", locked=True, createdBy="x", dtCreated="y", revision=9, version=3))
    assert not {"status", "locked", "createdBy", "dtCreated", "revision", "version"} & set(bill.body)
    assert bill.version == 3


def test_of_a_moment_given_for_a_day_the_day_is_kept() -> None:
    assert taken(a_bill(billDate="2026-10-31T00:00:00Z")).body["billDate"] == "2026-10-31"


def test_the_account_may_be_named_by_its_code() -> None:
    bill = taken(a_bill(accountId=ABSENT, accountCode="ACME"))
    assert (bill.account_id, bill.account_code) == (None, "ACME")
    assert "accountCode" not in bill.body


def test_a_line_in_another_currency_is_converted() -> None:
    line = a_line(currency="USD", subtotal=Decimal("10"), conversionRate=Decimal("1.25"))
    [read] = taken(a_bill(line)).lines
    assert read["convertedSubtotal"] == Decimal("12.5")


def test_a_converted_subtotal_may_be_rounded_once() -> None:
    line = a_line(currency="USD", subtotal=Decimal("10.001"), conversionRate=Decimal("1.2501"))
    line["convertedSubtotal"] = Decimal("12.50")
    assert taken(a_bill(line)).lines[0]["convertedSubtotal"] == Decimal("12.50")


def test_a_bill_whose_lines_differ_from_its_total_states_its_rounding() -> None:
    bill = taken(a_bill(a_line(subtotal=Decimal("12.5049"))))
    assert bill.body["rounding"] == {"exactTotal": Decimal("12.5049"), "difference": Decimal("-0.0049")}


def test_a_bill_may_have_no_lines() -> None:
    assert taken(a_bill(lineItems=[], billTotal=0)).lines == []


REFUSALS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no id": (a_bill(id=ABSENT), "id", "missing"),
    "no account": (a_bill(accountId=ABSENT), "accountId", "missing"),
    "no date": (a_bill(billDate=ABSENT), "billDate", "missing"),
    "no currency": (a_bill(currency=ABSENT), "currency", "missing"),
    "no total": (a_bill(billTotal=ABSENT), "billTotal", "missing"),
    "no lines": (a_bill(lineItems=ABSENT), "lineItems", "missing"),
    "lines that are no list": (a_bill(lineItems={}), "lineItems", "list"),
    "a line that is no object": (a_bill(lineItems=[1]), "lineItems[0]", "object"),
    "an unknown currency": (a_bill(currency="EUX"), "currency", "EUX"),
    "a currency in small letters": (a_bill(currency="eur"), "currency", "eur"),
    "a total as text": (a_bill(billTotal="12.50"), "billTotal", "12.50"),
    "a total that is true": (a_bill(billTotal=True), "billTotal", "true"),
    "a total that is not a number": (a_bill(billTotal=Decimal("NaN")), "billTotal", "NaN"),
    "a total that is endless": (a_bill(billTotal=Decimal("Infinity")), "billTotal", "Infinity"),
    "a total by a huge exponent": (a_bill(billTotal=Decimal("1E+999999")), "billTotal", "1E+999999"),
    "a subtotal by a tiny exponent": (a_bill(a_line(subtotal=Decimal("1E-999999"))), "lineItems[0].subtotal", "E-"),
    "21 digits before the point": (a_bill(billTotal=10**20), "billTotal", "20 digits before"),
    "21 digits after the point": (
        a_bill(a_line(subtotal=Decimal("12.500000000000000000001"))),
        "lineItems[0].subtotal",
        "20 after",
    ),
    "a total of more decimals than the currency": (a_bill(billTotal=Decimal("12.505")), "billTotal", "2 decimals"),
    "a total in yen with decimals": (a_bill(currency="JPY"), "billTotal", "0 decimals"),
    "an end before our times": (a_bill(endDate="0001-01-01"), "endDate", "0001-01-01"),
    "a day that does not exist": (a_bill(billDate="2026-02-30"), "billDate", "2026-02-30"),
    "an end before the start": (a_bill(startDate="2026-10-02", endDate="2026-10-01"), "endDate", "before startDate"),
    "an end time before the start time": (
        a_bill(startDateTimeUTC="2026-10-01T10:00:00Z", endDateTimeUTC="2026-10-01T11:00:00+02:00"),
        "endDateTimeUTC",
        "before",
    ),
    "a line that ends before it starts": (
        a_bill(a_line(servicePeriodStartDate="2026-10-02T00:00:00Z", servicePeriodEndDate="2026-10-01T00:00:00Z")),
        "lineItems[0].servicePeriodEndDate",
        "Line 1",
    ),
    "a moment without offset": (
        a_bill(a_line(servicePeriodStartDate="2026-10-02T00:00:00")),
        "lineItems[0].servicePeriodStartDate",
        "moment",
    ),
    "a line without description": (
        a_bill(a_line(description=ABSENT)),
        "lineItems[0].description",
        "missing",
    ),
    "an empty description": (a_bill(a_line(description="")), "lineItems[0].description", "1 to 4000"),
    "a description that is too long": (a_bill(a_line(description="x" * 4001)), "lineItems[0].description", "4000"),
    "a line without subtotal": (a_bill(a_line(subtotal=ABSENT)), "lineItems[0].subtotal", "missing"),
    "an unknown type of line": (a_bill(a_line(lineItemType="USAG")), "lineItems[0].lineItemType", "USAG"),
    "an unknown currency of a line": (a_bill(a_line(currency="XXX")), "lineItems[0].currency", "XXX"),
    "a rate within one currency": (a_bill(a_line(conversionRate=2)), "lineItems[0].conversionRate", "both in EUR"),
    "no rate between currencies": (a_bill(a_line(currency="USD")), "lineItems[0].conversionRate", "missing"),
    "a rate of nothing": (a_bill(a_line(currency="USD", conversionRate=0)), "lineItems[0].conversionRate", "above 0"),
    "a converted subtotal that is none": (
        a_bill(a_line(currency="USD", conversionRate=1, convertedSubtotal=Decimal("12.51"))),
        "lineItems[0].convertedSubtotal",
        "12.51",
    ),
    "an id with a slash": (a_bill(id="a/b"), "id", "a/b"),
    "an id with a question mark": (a_bill(id="a?b"), "id", "a?b"),
    "an id with a hash": (a_bill(id="a#b"), "id", "a#b"),
    "an id with a per cent sign": (a_bill(id="a%b"), "id", "a%b"),
    "an id of dots": (a_bill(id=".."), "id", "dots"),
    "an id with a control character": (a_bill(id="a\x00b"), "id", "U+0000"),
    "an id that is too long": (a_bill(id="x" * 201), "id", "200"),
    "an id that is a word of the address": (a_bill(id="search"), "id", "search"),
    "an id that is a number": (a_bill(id=7), "id", "7"),
    "a line id with a slash": (a_bill(a_line(id="a/b")), "lineItems[0].id", "a/b"),
    "a control character in a text": (a_bill(purchaseOrderNumber="a\x07"), "purchaseOrderNumber", "U+0007"),
    "half a surrogate pair": (a_bill(a_line(description="\ud800")), "lineItems[0].description", "U+D800"),
    "a control character deep inside": (
        a_bill(a_line(additional={"note": ["\x00"]})),
        "lineItems[0].additional.note[0]",
        "U+0000",
    ),
    "a stated rounding that is wrong": (a_bill(rounding={"difference": 1}), "rounding.difference", "make it 0"),
    "a version that is no number": (a_bill(version="2"), "version", "whole number"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_with_field_and_value(case: str) -> None:
    value, field, told = REFUSALS[case]
    found = refusal(value)
    assert found.field == field
    assert told in found.message


def test_a_bill_that_is_no_object_is_refused() -> None:
    assert "must be an object" in refusal([]).message


def test_an_amount_as_text_is_told_how_to_be_written() -> None:
    assert "without quotes" in (refusal(a_bill(billTotal="12.50")).hint or "")


def test_a_currency_nearly_right_is_offered() -> None:
    assert refusal(a_bill(currency="eur")).hint == "Did you mean EUR?"


def test_lines_that_do_not_add_up_are_refused_with_both_figures() -> None:
    found = refusal(a_bill(a_line(), a_line(subtotal=Decimal("0.006"))))
    assert found.code == "bill.total"
    assert "12.50 EUR" in found.message
    assert "12.506 EUR" in found.message


def test_the_message_counts_lines_from_one_and_the_path_from_nought() -> None:
    found = refusal(a_bill(a_line(), a_line(), a_line(subtotal=None)))
    assert found.message.startswith("Line 3: lineItems[2].subtotal")
    assert found.field == "lineItems[2].subtotal"


def test_two_lines_of_one_id_are_refused_naming_both() -> None:
    found = refusal(a_bill(a_line(id="x"), a_line(id="x")))
    assert found.field == "lineItems[1].id"
    assert "line 1" in found.message


def test_an_id_that_another_line_got_by_its_position_is_refused() -> None:
    assert refusal(a_bill(a_line(), a_line(id="1"))).code == "bill.line_id"


def test_one_line_too_many_is_refused_and_the_most_are_taken() -> None:
    most = [a_line(subtotal=0) for _ in range(MAX_LINES)]
    assert len(taken(a_bill(*most, billTotal=0)).lines) == MAX_LINES
    assert refusal(a_bill(*most, a_line(subtotal=0), billTotal=0)).code == "bill.too_many_lines"


def test_the_longest_numbers_are_taken_exactly() -> None:
    subtotal = Decimal("99999999999999999999.00000000000000000001")
    bill = taken(a_bill(a_line(subtotal=subtotal), billTotal=99999999999999999999))
    assert bill.body["rounding"]["difference"] == Decimal("-1E-20")


def test_the_address_and_the_body_must_name_the_same_bill() -> None:
    assert read_bill(a_bill(id=ABSENT), "b-9").id == "b-9"
    assert refusal(a_bill(), "b-9").code == "bill.id"


def test_bills_that_say_the_same_have_the_same_hash_however_their_numbers_are_written() -> None:
    def hash(text: str) -> str:
        bill = taken(json_text.parse(text))
        return content_hash(bill.body, bill.lines)

    text = '{"id":"b","accountId":"a","billDate":"2026-10-31","currency":"EUR","billTotal":%s,"lineItems":[%s]}'
    one = text % ("12.50", '{"lineItemType":"USAGE","description":"x","subtotal":12.5}')
    same = text % ("125e-1", '{"subtotal":12.500,"description":"x","lineItemType":"USAGE"}')
    other = text % ("12.50", '{"lineItemType":"USAGE","description":"y","subtotal":12.5}')
    assert hash(one) == hash(same) != hash(other)


def test_bookkeeping_is_no_content() -> None:
    plain, later = taken(a_bill()), taken(a_bill(lastCalculatedDate="2026-11-01T00:00:00Z", billJobId="j"))
    assert content_hash(plain.body, plain.lines) == content_hash(later.body, later.lines)
    assert later.body["billJobId"] == "j"


amounts = st.decimals(min_value=-(10**12), max_value=10**12, places=6, allow_nan=False, allow_infinity=False)
currencies = st.sampled_from(["JPY", "EUR", "KWD", "CLF"])


@given(st.lists(amounts, max_size=30), currencies)
def test_a_total_rounded_once_is_taken_and_can_be_apportioned(subtotals: list[Decimal], currency: str) -> None:
    decimals = exponent(currency) or 0
    total = round_half_up(total_of(subtotals), decimals)
    lines = [a_line(subtotal=subtotal) for subtotal in subtotals]
    bill = taken(a_bill(currency=currency, billTotal=total, lineItems=lines))
    exact = [line["convertedSubtotal"] for line in bill.lines]
    assert sum(apportion(exact, to_minor(bill.total, decimals), decimals)) == to_minor(total, decimals)
    stated = bill.body.get("rounding", {"difference": 0, "exactTotal": total})
    assert stated["exactTotal"] + stated["difference"] == total


@given(st.lists(amounts, max_size=30), currencies, st.sampled_from([-1, 1]))
def test_a_total_one_unit_off_is_refused(subtotals: list[Decimal], currency: str, off: int) -> None:
    decimals = exponent(currency) or 0
    exact = total_of(subtotals)
    total = round_half_up(exact, decimals) + off * quantum(decimals)
    if abs(total - exact) == quantum(decimals) / 2:
        return  # exactly half a unit: both neighbours are a rounding of it
    lines = [a_line(subtotal=subtotal) for subtotal in subtotals]
    assert refusal(a_bill(currency=currency, billTotal=total, lineItems=lines)).code == "bill.total"


@given(st.sampled_from(list(LineItemType)))
def test_every_kind_of_line_is_taken(kind: LineItemType) -> None:
    assert taken(a_bill(a_line(lineItemType=kind.value))).lines[0]["lineItemType"] == kind


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals()
    | st.text()
    | st.sampled_from(["EUR", "2026-10-31", "0000-00-00", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def taken_or_refused(value: Any) -> BillInput | Invalid:
    try:
        return read_bill(value)
    except Invalid as found:
        return found


@given(st.sampled_from([*BILL.fields, "id", "version", "lineItems"]), json_values)
def test_whatever_stands_in_a_field_is_taken_or_refused_by_its_name(name: str, value: Any) -> None:
    found = taken_or_refused({**a_bill(), name: value})
    if isinstance(found, Invalid):
        assert found.field
    else:
        assert json_text.parse(json_text.dump(found.body)) == found.body


@given(st.sampled_from(list(LINE.fields)), json_values)
def test_whatever_stands_in_a_line_is_taken_or_refused_by_its_name(name: str, value: Any) -> None:
    found = taken_or_refused(a_bill({**a_line(), name: value}))
    if isinstance(found, Invalid):
        assert found.field
    else:
        assert json_text.parse(json_text.dump(list(found.lines))) == list(found.lines)
