"""Integrations, their configurations and their details in the Console."""

from __future__ import annotations

from tests.console.conftest import Browser, Page
from tests.services import world
from tollbridge.services.caller import Caller
from tollbridge.services.organizations import NewOrganization
from tollbridge.services.parts import Parts
from tollbridge.services.sealing import seal_fields
from tollbridge.store import records
from tollbridge.store.schema import credentials


async def a_credential(parts: Parts, org_id: str, status: str = "VALID") -> None:
    """A credential that needs no check, as no worker runs here."""
    record = records.fresh(
        org_id,
        "cred",
        world.NOW,
        Caller(org_id, "SYSTEM").principal,
        {"name": "Key"},
        name="Key",
        type="STATIC_API_KEY",
        system="STRIPE_TEST",
        status=status,
        error=None,
        checked_at=world.NOW,
        tenant="STRIPE_TEST:acct_1",
        tenant_name="Acme",
        secrets=seal_fields(parts.vault, "cred", {"apiKey": "sk_test_x"}),
        candidate=None,
    )
    async with parts.db.transaction() as tx:
        await records.add(tx, credentials, record)


async def configured(browser: Browser, name: str = "Stripe EU") -> Page:
    page = await browser.open("/integrations/stripe_test/new?entityType=Bill")
    return await browser.send(page, "Create integration", name=name)


async def test_the_page_opens_with_all_selected_and_filters_by_category(browser: Browser) -> None:
    page = await browser.open("/integrations")
    assert [name for name in page.links if name.startswith(("All", "Accounts Receivables", "Customer"))] == [
        "All 3",
        "Accounts Receivables 2",
        "Customer Relationship Management 0",
    ]
    assert "Stripe (Test mode)" in page.text
    only = await browser.open(page.links["Customer Relationship Management 0"])
    assert "No system matches" in only.text


async def test_only_the_name_is_needed_and_bills_are_sent_from_today(browser: Browser) -> None:
    page = await browser.open("/integrations/stripe_test/new?entityType=Bill")
    fields = page.form("Create integration").fields
    assert fields["option.sendFrom"]
    details = await browser.send(page, "Create integration", name="Stripe EU")
    assert details.h1 == ["Stripe EU"]
    assert "DISCONNECTED" in details.text
    assert fields["option.sendFrom"] in details.html


async def test_the_check_is_amber_once_configured_and_green_once_connected(
    browser: Browser, parts: Parts, organization: NewOrganization
) -> None:
    await configured(browser)
    assert "Configured 1 disconnected 1 configuration" in (await browser.open("/integrations")).text
    await a_credential(parts, organization.org_id)
    details = await browser.open((await browser.open("/integrations/stripe_test")).links["Stripe EU"])
    connected = await browser.send(details, "Use this credential")
    assert connected.h1 == ["Stripe EU"]
    assert "CONNECTED" in connected.text
    assert "DISCONNECTED" not in connected.text
    assert "Configured and connected" in (await browser.open("/integrations")).text


async def test_an_option_that_is_wrong_is_told_with_what_was_typed(browser: Browser) -> None:
    page = await browser.open("/integrations/stripe_test/new?entityType=Bill")
    again = await browser.send(
        page, "Create integration", name="Mine", **{"option__memo": "Hello {nobody}", "option__finish": "send"}
    )
    assert again.status == 400
    assert "nobody" in again.text
    fields = again.form("Create integration").fields
    assert (fields["name"], fields["option.memo"], fields["option.finish"]) == ("Mine", "Hello {nobody}", "send")


async def test_an_edit_returns_to_the_details_and_clashes_politely(browser: Browser) -> None:
    details = await configured(browser)
    edit = await browser.open(details.links["Edit"])
    assert "Entity type" in edit.text
    changed = await browser.send(edit, "Update integration", option__finish="send")
    assert '"send"' in changed.html or "send" in changed.text
    late = await browser.send(edit, "Update integration", name="Late")
    assert late.status == 400
    assert "changed meanwhile" in late.text


async def test_a_switch_that_is_off_stays_off_when_the_form_is_shown_again(browser: Browser) -> None:
    details = await configured(browser)
    edit = await browser.open(details.links["Edit"])
    form = edit.form("Update integration")
    assert form.fields.pop("option.useAccountingProduct") == "true"
    changed = await browser.send(edit, "Update integration")
    assert "useAccountingProduct" in changed.text
    again = await browser.open(changed.links["Edit"])
    assert "option.useAccountingProduct" not in again.form("Update integration").fields


async def test_deleting_asks_first_and_says_what_is_deleted(browser: Browser) -> None:
    details = await configured(browser)
    ask = await browser.open(details.links["Delete"])
    assert ask.h1 == ["Delete Stripe EU?"]
    gone = await browser.send(ask, "Yes, delete Stripe EU")
    assert "Stripe EU was deleted." in gone.text
    assert "Nothing is configured yet" in gone.text


async def test_what_is_disabled_says_why_and_has_the_button_that_repairs_it(browser: Browser) -> None:
    details = await configured(browser)
    disabled = await browser.send(details, "Yes, disable Stripe EU", reason="Month end")
    assert "DISABLED" in disabled.text
    assert "Month end" in disabled.text
    enabled = await browser.send(disabled, "Yes, re-enable Stripe EU")
    assert "DISABLED" not in enabled.text


async def test_docs_are_served_by_the_product_itself(browser: Browser) -> None:
    page = await browser.open("/docs/stripe_test")
    assert page.status == 200
    assert "<script" not in page.html.partition("<main")[2]


async def test_every_answer_forbids_what_is_not_ours(browser: Browser) -> None:
    answer = await browser.client.get("/console/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "style=" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


async def test_what_is_made_here_sends_three_bills_first_and_is_continued_after_a_look(browser: Browser) -> None:
    page = await browser.open("/integrations/stripe_test/new?entityType=Bill")
    fields = page.form("Create integration").fields
    assert (fields["option.firstSends"], fields["option.volumeGuard"]) == ("3", "true")
    details = await configured(browser)
    assert "It sends 3 bills first, then waits." in details.text
    gone_on = await browser.send(details, "Continue")
    assert "It goes on: 0 held bills are sent." in gone_on.text
    assert "then waits" not in gone_on.text
