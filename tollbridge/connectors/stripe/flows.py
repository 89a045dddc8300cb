"""The conversations with Stripe: deliver a bill as an invoice, check a credential. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

from tollbridge.connectors.base import Delivery, System, chunked, form_pairs
from tollbridge.connectors.stripe import errors, imagined, look_ups
from tollbridge.connectors.stripe.changes import (
    Course,
    choose_course,
    delete_drafts,
    nothing_left,
    page_of,
    read_documents,
    stays,
    undo,
)
from tollbridge.connectors.stripe.config import CollectionMethod, Finish, MissingCustomer, StripeOptions, Tax
from tollbridge.connectors.stripe.look_ups import get
from tollbridge.connectors.stripe.payloads import (
    Part,
    Plan,
    customer_params,
    email_of,
    invoice_params,
    invoice_tags,
    planned,
)
from tollbridge.domain.errors import Fault
from tollbridge.domain.flows import (
    Checked,
    Delivered,
    Flow,
    Outcome,
    Pause,
    Reply,
    Request,
    Skipped,
    Step,
    Subject,
    Written,
)
from tollbridge.domain.money import Money

LINES_PER_CALL = 100
"""The most lines that one add_lines call takes, as seen in the field."""

T = TypeVar("T")
Talk: TypeAlias = Generator[Step | Pause, Reply, T]
Invoice: TypeAlias = Mapping[str, Any]


def post(path: str, params: Mapping[str, Any]) -> Request:
    return Request("POST", path, form=form_pairs(params))


def deliver(delivery: Delivery) -> Flow:
    """Send one bill to Stripe: draft, lines, compare the total; finalise and send where the options say so.

    Where a bill is split over several invoices, all are drafted and compared before the first is finalised. What stands
    of an earlier version is undone between the two.
    """
    plan = _planned(delivery)
    changes = delivery.withdraw or delivery.earlier is not None
    if isinstance(plan, Fault) or (isinstance(plan, Skipped) and not changes):
        return plan
    customer: str | Fault | None = delivery.mappings.find("Account", delivery.bill.account.id, "Customer")
    if isinstance(plan, Plan):
        customer = yield from _customer(delivery)
    if isinstance(customer, Fault):
        return customer
    course: Course | Outcome = Course(plan=plan if isinstance(plan, Plan) else None)
    if changes:
        course = choose_course(delivery, plan, (yield from read_documents(delivery, customer)))
    if not isinstance(course, Course):
        return course
    return (yield from _follow(delivery, plan, course, customer))


def _planned(delivery: Delivery) -> Plan | Skipped | Fault:
    if delivery.withdraw:
        return Skipped("the bill was deleted")
    return planned(delivery.bill, delivery.config, delivery.at.date())


def _follow(delivery: Delivery, plan: Plan | Skipped, course: Course, customer: str | None) -> Talk[Outcome]:
    """Draft what is new, undo what stands, and only then make the new final."""
    yield from delete_drafts(course)
    invoices: list[Invoice] = []
    if course.plan is not None and customer is not None:
        for part in course.plan.parts:
            draft = yield from _draft(delivery, course.plan, part, customer)
            if isinstance(draft, Fault):
                return draft
            invoices.append(draft)
    trouble = yield from undo(delivery, course)
    if trouble is not None:
        return trouble
    if course.plan is not None:
        finish = Finish.FINALISE if course.quiet and delivery.config.finish is Finish.SEND else delivery.config.finish
        return (yield from _complete(delivery, course, course.plan, finish, invoices))
    return stays(delivery, course) if course.anchor else nothing_left(delivery, plan, course)


def _complete(
    delivery: Delivery, course: Course, plan: Plan, finish: Finish, invoices: list[Invoice]
) -> Talk[Delivered]:
    if finish is not Finish.DRAFT:
        for number, invoice in enumerate(invoices, start=1):
            invoices[number - 1] = yield from _finalise(delivery, plan, number, invoice["id"])
    if finish is Finish.SEND:
        for number, invoice in enumerate(invoices, start=1):
            invoices[number - 1] = yield from _send(delivery, plan, number, invoice)
    return _delivered(delivery, course, plan, invoices)


def check(system: System) -> Flow:
    """Read the account that a key opens. Live and test mode of one account are two tenants."""
    reply = yield Step("Read the account", get("/v1/account"), "account")
    account = reply.json
    mode = "live" if system.live else "test"
    return Checked(f"{account['id']}:{mode}", f"{_account_name(account)} ({mode} mode)", system.live)


def _account_name(account: Mapping[str, Any]) -> str:
    dashboard = (account.get("settings") or {}).get("dashboard") or {}
    profile = account.get("business_profile") or {}
    return str(dashboard.get("display_name") or profile.get("name") or account.get("email") or account["id"])


def _customer(delivery: Delivery) -> Talk[str | Fault]:
    """The customer of the account: mapped, else found by our id, else created once."""
    account, config = delivery.bill.account, delivery.config
    mapped = delivery.mappings.find("Account", account.id, "Customer")
    if mapped is not None:
        return mapped
    if config.missing_customer is MissingCustomer.REFUSE:
        return errors.UNMAPPED_CUSTOMER.fault(
            f"account {account.id} ({account.name}) is mapped to no customer in Stripe", missing=_mapping(delivery)
        )
    search = look_ups.customer_search("customer:search", account.id)
    search = replace(search, sources=imagined.search_sources(), warnings=imagined.unmapped(delivery))
    found = (yield _learning(search, account.id, _only_customer))["data"]
    if len(found) > 1:
        return errors.SEVERAL_CUSTOMERS.fault(
            f"Stripe has several customers for account {account.id}: {', '.join(each['id'] for each in found)}, …",
            missing=_mapping(delivery),
        )
    if found:
        return str(found[0]["id"])
    return (yield from _create_customer(delivery))


def _create_customer(delivery: Delivery) -> Talk[str | Fault]:
    account, config = delivery.bill.account, delivery.config
    email = email_of(account, config)
    if config.finish is Finish.SEND and email is None:
        return errors.MISSING_EMAIL.fault(
            f"account {account.id} ({account.name}) has no e-mail address, and finish is send",
            "Give the account an e-mail address, or set finish to finalise or draft, then replay the run.",
        )
    params = customer_params(delivery.bill, config)
    if isinstance(params, Fault):
        return params
    create = Step(
        "Create the customer",
        post("/v1/customers", params),
        "customer",
        look_up=look_ups.customer("customer", account.id, email),
        subject=Subject("Account", account.id, 1, "customer"),
        imagined=imagined.customer,
        sources=imagined.customer_sources(config),
        warnings=(f"The customer is created for account {account.id}, and mapped.",),
    )
    reply = yield _learning(create, account.id, lambda reply: str(reply["id"]))
    return str(reply["id"])


def _learning(step: Step, account_id: str, read: Callable[[Reply], str | None]) -> Step:
    """The step, whose reply teaches the account's customer."""

    def learn(reply: Reply) -> Written | None:
        customer = read(reply)
        return Written("Account", account_id, "Customer", customer) if customer else None

    return replace(step, learns=learn)


