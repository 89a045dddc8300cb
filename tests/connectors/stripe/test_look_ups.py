"""Finding out whether a write took effect, page by page, with what Stripe may answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.connectors.contracts import contract_of
from tollbridge.connectors.stripe import look_ups
from tollbridge.domain.flows import LookUp, Reply, Step

SENT = datetime(2026, 11, 2, 8, tzinfo=UTC)
SINCE = ("created[gte]", str(int(SENT.timestamp()) - 600))
TAGS = {"bill_id": "b1", "bill_revision": "2", "bill_part": "1/1"}


def look(look_up: LookUp, *replies: Reply, first_sent: datetime | None = SENT) -> tuple[list[Step], Reply | None]:
    """The steps of a look-up that gets these replies, and what it found; each step is held against the contract."""
    flow, waiting, steps = look_up(first_sent), iter(replies), []
    try:
        step = next(flow)
        while True:
            steps.append(step)
            assert not step.request.writes
            assert contract_of("stripe").complaints(step.request) == []
            step = flow.send(next(waiting))
    except StopIteration as end:
        return steps, end.value


def page(*entries: dict[str, Any], more: bool = False) -> Reply:
    return Reply.of({"object": "list", "data": list(entries), "has_more": more})


def invoice(id: str, status: str = "draft", **metadata: str) -> dict[str, Any]:
    return {"id": id, "status": status, "metadata": {**TAGS, **metadata}}


def test_an_invoice_is_known_by_bill_revision_and_part() -> None:
    others = [invoice("in_1", bill_id="b2"), invoice("in_2", bill_revision="1"), invoice("in_3", bill_part="1/2")]
    steps, found = look(look_ups.invoice("invoice:1", "cus_1", TAGS), page(*others, invoice("in_4")))
    assert found is not None
    assert found["id"] == "in_4"
    assert steps[0].request.query == (("customer", "cus_1"), SINCE, ("limit", "100"))


def test_a_void_invoice_and_one_without_metadata_are_not_ours() -> None:
    entries = [invoice("in_1", status="void"), {"id": "in_2", "metadata": None}, {"id": "in_3"}]
    assert look(look_ups.invoice("invoice:1", "cus_1", TAGS), page(*entries))[1] is None


def test_a_long_list_is_read_to_its_end_with_a_key_for_each_page() -> None:
    steps, found = look(
        look_ups.invoice("invoice:1", "cus_1", TAGS),
        page(invoice("in_1", bill_id="x"), more=True),
        page(invoice("in_2", bill_id="y"), more=True),
        page(invoice("in_3")),
        first_sent=None,
    )
    assert found is not None
    assert [step.key for step in steps] == ["invoice:1/invoices:0", "invoice:1/invoices:1", "invoice:1/invoices:2"]
    assert [dict(step.request.query).get("starting_after") for step in steps] == [None, "in_1", "in_2"]
    assert all("created[gte]" not in dict(step.request.query) for step in steps)


def test_lines_are_known_by_their_position_and_answered_with_the_invoice() -> None:
    look_up = look_ups.lines("lines:1:2", "in_1", frozenset({"101", "102"}))
    others = page({"id": "il_1", "metadata": {"position": "100"}}, {"id": "il_2", "metadata": {}})
    assert look(look_up, others)[1] is None
    steps, found = look(look_up, page({"id": "il_3", "metadata": {"position": "102"}}), Reply.of({"id": "in_1"}))
    assert found is not None
    assert found["id"] == "in_1"
    assert steps[-1].request.path == "/v1/invoices/in_1"


@pytest.mark.parametrize(("status", "took_effect"), [("draft", False), ("open", True), ("paid", True), ("void", True)])
def test_a_draft_was_not_finalised(status: str, took_effect: bool) -> None:
    reply = Reply.of({"id": "in_1", "status": status})
    assert look(look_ups.finalised("finalise:1", "in_1"), reply)[1] == (reply if took_effect else None)


def event(invoice_id: str) -> dict[str, Any]:
    return {"id": f"evt_{invoice_id}", "data": {"object": {"id": invoice_id}}}


def test_a_send_is_known_by_its_event() -> None:
    look_up = look_ups.sent("send:1", {"id": "in_1"})
    steps, found = look(look_up, page(event("in_9"), event("in_1")), Reply.of({"id": "in_1"}))
    assert found is not None
    assert steps[0].request.query == (("type", "invoice.sent"), SINCE, ("limit", "100"))
    assert look(look_up, page(event("in_9")))[1] is None


FINALISED = int(SENT.timestamp()) - 5


@pytest.mark.parametrize(
    ("finalised_at", "first_sent", "since"),
    [
        (FINALISED, SENT, FINALISED),
        (FINALISED, None, FINALISED),
        (FINALISED - 86_400, SENT, int(SENT.timestamp()) - 600),
        (None, None, None),
    ],
)
def test_no_event_is_read_from_before_the_invoice_was_finalised(
    finalised_at: int | None, first_sent: datetime | None, since: int | None
) -> None:
    look_up = look_ups.sent("send:1", {"id": "in_1", "status_transitions": {"finalized_at": finalised_at}})
    steps, _ = look(look_up, page(), first_sent=first_sent)
    assert dict(steps[0].request.query).get("created[gte]") == (None if since is None else str(since))


@pytest.mark.parametrize("status", [403, 404])
def test_without_events_an_invoice_counts_as_not_sent(status: int) -> None:
    steps, found = look(look_ups.sent("send:1", {"id": "in_1"}), Reply(status, {}, b"{}"))
    assert found is None
    assert status in steps[0].accept


CUSTOMER = {"id": "cus_1", "metadata": {"billing_account_id": "a1"}}


def test_a_customer_is_looked_for_in_the_list_first() -> None:
    look_up = look_ups.customer("customer", "a1", "a@b.example")
    steps, found = look(look_up, page({"id": "cus_0", "metadata": {}}, CUSTOMER))
    assert found is not None
    assert found["id"] == "cus_1"
    assert steps[0].request.query == (("email", "a@b.example"), SINCE, ("limit", "100"))


@pytest.mark.parametrize(("data", "id"), [([], None), ([CUSTOMER], "cus_1")])
def test_and_by_search_where_the_list_does_not_know_it(data: list[dict[str, Any]], id: str | None) -> None:
    steps, found = look(look_ups.customer("customer", "a1", "a@b.example"), page(), page(*data))
    assert (found and found["id"]) == id
    assert [step.key for step in steps] == ["customer/customers:0", "customer/search"]


def test_without_address_and_moment_only_the_search_is_left() -> None:
    steps, _ = look(look_ups.customer("customer", "a1", None), page(), first_sent=None)
    assert [step.request.path for step in steps] == ["/v1/customers/search"]


def test_an_account_id_cannot_leave_its_quotes() -> None:
    query = dict(look_ups.customer_search("k", "a'] OR name:'x\\").request.query)["query"]
    assert query == "metadata['billing_account_id']:'a\\'] OR name:\\'x\\\\'"


MakesLookUp = Callable[[], LookUp]


@pytest.mark.parametrize(
    "make",
    [
        lambda: look_ups.invoice("w", "cus_1", TAGS),
        lambda: look_ups.lines("w", "in_1", frozenset({"1"})),
        lambda: look_ups.finalised("w", "in_1"),
        lambda: look_ups.sent("w", {"id": "in_1"}),
        lambda: look_ups.customer("w", "a1", None),
    ],
)
def test_every_look_up_keeps_its_keys_under_that_of_its_write(make: MakesLookUp) -> None:
    for first_sent in (SENT, None):
        assert next(make()(first_sent)).key.startswith("w/")
