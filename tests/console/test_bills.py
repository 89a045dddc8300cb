"""The list of bills, one bill, and bills approved or locked together."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update

from tests.console.conftest import Browser, SignIn
from tests.console.world import CALLER, add_account, add_bill, add_integration
from tollbridge.domain.access import Role
from tollbridge.domain.flows import Delivered, Request, Step
from tollbridge.domain.previews import PreviewedStep, previewed
from tollbridge.services import bills, clock, runs
from tollbridge.services.parts import Parts
from tollbridge.store import previews, schema


@pytest.fixture
async def acme(parts: Parts) -> None:
    await add_account(parts)


async def test_no_bill_yet_says_what_to_do(browser: Browser) -> None:
    page = await browser.open("/bills")
    assert page.h1 == ["Bills"]
    assert "No bill yet" in page.text
    assert page.links["Import bills from a file"] == "/console/bills/import"


async def test_every_filter_of_the_address_counts(browser: Browser, parts: Parts, acme: None) -> None:
    await add_account(parts, "globex")
    await add_bill(parts, "old", billDate="2026-09-30")
    await add_bill(parts, "new", billDate="2026-10-01")
    await add_bill(parts, "dollars", currency="USD", billDate="2026-11-15")
    await add_bill(parts, "theirs", "globex", billDate="2026-11-16")
    await bills.set_status(parts.db, CALLER, "old", {"status": "APPROVED"})
    expected = {
        "": {"old", "new", "dollars", "theirs"},
        "?status=APPROVED": {"old"},
        "?account=GLOBEX": {"theirs"},
        "?account=globex&status=": {"theirs"},
        "?month=2026-10": {"new"},
        "?since=2026-10-01&until=2026-11-15": {"new", "dollars"},
        "?currency=usd": {"dollars"},
        "?account=nobody": set(),
    }
    for query, ids in expected.items():
        page = await browser.open(f"/bills{query}")
        assert {id for id in expected[""] if id in page.links} == ids, query
    assert "There is no account nobody." in (await browser.open("/bills?account=nobody")).text


async def test_a_filter_that_cannot_be_is_refused_with_the_way_out(browser: Browser) -> None:
    for query, told in (
        ("month=October", "a month such as 2026-01"),
        ("since=2026-02-30", "a day such as 2026-01-31"),
        ("status=PAID", "PENDING or APPROVED"),
        ("delivery=lost", "not-delivered"),
        ("account=a%00b", "control character"),
    ):
        page = await browser.open(f"/bills?{query}")
        assert page.status == 400, query
        assert told in page.text


async def test_a_list_says_where_each_bill_stands_and_finds_those_not_delivered(
    browser: Browser, parts: Parts, acme: None
) -> None:
    await add_bill(parts, "early", billDate="2026-01-01")
    await add_integration(parts, sendFrom="2026-02-01")
    await add_bill(parts, "waits", billDate="2026-03-01")
    page = await browser.open("/bills")
    assert "no integration takes it" in page.text
    assert "Running" in page.text
    page = await browser.open("/bills?delivery=not-delivered")
    assert "waits" in page.links
    assert "early" not in page.links
    assert "Approve these …" not in page.links
    page = await browser.open("/bills?delivery=not-delivered&status=APPROVED")
    assert "No bill matches" in page.text


async def test_a_bill_shows_its_lines_total_and_every_integration(browser: Browser, parts: Parts, acme: None) -> None:
    integration = await add_integration(parts)
    await add_bill(parts, "b1", sequentialInvoiceNumber="INV-7")
    page = await browser.open("/bills/b1")
    assert page.h1 == ["Bill INV-7"]
    assert "12.50 EUR" in page.text
    assert page.links["Stripe EU"] == f"/console/configurations/{integration}"
    assert "Running" in page.text
    everything = await browser.open(page.links["View all runs"])
    assert everything.h1 == ["Runs"]
    assert "Bill b1" in everything.links
    last = await browser.open(page.links["Last integration run"])
    assert last.h1 == ["Bill INV-7 of Acme Ltd → Stripe"]


async def test_a_bill_that_came_before_its_integration_is_sent_by_a_button(
    browser: Browser, parts: Parts, acme: None
) -> None:
    await add_bill(parts, "b1")
    await add_integration(parts)
    page = await browser.open("/bills/b1")
    assert "none yet" in page.text
    run = await browser.send(page, "Send now")
    assert "/console/runs/" in run.url
    page = await browser.open("/bills/b1")
    assert "Send now" not in page.html
    assert "Last integration run" in page.links


async def test_a_bill_is_sent_to_the_integration_that_was_chosen_alone(
    browser: Browser, parts: Parts, acme: None
) -> None:
    await add_bill(parts, "b1")
    first = await add_integration(parts, "First")
    await add_integration(parts, "Second")
    page = await browser.open("/bills/b1")
    await browser.send(page, "Send now", integration=first)
    async with parts.db.transaction() as tx:
        made = await runs.list_runs(tx, CALLER.org_id, entity_type="Bill", entity_id="b1")
    assert [run.integration_id for run in made.data] == [first]


async def test_what_is_under_way_is_not_sent_again(browser: Browser, parts: Parts, acme: None) -> None:
    await add_bill(parts, "b1")
    integration = await add_integration(parts)
    page = await browser.open("/bills/b1")
    await browser.send(page, "Send now")
    refused = await browser.send(page, "Send now", integration=integration)
    assert refused.status == 409
    assert "The bill is not sent" in refused.text


async def test_a_failed_bill_is_sent_by_a_new_run(browser: Browser, parts: Parts, acme: None) -> None:
    await add_integration(parts)
    await add_bill(parts, "b1")
    async with parts.db.transaction() as tx:
        (run,) = (await runs.list_runs(tx, CALLER.org_id, entity_type="Bill", entity_id="b1")).data
        done = clock.now() + timedelta(seconds=1)
        values = {"state": "failed", "fault_kind": "INVALID", "error": "It is wrong.", "completed_at": done}
        await tx.execute(update(schema.runs).where(schema.runs.c.id == run.id).values(values))
    page = await browser.open("/bills/b1")
    assert "It is wrong." in page.text
    again = await browser.send(page, "Send now")
    assert run.id not in again.url
    assert "/console/runs/" in again.url


async def test_one_bill_is_approved_taken_back_and_locked(browser: Browser, parts: Parts, acme: None) -> None:
    await add_bill(parts, "b1")
    page = await browser.send(await browser.open("/bills/b1"), "Approve")
    assert "It is approved." in page.text
    page = await browser.send(page, "Take back the approval")
    assert "The approval was taken back." in page.text
    page = await browser.send(await browser.send(page, "Approve"), "Lock for good")
    assert "It is locked for good." in page.text
    assert "Take back" not in page.html


async def test_a_viewer_sees_bills_and_no_button_that_would_be_refused(
    sign_in: SignIn, parts: Parts, acme: None
) -> None:
    await add_bill(parts, "b1")
    await add_integration(parts)
    browser = await sign_in(Role.VIEWER)
    listed = await browser.open("/bills")
    assert "b1" in listed.links
    assert not {"Approve these …", "Lock these …", "Import bills"} & set(listed.links)
    page = await browser.open("/bills/b1")
    assert [form.action for form in page.forms] == ["/console/theme", "/console/sign-out"]
    assert (await browser.open("/bills/approve")).status == 403


async def test_bills_are_approved_by_filter_once_count_and_sum_were_seen(
    browser: Browser, parts: Parts, acme: None
) -> None:
    await add_bill(parts, "b1", total="10.25")
    await add_bill(parts, "b2", total="20.50")
    await add_bill(parts, "b3", total="7", currency="USD")
    await add_bill(parts, "other", billDate="2026-01-01")
    page = await browser.open((await browser.open("/bills?month=2026-10")).links["Approve these …"])
    assert page.h1 == ["Approve 3 bills?"]
    assert "30.75 EUR" in page.text
    assert "7.00 USD" in page.text
    done = await browser.send(page, "Yes, approve 3 bills (30.75 EUR, 7.00 USD)")
    assert "3 bills were approved." in done.text
    assert done.url.endswith("/bills?month=2026-10")
    assert {"b1", "b2", "b3"} <= set((await browser.open("/bills?status=APPROVED")).links)
    assert "other" in (await browser.open("/bills?status=PENDING")).links


async def test_what_changed_since_it_was_seen_is_asked_again_and_not_done(
    browser: Browser, parts: Parts, acme: None
) -> None:
    await add_bill(parts, "b1")
    page = await browser.open("/bills/approve")
    await add_bill(parts, "b2")
    again = await browser.send(page, "Yes, approve 1 bill (12.50 EUR)")
    assert again.status == 409
    assert again.h1 == ["Approve 2 bills?"]
    assert "Nothing was done." in again.text
    assert "b1" in (await browser.open("/bills?status=PENDING")).links
    assert "2 bills were approved." in (await browser.send(again, "Yes, approve 2 bills")).text


async def test_only_approved_bills_are_locked_together(browser: Browser, parts: Parts, acme: None) -> None:
    await add_bill(parts, "b1")
    await add_bill(parts, "b2")
    assert "None of them is approved and not locked yet." in (await browser.open("/bills/lock")).text
    await bills.set_status(parts.db, CALLER, "b1", {"status": "APPROVED"})
    page = await browser.open("/bills/lock")
    assert page.h1 == ["Lock 1 bill?"]
    await browser.send(page, "Yes, lock 1 bill (12.50 EUR)")
    assert (await bills.retrieve(parts.db, CALLER, "b1")).record["locked"]
    assert not (await bills.retrieve(parts.db, CALLER, "b2")).record["locked"]
    assert (await browser.open("/bills/approve?status=APPROVED")).h1 == ["Approve 0 bills?"]


async def test_what_a_preview_found_is_shown_request_by_request(browser: Browser, parts: Parts, acme: None) -> None:
    await add_integration(parts)
    await add_bill(parts, "b1")
    request = Request("POST", "/v1/invoices", form=(("currency", "eur"),))
    step = Step("Create the invoice", request, "invoice", sources={"currency": ("bill.currency",)})
    outcome = Delivered("", None, Decimal("12.50"), "EUR")
    shown = {"method": "POST", "path": "/v1/invoices", "form": {"currency": "eur"}}
    found = previewed([PreviewedStep(step, True, None, None, shown)], outcome, ["It has no address."])
    async with parts.db.transaction() as tx:
        (run,) = (await runs.list_runs(tx, CALLER.org_id, entity_type="Bill", entity_id="b1")).data
        values = {"state": "delivered", "flow": "preview", "integration_id": None, "lane": None}
        await tx.execute(update(schema.runs).where(schema.runs.c.id == run.id).values(values))
    async with parts.db.hot() as connection:
        await previews.keep(connection, [(run.id, found.shown)])
    page = await browser.open(f"/previews/{run.id}")
    assert page.status == 200
    assert "POST /v1/invoices" in page.text
    assert "bill.currency" in page.text
    assert "It has no address." in page.text
