"""Bills that change after they were sent: what stands in Stripe, what may be done about it, and the requests for that.

What stands is read from Stripe's books by our metadata, not remembered: so it is right whatever became of earlier runs,
and whatever people did there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from tollbridge.connectors.base import Delivery, form_pairs
from tollbridge.connectors.stripe import look_ups
from tollbridge.connectors.stripe.amounts import scale_of
from tollbridge.connectors.stripe.config import Finish, Tax
from tollbridge.connectors.stripe.faults import already_paid, classify
from tollbridge.connectors.stripe.look_ups import get
from tollbridge.connectors.stripe.payloads import Plan, delta_plan, invoice_tags
from tollbridge.domain.billing import Bill
from tollbridge.domain.changes import Choice, Correction, MoneyTo, Offer
from tollbridge.domain.errors import Fault
from tollbridge.domain.flows import Delivered, NeedsChoice, Pause, Reply, Request, Skipped, Step, Subject, Withdrawn
from tollbridge.domain.money import Money

T = TypeVar("T")
Talk: TypeAlias = Generator[Step | Pause, Reply, T]

_PLACE = {
    MoneyTo.BALANCE: "credit_amount",
    MoneyTo.REFUND: "refund_amount",
    MoneyTo.OUT_OF_BAND: "out_of_band_amount",
}


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice of the bill that stands in Stripe. Amounts are Stripe's integers.

    `net` is its total less what was credited, `owed` what is still to be paid of it.
    """

    id: str
    number: str | None
    status: str
    currency: str
    net: int
    owed: int
    paid: int
    credited: int
    taxed: bool
    tags: Mapping[str, str]

    @property
    def draft(self) -> bool:
        return self.status == "draft"

    @property
    def unpaid(self) -> bool:
        return self.status in ("open", "uncollectible") and self.paid == 0

    @property
    def voidable(self) -> bool:
        """Stripe voids no invoice that was paid; one with credit notes is better credited to the end."""
        return self.unpaid and self.credited == 0

    def __str__(self) -> str:
        scale = scale_of(self.currency)
        amount = Money(scale.amount(self.net), self.currency) if scale else f"{self.net} {self.currency}"
        return f"{self.number or self.id} ({self.status}, {amount})"


@dataclass(frozen=True, slots=True)
class Credit:
    """A credit note to be made: `amount` in all, of which `placed` was paid already and goes to `money`."""

    document: Document
    amount: int
    placed: int
    money: MoneyTo
    purpose: str
    mail: bool


@dataclass(frozen=True, slots=True)
class Course:
    """What is done: drafts deleted, the plan drafted, then what stands undone, then the new documents made final.

    `stays` is what remains of final documents, in Stripe's units; `anchor` the oldest of them.
    """

    drafts: tuple[Document, ...] = ()
    plan: Plan | None = None
    voids: tuple[Document, ...] = ()
    credits: tuple[Credit, ...] = ()
    stays: int = 0
    anchor: Document | None = None
    quiet: bool = False

    @property
    def told(self) -> tuple[str, ...]:
        """What was done, for people."""
        deleted = [f"deleted draft {each.id}" for each in self.drafts]
        voided = [f"voided {each.number or each.id}" for each in self.voids]
        credited = [f"credited {each.document.number or each.document.id}" for each in self.credits]
        return (*deleted, *voided, *credited)


def read_documents(delivery: Delivery, customer: str | None) -> Talk[list[Document]]:
    """Every invoice of the bill that is not void, oldest first: of this customer, and of the one that was billed.

    Where no document is known, as its run failed, the customers that were billed are searched for: the account may be
    mapped to another one since.
    """
    customers = [customer] if customer else []
    known = delivery.earlier.external_id if delivery.earlier else None
    if known:
        reply = yield Step(
            "Read what was delivered", get(f"/v1/invoices/{known}"), "standing:known", accept=frozenset({404})
        )
        if reply.ok and reply["customer"] not in customers:
            customers.append(reply["customer"])
    else:
        reply = yield look_ups.invoice_search("standing:search", delivery.bill.id)
        others = [each["customer"] for each in reply["data"]] if reply.ok else []
        customers += [each for each in dict.fromkeys(others) if each not in customers]
    found: list[Document] = []
    for each in customers:
        query = {"customer": each}
        invoices = yield from look_ups.entries("Read what stands there", "/v1/invoices", query, f"standing:{each}")
        found += [_document(invoice) for invoice in invoices if _is_of(invoice, delivery.bill)]
    return found[::-1]


def _is_of(invoice: Mapping[str, Any], bill: Bill) -> bool:
    return (invoice.get("metadata") or {}).get("bill_id") == bill.id and invoice["status"] != "void"


def _document(invoice: Mapping[str, Any]) -> Document:
    credited = invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
    return Document(
        id=invoice["id"],
        number=invoice.get("number"),
        status=invoice["status"],
        currency=str(invoice["currency"]).upper(),
        net=invoice["total"] - credited,
        owed=invoice["amount_remaining"],
        paid=invoice["amount_paid"],
        credited=credited,
        taxed=invoice.get("total_excluding_tax") not in (None, invoice["total"]),
        tags=invoice["metadata"],
    )


