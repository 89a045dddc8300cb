"""The bills of a month end fail for one cause: from the mail to all of them sent, with the clicks counted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Clicks
from tests.browser.installation import Installation, account, bill, installed

MOST_CLICKS = 4
"""With the one that signs in."""
BILLS = 313
ACCOUNTS = [f"a{number}" for number in range(BILLS)]


@pytest.fixture
def installation() -> Iterator[Installation]:
    """One that may not make customers in Stripe, where all of them are, but nobody said which is which."""
    with installed() as here:
        credential = here.client.call(
            "POST",
            "integrationcredentials",
            body={"name": "Stripe", "destination": "STRIPE_TEST", "apiKey": here.key},
        )
        here.client.call(
            "POST",
            "integrationconfigs",
            body={
                "name": "Invoices",
                "destination": "STRIPE_TEST",
                "entityType": "Bill",
                "integrationCredentialsId": credential["id"],
                "configData": {"missingCustomer": "refuse", "countErrors": "SHARED", "finish": "finalise"},
            },
        )
        here.send("accounts", map(account, ACCOUNTS))
        yield here


@pytest.mark.timeout(900)
def test_what_failed_for_one_cause_is_mended_and_sent_after_few_clicks(
    installation: Installation, chromium: Browser
) -> None:
    day = datetime.now(UTC).date().isoformat()
    totals = ["348.00", *["131.00"] * (BILLS - 1)]
    installation.send("bills", [bill(f"b-{id}", id, day, total) for id, total in zip(ACCOUNTS, totals, strict=True)])
    customers = {id: installation.customer(f"Customer {id}", f"ap@{id}.example") for id in ACCOUNTS}
    installation.runs_are("failed", BILLS)

    page = chromium.new_context().new_page()
    installation.choose_a_password(page)
    clicks = Clicks(page)
    installation.come_by_mail(page, clicks, "runs fail")
    words = f"Mend and send {BILLS} (41,220.00 EUR)"
    page.get_by_role("link", name=words).click()
    mappings = page.get_by_label("Mappings in Stripe/Customer")
    assert set(mappings.input_value().split()) == {f"{id}," for id in ACCOUNTS}
    mappings.fill("\n".join(f"{id},{customer}" for id, customer in customers.items()))
    page.get_by_role("button", name=words).click()
    expect(page.get_by_text(f"{BILLS} are being sent.")).to_be_visible(timeout=60_000)
    assert len(clicks) <= MOST_CLICKS, clicks.pressed

    # It is watched to its end: what comes, comes by itself.
    expect(page.get_by_text(f"{BILLS} delivered, 0 still failing.")).to_be_visible(timeout=300_000)
    invoices = installation.at_vendor("GET", "books")["invoices"]
    assert len({invoice["metadata"]["bill_id"] for invoice in invoices}) == len(invoices) == BILLS
    assert sum(invoice["total"] for invoice in invoices) == 4_122_000
    page.context.close()
