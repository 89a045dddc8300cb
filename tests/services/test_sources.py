"""Files to import become JSON lines, each with its place in the file."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tollbridge.domain import json_text
from tollbridge.domain.errors import Invalid
from tollbridge.services import sources
from tollbridge.services.sources import Item, Lines, Refused

HEADER = "id,accountId,currency,billDate,billTotal,lineItems.description,lineItems.subtotal,lineItems.lineItemType\n"


def lines(text: str | bytes) -> Lines:
    return Lines(io.BytesIO(text.encode() if isinstance(text, str) else text))


def values(found: list[Item | Refused]) -> list[Any]:
    return [json_text.parse(each.text) for each in found if isinstance(each, Item)]


def test_jsonl_is_passed_on_byte_for_byte_with_line_numbers() -> None:
    found = list(sources.read_jsonl(lines(b'\xef\xbb\xbf{"a":1.10}\n\n  {"b":2}\r\n\xff')))
    assert [(each.line, each.text) for each in found if isinstance(each, Item)] == [
        (1, b'{"a":1.10}'),
        (3, b'{"b":2}'),
        (4, b"\xff"),
    ]


def test_a_line_that_is_too_long_is_refused_and_the_next_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_LINE", 10)
    first, second = sources.read_jsonl(lines(b'"' + b"x" * 100 + b'"\n{"b":2}\n'))
    assert isinstance(first, Refused)
    assert first.line == 1
    assert isinstance(second, Item)
    assert (second.line, second.text) == (2, b'{"b":2}')


def test_rows_of_one_bill_become_one_bill_with_a_line_item_each() -> None:
    text = HEADER + "b1,a1,USD,2026-11-01,3.50,Calls,1.25,USAGE\nb1,,,,,Seats,2.25,STANDING_CHARGE\n"
    (bill,) = values(list(sources.read_csv(lines(text), "bills")))
    assert bill["billTotal"] == json_text.parse("3.50")
    assert [item["description"] for item in bill["lineItems"]] == ["Calls", "Seats"]
    assert bill["accountId"] == "a1"


def test_a_refused_csv_bill_names_its_line_and_keeps_its_rows() -> None:
    text = HEADER + "b1,a1,USD,2026-11-01,1,Calls,1,USAGE\nb1,a2,,,,Seats,2,USAGE\nb2,a1,USD,2026-11-01,0,,,\n"
    first, second = sources.read_csv(lines(text), "bills")
    assert isinstance(first, Refused)
    assert first.refusal.field == "accountId"
    assert "line 3" in first.refusal.message
    assert first.source.count(b"\n") == 2
    assert isinstance(second, Item)
    assert json_text.parse(second.text)["lineItems"] == []


def test_rows_of_one_bill_that_stand_apart_are_refused() -> None:
    row = "{},a1,USD,2026-11-01,1,Calls,1,USAGE\n"
    found = list(sources.read_csv(lines(HEADER + row.format("b1") + row.format("b2") + row.format("b1")), "bills"))
    assert [(type(each), each.line) for each in found] == [(Item, 2), (Item, 3), (Refused, 4)]


def test_a_quoted_line_break_does_not_shift_the_line_numbers() -> None:
    text = 'id,name,code\na1,"Two\nlines",c1\na2,Other\n'
    first, second = sources.read_csv(lines(text), "accounts")
    assert (first.line, second.line) == (2, 4)
    assert isinstance(second, Refused)
    assert second.source == b"a2,Other\n"


def test_names_with_a_point_become_objects() -> None:
    text = "id,name,address.country,customFields.vat,daysBeforeBillDue\na1,Acme,DE,DE123,14\n"
    (account,) = values(list(sources.read_csv(lines(text), "accounts")))
    assert account["address"] == {"country": "DE"}
    assert account["customFields"] == {"vat": "DE123"}
    assert account["daysBeforeBillDue"] == 14


def test_what_is_no_number_stays_text_for_the_server_to_refuse() -> None:
    text = HEADER + "b1,a1,USD,2026-11-01,NaN,Calls,ten,USAGE\n"
    (bill,) = values(list(sources.read_csv(lines(text), "bills")))
    assert bill["billTotal"] == "NaN"
    assert bill["lineItems"][0]["subtotal"] == "ten"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "'id' is missing"),
        (b"name,code\n", "'id' is missing"),
        (b"id,id\n", "stands twice"),
        (b"id,name\na1,\xff\n", "Line 2 is not UTF-8"),
        (b'id,name\na1,"x" y\n', "Line 2 is not CSV"),
        (b"id,name\na1,\x00\n", "null character"),
    ],
)
def test_a_file_that_is_no_csv_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        list(sources.read_csv(lines(text), "accounts"))


def test_focus_refusals_name_the_line_of_the_file() -> None:
    header = (
        "BilledCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargeCategory,ServiceName,SkuId,SubAccountId\n"
    )
    row = "{},USD,2024-09-01,2024-10-01,Usage,Storage,S1,{}\n"
    charges, refused = sources.read_focus(lines(header + row.format("1", "a") + row.format("2", "NULL")))
    (told,) = refused
    assert (told.line, told.refusal.field) == (3, "SubAccountId")
    assert told.source == b"2,USD,2024-09-01,2024-10-01,Usage,Storage,S1,NULL\n"
    assert len(list(charges.bills())) == 1