def choose_course(
    delivery: Delivery, plan: Plan | Skipped, documents: Sequence[Document]
) -> Course | NeedsChoice | Skipped | Fault:
    """What is done about the documents: drafts are replaced, with final ones it is as was chosen, or a person is asked.

    Without a plan (the bill was deleted, or adds up to nothing) nothing is issued anew.
    """
    new = plan if isinstance(plan, Plan) else None
    final = [each for each in _of_others(delivery, new, documents) if not each.draft and each.net != 0]
    correction = delivery.correction
    choice = Choice.CREDIT_AND_REISSUE if new is None and correction.choice is Choice.DELTA else correction.choice
    if final and choice is Choice.LEAVE:
        return Skipped(f"left as it is: {_list(final)}")
    if not final:
        return Course(_drafts(delivery, new, documents), new)
    offers = _offers(delivery, new, final)
    reason = f"{_what(delivery)}; in Stripe stands {_list(final)}."
    if choice is None:
        return NeedsChoice(reason, offers)
    if choice not in [offer.choice for offer in offers]:
        if choice is Choice.VOID_AND_REISSUE:
            paid = next(each for each in final if not each.unpaid)
            return NeedsChoice(reason, offers, already_paid(str(paid)))
        return NeedsChoice(f"{reason} {choice.replace('_', ' ').capitalize()} is not possible there.", offers)
    if choice is Choice.DELTA:
        assert new is not None
        return _delta(delivery, new, documents, final)
    voids = tuple(each for each in final if choice is Choice.VOID_AND_REISSUE and each.voidable)
    purpose = "reissue" if new else "withdrawal"
    credits = [_credit(each, each.net, correction, purpose, delivery) for each in final if each not in voids]
    drafts = _drafts(delivery, new, documents)
    return Course(drafts, new, voids, tuple(credits), quiet=not correction.mail)


def _what(delivery: Delivery) -> str:
    if delivery.withdraw:
        return "The bill was deleted"
    bill = delivery.bill
    if delivery.earlier is not None and delivery.earlier.version >= bill.revision:
        return f"Version {bill.revision} of the bill was sent in part before, in another form"
    return f"The bill changed to {Money(bill.total, bill.currency)} (version {bill.revision})"


def _list(documents: Sequence[Document]) -> str:
    return ", ".join(str(each) for each in documents)


def _offers(delivery: Delivery, plan: Plan | None, final: Sequence[Document]) -> tuple[Offer, ...]:
    """What can be done about the final documents, as they stand now."""
    which = _list(final)
    then = "; then issue it anew" if plan else ""
    paid = any(each.net > each.owed for each in final)
    offers = []
    if all(each.unpaid for each in final):
        offers.append(Offer(Choice.VOID_AND_REISSUE, f"Void {which}{then}."))
    if all(each.net > 0 for each in final):
        offers.append(Offer(Choice.CREDIT_AND_REISSUE, f"Credit {which} in full{then}.", money=paid))
    if plan is not None and _delta_fits(delivery, plan, final):
        scale, currency = plan.scale, delivery.bill.currency
        difference = _held(plan) - sum(each.net for each in final)
        amount = Money(scale.amount(abs(difference)), currency)
        text = f"Invoice the difference of {amount}." if difference >= 0 else f"Credit the difference of {amount}."
        owed = sum(each.owed for each in final)
        offers.append(Offer(Choice.DELTA, text, money=-difference > 0 and paid and owed < -difference))
    offers.append(Offer(Choice.LEAVE, f"Leave {which} as it is, although the bill says something else."))
    return tuple(offers)


def _delta_fits(delivery: Delivery, plan: Plan, final: Sequence[Document]) -> bool:
    """Whether a difference says all: one currency, no taxes, something that it adds to beside what it made itself, and
    enough there to credit where it is negative."""
    plain = delivery.config.tax is Tax.NONE and not any(each.taxed for each in final)
    same = all(each.currency == delivery.bill.currency for each in final)
    less = sum(each.net for each in final) - _held(plan)
    others = _of_others(delivery, delta_plan(delivery.bill, plan, 1), final)
    return plain and same and bool(others) and less <= sum(each.net for each in final if each.net > 0)


def _held(plan: Plan) -> int:
    return sum(part.total for part in plan.parts)


def _delta(delivery: Delivery, plan: Plan, documents: Sequence[Document], final: Sequence[Document]) -> Course:
    earlier = _of_others(delivery, delta_plan(delivery.bill, plan, 1), final)
    stands = sum(each.net for each in earlier)
    difference = _held(plan) - stands
    if difference > 0:
        over = delta_plan(delivery.bill, plan, difference)
        drafts = _drafts(delivery, over, documents)
        return Course(drafts, over, stays=stands, anchor=earlier[0], quiet=not delivery.correction.mail)
    credits = tuple(_spread(-difference, earlier, delivery))
    drafts = _drafts(delivery, None, documents)
    return Course(drafts, None, credits=credits, stays=stands + difference, anchor=earlier[0])


