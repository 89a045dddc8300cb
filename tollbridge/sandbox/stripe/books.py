"""What one Stripe account holds in one mode (test or live). Records are the very JSON that Stripe answers.

Keeps and finds; it knows no rule of any endpoint.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tollbridge.sandbox.clock import Clock
from tollbridge.sandbox.stripe.errors import no_such
from tollbridge.sandbox.stripe.journal import Journal
from tollbridge.sandbox.stripe.search import Index

Record = dict[str, Any]
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHORT = ("cus", "prod")


@dataclass(slots=True)
class Item:
    """An invoice item, and the line that it makes when it is on an invoice. Amounts in minor units."""

    id: str
    line_id: str
    customer: str
    invoice: str | None
    currency: str
    amount: int
    date: int
    start: int
    end: int
    quantity: Decimal = Decimal(1)
    unit_amount: Decimal | None = None
    description: str | None = None
    discountable: bool = True
    product: str | None = None
    price: str | None = None
    tax_rates: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Refund:
    """Money given back of what was paid for an invoice; `noted` is how much of it credit notes tell. Minor units."""

    id: str
    invoice: str
    amount: int
    noted: int = 0


class Books:
    """All records of one account and mode."""

    def __init__(self, account: str, livemode: bool, clock: Clock, search_lag: float) -> None:
        self.account, self.livemode, self.clock = account, livemode, clock
        self.customers: dict[str, Record] = {}
        self.deleted_customers: dict[str, Record] = {}
        self.balance_transactions: dict[str, dict[str, Record]] = defaultdict(dict)
        self.products: dict[str, Record] = {}
        self.tax_rates: dict[str, Record] = {}
        self.invoices: dict[str, Record] = {}
        self.invoices_of: dict[str, dict[str, Record]] = defaultdict(dict)
        self.items: dict[str, Item] = {}
        self.lines: dict[str, list[Item]] = {}
        self.credit_notes: dict[str, Record] = {}
        self.credit_note_lines: dict[str, list[Record]] = {}
        self.paid_here: dict[str, int] = defaultdict(int)
        self.refunds: dict[str, Refund] = {}
        self.numbers: set[str] = set()
        self.days_until_due: dict[str, int | None] = {}
        self.emails: dict[str, int] = defaultdict(int)
        self.search = {"customer": Index("customer", search_lag), "invoice": Index("invoice", search_lag)}
        self.journal = Journal()
        self._issued = 0

    def now(self) -> int:
        """The stand-in's clock in whole seconds."""
        return int(self.clock.now())

    def new_id(self, prefix: str) -> str:
        """The next id: it looks like one of Stripe's, and the same calls give the same ids."""
        self._issued += 1
        seed = f"{self.account}/{self.livemode}/{prefix}/{self._issued}"
        number = int.from_bytes(hashlib.sha256(seed.encode()).digest(), "big")
        letters = []
        for _ in range(14 if prefix in _SHORT else 23):
            number, digit = divmod(number, len(_DIGITS))
            letters.append(_DIGITS[digit])
        return f"{prefix}_{'' if prefix in _SHORT else '1'}{''.join(letters)}"

    def customer(self, id: str, param: str | None = None) -> Record:
        """A customer that is not deleted."""
        return _found(self.customers, id, "customer", param)

    def product(self, id: str, param: str | None = None) -> Record:
        return _found(self.products, id, "product", param)

    def tax_rate(self, id: str, param: str | None = None) -> Record:
        return _found(self.tax_rates, id, "tax rate", param)

    def invoice(self, id: str, param: str | None = None) -> Record:
        return _found(self.invoices, id, "invoice", param)

    def credit_note(self, id: str, param: str | None = None) -> Record:
        return _found(self.credit_notes, id, "credit note", param)

    def item(self, id: str, param: str | None = None) -> Item:
        if id not in self.items:
            raise no_such("invoiceitem", id, param)
        return self.items[id]

    def line(self, invoice_id: str, line_id: str, param: str | None = None) -> Item:
        """A line of that invoice."""
        for item in self.lines[invoice_id]:
            if item.line_id == line_id:
                return item
        raise no_such("line item", line_id, param)

    def refundable(self, invoice_id: str) -> int:
        """What Stripe holds of payments of the invoice and has not given back."""
        given_back = sum(each.amount for each in self.refunds.values() if each.invoice == invoice_id)
        return self.paid_here[invoice_id] - given_back

    def refund(self, invoice_id: str, amount: int) -> Refund:
        """Give back what `refundable` allows."""
        made = Refund(self.new_id("re"), invoice_id, amount)
        self.refunds[made.id] = made
        return made

    def changed(self, kind: str, record: Record) -> None:
        """Tell the search index."""
        self.search[kind].touch(record, self.clock.now())

    def removed(self, kind: str, id: str) -> None:
        """Tell the search index."""
        self.search[kind].remove(id, self.clock.now())

    def happened(self, type: str, shown: Record) -> None:
        """Tell the journal, with the object as Stripe would answer it now."""
        self.journal.add(self.new_id("evt"), type, shown, self.now())


def _found(table: dict[str, Record], id: str, noun: str, param: str | None) -> Record:
    if id not in table:
        raise no_such(noun, id, param)
    return table[id]


def merge_metadata(old: dict[str, str], given: dict[str, str] | None) -> dict[str, str]:
    """Stripe merges metadata: an empty value removes its key, clearing (None) removes all."""
    if given is None:
        return {}
    return {key: value for key, value in {**old, **given}.items() if value != ""}
