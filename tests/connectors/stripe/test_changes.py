"""A bill that changes after it was sent, against the running stand-in: each way, in each state, right to the cent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from tests.connectors.driver import Crash, Driver
from tests.connectors.stand_ins import World, world_of
from tests.connectors.stripe.samples import bill, delivery, line, options
from tests.connectors.stripe.test_flows import customer
from tollbridge.connectors import stripe
from tollbridge.domain.billing import Bill
from tollbridge.domain.changes import ASK, Choice, Correction, Earlier, MoneyTo
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Delivered, NeedsChoice, Outcome, Request, Skipped, Subject, Withdrawn
from tollbridge.domain.integrations import Mappings

VOID, CREDIT, DELTA, LEAVE = (Correction(choice) for choice in Choice)
FIRST = bill(line(1, "100.00"))
MORE = bill(line(1, "100.00"), line(2, "20.01"), revision=2)
LESS = bill(line(1, "60.50"), revision=2)


@dataclass
class Case:
    """One bill through its versions; `net` is what Stripe's books say that the customer owes or paid, in cents."""

    world: World
    mappings: Mappings
    config: dict[str, Any] = field(default_factory=lambda: {"finish": "finalise"})
    driver: Driver | None = None
    earlier: Earlier | None = None
    """What is known of what was sent before; by itself the version before without a document."""

    async def send(self, of: Bill, correction: Correction = ASK, *, withdraw: bool = False, **crash: Any) -> Outcome:
        """Deliver the version; with a crash also its resume."""
        document = "withdrawal" if withdraw else "invoice"
        driver = Driver(stripe.connector, self.world.perform, Subject("Bill", "b1", of.revision, document), **crash)
        self.driver = driver
        earlier = self.earlier or (Earlier(of.revision - 1) if of.revision > 1 else None)

        def flow() -> Any:
            given = delivery(of, options(**self.config), self.mappings)
            return stripe.connector.deliver(replace(given, earlier=earlier, correction=correction, withdraw=withdraw))

        if crash:
            with pytest.raises(Crash):
                await driver.run(flow())
        return await driver.run(flow())

    async def invoices(self) -> list[tuple[str, int]]:
        return [(each["status"], each["total"]) for each in (await self.world.books())["invoices"]]

    async def emails(self) -> list[int]:
        return [each["emails"] for each in (await self.world.books())["invoices"]]

    async def net(self) -> int:
        books = await self.world.books()
        final = [each for each in books["invoices"] if each["status"] not in ("void", "draft")]
        counted: dict[str, int] = {each["id"]: each["total"] for each in final}
        credited: int = sum(
            each["total"] for each in books["credit_notes"] if each["status"] == "issued" and each["invoice"] in counted
        )
        return sum(counted.values()) - credited

    async def pay(self, *, at_stripe: bool = False) -> None:
        [invoice] = [each for each in (await self.world.books())["invoices"] if each["status"] == "open"]
        if at_stripe:
            await self.world.pay(invoice["id"])
            return
        reply = await self.world.perform(
            Request("POST", f"/v1/invoices/{invoice['id']}/pay", form=(("paid_out_of_band", "true"),))
        )
        assert reply.ok


@pytest.fixture
async def case() -> AsyncIterator[Case]:
    async with world_of(stripe.connector) as world:
        yield Case(world, await customer(world))


def total(outcome: Outcome) -> Decimal | None:
    assert isinstance(outcome, Delivered), outcome
    return outcome.total


@pytest.mark.parametrize("correction", [ASK, VOID, CREDIT, DELTA, LEAVE], ids=lambda each: str(each.choice))
async def test_a_draft_is_replaced_whatever_was_chosen(case: Case, correction: Correction) -> None:
    case.config = {"finish": "draft"}
    await case.send(FIRST)
    assert total(await case.send(MORE, correction)) == Decimal("120.01")
    assert await case.invoices() == [("draft", 12001)]


async def test_a_draft_left_behind_half_way_is_replaced(case: Case) -> None:
    await case.world.fault(kind="error_before_commit", method="POST", path="/v1/invoices/*/add_lines", times=1)
    assert isinstance(await case.send(FIRST), Fault)
    assert total(await case.send(MORE)) == Decimal("120.01")
    assert await case.invoices() == [("open", 12001)]


async def test_a_final_invoice_holds_for_a_person_and_nothing_is_written(case: Case) -> None:
    await case.send(FIRST)
    outcome = await case.send(MORE)
    assert isinstance(outcome, NeedsChoice)
    assert [offer.choice for offer in outcome.offers] == list(Choice)
    assert "100.00 USD" in outcome.reason
    assert "120.01 USD" in outcome.reason
    assert outcome.offers[2].text == "Invoice the difference of 20.01 USD."
    assert not any(offer.money for offer in outcome.offers)
    assert case.driver is not None
    assert not any(step.request.writes for step in case.driver.steps)


