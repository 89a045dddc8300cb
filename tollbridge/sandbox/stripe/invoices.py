"""Invoices: drafts, lists and search. What happens from finalising on is in `settling`.

Simplifications: `auto_advance` is kept but nothing advances by itself, and no e-mail leaves (sends are counted).
"""

from __future__ import annotations

from functools import partial

from tollbridge.sandbox.stripe import catalogue, lines, lists, money, totals
from tollbridge.sandbox.stripe.books import Books, Record, merge_metadata
from tollbridge.sandbox.stripe.errors import StripeError, missing, not_editable

_KEPT = ("auto_advance", "custom_fields", "description", "effective_at", "footer", "statement_descriptor")
_EDITABLE_FOR_EVER = frozenset(("auto_advance", "expand", "metadata", "statement_descriptor"))


def create(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/invoices: an empty draft, or one with the customer's pending items."""
    if "customer" not in given:
        raise missing("customer")
    customer = books.customer(given["customer"], "customer")
    currency = money.currency(given.get("currency") or customer["currency"] or "usd", "currency")
    record = _blank(books, customer, currency)
    _set_collection(books, record, given, new=True)
    _apply(books, record, given)
    customer["currency"] = customer["currency"] or currency
    books.invoices[record["id"]] = record
    books.invoices_of[customer["id"]][record["id"]] = record
    books.lines[record["id"]] = []
    if given.get("pending_invoice_items_behavior") == "include":
        lines.attach_pending(books, record)
    totals.recount(books, record)
    shown = totals.show(books, record)
    books.happened("invoice.created", shown)
    return shown


def get(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/invoices/{invoice}"""
    return totals.show(books, books.invoice(path["invoice"]))


def update(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/invoices/{invoice}: once finalised only metadata and what moves no money."""
    record = books.invoice(path["invoice"])
    if record["status"] != "draft":
        fixed = sorted(given.keys() - _EDITABLE_FOR_EVER)
        if fixed:
            raise not_editable(f"Finalized invoices can't be updated in this way: {', '.join(fixed)}.")
    else:
        _set_collection(books, record, given, new=False)
    _apply(books, record, given)
    if record["status"] == "draft":
        totals.recount(books, record)
    books.changed("invoice", record)
    return totals.show(books, record)


def delete(books: Books, path: Record, given: Record) -> Record:
    """DELETE /v1/invoices/{invoice}: drafts only; their items go with them."""
    record = books.invoice(path["invoice"])
    if record["status"] != "draft":
        message = "You can only delete draft invoices. Void the invoice instead."
        raise not_editable(message)
    books.happened("invoice.deleted", totals.show(books, record))
    for item in books.lines.pop(record["id"]):
        del books.items[item.id]
    del books.invoices[record["id"]]
    del books.invoices_of[record["customer"]][record["id"]]
    books.numbers.discard(record["number"])
    books.removed("invoice", record["id"])
    return {"id": record["id"], "object": "invoice", "deleted": True}


def list_(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/invoices, newest first."""
    table = books.invoices_of.get(given["customer"], {}) if "customer" in given else books.invoices

    def wanted(record: Record) -> bool:
        same = all(given.get(name, record[name]) == record[name] for name in ("status", "collection_method"))
        created = lists.within(record["created"], given.get("created"))
        return same and created and lists.within(record["due_date"], given.get("due_date"))

    show = partial(totals.show, books)
    rows = reversed(table.values())
    return lists.page(rows, given, "/v1/invoices", noun="invoice", known=table, keep=wanted, show=show)


def search(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/invoices/search"""
    answer = lists.search_page(books, "invoice", books.invoices, given, "/v1/invoices/search")
    return {**answer, "data": [totals.show(books, record) for record in answer["data"]]}


def due_date(books: Books, record: Record, finalised: int) -> int | None:
    """When a mailed invoice is due: the given date, or days after it was finalised."""
    if record["collection_method"] != "send_invoice":
        return None
    days = books.days_until_due.get(record["id"])
    return record["due_date"] if days is None else finalised + days * 86_400


def _set_collection(books: Books, record: Record, given: Record, *, new: bool) -> None:
    method = given.get("collection_method", record["collection_method"])
    terms = [name for name in ("days_until_due", "due_date") if name in given]
    if len(terms) > 1:
        message = "You may only specify one of these parameters: days_until_due, due_date."
        raise StripeError(message, code="parameters_exclusive", param=terms[0])
    if method == "charge_automatically" and terms:
        message = f"You can only specify `{terms[0]}` if the collection method is 'send_invoice'."
        raise StripeError(message, param=terms[0])
    if method == "send_invoice" and not terms and (new or record["collection_method"] != method):
        message = "If `collection_method` is 'send_invoice', you must specify either `days_until_due` or `due_date`."
        raise StripeError(message, code="parameter_missing", param="days_until_due")
    record["collection_method"] = method
    if "due_date" in given and given["due_date"] <= books.now():
        message = "Invalid timestamp: must be an integer Unix timestamp in the future."
        raise StripeError(message, param="due_date")
    if given.get("days_until_due", 0) < 0:
        raise StripeError("This value must be greater than or equal to 0.", param="days_until_due")
    if terms:
        books.days_until_due[record["id"]] = given.get("days_until_due")
        record["due_date"] = given.get("due_date")
    record["due_date"] = due_date(books, record, record["created"])


def _apply(books: Books, record: Record, given: Record) -> None:
    if "default_tax_rates" in given:
        ids = catalogue.usable_rates(books, given["default_tax_rates"] or [], "default_tax_rates")
        record["default_tax_rates"] = [books.tax_rates[id] for id in ids]
    if "automatic_tax" in given:
        enabled = given["automatic_tax"]["enabled"]
        liability = {"type": "self"} if enabled else None
        record["automatic_tax"] = {"disabled_reason": None, "enabled": enabled, "liability": liability}
        record["automatic_tax"].update(provider="stripe" if enabled else None, status=None)
    if record["automatic_tax"]["enabled"] and record["default_tax_rates"]:
        raise StripeError("You cannot set default_tax_rates with automatic tax.", param="default_tax_rates")
    if len(given.get("custom_fields") or ()) > 4:
        raise StripeError("You can set up to 4 custom fields on an invoice.", param="custom_fields")
    if "number" in given and given["number"] != record["number"]:
        if given["number"] in books.numbers:
            raise StripeError(f"The invoice number {given['number']} is already in use.", param="number")
        books.numbers.discard(record["number"])
        record["number"] = given["number"]
        books.numbers.update({given["number"]} - {None})
    record.update({name: given[name] for name in _KEPT if name in given})
    if "metadata" in given:
        record["metadata"] = merge_metadata(record["metadata"], given["metadata"])


def _blank(books: Books, customer: Record, currency: str) -> Record:
    now = books.now()
    settings = customer["invoice_settings"]
    return {
        "id": books.new_id("in"),
        "object": "invoice",
        "account_country": "US",
        "account_name": f"Sandbox {books.account[5:]}",
        "account_tax_ids": None,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_paid_off_stripe": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": False,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": "manual",
        "collection_method": "charge_automatically",
        "created": now,
        "currency": currency,
        "custom_fields": settings["custom_fields"],
        "customer": customer["id"],
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [
            {"type": each["type"], "value": each["value"]} for each in customer.get("tax_ids", {}).get("data", [])
        ],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "effective_at": None,
        "ending_balance": None,
        "footer": settings["footer"],
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "livemode": books.livemode,
        "metadata": {},
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": None,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": now,
        "period_start": now,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": 0,
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "test_clock": None,
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": None,
    }
