"""Error events: by cause, one by one, with what mends them, and marked as actioned."""

from __future__ import annotations

import pytest

from tests.console.conftest import Browser, Page, SignIn
from tests.console.trouble import REJECTED, fail, unmapped
from tests.services.conftest import world as world
from tests.services.world import ORG, World
from tollbridge.domain.access import Role
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.services.organizations import NewOrganization


@pytest.fixture
def organization(world: World) -> NewOrganization:
    """The organization whose runs fail."""
    return NewOrganization(ORG, "Org", "", "", "")


def rail(page: Page) -> str:
    """The words of the rail."""
    return Page(200, "", page.html.partition("<nav")[2].partition("</nav>")[0]).text


async def test_who_has_no_errors_learns_what_would_stand_here(browser: Browser) -> None:
    page = await browser.open("/events")
    assert page.h1 == ["Integration events"]
    assert "Nothing is waiting for somebody" in page.text
    assert page.links["Integration Run Error Handling and Alerts"] == "/console/docs/errors"


async def test_a_refused_credential_says_what_its_repair_sends(browser: Browser, world: World) -> None:
    refused = Fault(FaultKind.UNAUTHORIZED, "stripe.401", "Stripe refused the key.", "Enter another key.")
    await fail(world, "one", "a", refused)
    page = await browser.open("/credentials/cred")
    assert "what is held for it is then sent: 1 held bill of 1 integration" in page.text
    assert any(form.button.startswith("Check and save, then send 1 held bill") for form in page.forms)


async def test_errors_of_one_cause_are_one_line_with_the_button_that_mends_them(browser: Browser, world: World) -> None:
    await fail(world, "one", "a", unmapped("a"))
    latest = await fail(world, "two", "b", unmapped("b"))
    other = await fail(world, "three", "a", REJECTED)
    page = await browser.open("/events")
    assert page.text.count("integration.missingaccountmapping.error") == 2  # its choice in the filter, and its line
    assert "Account b has no Customer in Stripe. Create the mapping." in page.text
    assert "Account a has no Customer" not in page.text
    assert page.links["Create the external mapping"] == f"/console/mappings/new?run={latest}"
    assert page.links["Go to run"] == f"/console/runs/{other}"
    single = await browser.open(page.links["2 events"])
    assert "Account a has no Customer" in single.text
    assert "Account b has no Customer" in single.text
    assert "Stripe knows no customer" not in single.text


async def test_a_group_is_marked_as_actioned_with_a_note_but_not_what_came_in_since(
    browser: Browser, world: World
) -> None:
    await fail(world, "one", "a")
    await fail(world, "two", "b")
    page = await browser.open("/events")
    world.later(minutes=1)
    await fail(world, "three", "a")
    page = await browser.send(page, "Mark 2 as actioned", note="Restored in Stripe.")
    assert "2 events were marked as actioned." in page.text
    assert "1 event" in page.links
    everything = await browser.open("/events?state=all")
    assert "3 events, 1 not actioned" in everything.links
    (of_two,) = await world.rows("SELECT id FROM events WHERE resource_id = 'two' AND run_id IS NOT NULL")
    event = await browser.open(f"/events/{of_two['id']}")
    assert "marked it as actioned, with 2 of its cause: Restored in Stripe." in event.text
    (line,) = await world.rows("SELECT * FROM audit_log WHERE action = 'MARK_ACTIONED'")
    assert line["entity"] == "EventGroup"


async def test_one_event_is_marked_and_marked_back(browser: Browser, world: World) -> None:
    await fail(world, "one", "a")
    (row,) = await world.rows("SELECT id FROM events WHERE type = 'IntegrationEvent'")
    page = await browser.open(f"/events/{row['id']}")
    assert page.h1 == ["integration.validation.error"]
    assert "stripe.customer_gone" in page.text
    page = await browser.send(page, "Mark as actioned", note="Looked at it.")
    assert "The event was marked as actioned." in page.text
    assert "Ada Bill marked it as actioned: Looked at it." in page.text
    assert "Nothing is waiting for somebody" in (await browser.open("/events")).text
    page = await browser.send(page, "Mark as not actioned")
    assert "The event was marked as not actioned." in page.text
    assert "Stripe knows no customer cus_1." in (await browser.open("/events")).text


async def test_a_note_that_is_too_long_marks_nothing(browser: Browser, world: World) -> None:
    await fail(world, "one", "a")
    page = await browser.open("/events")
    refused = await browser.send(page, "Mark 1 as actioned", note="x" * 2001)
    assert refused.status == 400
    assert "at most 2000 characters" in refused.text
    assert "1 event" in (await browser.open("/events")).links