def _spread(amount: int, final: Sequence[Document], delivery: Delivery) -> Iterator[Credit]:
    """Credit the amount on what is not paid yet first, and on the newest first."""
    newest_first = list(reversed(final))
    for each in sorted(newest_first, key=lambda document: document.owed == 0):
        part = min(amount, max(each.net, 0))
        if part:
            amount -= part
            yield _credit(each, part, delivery.correction, "delta", delivery)


def _credit(document: Document, amount: int, correction: Correction, purpose: str, delivery: Delivery) -> Credit:
    placed = amount - min(amount, document.owed)
    mail = correction.mail and delivery.config.finish is Finish.SEND
    return Credit(document, amount, placed, correction.money, purpose, mail)


def _of_others(delivery: Delivery, plan: Plan | None, documents: Sequence[Document]) -> list[Document]:
    """The documents without those that the plan makes: its steps find these by their own look-ups."""
    mine = [invoice_tags(delivery.bill, plan, part) for part in plan.parts] if plan else []
    return [each for each in documents if not any(tags.items() <= each.tags.items() for tags in mine)]


def _drafts(delivery: Delivery, plan: Plan | None, documents: Sequence[Document]) -> tuple[Document, ...]:
    """The drafts that this run does not go on with."""
    return tuple(each for each in _of_others(delivery, plan, documents) if each.draft)


def delete_drafts(course: Course) -> Talk[None]:
    """Delete the drafts; one that is gone already is as good."""
    for draft in course.drafts:
        key = f"delete:{draft.id}"
        yield Step(
            f"Delete draft {draft.id}",
            Request("DELETE", f"/v1/invoices/{draft.id}"),
            key,
            look_up=look_ups.deleted(key, draft.id),
            accept=frozenset({404}),
            imagined=_done,
        )


def undo(delivery: Delivery, course: Course) -> Talk[Fault | None]:
    """Void and credit."""
    for document in course.voids:
        trouble = yield from _void(document)
        if trouble is not None:
            return trouble
    for credit in course.credits:
        yield _credit_step(delivery.bill, credit)
    return None


def _void(document: Document) -> Talk[Fault | None]:
    key, path = f"void:{document.id}", f"/v1/invoices/{document.id}"
    reply = yield Step(
        f"Void {document.number or document.id}",
        Request("POST", f"{path}/void", form=()),
        key,
        look_up=look_ups.voided(key, document.id),
        accept=frozenset({400}),
        imagined=_done,
    )
    if reply.ok:
        return None
    now = yield Step("Read the invoice", get(path), f"{key}/after")
    if now["status"] == "void":
        return None
    return already_paid(str(_document(now.json))) if now["status"] == "paid" else classify(reply)


def _credit_step(bill: Bill, credit: Credit) -> Step:
    document = credit.document
    tags = {"bill_id": bill.id, "bill_revision": str(bill.revision), "bill_purpose": credit.purpose}
    params: dict[str, Any] = {
        "invoice": document.id,
        "amount": credit.amount,
        "email_type": "credit_note" if credit.mail else "none",
        "metadata": tags,
    }
    if credit.placed:
        params[_PLACE[credit.money]] = credit.placed
    key = f"credit:{credit.purpose}:{document.id}"
    return Step(
        f"Credit {document.number or document.id}",
        Request("POST", "/v1/credit_notes", form=form_pairs(params)),
        key,
        look_up=look_ups.credited(key, document.id, tags),
        subject=Subject("Bill", bill.id, bill.revision, "credit_note"),
        imagined=_done,
    )


def _done() -> Reply:
    """What a preview takes for the reply of a write of whose reply nothing is used."""
    return Reply.of({})


def nothing_left(delivery: Delivery, plan: Plan | Skipped, course: Course) -> Withdrawn | Skipped:
    """The outcome where nothing is issued anew and nothing stays."""
    done = "; ".join(course.told) or "nothing of it stood in Stripe"
    if delivery.withdraw:
        return Withdrawn(f"The bill was deleted: {done}.")
    assert isinstance(plan, Skipped)
    return Skipped(f"{plan.reason}; {done}")


def stays(delivery: Delivery, course: Course) -> Delivered:
    """The outcome where what stands was brought to the bill's total without a new invoice."""
    anchor, currency = course.anchor, delivery.bill.currency
    scale = scale_of(currency)
    assert anchor is not None
    assert scale is not None
    done = "; ".join(course.told) or "the total is the same: nothing was sent"
    return Delivered(anchor.id, page_of(delivery, anchor.id), scale.amount(course.stays), currency, done)


def page_of(delivery: Delivery, invoice_id: str) -> str:
    """The invoice in Stripe's dashboard."""
    return f"https://dashboard.stripe.com/{'' if delivery.system.live else 'test/'}invoices/{invoice_id}"
