"""What an invoice adds up to, and how it, its lines and its items are shown.

Taxes: a line's own rates, else the invoice's default rates; with automatic tax one flat rate where the customer's
country is known. Rounded per line, as Stripe does by default.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tollbridge.sandbox.stripe import catalogue, customers, money
from tollbridge.sandbox.stripe.books import Books, Item, Record

EMBEDDED_LINES = 10


def recount(books: Books, invoice: Record) -> None:
    """Bring the totals of a draft up to date with its lines and its customer's balance."""
    lines = books.lines[invoice["id"]]
    by_rate: dict[str, Record] = {}
    for item in lines:
        for tax in _taxes(books, invoice, item):
            summed = by_rate.setdefault(tax["tax_rate_details"]["tax_rate"], {**tax, "amount": 0, "taxable_amount": 0})
            summed["amount"] += tax["amount"]
            summed["taxable_amount"] += tax["taxable_amount"]
    taxes = list(by_rate.values())
    inclusive = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "inclusive")
    exclusive = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")
    subtotal = sum(item.amount for item in lines)
    customer = books.customers.get(invoice["customer"])
    starting = customers.balance(customer, invoice["currency"]) if customer else 0
    due = max(0, subtotal + exclusive + starting)
    if due < money.MINIMUM_CHARGE.get(invoice["currency"], 0):
        due = 0
    invoice.update(
        subtotal=subtotal,
        subtotal_excluding_tax=subtotal - inclusive,
        total=subtotal + exclusive,
        total_excluding_tax=subtotal - inclusive,
        total_taxes=taxes,
        starting_balance=starting,
        amount_due=due,
        amount_remaining=due,
    )
    if invoice["automatic_tax"]["enabled"]:
        known = customer is not None and (customer["address"] or {}).get("country")
        invoice["automatic_tax"]["status"] = "complete" if known else "requires_location_inputs"
    books.changed("invoice", invoice)


def _taxes(books: Books, invoice: Record | None, item: Item) -> list[Record]:
    customer = books.customers.get(item.customer, {})
    rates = item.tax_rates
    if invoice is not None and invoice["automatic_tax"]["enabled"]:
        country = (customer.get("address") or {}).get("country")
        rates = [catalogue.automatic_rate(books)] if country else []
    elif invoice is not None and not rates:
        rates = [rate["id"] for rate in invoice["default_tax_rates"]]
    exempt = customer.get("tax_exempt") == "exempt"
    return [] if exempt else [_tax(books.tax_rates[id], item.amount) for id in rates]


def _tax(rate: Record, amount: int) -> Record:
    tax = money.taxes(amount, Decimal(str(rate["percentage"])), inclusive=rate["inclusive"])
    return {
        "amount": tax,
        "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
        "tax_rate_details": {"tax_rate": rate["id"]},
        "taxability_reason": "standard_rated",
        "taxable_amount": amount - tax if rate["inclusive"] else amount,
        "type": "tax_rate_details",
    }


def show(books: Books, invoice: Record) -> Record:
    """The invoice with the first of its lines, as Stripe embeds them."""
    lines = books.lines[invoice["id"]]
    return {
        **invoice,
        "lines": {
            "object": "list",
            "data": [show_line(books, invoice, item) for item in lines[:EMBEDDED_LINES]],
            "has_more": len(lines) > EMBEDDED_LINES,
            "url": f"/v1/invoices/{invoice['id']}/lines",
        },
    }


def show_line(books: Books, invoice: Record, item: Item) -> Record:
    """An item as a line of its invoice."""
    return {
        "id": item.line_id,
        "object": "line_item",
        "amount": item.amount,
        "currency": item.currency,
        "description": item.description,
        "discount_amounts": [],
        "discountable": item.discountable,
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": books.livemode,
        "metadata": item.metadata,
        "parent": {
            "invoice_item_details": {
                "invoice_item": item.id,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": None,
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
        "period": {"end": item.end, "start": item.start},
        "pretax_credit_amounts": [],
        "pricing": _pricing(item),
        "quantity": _whole(item),
        "quantity_decimal": _plain(item.quantity),
        "subscription": None,
        "subtotal": item.amount,
        "taxes": _taxes(books, invoice, item),
    }


def show_item(books: Books, item: Item) -> Record:
    """An item as itself."""
    return {
        "id": item.id,
        "object": "invoiceitem",
        "amount": item.amount,
        "currency": item.currency,
        "customer": item.customer,
        "date": item.date,
        "description": item.description,
        "discountable": item.discountable,
        "discounts": [],
        "invoice": item.invoice,
        "livemode": books.livemode,
        "metadata": item.metadata,
        "net_amount": item.amount,
        "parent": None,
        "period": {"end": item.end, "start": item.start},
        "pricing": _pricing(item),
        "proration": False,
        "quantity": _whole(item),
        "quantity_decimal": _plain(item.quantity),
        "tax_rates": [books.tax_rates[id] for id in item.tax_rates],
        "test_clock": None,
    }


def _pricing(item: Item) -> Record | None:
    if item.price is None:
        return None
    pricing: dict[str, Any] = {"type": "price_details", "unit_amount_decimal": _plain(item.unit_amount or Decimal(0))}
    return {**pricing, "price_details": {"price": item.price, "product": item.product}}


def _whole(item: Item) -> int:
    return int(item.quantity)


def _plain(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
