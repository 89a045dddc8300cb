"""The conversation with Stripe, against the running stand-in: calls, splits, customers, taxes, and what stops a run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.contracts import contract_of
from tests.connectors.driver import Crash, Driver
from tests.connectors.stand_ins import World, world_of
from tests.connectors.stripe.samples import UNMAPPED, bill, delivery, line, options, usage, with_account
from tests.connectors.transcripts import steps_of
from tollbridge.connectors import stripe
from tollbridge.connectors.base import form_pairs
from tollbridge.domain.billing import Bill
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Checked, Delivered, Outcome, Reply, Request, Subject, Written
from tollbridge.domain.integrations import Mappings

SMALL = bill(line(1, "10.00"), usage(2, "12345", "0.0004"))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_of(stripe.connector) as running:
        yield running


def driver_in(world: World) -> Driver:
    return Driver(stripe.connector, world.perform, Subject("Bill", "b1", 1, "invoice"))


async def make(world: World, path: str, **params: Any) -> dict[str, Any]:
    """Something that stands in Stripe before the run."""
    reply = await world.perform(Request("POST", path, form=form_pairs(params)))
    assert reply.ok, reply.body
    made: dict[str, Any] = reply.json
    return made


async def customer(world: World, **params: Any) -> Mappings:
    """A customer to which the account is mapped."""
    made = await make(world, "/v1/customers", **{"email": "billing@acme.example", **params})
    return Mappings({("Account", "a1", "Customer"): made["id"]})


async def run(driver: Driver, of: Bill, mappings: Mappings, **given: Any) -> Outcome:
    return await driver.run(stripe.connector.deliver(delivery(of, options(**given), mappings)))


async def invoices(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await world.books())["invoices"]
    return found


def keys_of(driver: Driver) -> list[str]:
    return [step.key for step in driver.steps]


# Calls


@pytest.mark.parametrize(
    ("finish", "keys", "status", "emails"),
    [
        ("draft", ["invoice:1", "lines:1:1"], "draft", 0),
        ("finalise", ["invoice:1", "lines:1:1", "finalise:1"], "open", 0),
        ("send", ["invoice:1", "lines:1:1", "finalise:1", "send:1"], "open", 1),
    ],
)
async def test_a_mapped_customer_costs_at_most_four_calls(
    world: World, finish: str, keys: list[str], status: str, emails: int
) -> None:
    driver = driver_in(world)
    outcome = await run(driver, SMALL, await customer(world), finish=finish)
    assert isinstance(outcome, Delivered)
    assert outcome.total == Decimal("14.94")
    assert keys_of(driver) == keys
    [invoice] = await invoices(world)
    assert outcome.external_id == invoice["id"]
    assert (invoice["status"], invoice["total"], invoice["emails"]) == (status, 1494, emails)


async def test_240_lines_are_added_in_three_calls(world: World) -> None:
    driver = driver_in(world)
    outcome = await run(driver, bill(*(line(n, "0.125") for n in range(240))), await customer(world))
    assert isinstance(outcome, Delivered)
    assert outcome.total == Decimal("30.00")
    assert keys_of(driver)[1:] == ["lines:1:1", "lines:1:2", "lines:1:3"]
    [invoice] = await invoices(world)
    assert (invoice["lines"], invoice["total"]) == (240, 3000)


async def test_a_split_bill_is_drafted_and_compared_before_anything_is_final(world: World) -> None:
    driver = driver_in(world)
    of = bill(*(line(n, "1.01") for n in range(260)))
    outcome = await run(driver, of, await customer(world), finish="send", overflow="split")
    assert isinstance(outcome, Delivered)
    assert outcome.total == Decimal("262.60")
    first, second = await invoices(world)
    assert [first["lines"], second["lines"]] == [250, 10]
    assert first["total"] + second["total"] == 26260
    assert outcome.external_id == first["id"]
    assert outcome.note == f"split over 2 invoices: {first['id']}, {second['id']}"
    assert driver.steps[-1].name == "Send the invoice 2 of 2"
    assert keys_of(driver)[-6:] == ["invoice:2", "lines:2:1", "finalise:1", "finalise:2", "send:1", "send:2"]


async def test_pending_items_of_others_stay_out(world: World) -> None:
    mappings = await customer(world)
    cus = mappings.ids[("Account", "a1", "Customer")]
    await make(world, "/v1/invoiceitems", customer=cus, amount=999, currency="usd")
    outcome = await run(driver_in(world), SMALL, mappings, finish="finalise")
    assert isinstance(outcome, Delivered)
    assert (await world.books())["pending_items"] == 1


async def test_a_negative_bill_becomes_credit_of_the_customer(world: World) -> None:
    outcome = await run(
        driver_in(world), bill(line(1, "-7.50")), await customer(world), finish="finalise", negativeTotal="send"
    )
    assert isinstance(outcome, Delivered)
    assert outcome.total == Decimal("-7.50")
    [held] = (await world.books())["customers"]
    assert held["invoice_credit_balance"] == {"usd": -750}


async def test_an_invoice_below_the_minimum_says_where_the_money_went(world: World) -> None:
    outcome = await run(driver_in(world), bill(line(1, "0.10")), await customer(world), finish="finalise")
    assert isinstance(outcome, Delivered)
    assert outcome.note is not None
    assert "below Stripe's minimum" in outcome.note


async def test_an_invoice_paid_by_earlier_credit_says_so(world: World) -> None:
    mappings = await customer(world, balance=-5000)
    outcome = await run(driver_in(world), bill(line(1, "12.50")), mappings, finish="finalise")
    assert isinstance(outcome, Delivered)
    assert outcome.note is not None
    assert "is paid from the credit in the customer's balance" in outcome.note


# Tax


async def test_exclusive_taxes_do_not_count_in_the_comparison(world: World) -> None:
    rate = await make(world, "/v1/tax_rates", display_name="VAT", inclusive=False, percentage="20")
    outcome = await run(
        driver_in(world), SMALL, await customer(world), finish="finalise", tax="rates", taxRates={"*": [rate["id"]]}
    )
    assert isinstance(outcome, Delivered)
    assert outcome.total == Decimal("14.94")
    [invoice] = await invoices(world)
    assert invoice["total"] > invoice["total_excluding_tax"] == 1494


async def test_automatic_tax_does_not_count_either(world: World) -> None:
    mappings = await customer(world, address={"country": "GB"})
    outcome = await run(driver_in(world), SMALL, mappings, finish="finalise", tax="automatic")
    assert isinstance(outcome, Delivered)
    [invoice] = await invoices(world)
    assert invoice["total"] > invoice["total_excluding_tax"] == 1494


async def test_a_difference_stops_the_run_before_finalising_with_both_figures(world: World) -> None:
    rate = await make(world, "/v1/tax_rates", display_name="VAT", inclusive=True, percentage="20")
    outcome = await run(
        driver_in(world), SMALL, await customer(world), finish="send", tax="rates", taxRates={"*": [rate["id"]]}
    )
    assert isinstance(outcome, Fault)
    assert outcome.code == "stripe.total_differs"
    assert "ours is 14.94 USD" in outcome.message
    assert "12.45 USD" in outcome.message
    assert [each["status"] for each in await invoices(world)] == ["draft"]


async def test_a_balance_of_the_customer_is_no_difference(world: World) -> None:
    outcome = await run(driver_in(world), SMALL, await customer(world, balance=-500), finish="finalise")
    assert isinstance(outcome, Delivered)
    assert outcome.total == Decimal("14.94")


# Customers


async def test_a_customer_is_created_and_taught_at_once_even_if_the_run_fails_later(world: World) -> None:
    await world.fault(kind="error_before_commit", method="POST", path="/v1/invoices", times=1)
    driver = driver_in(world)
    outcome = await run(driver, SMALL, UNMAPPED)
    assert isinstance(outcome, Fault)
    assert outcome.kind is FaultKind.UNAVAILABLE
    [held] = (await world.books())["customers"]
    assert driver.learnt == {Written("Account", "a1", "Customer", held["id"])}
    assert held["metadata"]["billing_account_id"] == "a1"


async def test_two_runs_of_one_account_create_one_customer(world: World) -> None:
    for number in ("b1", "b2"):
        driver = Driver(stripe.connector, world.perform, Subject("Bill", number, 1, "invoice"))
        assert isinstance(await run(driver, replace(SMALL, id=number), UNMAPPED), Delivered)
    books = await world.books()
    assert len(books["customers"]) == 1
    assert len(books["invoices"]) == 2


def search(*found: dict[str, Any]) -> Reply:
    return Reply.of({"object": "search_result", "data": list(found), "has_more": False})


def test_a_customer_with_our_id_is_found_and_taught() -> None:
    flow = stripe.connector.deliver(delivery(SMALL, mappings=UNMAPPED))
    step = next(flow)
    reply = search({"id": "cus_7"})
    assert step.learns is not None  # type: ignore[union-attr]
    assert step.learns(reply) == Written("Account", "a1", "Customer", "cus_7")  # type: ignore[union-attr]
    draft = flow.send(reply)
    assert ("customer", "cus_7") in draft.request.form  # type: ignore[union-attr, operator]


def test_several_customers_with_our_id_are_a_question_for_a_person() -> None:
    reply = search({"id": "cus_7"}, {"id": "cus_8"})
    steps, outcome = steps_of(stripe.connector.deliver(delivery(SMALL, mappings=UNMAPPED)), iter([reply]))
    assert isinstance(outcome, Fault)
    assert outcome.kind is FaultKind.UNMAPPED
    assert "cus_7, cus_8" in outcome.message
    assert outcome.missing == ("Account", "a1", "Stripe", "Customer")
    assert steps[0].learns is not None
    assert steps[0].learns(reply) is None


def test_a_missing_customer_is_refused_by_option_without_asking_stripe() -> None:
    steps, outcome = steps_of(
        stripe.connector.deliver(delivery(SMALL, options(missingCustomer="refuse"), UNMAPPED)), iter([])
    )
    assert steps == []
    assert isinstance(outcome, Fault)
    assert outcome.kind is FaultKind.UNMAPPED
    assert outcome.missing == ("Account", "a1", "Stripe", "Customer")


async def test_a_customer_that_was_deleted_in_stripe_is_an_unmapped_account(world: World) -> None:
    mappings = await customer(world)
    cus = mappings.ids[("Account", "a1", "Customer")]
    assert (await world.perform(Request("DELETE", f"/v1/customers/{cus}"))).ok
    driver = driver_in(world)
    outcome = await run(driver, SMALL, mappings)
    assert isinstance(outcome, Fault)
    assert outcome.kind is FaultKind.UNMAPPED
    assert cus in outcome.message
    assert driver.steps[-1].relies_on == ("Account", "a1", "Stripe", "Customer")


# E-mail


async def test_a_customer_without_address_stops_a_send_before_finalising(world: World) -> None:
    mappings = await customer(world, email=None, name="No mail")
    outcome = await run(driver_in(world), SMALL, mappings, finish="send")
    assert isinstance(outcome, Fault)
    assert outcome.kind is FaultKind.INVALID
    assert outcome.code == "stripe.missing_email"
    assert "set finish to finalise" in outcome.hint
    assert {each["status"] for each in await invoices(world)} <= {"draft"}


async def test_an_account_without_address_stops_before_its_customer_is_created(world: World) -> None:
    outcome = await run(driver_in(world), with_account(SMALL, email=None), UNMAPPED, finish="send")
    assert isinstance(outcome, Fault)
    assert outcome.code == "stripe.missing_email"
    assert (await world.books())["customers"] == []


@pytest.mark.parametrize(("days", "emails"), [(2, [1, 1]), (31, [1, 2])])
async def test_a_send_whose_key_expired_is_not_repeated_while_its_event_is_kept(
    world: World, days: int, emails: list[int]
) -> None:
    driver = driver_in(world)
    driver.lose, driver.keys_expired = "send:2", True
    of, mappings = bill(*(line(n, "1.01") for n in range(260))), await customer(world)
    with pytest.raises(Crash):
        await run(driver, of, mappings, finish="send", overflow="split")
    await world.forward(days)
    outcome = await run(driver, of, mappings, finish="send", overflow="split")
    assert isinstance(outcome, Delivered)
    assert [invoice["emails"] for invoice in await invoices(world)] == emails


def drafted(**given: Any) -> Reply:
    return Reply.of({"id": "in_1", "status": "draft", "currency": "usd", "total": 1494, **given})


def test_an_address_that_was_added_meanwhile_lets_the_run_go_on() -> None:
    replies = [drafted(customer_email=None), Reply.of({"id": "cus_1", "email": "a@b.example"})]
    replies += [drafted(), drafted(status="open"), drafted(status="open")]
    steps, outcome = steps_of(stripe.connector.deliver(delivery(SMALL, options(finish="send"))), iter(replies))
    assert isinstance(outcome, Delivered)
    assert [step.key for step in steps][:3] == ["invoice:1", "customer:1", "lines:1:1"]


def test_a_deleted_customer_that_stripe_still_answers_for_is_unmapped() -> None:
    replies = [drafted(customer_email=None), Reply.of({"id": "cus_1", "object": "customer", "deleted": True})]
    _, outcome = steps_of(stripe.connector.deliver(delivery(SMALL, options(finish="send"))), iter(replies))
    assert isinstance(outcome, Fault)
    assert outcome.code == "stripe.customer_deleted"
    assert outcome.missing == ("Account", "a1", "Stripe", "Customer")


# Credential


async def test_a_check_learns_the_account_and_the_mode(world: World) -> None:
    outcome = await driver_in(world).run(stripe.connector.check(stripe.TEST))
    assert outcome == Checked("acct_1TollbridgeSandbox:test", "Sandbox 1TollbridgeSandbox (test mode)", False)


def test_live_and_test_mode_of_one_account_are_two_tenants() -> None:
    account = Reply.of({"id": "acct_1", "business_profile": {"name": "Acme"}, "settings": None})
    outcomes = [steps_of(stripe.connector.check(system), iter([account]))[1] for system in stripe.connector.systems]
    assert outcomes == [
        Checked("acct_1:live", "Acme (live mode)", True),
        Checked("acct_1:test", "Acme (test mode)", False),
    ]


# The contract of the vendor

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=200)


@given(
    currency=st.sampled_from(["USD", "JPY", "KWD", "MGA"]),
    subtotals=st.lists(st.decimals("-999", "99999", places=6), min_size=1, max_size=5),
    texts=st.tuples(TEXT, TEXT, TEXT),
    config=st.fixed_dictionaries(
        {
            "collectionMethod": st.sampled_from(["send_invoice", "charge_automatically"]),
            "due": st.sampled_from(["bill", "days"]),
            "documentDate": st.sampled_from(["bill_date", "service_end", "sent"]),
            "tax": st.sampled_from(["none", "automatic", "rates"]),
            "reference": st.sampled_from(["", "{accountName}", "{billId} {total}"]),
            "vatIdField": st.sampled_from(["", "vat"]),
        }
    ),
)
def test_whatever_the_bill_holds_the_requests_agree_with_the_contract(
    currency: str, subtotals: list[Decimal], texts: tuple[str, str, str], config: dict[str, Any]
) -> None:
    name, description, order = texts
    lines = [usage(n, "3", "0.5", str(each), description=description) for n, each in enumerate(subtotals)]
    account = {"name": name, "custom_fields": {"vat": "X1"}, "address": {"addressLine1": name, "country": "FR"}}
    of = with_account(bill(*lines, currency=currency, purchase_order_number=order), **account)
    chosen = options(**config, taxRates={"*": ["txr_1"]}, inexactTotal="round", zeroTotal="send", negativeTotal="send")
    replies = [search(), Reply.of({"id": "cus_1"}), drafted(), drafted(total=None)]
    steps = []
    flow = stripe.connector.deliver(delivery(of, chosen, UNMAPPED))
    step = next(flow)
    for reply in replies[:3]:
        steps.append(step)
        step = flow.send(reply)
    steps.append(step)
    assert [each.key for each in steps] == ["customer:search", "customer", "invoice:1", "lines:1:1"]
    for each in steps:
        assert contract_of("stripe").complaints(each.request) == []  # type: ignore[union-attr]


def test_the_contract_refuses_what_is_misspelt() -> None:
    wrong = Request("POST", "/v1/invoices/in_1/add_lines", form=(("lines[0][amuont]", "5"),))
    assert contract_of("stripe").complaints(wrong)
    assert contract_of("stripe").complaints(replace(wrong, form=(("lines[0][amount]", "5.5"),)))
    assert contract_of("stripe").complaints(replace(wrong, form=()))
    assert contract_of("stripe").complaints(Request("GET", "/v1/invoices", query=(("limits", "5"),)))
    assert contract_of("stripe").complaints(Request("POST", "/v1/nothing"))
