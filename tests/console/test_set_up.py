"""A first set-up that is left half-way goes on from any page, at the step that is next."""

from __future__ import annotations

from tests.api.entities import add_credential
from tests.console.conftest import Browser, Page, SignIn
from tests.console.world import CALLER, add_account, add_bill
from tollbridge.domain.access import Role
from tollbridge.services import integrations
from tollbridge.services.external_mappings import EXTERNAL_MAPPINGS
from tollbridge.services.parts import Parts


async def configure(parts: Parts) -> str:
    """An integration that is made as the Console makes it; answers its id."""
    config = {"firstSends": 3, "onlySendOnApproval": True}
    body = {"destination": "STRIPE", "entityType": "Bill", "name": "Invoices", "configData": config}
    made = await integrations.create(parts.db, CALLER, body | {"integrationCredentialsId": "stripe"})
    return made.record.id


async def map_acme(parts: Parts) -> None:
    value = {"m3terEntity": "Account", "m3terId": "acme", "externalSystem": "Stripe", "externalTable": "Customer"}
    await EXTERNAL_MAPPINGS.create(parts.db, CALLER, value | {"externalId": "cus_1"})


def following(page: Page) -> tuple[str, str] | None:
    """The words of the next step, and where it is done."""
    return next((each for each in page.links.items() if each[0].startswith("Next: ")), None)


async def test_every_page_leads_to_the_next_step_until_something_arrived(browser: Browser, parts: Parts) -> None:
    words = "Next: Add a credential of the system that bills go to"
    assert following(await browser.open("/runs")) == (words, "/console/credentials/new")
    await add_credential(parts.db, id="stripe")
    page = await browser.open("/runs")
    assert "Set-up: 1 of 7 done" in page.text
    assert following(page) == (
        "Next: Configure an integration",
        "/console/integrations/stripe/new?credential=stripe",
    )
    form = await browser.open("/integrations/stripe/new?credential=stripe")
    assert form.form("Create integration").fields["credential"] == "stripe"
    assert following(form) is None, "it is here"
    id = await configure(parts)
    assert following(await browser.open("/runs")) == ("Next: Import bills", "/console/bills/import")
    await add_account(parts)
    await add_bill(parts, "one")
    assert following(await browser.open("/bills")) == (
        "Next: Say which account is which customer there",
        "/console/mappings/new",
    )
    await map_acme(parts)
    assert following(await browser.open("/mappings")) == ("Next: Preview a bill", f"/console/configurations/{id}#try")
    details = await browser.open(f"/configurations/{id}")
    assert details.form("Preview").fields["bill"] == "one"
    await parts.db.pool.execute(
        "INSERT INTO ledger (org_id, tenant, entity_type, entity_id, document, version, state, steps, updated_at)"
        " VALUES ($1, 't', 'Bill', 'one', 'invoice', 1, 'done', '{}', now())",
        CALLER.org_id,
    )
    await browser.send(details, "Continue")
    assert following(await browser.open("/runs")) is None
    assert "Set-up" not in (await browser.open("/")).text


async def test_what_is_sent_by_approval_is_approved_next(browser: Browser, parts: Parts) -> None:
    await add_credential(parts.db, id="stripe")
    await configure(parts)
    await add_account(parts)
    await add_bill(parts, "one", status="PENDING")
    await map_acme(parts)
    page = await browser.open("/")
    assert page.links["Approve the first bills"] == "/console/bills/approve"
    assert page.links["Look at what was sent, and continue"].endswith("#continue")


async def test_who_may_not_configure_is_not_asked_to(sign_in: SignIn) -> None:
    viewer = await sign_in(Role.VIEWER)
    assert following(await viewer.open("/runs")) is None