async def test_a_paid_invoice_is_not_offered_for_voiding(case: Case) -> None:
    await case.send(FIRST)
    await case.pay()
    outcome = await case.send(LESS)
    assert isinstance(outcome, NeedsChoice)
    assert [(offer.choice, offer.money) for offer in outcome.offers] == [
        (Choice.CREDIT_AND_REISSUE, True),
        (Choice.DELTA, True),
        (Choice.LEAVE, False),
    ]


@pytest.mark.parametrize("paid", [False, True], ids=["open", "paid"])
@pytest.mark.parametrize("of", [MORE, LESS], ids=["more", "less"])
@pytest.mark.parametrize("correction", [VOID, CREDIT, DELTA], ids=lambda each: str(each.choice))
async def test_the_books_say_the_bills_total_after_each_way(
    case: Case, correction: Correction, of: Bill, paid: bool
) -> None:
    await case.send(FIRST)
    if paid:
        await case.pay()
    outcome = await case.send(of, correction)
    if paid and correction is VOID:
        assert isinstance(outcome, NeedsChoice)
        assert outcome.fault is not None
        assert outcome.fault.kind is FaultKind.ALREADY_PAID
        assert await case.net() == 10000
    else:
        assert total(outcome) == of.total
        assert await case.net() == of.total * 100


async def test_a_bill_that_changes_again_and_again_stays_right(case: Case) -> None:
    await case.send(FIRST)
    for revision, subtotal in enumerate(["120.01", "60.50", "60.50", "75.25"], start=2):
        of = bill(line(1, subtotal), revision=revision)
        assert total(await case.send(of, DELTA)) == of.total
        assert await case.net() == of.total * 100
    of = bill(line(1, "33.33"), revision=6)
    assert total(await case.send(of, VOID)) == Decimal("33.33")
    assert await case.net() == 3333


async def test_a_bill_left_as_it_is_says_so(case: Case) -> None:
    await case.send(FIRST)
    outcome = await case.send(MORE, LEAVE)
    assert isinstance(outcome, Skipped)
    assert "100.00 USD" in outcome.reason
    assert await case.invoices() == [("open", 10000)]


@pytest.mark.parametrize("money", [MoneyTo.BALANCE, MoneyTo.OUT_OF_BAND])
async def test_money_that_was_paid_goes_where_the_choice_says(case: Case, money: MoneyTo) -> None:
    await case.send(FIRST)
    await case.pay()
    assert total(await case.send(LESS, Correction(Choice.DELTA, money))) == Decimal("60.50")
    [held] = (await case.world.books())["customers"]
    assert held["invoice_credit_balance"] == ({"usd": -3950} if money is MoneyTo.BALANCE else {})

    assert not (await case.world.books())["refunds"]


@pytest.mark.parametrize(
    ("choice", "refunded"),
    [(Choice.CREDIT_AND_REISSUE, 10000), (Choice.DELTA, 3950)],
    ids=["in full", "the difference"],
)
@pytest.mark.parametrize("crash", [{}, {"lose": "credit"}, {"lose": "credit", "keys_expired": True}], ids=str)
async def test_what_was_paid_at_stripe_is_refunded_once(
    case: Case, choice: Choice, refunded: int, crash: dict[str, Any]
) -> None:
    await case.send(FIRST)
    await case.pay(at_stripe=True)
    [invoice] = (await case.world.books())["invoices"]
    purpose = "reissue" if choice is Choice.CREDIT_AND_REISSUE else "delta"
    died = {**crash, "lose": f"credit:{purpose}:{invoice['id']}"} if crash else {}
    assert total(await case.send(LESS, Correction(choice, MoneyTo.REFUND), **died)) == Decimal("60.50")
    books = await case.world.books()
    assert [(each["invoice"], each["amount"]) for each in books["refunds"]] == [(invoice["id"], refunded)]
    assert [each["total"] for each in books["credit_notes"]] == [refunded]
    assert books["customers"][0]["invoice_credit_balance"] == {}
    assert await case.net() == 6050


async def test_a_refund_of_a_deleted_bill_gives_all_back(case: Case) -> None:
    await case.send(FIRST)
    await case.pay(at_stripe=True)
    outcome = await case.send(FIRST, Correction(Choice.CREDIT_AND_REISSUE, MoneyTo.REFUND), withdraw=True)
    assert isinstance(outcome, Withdrawn)
    assert [each["amount"] for each in (await case.world.books())["refunds"]] == [10000]
    assert await case.net() == 0


async def test_a_refund_that_stripe_cannot_make_says_what_else_there_is(case: Case) -> None:
    await case.send(FIRST)
    await case.pay()
    outcome = await case.send(LESS, Correction(Choice.CREDIT_AND_REISSUE, MoneyTo.REFUND))
    assert isinstance(outcome, Fault)
    assert "balance" in outcome.hint