def _only_customer(reply: Reply) -> str | None:
    found = reply["data"]
    return str(found[0]["id"]) if len(found) == 1 else None


def _mapping(delivery: Delivery) -> tuple[str, str, str, str]:
    return ("Account", delivery.bill.account.id, delivery.system.mapping_system, "Customer")


def _draft(delivery: Delivery, plan: Plan, part: Part, customer: str) -> Talk[Invoice | Fault]:
    """A draft with all its lines, compared with ours."""
    bill, config, key = delivery.bill, delivery.config, plan.key(f"invoice:{part.number}")
    created = yield Step(
        "Create the draft invoice" + _which(plan, part.number),
        post("/v1/invoices", invoice_params(bill, config, customer, plan, part)),
        key,
        look_up=look_ups.invoice(key, customer, invoice_tags(bill, plan, part)),
        relies_on=_mapping(delivery),
        imagined=imagined.draft(delivery, part, customer),
        sources=imagined.invoice_sources(delivery),
        warnings=imagined.due_warnings(delivery, plan),
    )
    invoice = created.json
    if config.finish is Finish.SEND and not invoice.get("customer_email"):
        trouble = yield from _without_address(delivery, part, customer)
        if trouble is not None:
            return trouble
    for index, some in enumerate(chunked(part.lines, LINES_PER_CALL), start=1):
        add = _add_lines(invoice["id"], plan.key(f"lines:{part.number}:{index}"), some)
        imagine = imagined.invoice(delivery, part, "draft")
        invoice = (yield replace(add, imagined=imagine, sources=imagined.line_sources(part.number))).json
    return _difference(plan, part, config, invoice) or invoice


def _which(plan: Plan, number: int) -> str:
    return f" {number} of {len(plan.parts)}" if len(plan.parts) > 1 else ""


