"""Files and pasted text, seen before they are kept."""

from __future__ import annotations

from tests.console.conftest import Browser, Page, SignIn
from tests.console.test_mappings import kept
from tests.console.world import CALLER, add_account, add_integration
from tollbridge.domain.access import Role
from tollbridge.services import bills
from tollbridge.services.parts import Parts
from tollbridge.services.sheets import MAX_TEXT
from tollbridge.store.bills import Filters

HEADER = "id,accountId,billDate,currency,billTotal,lineItems.description,lineItems.lineItemType,lineItems.subtotal\n"
GOOD = """b1,acme,2026-10-31,EUR,30,Seats,STANDING_CHARGE,10
b1,,,,,Calls,USAGE,20
b2,acme,2026-10-31,EUR,5,Calls,USAGE,5
"""


async def stored(parts: Parts) -> set[str]:
    found = await bills.page(parts.db, CALLER, Filters(), 50, None, with_lines=False)
    return {bill.record.id for bill in found.data}


async def previewed(browser: Browser, text: str, path: str = "/bills/import") -> Page:
    return await browser.send(await browser.open(path), "Preview", text=text)


async def test_a_preview_shows_the_rows_and_keeps_nothing(browser: Browser, parts: Parts) -> None:
    await add_account(parts)
    await add_integration(parts)
    page = await previewed(browser, HEADER + GOOD)
    assert page.h1 == ["Import bills: preview"]
    assert "Nothing is kept yet." in page.text
    assert "2 bills can be imported" in page.text
    assert "8 of 8 are matched" in page.text
    assert "Stripe EU: 2 to be sent" in page.text
    assert await stored(parts) == set()


async def test_what_was_seen_is_imported_by_its_button(browser: Browser, parts: Parts) -> None:
    await add_account(parts)
    page = await previewed(browser, HEADER + GOOD)
    done = await browser.send(page, "Import 2 bills", do="import")
    assert done.h1 == ["Bills"]
    assert "2 bills imported (2 new)." in done.text
    assert await stored(parts) == {"b1", "b2"}
    again = await previewed(browser, HEADER + GOOD)
    assert "2 as they were" in again.text


async def test_a_refused_row_is_told_by_line_field_and_reason(browser: Browser, parts: Parts) -> None:
    await add_account(parts)
    text = HEADER + GOOD + "b3,nobody,2026-10-31,EUR,5,Calls,USAGE,5\nb4,acme,31.10.2026,EUR,5,Calls,USAGE,5\n"
    page = await previewed(browser, text)
    assert "2 would be refused." in page.text
    told = page.text.partition("Refused rows")[2]
    assert "5 b3 accountId" in told
    assert "6 b4 billDate" in told
    done = await browser.send(page, "Import 2 bills", do="import")
    assert done.h1 == ["Import bills"]
    assert "2 bills imported (2 new). 2 refused." in done.text
    assert await stored(parts) == {"b1", "b2"}


async def test_columns_with_other_names_are_matched_by_hand(browser: Browser, parts: Parts) -> None:
    await add_account(parts)
    header = "Invoice ID;Customer;Invoice date;Currency;Gross;Description;Type;Line amount\n"
    text = header + "b1;acme;2026-10-31;EUR;5;Calls;USAGE;5\n"
    page = await previewed(browser, text)
    assert "7 of 8 are matched" in page.text
    assert "billTotal is missing." in page.text
    columns = [
        "id",
        "accountId",
        "billDate",
        "currency",
        "billTotal",
        "lineItems.description",
        "lineItems.lineItemType",
        "lineItems.subtotal",
    ]
    page = await browser.send(page, "Preview with these columns", column=columns)
    assert "1 bill can be imported" in page.text
    await browser.send(page, "Import 1 bill", column=columns, do="import")
    assert await stored(parts) == {"b1"}


async def test_a_column_that_must_be_there_is_named_and_can_be_chosen(browser: Browser) -> None:
    page = await previewed(browser, "number,accountId\n1,acme\n")
    assert page.status == 400
    assert "The column 'id' is missing" in page.text
    assert "leave it out" in page.text
    assert "Import 0" not in page.text


async def test_json_lines_are_read_too(browser: Browser, parts: Parts) -> None:
    await add_account(parts)
    line = '{"lineItemType":"USAGE","description":"Calls","subtotal":5}'
    head = '{"id":"b1","accountId":"acme","billDate":"2026-10-31","currency":"EUR","billTotal":5,"lineItems":['
    bill = head + line + "]}"
    page = await previewed(browser, bill + "\n{broken\n")
    assert "1 bill can be imported" in page.text
    assert "2 – – The line is not JSON" in page.text
    await browser.send(page, "Import 1 bill", do="import")
    assert await stored(parts) == {"b1"}


async def test_a_file_is_uploaded(browser: Browser, parts: Parts) -> None:
    await add_account(parts)
    csrf = (await browser.open("/bills/import")).form("Preview").fields["csrf"]
    for content, told in (
        ((HEADER + GOOD).encode("utf-8-sig"), "2 bills can be imported"),
        ((HEADER + "b1,acme,2026-10-31,EUR,5,Gebühr,USAGE,5\n").encode("latin-1"), "The file is not UTF-8"),
        (b"x" * (MAX_TEXT + 1), f"more than {MAX_TEXT} bytes"),
    ):
        answer = await browser.client.post(
            "/console/bills/import", data={"csrf": csrf}, files={"file": ("bills.csv", content)}
        )
        assert told in answer.text


async def test_text_of_the_greatest_length_is_taken_and_one_byte_more_is_not(browser: Browser) -> None:
    text = "id,accountId\n" + "x" * (MAX_TEXT - 13)
    assert "The row has 1 values" in (await previewed(browser, text)).text
    page = await previewed(browser, text + "x")
    assert page.status == 400
    assert "The text has more than 4 MB." in page.text


async def test_nothing_chosen_is_said(browser: Browser) -> None:
    page = await previewed(browser, " \n")
    assert "Choose a file, or paste its text." in page.text


async def test_mappings_are_pasted_in_bulk(browser: Browser, parts: Parts) -> None:
    text = (
        "entity\tentity id\tsystem\ttable\texternal id\nAccount\tacme\tStripe\tCustomer\tcus_1\n"
        "Account\tglobex\tStripe\tCustomer\t\n"
    )
    page = await previewed(browser, text, "/mappings/import")
    assert "1 mapping can be imported" in page.text
    assert "3 – externalId" in page.text
    assert await kept(parts) == []
    done = await browser.send(page, "Import 1 mapping", do="import")
    assert "1 mapping imported (1 new). 1 refused." in done.text
    assert [each["external_id"] for each in await kept(parts)] == ["cus_1"]


async def test_only_who_may_write_bills_imports_them(sign_in: SignIn) -> None:
    browser = await sign_in(Role.FINANCE)
    assert (await browser.open("/bills/import")).status == 403
    assert (await browser.open("/mappings/import")).status == 200
