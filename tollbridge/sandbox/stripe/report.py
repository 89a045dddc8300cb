"""The books as an auditor reads them: what is really there, across all accounts, for proofs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any

from tollbridge.sandbox.stripe.books import Books, Record

_INVOICE = (
    "id",
    "customer",
    "status",
    "currency",
    "total",
    "total_excluding_tax",
    "amount_due",
    "amount_paid",
    "number",
    "metadata",
    "created",
    "due_date",
    "effective_at",
    "collection_method",
)
_CUSTOMER = ("id", "email", "name", "metadata", "balance", "invoice_credit_balance", "created")
_CREDIT_NOTE = ("id", "invoice", "customer", "status", "currency", "total", "refunds", "metadata", "created")


def books(accounts: Iterable[Books], query: Mapping[str, str], now: float) -> dict[str, Any]:
    """Everything, oldest first. `account` narrows it to one; `offset` and `limit` page the invoices."""
    chosen = [each for each in accounts if query.get("account", each.account) == each.account]
    offset = int(query.get("offset", 0))
    limit = int(query["limit"]) if "limit" in query else None
    invoices = ((each, record) for each in chosen for record in each.invoices.values())
    return {
        "now": now,
        "accounts": [{"account": each.account, "livemode": each.livemode} for each in chosen],
        "invoice_count": sum(len(each.invoices) for each in chosen),
        "invoices": [
            _row(held, record, _INVOICE, lines=len(held.lines[record["id"]]), emails=held.emails.get(record["id"], 0))
            for held, record in islice(invoices, offset, None if limit is None else offset + limit)
        ],
        "customers": [_row(each, record, _CUSTOMER) for each in chosen for record in each.customers.values()],
        "deleted_customers": [id for each in chosen for id in each.deleted_customers],
        "pending_items": sum(item.invoice is None for each in chosen for item in each.items.values()),
        "refunds": [{"account": each.account, **asdict(made)} for each in chosen for made in each.refunds.values()],
        "credit_notes": [_row(each, record, _CREDIT_NOTE) for each in chosen for record in each.credit_notes.values()],
    }


def _row(held: Books, record: Record, names: tuple[str, ...], **more: int) -> Record:
    return {"account": held.account, "livemode": held.livemode, **{name: record[name] for name in names}, **more}
