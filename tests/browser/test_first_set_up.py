"""The first set-up of a new installation, in the browser alone, by keys alone, with its clicks counted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Clicks, Keys
from tests.browser.installation import Installation, account, installed

MOST_CLICKS = 25
FIRST = 3


@pytest.fixture
def installation() -> Iterator[Installation]:
    """A new one, with two accounts that its source sent."""
    with installed() as here:
        here.send("accounts", [account("acme"), account("beta")])
        yield here


def heading(page: Page, words: str | re.Pattern[str]) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(words)


def bills() -> str:
    """Five good bills of today, whose number stands in a column with a name of their own, and one that is refused."""
    day = datetime.now(UTC).date().isoformat()
    names = "Invoice no,accountId,billDate,currency,billTotal,lineItems.description,lineItems.lineItemType"
    rows = [
        ("INV-1", "acme", day, "EUR"),
        ("INV-2", "acme", day, "EUR"),
        ("INV-3", "acme", day, "EUR"),
        ("INV-4", "beta", day, "USD"),
        ("INV-5", "beta", day, "USD"),
        ("INV-6", "acme", "soon", "EUR"),
    ]
    lines = [",".join([*row, "30.00", "Seats", "STANDING_CHARGE", "3", "30.00"]) for row in rows]
    return "\n".join([f"{names},lineItems.quantity,lineItems.subtotal", *lines, ""])


@pytest.mark.timeout(900)
def test_the_first_bills_are_sent_looked_at_and_followed_by_the_rest_after_few_clicks_by_keys_alone(
    installation: Installation, chromium: Browser
) -> None:
    customer = installation.customer("Acme Ltd", "ap@acme.example")
    context = chromium.new_context()
    context.set_default_timeout(30_000)
    page = context.new_page()
    clicks, keys = Clicks(page), Keys(page)
    main = page.get_by_role("main")

    clicks.follow(installation.link_of_an_administrator())
    keys.press("button", "Sign in")
    heading(page, "Overview")
    keys.press("link", re.compile("Add a credential"))
    keys.press("link", re.compile("Stripe .Test mode"))
    keys.fill(re.compile("^Name"), "Our test account")
    keys.fill(re.compile("^Api key"), installation.key)
    page.keyboard.press("Enter")
    expect(main.get_by_text("Valid", exact=True)).to_be_visible()

    keys.press("link", "Next: Configure an integration")
    keys.fill(re.compile("^Name"), "Invoices")
    expect(page.get_by_label("Send from")).to_have_value(datetime.now(UTC).date().isoformat())
    keys.reach(page.get_by_label("Only send on approval"))
    page.keyboard.press("Space")
    keys.press("button", "Create integration")
    expect(main.get_by_text("CONNECTED", exact=True)).to_be_visible()
    expect(main).to_contain_text(f"It sends {FIRST} bills first, then waits.")

    keys.press("link", "Next: Import bills")
    keys.fill("or paste it", bills())
    keys.press("button", "Preview")
    keys.fill("Invoice no", "id")
    keys.press("button", "Preview with these columns")
    expect(page.get_by_role("table", name="Refused rows")).to_contain_text("soon")
    keys.press("button", "Import 5 bills")
    expect(main).to_contain_text("5 bills imported")

    keys.press("link", "Next: Say which account is which customer there")
    keys.press("link", "Acme Ltd")
    keys.fill("External id", customer)
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"acme is {customer} in Stripe.")).to_be_visible()

    keys.press("link", "Next: Preview a bill")
    keys.fill("Preview with the bill", "INV-1")
    page.keyboard.press("Enter")
    heading(page, "Preview: bill INV-1")
    expect(page.get_by_text("Create the draft invoice").first).to_be_visible()
    expect(main).to_contain_text(customer)

    keys.press("link", "Next: Approve the first bills")
    keys.press("button", "Yes, approve 5 bills (90.00 EUR, 60.00 USD)")
    keys.press("link", "Next: Look at what was sent, and continue")
    sent = page.get_by_role("table", name="What was sent")
    expect(sent.get_by_text("Delivered", exact=True)).to_have_count(FIRST, timeout=120_000)
    expect(sent.locator("tbody").get_by_role("link", name=re.compile("^in_"))).to_have_count(FIRST)
    expect(page.locator("#continue")).to_contain_text(re.compile(r"Delivered of them\s*3: \d+\.00 EUR, \d+\.00 USD"))
    expect(page.locator("#continue")).to_contain_text(re.compile(r"Held behind them\s*2: "))
    assert len(installation.at_vendor("GET", "books")["invoices"]) == FIRST
    keys.press("button", "Continue")
    expect(page.get_by_text("It goes on: 2 held bills are sent.")).to_be_visible()
    expect(page.locator("#recent").get_by_text("Complete", exact=True)).to_have_count(5, timeout=120_000)
    assert len(installation.at_vendor("GET", "books")["invoices"]) == 5
    assert len(clicks) <= MOST_CLICKS, clicks.pressed
    page.reload()
    expect(main.get_by_text("Set-up:")).to_have_count(0)
    context.close()
