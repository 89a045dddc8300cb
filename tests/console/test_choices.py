"""Ids that are looked up in the live system: for mappings, for options, and when a group is mended."""

from __future__ import annotations

import re

import pytest

from tests.console.conftest import Browser, SignIn
from tests.console.test_events import organization as organization
from tests.console.trouble import fail, unmapped
from tests.services.answering import answering
from tests.services.conftest import world as world
from tests.services.test_choices import ACME, BETA
from tests.services.world import World
from tollbridge.domain.access import Role
from tollbridge.domain.flows import Found


async def test_a_customer_is_looked_up_and_stands_in_the_form(browser: Browser, world: World) -> None:
    form = await browser.open("/mappings/new?entity=Account&id=a&system=Stripe&table=Customer&integration=int")
    async with answering(world, lambda asked: Found((ACME,) if asked.words in ("", "acc") else ())):
        page = await browser.open(form.links["Look up a customer"])
        assert page.h1 == ["Look up a customer in Stripe"]
        assert "1 found. Asked: Tenant one." in page.text
        (search,) = [each for each in page.forms if each.button == "Search"]
        assert (search.method, search.fields["kind"], search.fields["integration"]) == ("get", "Customer", "int")
        (asked,) = await world.rows("SELECT id FROM runs WHERE flow = 'ask'")
        assert (await browser.open(f"/runs/{asked['id']}")).status == 200
        nobody = await browser.open("/choices?system=STRIPE_TEST&kind=Customer&q=nobody")
        assert "Nothing found" in nobody.text
    back = await browser.open(page.links["Account a, A@example.org"])
    fields = back.form("Create mapping").fields
    assert (fields["external"], fields["system"], fields["table"], fields["integration"]) == (
        "cus_a",
        "Stripe",
        "Customer",
        "int",
    )
    made = await browser.send(back, "Create mapping")
    assert "a is cus_a in Stripe." in made.text


async def test_where_the_system_cannot_be_asked_the_page_says_so_and_the_field_stays(
    browser: Browser, world: World
) -> None:
    page = await browser.open("/choices?system=STRIPE_TEST&kind=Customer")
    assert page.status == 200
    assert "no worker is running. Enter the id by hand" in page.text
    form = await browser.open("/mappings/new?entity=Account&id=a&system=Xero&table=Contact")
    assert not any(each.startswith("Look up") for each in form.links)
    assert "external" in form.form("Create mapping").fields


async def test_an_option_that_has_ids_leads_to_where_they_are_looked_up(browser: Browser, world: World) -> None:
    form = await browser.open("/integrations/stripe_test/new")
    assert form.links["Look up a tax rate"].startswith("/console/choices?system=STRIPE_TEST&kind=TaxRate")
    async with answering(world, lambda asked: Found((BETA,))):
        page = await browser.open(form.links["Look up a tax rate"])
    assert page.h1 == ["Look up a tax rate in Stripe (Test mode)"]
    assert "account B cus_b" in page.text


async def test_suggestions_are_shown_with_evidence_and_only_those_ticked_are_mapped(
    browser: Browser, world: World
) -> None:
    await fail(world, "one", "a", unmapped("a"))
    await fail(world, "two", "b", unmapped("b"))
    (link,) = {path for path in (await browser.open("/events")).links.values() if path.endswith("/mend")}
    ask = await browser.open(link)
    refused = await browser.send(ask, "Suggest mappings", mappings="b,cus_typed", suggest="1")
    assert (refused.status, "no worker is running" in refused.text) == (400, True)
    assert "b,cus_typed" in refused.html
    async with answering(world, lambda asked: Found((ACME, BETA))):
        page = await browser.send(ask, "Suggest mappings", suggest="1")
    assert "Account a ( a ) is Account a, A@example.org ( cus_a ): same e-mail address a@example.org" in page.text
    assert "same name Account b" in page.text
    assert "2 of 2 were looked for; 2 have one match alone." in page.text
    assert await world.rows("SELECT 1 FROM external_mappings") == []
    wrong = await browser.send(page, "Mend and send 2 (20.00 USD)", accept="a cus_a", mappings="no comma")
    assert (wrong.status, "no comma between the ids" in wrong.text) == (400, True)
    boxes = {box: "checked" in box for box in re.findall(r'<input type="checkbox" name="accept"[^>]*>', wrong.html)}
    assert [ticked for box, ticked in boxes.items() if "a cus_a" in box] == [True]
    assert [ticked for box, ticked in boxes.items() if "b cus_b" in box] == [False]
    begun = await browser.send(wrong, "Mend and send 2 (20.00 USD)", accept="a cus_a", mappings="")
    assert "2 are being sent." in begun.text
    (mapped,) = await world.rows("SELECT m3ter_id, external_id FROM external_mappings")
    assert tuple(mapped) == ("a", "cus_a")


@pytest.mark.parametrize("role", [Role.VIEWER])
async def test_who_may_not_map_looks_nothing_up(sign_in: SignIn, world: World, role: Role) -> None:
    viewer = await sign_in(role)
    assert (await viewer.open("/choices?system=STRIPE_TEST&kind=Customer")).status == 403
