"""What the stand-in tells about events."""

from __future__ import annotations

from typing import Any

from tests.sandbox.conftest import Client
from tollbridge.sandbox.stripe.journal import Journal

DAY = 86_400


async def events(client: Client, **form: str) -> list[dict[str, Any]]:
    """The events that a filter lets through, oldest first."""
    reply = await client.get("/v1/events", {"limit": "100", **form})
    assert reply.status == 200, reply.body
    return list(reversed(reply.body["data"]))


async def types(client: Client, **form: str) -> list[str]:
    return [each["type"] for each in await events(client, **form)]


async def test_an_invoice_tells_when_it_is_made_finalised_sent_and_paid(client: Client) -> None:
    terms = {"collection_method": "send_invoice", "days_until_due": "30"}
    draft = await client.with_lines(1000, **terms)
    await client.post(f"/v1/invoices/{draft.id}/send")
    await client.post(f"/v1/invoices/{draft.id}/send")
    await client.post(f"/v1/invoices/{draft.id}/pay", {"paid_out_of_band": "true"})
    told = await events(client, type="invoice.*")
    assert [(each["type"], each["data"]["object"]["status"]) for each in told] == [
        ("invoice.created", "draft"),
        ("invoice.finalized", "open"),
        ("invoice.sent", "open"),
        ("invoice.sent", "open"),
        ("invoice.paid", "paid"),
    ]
    assert {each["data"]["object"]["id"] for each in told} == {draft.id}


async def test_an_invoice_that_owes_nothing_is_finalised_and_paid_at_once(client: Client) -> None:
    await client.finalised(0)
    assert await types(client, type="invoice.*") == ["invoice.created", "invoice.finalized", "invoice.paid"]


async def test_voiding_and_deleting_are_told_with_what_was_there(client: Client) -> None:
    customer = await client.customer()
    invoice = await client.finalised(1000, customer=customer)
    note = await client.post("/v1/credit_notes", {"invoice": invoice.id, "amount": "400"})
    await client.post(f"/v1/credit_notes/{note.id}/void")
    await client.post(f"/v1/invoices/{invoice.id}/void")
    draft = await client.with_lines(700, customer=customer)
    await client.delete(f"/v1/invoices/{draft.id}")
    await client.post(f"/v1/customers/{customer}", {"name": "Grace"})
    await client.delete(f"/v1/customers/{customer}")
    told = await events(client)
    assert [each["type"] for each in told] == [
        "customer.created",
        "invoice.created",
        "invoice.finalized",
        "credit_note.created",
        "credit_note.voided",
        "invoice.voided",
        "invoice.created",
        "invoice.deleted",
        "customer.updated",
        "customer.deleted",
    ]
    objects = [each["data"]["object"] for each in told]
    assert [objects[at]["name"] for at in (0, 8, 9)] == ["Ada", "Grace", "Grace"]
    assert (objects[7]["id"], objects[7]["total"]) == (draft.id, 700)
    assert [objects[at]["status"] for at in (3, 4, 5)] == ["issued", "void", "void"]


async def test_a_refused_request_tells_nothing_and_a_replayed_one_tells_once(client: Client) -> None:
    customer = await client.customer()
    for _ in range(2):
        await client.post("/v1/invoices", {"customer": customer}, idempotency="k1")
    await client.post("/v1/invoices", {"customer": "cus_none"})
    charged = await client.finalised(1000, customer=customer)
    await client.post(f"/v1/invoices/{charged.id}/send")
    assert (await types(client)).count("invoice.created") == 2
    assert "invoice.sent" not in await types(client)


async def test_what_was_done_is_told_also_where_its_reply_was_an_error(client: Client) -> None:
    await client.fault("error_after_commit", path="/v1/customers")
    assert (await client.post("/v1/customers", {"name": "Ada"})).status == 500
    assert await types(client) == ["customer.created"]


async def test_events_are_filtered_by_type_and_moment(client: Client) -> None:
    first = await client.customer()
    await client.forward(DAY)
    await client.draft(first)
    await client.customer()
    assert await types(client, type="customer.created") == ["customer.created"] * 2
    assert await types(client, **{"types[0]": "invoice.created", "types[1]": "invoice.paid"}) == ["invoice.created"]
    since = str((await events(client, type="invoice.created"))[0]["created"])
    assert await types(client, **{"created[gte]": since}) == ["invoice.created", "customer.created"]
    assert await types(client, **{"created[lt]": since}) == ["customer.created"]
    assert await types(client, type="customer", limit="10") == []
    for refused in (
        {"type": "a", "types[]": "b"},
        {f"types[{at}]": "a" for at in range(21)},
        {"delivery_success": "true"},
    ):
        assert (await client.get("/v1/events", refused)).status == 400


async def test_events_come_in_pages_newest_first(client: Client) -> None:
    customers = [await client.customer() for _ in range(3)]
    first = (await client.get("/v1/events", {"limit": "2"})).body
    assert [each["data"]["object"]["id"] for each in first["data"]] == [customers[2], customers[1]]
    assert first["has_more"] is True
    last = first["data"][-1]["id"]
    rest = (await client.get("/v1/events", {"starting_after": last})).body
    assert [each["data"]["object"]["id"] for each in rest["data"]] == [customers[0]]
    assert rest["has_more"] is False
    back = (await client.get("/v1/events", {"ending_before": last})).body
    assert [each["id"] for each in back["data"]] == [first["data"][0]["id"]]


async def test_events_are_gone_after_30_days(client: Client) -> None:
    await client.customer()
    [event] = await events(client)
    await client.forward(30 * DAY - 60)
    assert (await client.get(f"/v1/events/{event['id']}")).body == event
    await client.forward(60)
    assert (await client.get(f"/v1/events/{event['id']}")).status == 404
    assert await events(client) == []


def test_the_journal_keeps_a_bounded_number_of_events() -> None:
    journal = Journal(most=3)
    for number in range(5):
        journal.add(f"evt_{number}", "customer.created", {"number": number}, 1)
    kept = journal.kept(1)
    assert list(kept) == ["evt_2", "evt_3", "evt_4"]
    assert [journal.object_of(event)["number"] for event in kept.values()] == [2, 3, 4]
