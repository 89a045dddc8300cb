"""Alerts: listed, taken, given away, written about, closed and opened again."""

from __future__ import annotations

import pytest

from tests.console.conftest import Browser, SignIn
from tests.console.trouble import fail, unmapped
from tests.services.conftest import world as world
from tests.services.world import ORG, World
from tollbridge.domain.access import Role
from tollbridge.services.organizations import NewOrganization


@pytest.fixture
def organization(world: World) -> NewOrganization:
    """The organization whose runs fail."""
    return NewOrganization(ORG, "Org", "", "", "")


async def test_where_nothing_is_wrong_the_page_says_what_would_be(browser: Browser) -> None:
    page = await browser.open("/alerts")
    assert page.h1 == ["Alerts"]
    assert "Nothing is wrong" in page.text


async def test_an_alert_leads_to_the_run_the_event_and_the_integration_behind_it(
    browser: Browser, world: World
) -> None:
    run_id = await fail(world, "one", "a")
    page = await browser.open("/alerts")
    assert "Run failed" in page.text
    alert = await browser.open(page.links["Stripe knows no customer cus_1."])
    assert alert.h1 == ["Run failed"]
    assert "Restore it." in alert.text
    assert alert.links[run_id] == f"/console/runs/{run_id}"
    assert alert.links["int"] == "/console/configurations/int"
    (event,) = await world.rows("SELECT id FROM events WHERE type = 'IntegrationEvent'")
    assert (await browser.open(alert.links[event["id"]])).h1 == ["integration.validation.error"]


async def test_who_takes_an_alert_has_it_writes_about_it_closes_it_and_opens_it_again(
    browser: Browser, world: World
) -> None:
    await fail(world, "one", "a")
    page = await browser.open((await browser.open("/alerts")).links["Stripe knows no customer cus_1."])
    page = await browser.send(page, "Take it")
    assert "The alert was changed: it is in progress." in page.text
    assert "Assigned to Ada Bill" in page.text
    page = await browser.send(page, "Write it down", note="Asked the customer.")
    assert "Asked the customer." in page.text
    page = await browser.send(page, "Assign", assignee="")
    assert "Assigned to nobody" in page.text
    page = await browser.send(page, "Close")
    assert "Stripe knows no customer cus_1." not in (await browser.open("/alerts")).text
    assert "Stripe knows no customer cus_1." in (await browser.open("/alerts?state=CLOSED")).text
    page = await browser.send(page, "Reopen")
    assert "NEW" in page.html
    assert "Stripe knows no customer cus_1." in (await browser.open("/alerts?state=NEW")).text


async def test_what_somebody_else_did_meanwhile_is_not_overwritten(browser: Browser, world: World) -> None:
    await fail(world, "one", "a")
    old = await browser.open((await browser.open("/alerts")).links["Stripe knows no customer cus_1."])
    await browser.send(old, "Take it")
    refused = await browser.send(old, "Close")
    assert refused.status == 409
    assert "it was changed meanwhile" in refused.text
    assert "In progress" in refused.text


async def test_filters_stand_in_the_address(browser: Browser, world: World) -> None:
    await fail(world, "one", "a")
    await fail(world, "two", "b", unmapped("b"))
    assert "has no Customer" in (await browser.open("/alerts?severity=ERROR&type=RUN_FAILED&integration=int")).text
    assert "has no Customer" in (await browser.open("/alerts?severity=&type=&state=")).text
    nothing = await browser.open("/alerts?severity=INFO")
    assert "No alert matches" in nothing.text
    assert nothing.links["Clear"] == "/console/alerts"
    wrong = await browser.open("/alerts?severity=LOUD")
    assert wrong.status == 400
    assert "'LOUD'" in wrong.text


async def test_a_viewer_reads_alerts_and_finance_works_on_them_without_seeing_who_the_users_are(
    sign_in: SignIn, world: World
) -> None:
    await fail(world, "one", "a")
    viewer = await sign_in(Role.VIEWER)
    path = (await viewer.open("/alerts")).links["Stripe knows no customer cus_1."]
    page = await viewer.open(path)
    assert [form.button for form in page.forms if "alerts" in form.action] == []
    finance = await sign_in(Role.FINANCE)
    page = await finance.open(path)
    assert "Assign to" not in page.text
    page = await finance.send(page, "Take it")
    page = await finance.send(page, "Give it back to nobody")
    assert "Assigned to nobody" in page.text
