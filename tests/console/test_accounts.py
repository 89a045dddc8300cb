"""Whom bills are for."""

from __future__ import annotations

from tests.console.conftest import Browser, SignIn
from tests.console.world import CALLER, add_account, add_bill, add_integration
from tollbridge.domain.access import Role
from tollbridge.services import external_mappings
from tollbridge.services.parts import Parts


async def test_no_account_yet_says_where_accounts_come_from(browser: Browser) -> None:
    page = await browser.open("/accounts")
    assert page.h1 == ["Accounts"]
    assert "No account yet" in page.text
    assert "tollbridge import accounts.csv --kind accounts" in page.text


async def test_accounts_are_found_by_words_of_code_or_name_and_by_id(browser: Browser, parts: Parts) -> None:
    await add_account(parts, "acme", currency="EUR")
    await add_account(parts, "globex", name="Globex 100% plc")
    for words in ("glob", "GLOBEX", "100% p", "globex"):
        page = await browser.open(f"/accounts?q={words.replace('%', '%25')}")
        assert page.links["GLOBEX"] == "/console/accounts/globex"
        assert "ACME" not in page.text
    page = await browser.open("/accounts?q=nobody")
    assert "No account matches" in page.text
    assert page.links["Show all accounts"] == "/console/accounts"


async def test_a_long_list_goes_on_where_the_page_before_ended(browser: Browser, parts: Parts) -> None:
    for number in range(51):
        await add_account(parts, f"a{number}")
    first = await browser.open("/accounts?q=a")
    second = await browser.open(first.links["Next 50"])
    assert "A0" in second.links
    assert "A0" not in first.links
    assert "Next 50" not in second.links


async def test_an_account_shows_its_facts_and_its_bills(browser: Browser, parts: Parts) -> None:
    await add_account(parts, currency="EUR")
    await add_bill(parts, "b1", sequentialInvoiceNumber="INV-7")
    page = await browser.open("/accounts/acme")
    assert page.h1 == ["Acme Ltd"]
    assert "ap@acme.example" in page.text
    assert page.links["INV-7"] == "/console/bills/b1"
    assert (await browser.open(page.links["View all bills"])).links["INV-7"]


async def test_a_missing_mapping_is_made_where_it_is_missed(browser: Browser, parts: Parts) -> None:
    await add_account(parts)
    assert "Create mapping" not in (await browser.open("/accounts/acme")).text
    await add_integration(parts)
    page = await browser.open("/accounts/acme")
    page = await browser.send(page, "Create mapping", external="cus_9")
    assert page.url.endswith("/console/accounts/acme")
    assert "cus_9" in page.links
    assert "Create mapping" not in page.text
    (kept,) = await external_mappings.of_entity(parts.db, CALLER, "Account", "acme", 5)
    assert (kept["external_system"], kept["external_table"], kept["external_id"]) == ("Stripe", "Customer", "cus_9")


async def test_who_may_not_map_sees_no_button_for_it(sign_in: SignIn, parts: Parts) -> None:
    await add_account(parts)
    await add_integration(parts)
    browser = await sign_in(Role.VIEWER)
    page = await browser.open("/accounts/acme")
    assert "External mappings" in page.text
    assert "Create mapping" not in page.html


async def test_an_account_that_is_not_there_is_said_to_be_so(browser: Browser) -> None:
    page = await browser.open("/accounts/nobody")
    assert page.status == 404
    assert "There is no account" in page.text