def _without_address(delivery: Delivery, part: Part, customer: str) -> Talk[Fault | None]:
    """What is wrong with a customer whose draft shows no e-mail address; asked again, because it may be repaired."""
    reply = yield Step(
        "Read the customer",
        get(f"/v1/customers/{quote(customer, safe='')}"),
        f"customer:{part.number}",
        relies_on=_mapping(delivery),
        sources={"path": imagined.customer_source(delivery)},
    )
    found = reply.json
    if found.get("deleted"):
        return errors.CUSTOMER_DELETED.fault(
            f"customer {customer}, to which account {delivery.bill.account.id} is mapped, was deleted in Stripe",
            missing=_mapping(delivery),
        )
    if not found.get("email"):
        return errors.MISSING_EMAIL.fault(
            f"customer {customer} of account {delivery.bill.account.id} has no e-mail address in Stripe; the invoice "
            "is left as a draft",
        )
    return None


def _add_lines(invoice_id: str, key: str, lines: Sequence[Mapping[str, Any]]) -> Step:
    positions = [line["metadata"]["position"] for line in lines]
    return Step(
        f"Add lines {positions[0]} to {positions[-1]}",
        post(f"/v1/invoices/{invoice_id}/add_lines", {"lines": lines}),
        key,
        look_up=look_ups.lines(key, invoice_id, frozenset(positions)),
    )


def _difference(plan: Plan, part: Part, config: StripeOptions, invoice: Invoice) -> Fault | None:
    """A fault where Stripe's total is not ours. Taxes that Stripe adds do not count, balances and payments neither."""
    held = _held(config, invoice)
    currency = str(invoice["currency"]).upper()
    if held == part.total:
        return None
    theirs, ours = (Money(plan.scale.amount(units), currency) for units in (held, part.total))
    return errors.TOTAL_DIFFERS.fault(
        f"Stripe's total of draft {invoice['id']} is {theirs}, ours is {ours}; nothing was finalised"
    )


def _held(config: StripeOptions, invoice: Invoice) -> int:
    without_tax = invoice.get("total_excluding_tax")
    return int(invoice["total"] if config.tax is Tax.NONE or without_tax is None else without_tax)


def _finalise(delivery: Delivery, plan: Plan, number: int, invoice_id: str) -> Talk[Invoice]:
    # With auto_advance Stripe collects by itself: it charges a payment method, but it would also send reminders.
    charge = delivery.config.collection_method is CollectionMethod.CHARGE_AUTOMATICALLY
    key = plan.key(f"finalise:{number}")
    reply = yield Step(
        "Finalise the invoice" + _which(plan, number),
        post(f"/v1/invoices/{invoice_id}/finalize", {"auto_advance": charge}),
        key,
        look_up=look_ups.finalised(key, invoice_id),
        imagined=imagined.invoice(delivery, plan.parts[number - 1], "open"),
        sources=imagined.finalise_sources(number),
    )
    return reply.json  # type: ignore[no-any-return]


def _send(delivery: Delivery, plan: Plan, number: int, invoice: Invoice) -> Talk[Invoice]:
    key = plan.key(f"send:{number}")
    reply = yield Step(
        "Send the invoice" + _which(plan, number),
        post(f"/v1/invoices/{invoice['id']}/send", {}),
        key,
        look_up=look_ups.sent(key, invoice),
        imagined=imagined.invoice(delivery, plan.parts[number - 1], "open"),
        sources=imagined.finalise_sources(number),
    )
    return reply.json  # type: ignore[no-any-return]


def _delivered(delivery: Delivery, course: Course, plan: Plan, invoices: list[Invoice]) -> Delivered:
    first, notes = invoices[0], [*course.told, *plan.notes]
    if course.anchor:
        notes.append(f"over the difference to {course.anchor.number or course.anchor.id}")
    if len(invoices) > 1:
        notes.append(f"split over {len(invoices)} invoices: {', '.join(each['id'] for each in invoices)}")
    notes += [
        f"{each['id']} {_why_paid(each)}"
        for each in invoices
        if each.get("status") == "paid" and not each.get("amount_due") and _held(delivery.config, each) > 0
    ]
    held = sum(_held(delivery.config, each) for each in invoices)
    return Delivered(
        external_id=first["id"],
        url=first.get("hosted_invoice_url") or page_of(delivery, first["id"]),
        total=plan.scale.amount(held + course.stays),
        currency=delivery.bill.currency,
        note="; ".join(notes) or None,
    )


def _why_paid(invoice: Invoice) -> str:
    """Why nothing is asked for, although the total is more than zero."""
    if invoice.get("starting_balance", 0) < 0:
        return "is paid from the credit in the customer's balance"
    return "is below Stripe's minimum: it is marked paid and stands in the customer's balance"
