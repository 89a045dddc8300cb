"""A credential expired on a Sunday: from the mail to everything sent that waited for it, with the clicks counted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Clicks
from tests.browser.installation import Installation, account, bill, installed

MOST_CLICKS = 4
"""With the one that signs in."""
REGIONS = ("Europe", "Americas", "Asia")
EACH = 16
BILLS = EACH * len(REGIONS)
ANOTHER_KEY = "sk_test_another"


def accounts_of(region: str) -> list[str]:
    return [f"{region.lower()}{number}" for number in range(EACH)]


@pytest.fixture
def installation() -> Iterator[Installation]:
    """Three integrations share a credential, each with accounts of its own."""
    with installed() as here:
        credential = here.client.call(
            "POST",
            "integrationcredentials",
            body={"name": "Stripe", "destination": "STRIPE_TEST", "apiKey": here.key},
        )
        for region in REGIONS:
            here.client.call(
                "POST",
                "integrationconfigs",
                body={
                    "name": region,
                    "destination": "STRIPE_TEST",
                    "entityType": "Bill",
                    "integrationCredentialsId": credential["id"],
                    "configData": {"accountIds": accounts_of(region), "finish": "finalise"},
                },
            )
            here.send("accounts", map(account, accounts_of(region)))
        yield here


def requests(installation: Installation) -> int:
    """How often the vendor was asked anything."""
    return len(installation.at_vendor("GET", "requests")["requests"])


@pytest.mark.timeout(900)
def test_what_waits_for_an_expired_credential_is_sent_after_few_clicks_and_the_key_alone(
    installation: Installation, chromium: Browser
) -> None:
    (books,) = installation.at_vendor("GET", "books")["accounts"]
    day = datetime.now(UTC).date().isoformat()
    first, *rest = [bill(f"b-{id}", id, day, "10.00") for region in REGIONS for id in accounts_of(region)]
    installation.at_vendor("DELETE", "keys", {"key": installation.key})
    installation.send("bills", [first])
    installation.runs_are("held", 1)
    asked = requests(installation)
    installation.send("bills", rest)
    installation.runs_are("held", BILLS)
    # So it was since Sunday.
    installation.sql("UPDATE runs SET updated_at = updated_at - interval '31 hours' WHERE state = 'held'")

    page = chromium.new_context().new_page()
    installation.choose_a_password(page)
    clicks = Clicks(page)
    installation.come_by_mail(page, clicks, "a credential does not work")
    page.get_by_role("link", name="Reconnect").click()
    dialog = page.get_by_role("dialog", name="Reconnect Stripe")
    assert requests(installation) == asked, "something was tried meanwhile"
    installation.at_vendor("POST", "keys", {"key": ANOTHER_KEY, "account": books["account"]})
    dialog.get_by_label("Api key").fill(ANOTHER_KEY)
    told = f"{BILLS} held bills of {len(REGIONS)} integrations (480.00 EUR)"
    dialog.get_by_role("button", name=f"Send {told}").click()
    expect(page.get_by_text(f"Being sent: {told}.")).to_be_visible(timeout=60_000)
    assert len(clicks) <= MOST_CLICKS, clicks.pressed

    installation.runs_are("delivered", BILLS)
    assert len(installation.at_vendor("GET", "books")["invoices"]) == BILLS
    for row in installation.sql("SELECT min(id) AS id FROM runs WHERE flow = 'deliver' GROUP BY integration_id"):
        page.goto(f"{installation.url}/console/runs/{row['id']}")
        expect(page.get_by_text(re.compile("^Held 31 h: credential, until"))).to_be_visible()
    page.context.close()
