"""Which of ours is which of theirs."""

from __future__ import annotations

from sqlalchemy import update

from tests.console.conftest import Browser, SignIn
from tests.console.world import CALLER, add_account, add_bill, add_integration
from tollbridge.domain.access import Role
from tollbridge.services import runs
from tollbridge.services.external_mappings import EXTERNAL_MAPPINGS
from tollbridge.services.parts import Parts
from tollbridge.store import schema
from tollbridge.store.records import Record

MAPPING = {
    "m3terEntity": "Account",
    "m3terId": "acme",
    "externalSystem": "Stripe",
    "externalTable": "Customer",
    "externalId": "cus_1",
}


async def add_mapping(parts: Parts, **changes: str) -> str:
    return (await EXTERNAL_MAPPINGS.create(parts.db, CALLER, MAPPING | changes)).id


async def kept(parts: Parts) -> list[Record]:
    return list((await EXTERNAL_MAPPINGS.page(parts.db, CALLER, {}, 50, None)).data)


async def test_no_mapping_yet_says_what_one_is(browser: Browser) -> None:
    page = await browser.open("/mappings")
    assert page.h1 == ["External mappings"]
    assert "No mapping yet" in page.text
    assert page.links["Make the first"] == "/console/mappings/new"


async def test_mappings_are_filtered_by_system_entity_and_our_id(browser: Browser, parts: Parts) -> None:
    await add_account(parts)
    await add_mapping(parts)
    await add_mapping(parts, m3terEntity="Product", m3terId="seats", externalSystem="Xero", externalId="item_1")
    for query, shown, hidden in (
        ("system=Stripe", "cus_1", "item_1"),
        ("entity=Product", "item_1", "cus_1"),
        ("id=acme", "cus_1", "item_1"),
    ):
        page = await browser.open(f"/mappings?{query}")
        assert shown in page.text
        assert hidden not in page.text
    assert page.links["Acme Ltd"] == "/console/accounts/acme"
    assert "No mapping matches" in (await browser.open("/mappings?id=nobody")).text


async def test_a_mapping_is_made_in_two_stages(browser: Browser, parts: Parts) -> None:
    await add_account(parts)
    await add_account(parts, "globex")
    await add_integration(parts)
    page = await browser.open("/mappings/new?q=acme")
    assert page.h1 == ["New mapping: which account?"]
    assert "Globex Ltd" not in page.links
    page = await browser.open(page.links["Acme Ltd"])
    assert page.h1 == ["New mapping of Acme Ltd"]
    form = page.form("Create mapping")
    assert (form.fields["system"], form.fields["table"]) == ("Stripe", "Customer")
    page = await browser.send(page, "Create mapping", external="cus_7")
    assert "acme is cus_7 in Stripe." in page.text
    (made,) = await kept(parts)
    assert (made["m3ter_id"], made["external_id"], made["integration_id"]) == ("acme", "cus_7", None)


async def test_a_mapping_can_count_for_one_integration(browser: Browser, parts: Parts) -> None:
    await add_account(parts)
    integration = await add_integration(parts)
    page = await browser.open("/mappings/new?entity=Account&id=acme")
    assert "Stripe EU only" in page.text
    await browser.send(page, "Create mapping", external="cus_7", integration=integration)
    page = await browser.open("/mappings")
    assert page.links["Stripe EU"] == f"/console/configurations/{integration}"


async def test_the_address_fills_in_the_form_and_says_where_to_go_on(browser: Browser, parts: Parts) -> None:
    await add_account(parts)
    page = await browser.open("/mappings/new?entity=Account&id=acme&system=Xero&table=Contact&next=/accounts/acme")
    fields = page.form("Create mapping").fields
    assert (fields["system"], fields["table"]) == ("Xero", "Contact")
    page = await browser.send(page, "Create mapping", external="c-1")
    assert page.h1 == ["Acme Ltd"]


async def test_the_way_on_never_leads_to_another_site(browser: Browser, parts: Parts) -> None:
    await add_account(parts)
    page = await browser.open("/mappings/new?entity=Account&id=acme&next=//evil.example")
    assert "evil.example" not in page.links.values()
    page = await browser.send(page, "Create mapping", system="Stripe", table="Customer", external="cus_1")
    assert page.url.startswith("http://console/console/")


async def test_a_run_that_failed_for_want_of_a_mapping_fills_in_all_but_the_id(browser: Browser, parts: Parts) -> None:
    await add_account(parts)
    await add_integration(parts)
    await add_bill(parts, "b1")
    async with parts.db.transaction() as tx:
        (run,) = (await runs.list_runs(tx, CALLER.org_id, entity_type="Bill", entity_id="b1")).data
        values = {"state": "failed", "fault_kind": "UNMAPPED", "fault_code": "stripe.customer", "error": "None there."}
        await tx.execute(update(schema.runs).where(schema.runs.c.id == run.id).values(values))
    page = await browser.open(f"/runs/{run.id}")
    page = await browser.open(page.links["Create the external mapping"])
    fields = page.form("Create mapping").fields
    assert (fields["entity"], fields["id"], fields["system"], fields["table"]) == (
        "Account",
        "acme",
        "Stripe",
        "Customer",
    )
    page = await browser.send(page, "Create mapping", external="cus_7")
    assert page.url.endswith(f"/runs/{run.id}")


async def test_a_second_mapping_of_the_same_is_refused_and_what_was_typed_stays(browser: Browser, parts: Parts) -> None:
    await add_account(parts)
    await add_mapping(parts)
    page = await browser.open("/mappings/new?entity=Account&id=acme&system=Stripe&table=Customer")
    again = await browser.send(page, "Create mapping", external="cus_2")
    assert again.status == 400
    assert "has already" in again.text
    assert again.form("Create mapping").fields["external"] == "cus_2"


async def test_a_mapping_is_changed_and_versions_clash_politely(browser: Browser, parts: Parts) -> None:
    await add_account(parts)
    id = await add_mapping(parts)
    page = await browser.open((await browser.open("/mappings")).links["Edit"])
    assert page.form("Update mapping").fields["external"] == "cus_1"
    done = await browser.send(page, "Update mapping", external="cus_2")
    assert "The mapping was updated." in done.text
    clash = await browser.send(page, "Update mapping", external="cus_3")
    assert clash.status == 400
    assert "it was changed meanwhile" in clash.text
    assert [each["external_id"] for each in await kept(parts)] == ["cus_2"]
    assert id


async def test_a_mapping_is_deleted_once_it_was_asked(browser: Browser, parts: Parts) -> None:
    await add_mapping(parts)
    page = await browser.open((await browser.open("/mappings")).links["Delete"])
    assert page.h1 == ["Delete this mapping?"]
    page = await browser.send(page, "Yes, delete cus_1")
    assert "was deleted." in page.text
    assert await kept(parts) == []


async def test_a_viewer_sees_mappings_and_no_button_that_would_be_refused(sign_in: SignIn, parts: Parts) -> None:
    await add_mapping(parts)
    browser = await sign_in(Role.VIEWER)
    page = await browser.open("/mappings")
    assert "cus_1" in page.text
    assert not {"New mapping", "Import mappings", "Edit", "Delete"} & set(page.links)
    for path in ("/mappings/new", "/mappings/import"):
        assert (await browser.open(path)).status == 403
