"""What the demo's month came to, counted from the books of stand-in and receiver and from nothing of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tollbridge.cli.demo_receiver import large
from tollbridge.domain.money import exponent, to_minor


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the month, counted from the books. `seconds` from the command to the last invoice.

    `webhooks_expected` are the bills of which the rule tells, `webhooks_delivered` those of which one message arrived,
    signed.
    """

    bills: int
    delivered: int
    failed: int
    duplicates: int
    totals_match: bool
    webhooks_expected: int
    webhooks_delivered: int
    seconds: float

    @property
    def expected(self) -> bool:
        """Every bill arrived once with its total, but for the one that fails on purpose, and every message did."""
        bills = (self.delivered, self.failed, self.duplicates) == (self.bills - 1, 1, 0) and self.totals_match
        return bills and self.webhooks_delivered == self.webhooks_expected


def audit(bills: dict[str, dict[str, Any]], books: dict[str, Any], told_of: Sequence[str], seconds: float) -> Outcome:
    """Compare our bills with the vendor's books: which arrived, how often, with which total; and with the bills of
    which messages told the receiver."""
    held: dict[str, list[dict[str, Any]]] = {}
    for invoice in books["invoices"]:
        held.setdefault(invoice["metadata"].get("bill_id", ""), []).append(invoice)
    arrived = {
        identity: invoice
        for identity, invoices in held.items()
        for invoice in invoices
        if identity in bills and invoice["status"] != "draft" and invoice["emails"]
    }
    return Outcome(
        bills=len(bills),
        delivered=len(arrived),
        failed=len(bills) - len(arrived),
        duplicates=sum(len(invoices) - 1 for invoices in held.values()),
        webhooks_expected=len(large(bills)),
        webhooks_delivered=sum(told_of.count(id) == 1 for id in large(bills)),
        totals_match=all(_same_total(bills[identity], invoice) for identity, invoice in arrived.items()),
        seconds=round(seconds, 1),
    )


def _same_total(bill: dict[str, Any], invoice: dict[str, Any]) -> bool:
    currency = bill["currency"]
    ours = to_minor(Decimal(bill["billTotal"]), exponent(currency) or 0)
    return (invoice["currency"].upper(), invoice["total"]) == (currency, ours)