@pytest.mark.parametrize("mail", [True, False])
@pytest.mark.parametrize("choice", [Choice.VOID_AND_REISSUE, Choice.CREDIT_AND_REISSUE, Choice.DELTA])
async def test_the_choice_says_whether_the_customer_is_mailed_again(case: Case, choice: Choice, mail: bool) -> None:
    case.config = {"finish": "send"}
    await case.send(FIRST)
    assert total(await case.send(MORE, Correction(choice, mail=mail))) == Decimal("120.01")
    assert await case.emails() == [1, int(mail)]


@pytest.mark.parametrize("correction", [VOID, CREDIT, DELTA, LEAVE], ids=lambda each: str(each.choice))
async def test_a_deleted_bill_takes_the_same_choice(case: Case, correction: Correction) -> None:
    await case.send(FIRST)
    assert isinstance(await case.send(FIRST, withdraw=True), NeedsChoice)
    outcome = await case.send(FIRST, correction, withdraw=True)
    assert isinstance(outcome, Skipped if correction is LEAVE else Withdrawn)
    assert await case.net() == (10000 if correction is LEAVE else 0)


async def test_a_deleted_bill_takes_its_draft_with_it(case: Case) -> None:
    case.config = {"finish": "draft"}
    await case.send(FIRST)
    assert isinstance(await case.send(FIRST, withdraw=True), Withdrawn)
    assert await case.invoices() == []


async def test_a_bill_that_came_down_to_nothing_is_withdrawn(case: Case) -> None:
    await case.send(FIRST)
    outcome = await case.send(bill(line(1, "0.00"), revision=2), VOID)
    assert isinstance(outcome, Skipped)
    assert await case.net() == 0


async def test_an_invoice_paid_between_the_look_and_the_void_is_told_as_paid(case: Case) -> None:
    await case.send(FIRST)
    subject = Subject("Bill", "b1", 2, "invoice")
    driver = Driver(stripe.connector, case.world.perform, subject, die_after="lines:1:1")
    given = replace(delivery(MORE, options(**case.config), case.mappings), earlier=Earlier(1), correction=VOID)
    with pytest.raises(Crash):
        await driver.run(stripe.connector.deliver(given))
    await case.pay()
    outcome = await driver.run(stripe.connector.deliver(given))
    assert isinstance(outcome, Fault)
    assert outcome.kind is FaultKind.ALREADY_PAID
    # What was drafted then is taken up again by the next way.
    assert total(await case.send(MORE, DELTA)) == MORE.total
    assert await case.net() == 12001


async def test_an_earlier_version_at_another_customer_is_found(case: Case) -> None:
    first = await case.send(FIRST)
    assert isinstance(first, Delivered)
    other = await customer(case.world, name="Other")
    given = delivery(MORE, options(finish="finalise"), other)
    driver = Driver(stripe.connector, case.world.perform, Subject("Bill", "b1", 2, "invoice"))
    changed = replace(given, earlier=Earlier(1, first.external_id), correction=VOID)
    assert total(await driver.run(stripe.connector.deliver(changed))) == MORE.total
    assert await case.net() == 12001


async def test_an_earlier_version_whose_id_is_not_known_is_found_at_another_customer(case: Case) -> None:
    # Its run failed after the finalising, so nobody knows what it came to; then the account was mapped elsewhere.
    await case.send(FIRST)
    await case.world.forward(days=1)
    case.mappings = await customer(case.world, name="Other")
    outcome = await case.send(MORE)
    assert isinstance(outcome, NeedsChoice)
    assert "100.00 USD" in outcome.reason
    assert total(await case.send(MORE, VOID)) == MORE.total
    assert await case.net() == 12001


MANY = bill(*(line(number, "1.00") for number in range(1, 252)))


async def test_a_replay_under_other_options_asks_about_what_the_failed_run_left_final(case: Case) -> None:
    case.config = {"finish": "finalise", "overflow": "split"}
    await case.world.fault(kind="error_before_commit", method="POST", path="/v1/invoices/*/finalize", skip=1, times=1)
    assert isinstance(await case.send(MANY), Fault)
    assert sorted(each[0] for each in await case.invoices()) == ["draft", "open"]
    case.config["overflow"] = "roll_up"
    case.earlier = Earlier(1)
    outcome = await case.send(MANY)
    assert isinstance(outcome, NeedsChoice)
    assert "sent in part before" in outcome.reason
    # The driver of the tests knows no epochs: what was drafted under its keys is told by them.
    assert [offer.choice for offer in outcome.offers] == list(Choice)


async def test_a_delta_that_stands_alone_is_no_ground_for_another(case: Case) -> None:
    await case.send(FIRST)
    assert total(await case.send(MORE, DELTA)) == MORE.total
    first, _ = (await case.world.books())["invoices"]
    assert (await case.world.perform(Request("POST", f"/v1/invoices/{first['id']}/void", form=()))).ok
    outcome = await case.send(MORE, DELTA)
    assert isinstance(outcome, NeedsChoice)
    assert Choice.DELTA not in [offer.choice for offer in outcome.offers]