async def test_many_events_come_page_by_page(browser: Browser, world: World) -> None:
    await world.db.pool.execute(
        "INSERT INTO events (org_id, id, name, type, happened_at, body, received_at) SELECT 'org', 'e' || n,"
        " 'integration.perform.error', 'IntegrationEvent', now(), jsonb_build_object('eventData',"
        " jsonb_build_object('newDto', jsonb_build_object('message', 'It is ' || n || '.', 'code', 'code ' || n))),"
        " now() + n * interval '1 second' FROM generate_series(1, 60) n"
    )
    for view in ("", "?view=single"):
        first = await browser.open(f"/events{view}")
        assert "It is 60." in first.text
        assert "It is 10." not in first.text
        second = await browser.open(first.links["Next 50"])
        assert "It is 10." in second.text
        assert "It is 11." not in second.text
        assert "Next 50" not in second.links


async def test_the_rail_says_how_many_nobody_saw_to(browser: Browser, world: World) -> None:
    assert "not actioned" not in rail(await browser.open("/runs"))
    await fail(world, "one", "a")
    await fail(world, "two", "b")
    assert "Integration events 2 not actioned Alerts 1 open" in rail(await browser.open("/runs"))
    page = await browser.open("/events")
    await browser.send(page, "Mark 2 as actioned")
    assert "Integration events Alerts" in rail(await browser.open("/runs"))


@pytest.mark.parametrize(("events", "told"), [(999, "999 not actioned"), (1000, "999+ not actioned")])
async def test_the_rail_counts_so_many_and_no_more(browser: Browser, world: World, events: int, told: str) -> None:
    await world.db.pool.execute(
        "INSERT INTO events (org_id, id, name, type, happened_at, body, received_at) SELECT 'org', 'e' || n,"
        " 'integration.perform.error', 'IntegrationEvent', now(), '{}', now() FROM generate_series(1, $1) n",
        events,
    )
    assert f"Integration events {told}" in rail(await browser.open("/"))


async def test_filters_stand_in_the_address_and_in_the_title(browser: Browser, world: World) -> None:
    await fail(world, "one", "a", unmapped("a"))
    await fail(world, "two", "b", REJECTED)
    page = await browser.open("/events?name=integration.validation.error")
    assert "Stripe knows no customer" in page.text
    assert "Account a has no Customer" not in page.text
    assert "integration.validation.error" in page.title
    nothing = await browser.open("/events?name=integration.perform.error")
    assert "No event matches" in nothing.text
    assert nothing.links["Clear"] == "/console/events"


async def test_a_viewer_sees_no_button_that_would_be_refused(sign_in: SignIn, world: World) -> None:
    await fail(world, "one", "a", unmapped("a"))
    viewer = await sign_in(Role.VIEWER)
    page = await viewer.open("/events")
    assert "Account a has no Customer" in page.text
    assert "Mark" not in page.text
    assert "Create the external mapping" not in page.links


async def test_an_unknown_event_is_said_to_be_one(browser: Browser) -> None:
    page = await browser.open("/events/none")
    assert page.status == 404
    assert "event" in page.text


async def test_a_group_is_mended_by_pasting_mappings_and_can_be_stopped(browser: Browser, world: World) -> None:
    await fail(world, "one", "a", unmapped("a"))
    await fail(world, "two", "b", unmapped("b"))
    page = await browser.open("/events")
    assert "Mend and send 2 (20.00 USD)" in page.text
    assert "2 failed, 0 held" in page.text
    (link,) = {path for path in page.links.values() if path.endswith("/mend")}
    ask = await browser.open(link)
    assert ask.h1 == ["Mend mapping.missing"]
    button = "Mend and send 2 (20.00 USD)"
    assert ask.form(button).fields["mappings"].split() == ["a,", "b,"]
    wrong = await browser.send(ask, button, mappings="nobody,cus_9")
    assert "lacks no mapping in this group" in wrong.text
    assert wrong.form(button).fields["mappings"] == "nobody,cus_9"
    begun = await browser.send(wrong, button, mappings="a,cus_1\nb,\n")
    assert "2 are being sent." in begun.text
    assert "0 of 2 delivered, 0 failing, 0 held, 2 left" in begun.text
    (mapped,) = await world.rows("SELECT m3ter_id, external_id FROM external_mappings")
    assert tuple(mapped) == ("a", "cus_1")
    under_way = await browser.open(link)
    assert "Look how far the mending is that is under way" in under_way.links
    stopped = await browser.send(begun, "Stop")
    assert "Stopped: Stopped by" in stopped.text


async def test_a_pasted_line_without_a_comma_is_refused_and_nothing_is_sent(browser: Browser, world: World) -> None:
    await fail(world, "one", "a", unmapped("a"))
    page = await browser.open("/events")
    form = await browser.open(page.links["Mend and send 1 (10.00 USD)"].removeprefix("/console"))
    again = await browser.send(form, "Mend and send 1 (10.00 USD)", mappings="a cus_1")
    assert again.status == 400
    assert "Line 1 of mappings is" in again.text
    assert await world.rows("SELECT 1 FROM mendings") == []
