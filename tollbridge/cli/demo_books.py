"""What the demo's month came to, counted from the stand-in's books and from nothing of ours."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tollbridge.domain.money import exponent, to_minor


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the month, counted from the books. `seconds` from the command to the last invoice."""

    bills: int
    delivered: int
    failed: int
    duplicates: int
    totals_match: bool
    seconds: float

    @property
    def expected(self) -> bool:
        """Every bill arrived once with its total, but for the one that fails on purpose."""
        return (self.delivered, self.failed, self.duplicates) == (self.bills - 1, 1, 0) and self.totals_match


def audit(bills: dict[str, dict[str, Any]], books: dict[str, Any], seconds: float) -> Outcome:
    """Compare our bills with the vendor's books: which arrived, how often, with which total."""
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
        totals_match=all(_same_total(bills[identity], invoice) for identity, invoice in arrived.items()),
        seconds=round(seconds, 1),
    )


def _same_total(bill: dict[str, Any], invoice: dict[str, Any]) -> bool:
    currency = bill["currency"]
    ours = to_minor(Decimal(bill["billTotal"]), exponent(currency) or 0)
    return (invoice["currency"].upper(), invoice["total"]) == (currency, ours)
