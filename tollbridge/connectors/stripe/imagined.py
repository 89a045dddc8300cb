"""What serves previews alone: the replies that Stripe would give to our writes, and where the values sent come from.

Ids are made up and say so. A total is imagined as ours: that Stripe adds up alike is compared when it is really sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tollbridge.connectors.base import Delivery
from tollbridge.connectors.stripe.config import CollectionMethod, DocumentDate, Due, StripeOptions
from tollbridge.connectors.stripe.payloads import Part, Plan, email_of
from tollbridge.domain.flows import Reply

CUSTOMER_ID = "cus_preview"

Sources = Mapping[str, tuple[str, ...]]

_TEMPLATE = ("bill", "account")
_CONSTANT = ("constant",)


def customer() -> Reply:
    return Reply.of({"id": CUSTOMER_ID})


def draft(delivery: Delivery, part: Part, customer: str) -> Callable[[], Reply]:
    """The part's invoice without lines. Whether a customer that is there has an e-mail address is left open, so that
    the flow reads it where it matters."""
    email = email_of(delivery.bill.account, delivery.config) if customer == CUSTOMER_ID else None
    return lambda: Reply.of({**_invoice(delivery, part, "draft"), "customer_email": email})


def invoice(delivery: Delivery, part: Part, status: str) -> Callable[[], Reply]:
    """The part's invoice with all its lines."""
    return lambda: Reply.of(_invoice(delivery, part, status))


def _invoice(delivery: Delivery, part: Part, status: str) -> dict[str, Any]:
    return {
        "id": f"in_preview_{part.number}",
        "status": status,
        "currency": delivery.bill.currency.lower(),
        "total": part.total,
    }


def customer_sources(config: StripeOptions) -> Sources:
    email = f"account.custom_fields.{config.email_field}" if config.email_field else "account.email"
    return {
        "name": ("option.customerName", *_TEMPLATE),
        "email": (email,),
        "address[*]": ("account.address",),
        "tax_id_data[*][type]": ("option.vatIdType",) if config.vat_id_type else ("account.address",),
        "tax_id_data[*][value]": (f"account.custom_fields.{config.vat_id_field}",),
        "metadata[billing_account_id]": ("account.id",),
        "metadata[billing_account_code]": ("account.code",),
    }


def search_sources() -> Sources:
    return {"query": ("account.id",), "limit": _CONSTANT}


def customer_source(delivery: Delivery) -> tuple[str, ...]:
    mapped = delivery.mappings.find("Account", delivery.bill.account.id, "Customer") is not None
    return ("mapping.Account.Customer",) if mapped else ("reply.customer", "reply.customer:search")


def invoice_sources(delivery: Delivery) -> Sources:
    bill, config = delivery.bill, delivery.config
    days = "account.days_before_bill_due" if bill.account.days_before_bill_due is not None else "option.daysUntilDue"
    by_bill = config.due is Due.BILL
    dates = {
        DocumentDate.BILL_DATE: "bill.bill_date",
        DocumentDate.SERVICE_END: "bill.end",
        DocumentDate.EXTERNAL_INVOICE_DATE: "bill.external_invoice_date",
        DocumentDate.SENT: "constant",
    }
    return {
        "customer": customer_source(delivery),
        "currency": ("bill.currency",),
        "collection_method": ("option.collectionMethod",),
        "due_date": ("bill.due_date",),
        "days_until_due": ("option.daysUntilDue",) if not by_bill else ("bill.due_date",) if bill.due_date else (days,),
        "auto_advance": _CONSTANT,
        "pending_invoice_items_behavior": _CONSTANT,
        "automatic_tax[enabled]": ("option.tax",),
        "effective_at": ("option.documentDate", dates[config.document_date]),
        "description": ("option.memo", *_TEMPLATE),
        "custom_fields[*][name]": ("option.purchaseOrderLabel", "option.reference"),
        "custom_fields[*][value]": ("option.purchaseOrderField", "option.reference", *_TEMPLATE),
        "metadata[bill_id]": ("bill.id",),
        "metadata[bill_revision]": ("bill.revision",),
        "metadata[bill_part]": ("option.overflow", "bill.lines"),
        "metadata[billing_account_id]": ("account.id",),
        "metadata[bill_total]": ("bill.total",),
        "metadata[rounding]": ("bill.total",),
    }


def line_sources(number: int) -> Sources:
    return {
        "path": (f"reply.invoice:{number}",),
        "lines[*][amount]": ("line.subtotal", "bill.total"),
        "lines[*][description]": ("line.description", "line.quantity", "line.unit", "line.unit_price"),
        "lines[*][discountable]": _CONSTANT,
        "lines[*][period][start]": ("line.service_start",),
        "lines[*][period][end]": ("line.service_end",),
        "lines[*][tax_rates][*]": ("option.taxRates",),
        "lines[*][metadata][position]": ("bill.lines",),
        "lines[*][metadata][exact_amount]": ("line.subtotal",),
        "lines[*][metadata][type]": ("line.type",),
        "lines[*][metadata][product_code]": ("line.product_code",),
        "lines[*][metadata][line_id]": ("line.id",),
        "lines[*][metadata][quantity]": ("line.quantity",),
        "lines[*][metadata][unit]": ("line.unit",),
        "lines[*][metadata][unit_price]": ("line.unit_price",),
        "lines[*][metadata][lines]": ("bill.lines",),
    }


def finalise_sources(number: int) -> Sources:
    return {"path": (f"reply.invoice:{number}",), "auto_advance": ("option.collectionMethod",)}


def unmapped(delivery: Delivery) -> tuple[str, ...]:
    account = delivery.bill.account
    return (f"Account {account.id} ({account.name}) is mapped to no customer: it is looked for by its id.",)


def due_warnings(delivery: Delivery, plan: Plan) -> tuple[str, ...]:
    """The fallback that decides when an invoice is due whose bill does not say it."""
    config = delivery.config
    by_bill = config.collection_method is CollectionMethod.SEND_INVOICE and config.due is Due.BILL
    if not by_bill or delivery.bill.due_date is not None:
        return ()
    days = plan.due.get("days_until_due")
    return (f"The bill has no due date: it is due {days} days after finalising.",)
