"""Lines of draft invoices, one by one or in bulk, and the invoice items under them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import partial

from tollbridge.sandbox.stripe import catalogue, lists, money, totals
from tollbridge.sandbox.stripe.books import Books, Item, Record, merge_metadata
from tollbridge.sandbox.stripe.errors import ParameterError, StripeError, missing, no_such, not_editable

LINES_PER_CALL = 100
ITEMS_PER_INVOICE = 250


def add(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/invoices/{invoice}/add_lines: all of them or none."""
    invoice = _draft(books, path["invoice"])
    entries = _bulk(given)
    lines = books.lines[invoice["id"]]
    _refuse_too_many(len(lines) + len(entries))
    added = [_added(books, invoice, entry, f"lines[{at}]") for at, entry in enumerate(entries)]
    for item in added:
        item.invoice = invoice["id"]
        books.items[item.id] = item
    lines.extend(added)
    return _changed(books, invoice, given)


def update_many(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/invoices/{invoice}/update_lines: all of them or none."""
    invoice = _draft(books, path["invoice"])
    changed = []
    for at, entry in enumerate(_bulk(given)):
        old = books.line(invoice["id"], entry["id"], f"lines[{at}][id]")
        changed.append(_revised(books, old, entry, invoice, f"lines[{at}]"))
    for item in changed:
        _replace(books, item)
    return _changed(books, invoice, given)


def remove(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/invoices/{invoice}/remove_lines: deleted for good, or left pending (unassign)."""
    invoice = _draft(books, path["invoice"])
    entries = _bulk(given)
    items = [books.line(invoice["id"], each["id"], f"lines[{at}][id]") for at, each in enumerate(entries)]
    for entry, item in zip(entries, items, strict=True):
        books.lines[invoice["id"]].remove(item)
        item.invoice = None
        if entry["behavior"] == "delete":
            del books.items[item.id]
    return _changed(books, invoice, given)


def list_lines(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/invoices/{invoice}/lines"""
    invoice = books.invoice(path["invoice"])
    items = books.lines[invoice["id"]]
    return lists.page(
        items,
        given,
        f"/v1/invoices/{invoice['id']}/lines",
        noun="line item",
        known={item.line_id for item in items},
        show=partial(totals.show_line, books, invoice),
        id_of=lambda item: item.line_id,
    )


def update_line(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/invoices/{invoice}/lines/{line_item_id}"""
    invoice = _draft(books, path["invoice"])
    item = _revised(books, books.line(invoice["id"], path["line_item_id"]), given, invoice, "")
    _replace(books, item)
    totals.recount(books, invoice)
    return totals.show_line(books, invoice, item)


def create_item(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/invoiceitems: on a draft invoice, or pending."""
    invoice = _draft(books, given["invoice"], "invoice") if "invoice" in given else None
    customer_id = given.get("customer") or (invoice or {}).get("customer")
    if customer_id is None:
        raise missing("customer")
    customer = books.customer(customer_id, "customer")
    if invoice is not None and invoice["customer"] != customer_id:
        message = f"The customer {customer_id} does not match the customer of the invoice, {invoice['customer']}."
        raise StripeError(message, param="invoice")
    currency = invoice["currency"] if invoice else customer["currency"] or "usd"
    if "currency" in given:
        wanted = money.currency(given["currency"], "currency")
        if invoice is not None and wanted != currency:
            raise _other_currency(wanted, currency, "currency")
        currency = wanted
    if invoice is not None:
        _refuse_too_many(len(books.lines[invoice["id"]]) + 1)
    item = _new(books, customer_id, currency, given, invoice, "")
    books.items[item.id] = item
    if invoice is not None:
        item.invoice = invoice["id"]
        books.lines[invoice["id"]].append(item)
        totals.recount(books, invoice)
    return totals.show_item(books, item)


def get_item(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/invoiceitems/{invoiceitem}"""
    return totals.show_item(books, books.item(path["invoiceitem"]))


def update_item(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/invoiceitems/{invoiceitem}"""
    old = books.item(path["invoiceitem"])
    invoice = _draft(books, old.invoice) if old.invoice else None
    item = _revised(books, old, given, invoice, "")
    _replace(books, item)
    if invoice is not None:
        totals.recount(books, invoice)
    return totals.show_item(books, item)


def delete_item(books: Books, path: Record, given: Record) -> Record:
    """DELETE /v1/invoiceitems/{invoiceitem}: not once its invoice is finalised."""
    item = books.item(path["invoiceitem"])
    if item.invoice is not None:
        invoice = _draft(books, item.invoice)
        books.lines[invoice["id"]].remove(item)
        totals.recount(books, invoice)
    del books.items[item.id]
    return {"id": item.id, "object": "invoiceitem", "deleted": True}


def list_items(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/invoiceitems"""

    def wanted(item: Item) -> bool:
        pending = item.invoice is None
        return (
            lists.within(item.date, given.get("created"))
            and given.get("customer", item.customer) == item.customer
            and given.get("invoice", item.invoice) == item.invoice
            and given.get("pending", pending) == pending
        )

    return lists.page(
        reversed(books.items.values()),
        given,
        "/v1/invoiceitems",
        noun="invoiceitem",
        known=books.items,
        keep=wanted,
        show=partial(totals.show_item, books),
        id_of=lambda item: item.id,
    )


def attach_pending(books: Books, invoice: Record) -> None:
    """Pull the customer's pending items of the invoice's currency into a new invoice."""
    for item in books.items.values():
        if item.invoice is None and (item.customer, item.currency) == (invoice["customer"], invoice["currency"]):
            _refuse_too_many(len(books.lines[invoice["id"]]) + 1)
            item.invoice = invoice["id"]
            books.lines[invoice["id"]].append(item)


def _draft(books: Books, id: str, param: str | None = None) -> Record:
    invoice = books.invoice(id, param)
    if invoice["status"] != "draft":
        raise not_editable(f"This invoice is no longer editable: its status is {invoice['status']}.")
    return invoice


def _bulk(given: Record) -> list[Record]:
    entries: list[Record] = given["lines"]
    if len(entries) > LINES_PER_CALL:
        message = f"Array lines exceeded maximum {LINES_PER_CALL} allowed elements."
        raise ParameterError(message, param="lines")
    return entries


def _refuse_too_many(count: int) -> None:
    if count > ITEMS_PER_INVOICE:
        message = f"An invoice can have at most {ITEMS_PER_INVOICE} line items; this request would make it {count}."
        raise StripeError(message, param="lines")


def _changed(books: Books, invoice: Record, given: Record) -> Record:
    if "invoice_metadata" in given:
        invoice["metadata"] = merge_metadata(invoice["metadata"], given["invoice_metadata"])
    totals.recount(books, invoice)
    return totals.show(books, invoice)


def _added(books: Books, invoice: Record, entry: Record, name: str) -> Item:
    if "invoice_item" not in entry:
        return _new(books, invoice["customer"], invoice["currency"], entry, invoice, name)
    pending = books.items.get(entry["invoice_item"])
    if pending is None or pending.invoice is not None or pending.customer != invoice["customer"]:
        raise no_such("invoiceitem", entry["invoice_item"], f"{name}[invoice_item]")
    if pending.currency != invoice["currency"]:
        raise _other_currency(pending.currency, invoice["currency"], f"{name}[invoice_item]")
    return pending


def _new(books: Books, customer: str, currency: str, given: Record, invoice: Record | None, name: str) -> Item:
    if not {"amount", "unit_amount_decimal", "price_data", "pricing"} & given.keys():
        raise missing(_inside(name, "amount"))
    now = books.now()
    id, line_id = books.new_id("ii"), books.new_id("il")
    item = Item(id, line_id, customer, None, currency, 0, now, now, now)
    return _revised(books, item, given, invoice, name)


def _revised(books: Books, old: Item, given: Record, invoice: Record | None, name: str) -> Item:
    """The item with the given changes; nothing is written."""
    item = replace(old)
    if "description" in given:
        item.description = given["description"]
    if "discountable" in given:
        item.discountable = given["discountable"]
    if "metadata" in given:
        item.metadata = merge_metadata(item.metadata, given["metadata"])
    if "period" in given:
        item.start, item.end = given["period"]["start"], given["period"]["end"]
        if item.end < item.start:
            raise StripeError("The period's end must not be before its start.", param=_inside(name, "period"))
    if given.get("tax_rates") and invoice is not None and invoice["automatic_tax"]["enabled"]:
        message = "You cannot set tax_rates on a line of an invoice with automatic tax."
        raise StripeError(message, param=_inside(name, "tax_rates"))
    if "tax_rates" in given:
        item.tax_rates = catalogue.usable_rates(books, given["tax_rates"] or [], _inside(name, "tax_rates"))
    _set_amount(books, item, given, name)
    return item


def _set_amount(books: Books, item: Item, given: Record, name: str) -> None:
    sources = [each for each in ("amount", "unit_amount_decimal", "price_data", "pricing") if each in given]
    quantities = [each for each in ("quantity", "quantity_decimal") if each in given]
    for clash in (sources, quantities, [*sources, *quantities] if "amount" in sources else []):
        if len(clash) > 1:
            message = f"You may only specify one of these parameters: {', '.join(sorted(clash))}."
            raise StripeError(message, code="parameters_exclusive", param=_inside(name, clash[0]))
    for each in quantities:
        item.quantity = Decimal(given[each])
        if item.quantity < 0:
            raise StripeError("This value must be greater than or equal to 0.", param=_inside(name, each))
    if "amount" in given:
        item.amount, item.quantity = given["amount"], Decimal(1)
        item.unit_amount = item.price = item.product = None
        return
    if "pricing" in given:
        raise no_such("price", given["pricing"].get("price", ""), _inside(name, "pricing[price]"))
    if "unit_amount_decimal" in given:
        item.unit_amount = given["unit_amount_decimal"]
    if "price_data" in given:
        _price(books, item, given["price_data"], _inside(name, "price_data"))
    if item.unit_amount is not None:
        item.amount = money.times(item.unit_amount, item.quantity)


def _price(books: Books, item: Item, data: Record, name: str) -> None:
    """A price made on the spot: it belongs to a product that exists or is made with it."""
    currency = money.currency(data["currency"], f"{name}[currency]")
    if currency != item.currency:
        raise _other_currency(currency, item.currency, f"{name}[currency]")
    units = [each for each in ("unit_amount", "unit_amount_decimal") if each in data]
    products = [each for each in ("product", "product_data") if each in data]
    if len(units) != 1 or len(products) != 1:
        message = (
            "price_data needs exactly one of unit_amount and unit_amount_decimal, and one of product and product_data."
        )
        raise StripeError(message, code="parameter_missing", param=name)
    if "product" in data:
        item.product = books.product(data["product"], f"{name}[product]")["id"]
    else:
        item.product = catalogue.create_product(books, {}, data["product_data"])["id"]
    item.price = books.new_id("price")
    item.unit_amount = Decimal(data[units[0]])


def _replace(books: Books, item: Item) -> None:
    books.items[item.id] = item
    if item.invoice is not None:
        lines = books.lines[item.invoice]
        lines[[line.id for line in lines].index(item.id)] = item


def _other_currency(currency: str, wanted: str, param: str) -> StripeError:
    return StripeError(f"The currency {currency} does not match the invoice's currency, {wanted}.", param=param)


def _inside(name: str, inner: str) -> str:
    return f"{name}[{inner}]" if name else inner
