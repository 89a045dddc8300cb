"""An invoice from finalising on: numbering, the customer's balance, sending, paying, voiding, writing off.

Below the currency's minimum charge, at zero and below zero an invoice is paid as soon as it is finalised, and what is
owed or credited moves to the customer's balance. Stripe's rule is about charges; here it holds for both collection
methods alike.
"""

from __future__ import annotations

from tollbridge.sandbox.stripe import customers, invoices, money, totals
from tollbridge.sandbox.stripe.books import Books, Record
from tollbridge.sandbox.stripe.errors import StripeError, not_editable


def finalize(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/invoices/{invoice}/finalize"""
    record = books.invoice(path["invoice"])
    if record["status"] != "draft":
        raise not_editable("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    if "auto_advance" in given:
        record["auto_advance"] = given["auto_advance"]
    _finalise(books, record)
    return totals.show(books, record)


def send(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/invoices/{invoice}/send: finalises a draft first. Refuses a customer without e-mail address."""
    record = books.invoice(path["invoice"])
    if record["collection_method"] != "send_invoice":
        message = "You can only manually send an invoice if its collection method is 'send_invoice'."
        raise StripeError(message, param="invoice")
    if record["status"] in ("void", "uncollectible"):
        raise not_editable(f"You cannot send an invoice with the status {record['status']}.")
    email = customers.email_of(books, record["customer"], "customer")
    if record["status"] == "draft":
        _finalise(books, record)
    record["customer_email"] = email
    books.emails[record["id"]] += 1
    shown = totals.show(books, record)
    books.happened("invoice.sent", shown)
    return shown


def void(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/invoices/{invoice}/void"""
    record = _in_status(books, path, ("open", "uncollectible"), "void")
    applied = record["ending_balance"] - record["starting_balance"]
    customers.move_balance(
        books, record["customer"], -applied, record["currency"], "unapplied_from_invoice", invoice=record["id"]
    )
    _to(books, record, "void", "voided_at")
    shown = totals.show(books, record)
    books.happened("invoice.voided", shown)
    return shown


def mark_uncollectible(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/invoices/{invoice}/mark_uncollectible"""
    record = _in_status(books, path, ("open",), "mark as uncollectible")
    _to(books, record, "uncollectible", "marked_uncollectible_at")
    return totals.show(books, record)


def pay(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/invoices/{invoice}/pay: out of band; no customer here has a payment method."""
    record = books.invoice(path["invoice"])
    if record["status"] == "paid":
        raise StripeError("Invoice is already paid")
    if record["status"] == "void":
        raise not_editable("You cannot pay a void invoice.")
    if not given.get("paid_out_of_band"):
        message = "This customer has no attached payment source or default payment method."
        raise StripeError(message, code="resource_missing")
    if record["status"] == "draft":
        _finalise(books, record)
    if record["status"] != "paid":
        record["amount_paid"] = record["amount_remaining"]
        record["amount_paid_off_stripe"] = record["amount_remaining"]
        mark_paid(books, record)
    return totals.show(books, record)


def pay_here(books: Books, invoice_id: str) -> None:
    """The customer pays what is owed on Stripe's page of the invoice; raises ValueError where nothing is owed."""
    record = books.invoices[invoice_id]
    if record["status"] not in ("open", "uncollectible"):
        raise ValueError(f"invoice {invoice_id} is {record['status']}: nothing of it is owed")
    books.paid_here[invoice_id] += record["amount_remaining"]
    record["amount_paid"] += record["amount_remaining"]
    mark_paid(books, record)


def mark_paid(books: Books, record: Record) -> None:
    """Nothing is owed any more."""
    record["amount_remaining"] = 0
    record["attempted"] = True
    _to(books, record, "paid", "paid_at")
    books.happened("invoice.paid", totals.show(books, record))


def _finalise(books: Books, record: Record) -> None:
    totals.recount(books, record)
    if record["automatic_tax"]["enabled"] and record["automatic_tax"]["status"] != "complete":
        message = (
            "The customer's location isn't recognized. Set a valid customer address in order to automatically "
            "calculate tax."
        )
        raise StripeError(message, code="customer_tax_location_invalid", param="automatic_tax")
    money.refuse_unpayable(record["total"], record["currency"])
    now = books.now()
    record["due_date"] = invoices.due_date(books, record, now)
    record["effective_at"] = record["effective_at"] or now
    record["number"] = record["number"] or _next_number(books, record)
    address = f"https://invoice.stripe.com/i/{books.account}/{'live' if books.livemode else 'test'}_{record['id']}"
    record["hosted_invoice_url"] = address
    record["invoice_pdf"] = f"{address.replace('invoice.stripe.com/i', 'pay.stripe.com/invoice')}/pdf"
    # What is not asked for now stays on the balance: the part of the total that the amount due does not cover.
    moved = record["total"] - record["amount_due"]
    record["ending_balance"] = record["starting_balance"] + moved
    customers.move_balance(
        books, record["customer"], moved, record["currency"], _movement(record), invoice=record["id"]
    )
    _to(books, record, "open", "finalized_at")
    books.happened("invoice.finalized", totals.show(books, record))
    if record["amount_due"] == 0:
        mark_paid(books, record)


def _movement(record: Record) -> str:
    if record["total"] > 0 and record["amount_due"] == 0 and record["starting_balance"] >= 0:
        return "invoice_too_small"
    return "applied_to_invoice"


def _next_number(books: Books, record: Record) -> str:
    customer = books.customers.get(record["customer"])
    if customer is None:
        raise StripeError("The invoice's customer is deleted; it cannot be finalized.", code="resource_missing")
    while True:
        number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
        customer["next_invoice_sequence"] += 1
        if number not in books.numbers:
            books.numbers.add(number)
            return number


def _in_status(books: Books, path: Record, allowed: tuple[str, ...], verb: str) -> Record:
    record = books.invoice(path["invoice"])
    if record["status"] not in allowed:
        message = f"You can only {verb} an invoice that is {' or '.join(allowed)}. This invoice is {record['status']}."
        raise not_editable(message)
    return record


def _to(books: Books, record: Record, status: str, moment: str) -> None:
    record["status"] = status
    record["status_transitions"][moment] = books.now()
    books.changed("invoice", record)
