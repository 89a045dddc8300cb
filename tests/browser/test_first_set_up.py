"""The first set-up of a new installation, in the browser alone, by keys alone, with its clicks counted."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Clicks, Keys
from tollbridge.cli.client import Client
from tollbridge.cli.fleet import fleet
from tollbridge.cli.init import make_organization
from tollbridge.cli.profiles import Profile
from tollbridge.cli.users import link_for_a_new_person

MOST_CLICKS = 25


@dataclass(frozen=True, slots=True)
class Installation:
    """A new one: a worker, a stand-in for Stripe in which Acme is known, and one account, which its source sent."""

    link: str
    key: str
    customer: str


@pytest.fixture
def installation() -> Iterator[Installation]:
    with fleet() as (ships, settings), ThreadPoolExecutor() as apart:
        # The browser's own loop runs in this thread.
        made = apart.submit(lambda: asyncio.run(make_organization(settings, "New"))).result()
        ships.start("sandbox", "sandbox", "--system", "stripe", "--port", "0")
        ships.start("serve", "serve", "--port", "0")
        stand_in, _, key = ships.first_line("sandbox").partition("\tkey ")
        ships.start("worker", "worker", TOLLBRIDGE_VENDOR_URLS=f"STRIPE_TEST={stand_in}")
        url = ships.first_line("serve")
        account = {"id": "acme", "code": "ACME", "name": "Acme Ltd", "emailAddress": "ap@acme.example"}
        Client(Profile(url, made.org_id, made.key_id, made.secret)).call("POST", "accounts", body=account)
        link = apart.submit(lambda: asyncio.run(link_for_a_new_person(settings, made.org_id, url))).result()
        yield Installation(link, key, customer_of_acme(stand_in, key))


def customer_of_acme(stand_in: str, key: str) -> str:
    """Acme as it is in Stripe already."""
    form = urllib.parse.urlencode({"name": "Acme Ltd", "email": "ap@acme.example"}).encode()
    request = urllib.request.Request(f"{stand_in}/v1/customers", form, {"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["id"])


def heading(page: Page, words: str | re.Pattern[str]) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(words)


def bills() -> str:
    """A good bill of yesterday, whose number stands in a column with a name of their own, and one that is refused."""
    day = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    names = "Invoice no,accountId,billDate,currency,billTotal,lineItems.description,lineItems.lineItemType"
    return (
        f"{names},lineItems.quantity,lineItems.subtotal\n"
        f"INV-1,acme,{day},EUR,30.00,Seats,STANDING_CHARGE,3,30.00\n"
        f"INV-2,acme,soon,EUR,30.00,Seats,STANDING_CHARGE,3,30.00\n"
    )


def test_a_first_bill_is_ready_to_be_sent_after_few_clicks_by_keys_alone(
    installation: Installation, chromium: Browser
) -> None:
    context = chromium.new_context()
    context.set_default_timeout(30_000)
    page = context.new_page()
    clicks, keys = Clicks(page), Keys(page)

    clicks.follow(installation.link)
    keys.press("button", "Sign in")
    heading(page, "Overview")
    keys.press("link", re.compile("Add a credential"))
    keys.press("link", re.compile("Stripe .Test mode"))
    keys.fill(re.compile("^Name"), "Our test account")
    keys.fill(re.compile("^Api key"), installation.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("main").get_by_text("Valid", exact=True)).to_be_visible()

    keys.press("link", "Integrations", "Main")
    keys.press("link", "Stripe (Test mode)")
    keys.press("link", "Configure new integration")
    keys.fill(re.compile("^Name"), "Invoices")
    expect(page.get_by_label("Send from")).to_have_value(datetime.now(UTC).date().isoformat())
    keys.fill(re.compile("^Credential"), "Our test account")
    keys.press("button", "Create integration")
    expect(page.get_by_role("main").get_by_text("CONNECTED", exact=True)).to_be_visible()

    keys.press("link", "Bills", "Main")
    keys.press("link", "Import bills")
    keys.fill("or paste it", bills())
    keys.press("button", "Preview")
    keys.fill("Invoice no", "id")
    keys.press("button", "Preview with these columns")
    expect(page.get_by_role("table", name="Refused rows")).to_contain_text("soon")
    keys.press("button", "Import 1 bill")
    expect(page.get_by_role("main")).to_contain_text("1 bill imported")

    keys.press("link", "External mappings", "Main")
    keys.press("link", "Make the first")
    keys.press("link", "Acme Ltd")
    keys.fill("External id", installation.customer)
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"acme is {installation.customer} in Stripe.")).to_be_visible()

    keys.press("link", "Integrations", "Main")
    keys.press("link", "Stripe (Test mode)")
    keys.press("link", "Invoices")
    keys.fill("Preview with the bill", "INV-1")
    page.keyboard.press("Enter")
    heading(page, "Preview: bill INV-1")
    expect(page.get_by_text("Create the draft invoice").first).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text(installation.customer)
    # Next comes to send the first three, and to wait for "Continue".
    assert len(clicks) <= MOST_CLICKS, clicks.pressed
    context.close()
