"""The bills of the proof, and how they are compared with the vendor's books. Pure."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

BILLS_PER_ACCOUNT = 3
LONGEST_BILL = 6


@dataclass(frozen=True, slots=True)
class Bill:
    """One version of a bill; lines in cents."""

    id: str
    account: str
    lines: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.lines)

    @property
    def body(self) -> dict[str, Any]:
        return {
            "accountId": self.account,
            "billDate": "2026-10-31",
            "currency": "EUR",
            "billTotal": _amount(self.total),
            "lineItems": [
                {"lineItemType": "USAGE", "description": f"Line {number}", "subtotal": _amount(cents)}
                for number, cents in enumerate(self.lines, start=1)
            ],
        }


def _amount(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


def account_of(number: int) -> str:
    return f"a{number // BILLS_PER_ACCOUNT}"


def made_up(number: int, dice: random.Random) -> Bill:
    """A bill with lines that no other version is likely to have."""
    lines = tuple(dice.randint(100, 999_999) for _ in range(dice.randint(1, LONGEST_BILL)))
    return Bill(f"b{number}", account_of(number), lines)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison came to; `told` has a sentence for each thing that is wrong."""

    invoices: int
    duplicates: int
    lost: int
    wrong_total: int
    told: Sequence[str] = field(default=())


def audit(
    sent: Mapping[str, Mapping[int, Bill]], held: Iterable[str], books: Mapping[str, Any], messages: Collection[str]
) -> Verdict:
    """Compare every bill with the books.

    `sent` has the versions of each bill by revision; `held` are the bills whose newest version waits for a person,
    because an earlier one was delivered, in whole or in part; `messages` names the bills of which the receiver of the
    webhook was told. A bill must have one invoice, finalised and mailed once, with the total of the revision that it
    names, and a message; each account one customer.
    """
    told: list[str] = []
    counts: Counter[str] = Counter()
    held = set(held)

    def wrong(kind: str, sentence: str, times: int = 1) -> None:
        counts[kind] += times
        told.append(f"{kind}: {sentence}")

    found: dict[str, list[Mapping[str, Any]]] = {}
    for invoice in books["invoices"]:
        if invoice["status"] != "void":
            found.setdefault(invoice["metadata"].get("bill_id", ""), []).append(invoice)
    for id in found.keys() - sent.keys():
        wrong("duplicates", f"{[each['id'] for each in found[id]]} belong to no bill of ours", len(found[id]))
    for id, versions in sent.items():
        invoices = found.get(id, [])
        if len(invoices) > 1:
            wrong("duplicates", f"{id} has {[each['id'] for each in invoices]}", len(invoices) - 1)
        if not invoices and id not in held:
            wrong("lost", f"{id} has no invoice")
        if id not in messages:
            wrong("lost", f"the receiver was never told of {id}")
        for invoice in invoices:
            revision = int(invoice["metadata"]["bill_revision"])
            finished = invoice["status"] != "draft" and invoice["emails"] >= 1
            if id not in held and (revision != max(versions) or not finished):
                wrong("lost", f"{id}, version {max(versions)}: {invoice}")
            if invoice["emails"] > 1:
                wrong("duplicates", f"{invoice['id']} of {id} was mailed {invoice['emails']} times")
            if finished and (revision not in versions or invoice["total"] != versions[revision].total):
                wrong("wrong_total", f"{id}: {invoice}")
    customers = Counter(each["metadata"].get("billing_account_id", "") for each in books["customers"])
    for account, times in customers.items():
        if account and times > 1:
            wrong("duplicates", f"account {account} has {times} customers", times - 1)
    return Verdict(len(books["invoices"]), counts["duplicates"], counts["lost"], counts["wrong_total"], told)
