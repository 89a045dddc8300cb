"""Credit notes on finalised invoices.

Simplification: amounts are taken as they are, without taxes of their own. What was paid out of band cannot be refunded.
"""

from __future__ import annotations

from decimal import Decimal

from tollbridge.sandbox.stripe import customers, lists, money, settling
from tollbridge.sandbox.stripe.books import Books, Record, Refund, merge_metadata
from tollbridge.sandbox.stripe.errors import ParameterError, StripeError, missing, no_such


def create(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/credit_notes: first reduces what is still owed; the rest must say where it goes."""
    invoice = books.invoice(given["invoice"], "invoice")
    if invoice["status"] not in ("open", "paid", "uncollectible"):
        message = f"You can only create a credit note for a finalized invoice. This invoice is {invoice['status']}."
        raise StripeError(message, code="invoice_not_editable", param="invoice")
    id = books.new_id("cn")
    entries = [_line(books, invoice, each, f"lines[{at}]") for at, each in enumerate(given.get("lines", []))]
    amount = given.get("amount", sum(entry["amount"] for entry in entries))
    if ("amount" in given) == ("lines" in given) or amount <= 0:
        raise missing("amount")
    credited = invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
    if amount > invoice["total"] - credited:
        message = f"The amount {amount} is more than what can still be credited, {invoice['total'] - credited}."
        raise StripeError(message, code="amount_too_large", param="amount")
    before = min(amount, invoice["amount_remaining"])
    after = amount - before
    refunded = _refunded(books, invoice, given, after)
    record = _record(books, invoice, given, id, amount, before, after)
    record["refunds"] = refunded
    books.credit_notes[id] = record
    books.credit_note_lines[id] = entries
    record["lines"] = _lines(books, id, {})
    _apply(books, invoice, record, given.get("credit_amount", 0))
    books.happened("credit_note.created", record)
    return record


def get(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/credit_notes/{id}"""
    return books.credit_note(path["id"])


def update(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/credit_notes/{id}"""
    record = books.credit_note(path["id"])
    if "memo" in given:
        record["memo"] = given["memo"]
    if "metadata" in given:
        record["metadata"] = merge_metadata(record["metadata"], given["metadata"])
    return record


def void(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/credit_notes/{id}/void: only on an open invoice, which owes the amount again."""
    record = books.credit_note(path["id"])
    invoice = books.invoice(record["invoice"])
    if record["status"] == "void" or invoice["status"] != "open":
        message = "You can only void an issued credit note of an open invoice."
        raise StripeError(message, code="invoice_not_editable")
    record.update(status="void", voided_at=books.now())
    invoice["pre_payment_credit_notes_amount"] -= record["pre_payment_amount"]
    _owe(books, invoice, record["pre_payment_amount"])
    books.happened("credit_note.voided", record)
    return record


def list_(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/credit_notes"""

    def wanted(record: Record) -> bool:
        same = all(given.get(name, record[name]) == record[name] for name in ("customer", "invoice"))
        return same and lists.within(record["created"], given.get("created"))

    rows = reversed(books.credit_notes.values())
    return lists.page(rows, given, "/v1/credit_notes", noun="credit note", known=books.credit_notes, keep=wanted)


def list_lines(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/credit_notes/{credit_note}/lines"""
    id = books.credit_note(path["credit_note"])["id"]
    return _lines(books, id, given)


def _lines(books: Books, id: str, given: Record) -> Record:
    rows = books.credit_note_lines[id]
    known = {row["id"] for row in rows}
    return lists.page(rows, given, f"/v1/credit_notes/{id}/lines", noun="credit note line item", known=known)


def _refunded(books: Books, invoice: Record, given: Record, after: int) -> list[Record]:
    """Give back `refund_amount` and take up `refunds` made before. All that was paid must be placed."""
    amount, linked = given.get("refund_amount", 0), given.get("refunds", [])
    known = [_refund_of(books, invoice, each, f"refunds[{at}]") for at, each in enumerate(linked)]
    placed = (
        given.get("credit_amount", 0) + given.get("out_of_band_amount", 0) + amount + sum(part for _, part in known)
    )
    if placed != after:
        message = (
            f"The sum of credit amount, refund amount and out of band amount ({placed}) must equal the post-payment "
            f"credit note amount ({after})."
        )
        raise StripeError(message, param="credit_amount")
    if amount > books.refundable(invoice["id"]):
        raise StripeError("The invoice has no payment of that amount that could be refunded.", param="refund_amount")
    if amount:
        known.append((books.refund(invoice["id"], amount), amount))
    for refund, part in known:
        refund.noted += part
    return [
        {"amount_refunded": part, "payment_record_refund": None, "refund": refund.id, "type": "refund"}
        for refund, part in known
    ]


def _refund_of(books: Books, invoice: Record, given: Record, name: str) -> tuple[Refund, int]:
    """A refund that was made before, and how much of it this note tells."""
    if given.get("type", "refund") != "refund":
        raise ParameterError("The stand-in for Stripe keeps no payment records.", param=f"{name}[type]")
    if "refund" not in given:
        raise missing(f"{name}[refund]")
    refund = books.refunds.get(given["refund"])
    if refund is None or refund.invoice != invoice["id"]:
        raise no_such("refund", given["refund"], f"{name}[refund]")
    part = given.get("amount_refunded", refund.amount - refund.noted)
    if not 0 < part <= refund.amount - refund.noted:
        message = f"The refund {refund.id} has {refund.amount - refund.noted} left that no credit note tells."
        raise StripeError(message, param=f"{name}[amount_refunded]")
    return refund, part


def _apply(books: Books, invoice: Record, record: Record, credit: int) -> None:
    invoice["pre_payment_credit_notes_amount"] += record["pre_payment_amount"]
    invoice["post_payment_credit_notes_amount"] += record["post_payment_amount"]
    if credit:
        moved = customers.move_balance(
            books, invoice["customer"], -credit, invoice["currency"], "credit_note", credit_note=record["id"]
        )
        record["customer_balance_transaction"] = moved and moved["id"]
    if record["pre_payment_amount"]:
        _owe(books, invoice, -record["pre_payment_amount"])
        if invoice["amount_remaining"] == 0:
            settling.mark_paid(books, invoice)


def _owe(books: Books, invoice: Record, amount: int) -> None:
    invoice["amount_due"] += amount
    invoice["amount_remaining"] += amount
    books.changed("invoice", invoice)


def _line(books: Books, invoice: Record, given: Record, name: str) -> Record:
    of_invoice = given["type"] == "invoice_line_item"
    description = given.get("description")
    if of_invoice:
        if "invoice_line_item" not in given:
            raise missing(f"{name}[invoice_line_item]")
        item = books.line(invoice["id"], given["invoice_line_item"], f"{name}[invoice_line_item]")
        description = description or item.description
    unit = given.get("unit_amount_decimal", given.get("unit_amount"))
    quantity = given.get("quantity", 1)
    if "amount" in given:
        amount = given["amount"]
    elif unit is not None:
        amount = money.times(Decimal(unit), Decimal(quantity))
    elif of_invoice:
        amount = item.amount
    else:
        raise missing(f"{name}[unit_amount]")
    line: Record = {
        "id": books.new_id("cnli"),
        "object": "credit_note_line_item",
        "amount": amount,
        "description": description,
        "discount_amount": 0,
        "discount_amounts": [],
        "livemode": books.livemode,
        "metadata": given.get("metadata", {}),
        "pretax_credit_amounts": [],
        "quantity": quantity,
        "tax_rates": [],
        "taxes": [],
        "type": given["type"],
        "unit_amount": None if unit is None or Decimal(unit) % 1 else int(unit),
        "unit_amount_decimal": None if unit is None else format(Decimal(unit), "f"),
    }
    return {**line, "invoice_line_item": given["invoice_line_item"]} if of_invoice else line


def _record(books: Books, invoice: Record, given: Record, id: str, amount: int, before: int, after: int) -> Record:
    count = sum(1 for each in books.credit_notes.values() if each["invoice"] == invoice["id"]) + 1
    kind = "mixed" if before and after else "post_payment" if after else "pre_payment"
    return {
        "id": id,
        "object": "credit_note",
        "amount": amount,
        "amount_shipping": 0,
        "created": books.now(),
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": given.get("effective_at", books.now()),
        "invoice": invoice["id"],
        "livemode": books.livemode,
        "memo": given.get("memo"),
        "metadata": given.get("metadata", {}),
        "number": f"{invoice['number']}-CN-{count:02d}",
        "out_of_band_amount": given.get("out_of_band_amount"),
        "pdf": f"https://pay.stripe.com/credit_notes/{books.account}/{id}/pdf",
        "post_payment_amount": after,
        "pre_payment_amount": before,
        "pretax_credit_amounts": [],
        "reason": given.get("reason"),
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": amount,
        "subtotal_excluding_tax": amount,
        "total": amount,
        "total_excluding_tax": amount,
        "total_taxes": [],
        "type": kind,
        "voided_at": None,
    }
