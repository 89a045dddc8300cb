"""A bill as Stripe is told it: what goes where, and in which amounts. Pure values; `flows.py` sends them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from tollbridge.connectors.base import chunked, cut
from tollbridge.connectors.stripe import errors
from tollbridge.connectors.stripe.amounts import Scale, scale_of
from tollbridge.connectors.stripe.config import (
    CollectionMethod,
    DocumentDate,
    Due,
    InexactTotal,
    NegativeTotal,
    Overflow,
    StripeOptions,
    Tax,
    ZeroTotal,
    fill,
)
from tollbridge.connectors.stripe.lines import MAX_LINES, Entry, entries, rolled_up
from tollbridge.domain import money
from tollbridge.domain.billing import Account, Bill
from tollbridge.domain.errors import Fault
from tollbridge.domain.flows import Skipped

_VAT_TYPES: dict[str, str] = {
    **dict.fromkeys(
        "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split(), "eu_vat"
    ),
    "AE": "ae_trn",
    "AU": "au_abn",
    "CH": "ch_vat",
    "GB": "gb_vat",
    "IN": "in_gst",
    "IS": "is_vat",
    "LI": "li_vat",
    "MX": "mx_rfc",
    "NO": "no_vat",
    "NZ": "nz_gst",
    "SA": "sa_vat",
    "SG": "sg_gst",
    "TH": "th_vat",
    "TR": "tr_tin",
    "TW": "tw_vat",
    "UA": "ua_vat",
    "US": "us_ein",
    "ZA": "za_vat",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One invoice: its lines with amounts, and their sum in Stripe's units."""

    number: int
    lines: tuple[dict[str, Any], ...]
    total: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be sent for a bill. `total` is what the invoices together hold; `issued` is their date of issue, `due`
    the parameters that say when they are due."""

    scale: Scale
    total: Decimal
    parts: tuple[Part, ...]
    issued: date | None
    due: dict[str, int]
    rounding: Decimal
    notes: tuple[str, ...]
    delta: bool = False
    """Whether this is an invoice over a difference, beside earlier ones of the bill."""

    def key(self, name: str) -> str:
        """The key of a step that makes this plan's documents."""
        return f"delta:{name}" if self.delta else name


def planned(bill: Bill, config: StripeOptions, today: date) -> Plan | Skipped | Fault:
    """Decide what is sent: the amounts of all lines, the invoices they stand on, or why nothing is sent."""
    scale = scale_of(bill.currency)
    if scale is None:
        return errors.CURRENCY.fault(f"Stripe has no currency {bill.currency}")
    if not bill.lines:
        return Skipped("the bill has no line items")
    if not scale.fits(bill.total) and config.inexact_total is InexactTotal.REFUSE:
        step = money.plain(money.quantum(scale.decimals))
        return errors.INEXACT_TOTAL.fault(
            f"Stripe holds {bill.currency} in steps of {step}; the total is {money.Money(bill.total, bill.currency)}"
        )
    total = money.round_half_up(bill.total, scale.decimals)
    if total == 0 and config.zero_total is ZeroTotal.SKIP:
        return Skipped("the bill adds up to zero, and zeroTotal is skip")
    if total < 0 and config.negative_total is NegativeTotal.REFUSE:
        return errors.NEGATIVE_TOTAL.fault(f"the bill adds up to {money.Money(bill.total, bill.currency)}")
    issued = _issued(bill, config)
    if isinstance(issued, Fault):
        return issued
    due, notes = _due(bill, config, today)
    lines = _laid_out(bill, config, scale, total)
    if isinstance(lines, Fault):
        return lines
    parts, more = lines
    rounding = total - bill.total
    if rounding:
        more.append(f"rounded by {money.Money(rounding, bill.currency)}")
    return Plan(scale, total, parts, issued, due, rounding, (*notes, *more))


def _issued(bill: Bill, config: StripeOptions) -> date | Fault | None:
    match config.document_date:
        case DocumentDate.BILL_DATE:
            return bill.bill_date
        case DocumentDate.SENT:
            return None
        case DocumentDate.SERVICE_END:
            day, missing = bill.end and bill.end - timedelta(days=1), "end date"
        case DocumentDate.EXTERNAL_INVOICE_DATE:
            day, missing = bill.external_invoice_date, "external invoice date"
    return day or errors.DOCUMENT_DATE.fault(
        f"documentDate is {config.document_date.value}, but bill {bill.id} has no {missing}"
    )


def _due(bill: Bill, config: StripeOptions, today: date) -> tuple[dict[str, int], list[str]]:
    """When the invoice is due, and what a person should know about that. Stripe takes no due date in the past."""
    if config.collection_method is not CollectionMethod.SEND_INVOICE:
        return {}, []
    if config.due is Due.DAYS:
        return {"days_until_due": config.days_until_due}, []
    if bill.due_date is None:
        days = bill.account.days_before_bill_due
        return {"days_until_due": config.days_until_due if days is None else days}, []
    if bill.due_date <= today:
        return {"days_until_due": 0}, [f"the due date {bill.due_date.isoformat()} has come: due at once"]
    return {"due_date": _noon(bill.due_date)}, []


def _laid_out(
    bill: Bill, config: StripeOptions, scale: Scale, total: Decimal
) -> tuple[tuple[Part, ...], list[str]] | Fault:
    """The invoices with their lines, and what a person should know about them."""
    count, notes = len(bill.lines), []
    if count > MAX_LINES and config.overflow is Overflow.REFUSE:
        return errors.TOO_MANY_LINES.fault(
            f"the bill has {count} lines, and an invoice of Stripe takes {MAX_LINES}",
            "Set overflow to roll_up or split.",
        )
    if count > MAX_LINES and config.overflow is Overflow.ROLL_UP:
        found = rolled_up(bill.lines, bill.currency, scale, config)
    else:
        found = entries(bill.lines, bill.currency, scale, config)
    if isinstance(found, Fault):
        return found
    if len(found) < count:
        notes.append(f"{count} lines were rolled up to {len(found)}")
    try:
        amounts = scale.apportion([entry.exact for entry in found], total)
    except ValueError:
        exact = money.plain(money.total_of([entry.exact for entry in found]))
        return errors.TOTAL.fault(
            f"the lines add up to {exact} {bill.currency}, the bill's total is {money.plain(bill.total)}"
        )
    parts = _parts(found, amounts)
    negative = next((part for part in parts if part.total < 0 <= total), None)
    if negative is not None:
        return errors.NEGATIVE_PART.fault(
            f"split over {len(parts)} invoices, number {negative.number} would add up to less than zero"
        )
    return parts, notes


def _parts(found: list[Entry], amounts: list[int]) -> tuple[Part, ...]:
    lines = [_line(position, entry, amounts[position]) for position, entry in enumerate(found)]
    return tuple(
        Part(number, tuple(some), sum(line["amount"] for line in some))
        for number, some in enumerate(chunked(lines, MAX_LINES), start=1)
    )


def _line(position: int, entry: Entry, amount: int) -> dict[str, Any]:
    metadata = {"position": str(position + 1)} | entry.params["metadata"]
    return {"amount": amount} | entry.params | {"metadata": metadata}


def delta_plan(bill: Bill, plan: Plan, difference: int) -> Plan:
    """An invoice over what the bill's earlier invoices lack, in Stripe's units, as one line."""
    before = plan.scale.amount(sum(part.total for part in plan.parts) - difference)
    now, then = money.Money(plan.total, bill.currency), money.Money(before, bill.currency)
    text = f"Correction of {bill.invoice_number or bill.id}: {now} in place of {then}"
    line = {"amount": difference, "description": cut(text, 500), "discountable": False, "metadata": {"position": "1"}}
    return replace(plan, parts=(Part(1, (line,), difference),), delta=True)


def invoice_tags(bill: Bill, plan: Plan, part: Part) -> dict[str, str]:
    """The metadata by which an invoice of ours is known again."""
    return {
        "bill_id": bill.id,
        "bill_revision": str(bill.revision),
        "bill_part": "delta" if plan.delta else f"{part.number}/{len(plan.parts)}",
    }


def invoice_params(bill: Bill, config: StripeOptions, customer: str, plan: Plan, part: Part) -> dict[str, Any]:
    """The body of POST /v1/invoices for a draft without lines."""
    metadata = invoice_tags(bill, plan, part) | {
        "billing_account_id": bill.account.id,
        "bill_total": money.plain(bill.total),
    }
    if plan.rounding:
        metadata["rounding"] = money.plain(plan.rounding)
    return {
        "customer": customer,
        "currency": bill.currency.lower(),
        "collection_method": config.collection_method.value,
        **plan.due,
        "auto_advance": False,
        "pending_invoice_items_behavior": "exclude",
        "automatic_tax": {"enabled": config.tax is Tax.AUTOMATIC},
        "effective_at": _noon(plan.issued) if plan.issued else None,
        "description": cut(fill(config.memo, _fields(bill, config)), 1500) or None,
        "custom_fields": _custom_fields(bill, config),
        "metadata": metadata,
    }


def _custom_fields(bill: Bill, config: StripeOptions) -> list[dict[str, str]]:
    order = _purchase_order(bill, config)
    shown = [(config.purchase_order_label, order), ("Reference", fill(config.reference, _fields(bill, config)))]
    return [{"name": name, "value": cut(value, 140)} for name, value in shown if name and value]


def _purchase_order(bill: Bill, config: StripeOptions) -> str:
    if config.purchase_order_field:
        return _custom(bill.account, config.purchase_order_field)
    return bill.purchase_order_number or bill.account.purchase_order_number or ""


def _custom(account: Account, name: str) -> str:
    value = account.custom_fields.get(name)
    return "" if value is None else str(value).strip()


def _fields(bill: Bill, config: StripeOptions) -> dict[str, str]:
    last_day = bill.end and bill.end - timedelta(days=1)
    return {
        "billId": bill.id,
        "invoiceNumber": bill.invoice_number or "",
        "accountId": bill.account.id,
        "accountCode": bill.account.code,
        "accountName": bill.account.name,
        "billDate": bill.bill_date.isoformat(),
        "dueDate": bill.due_date.isoformat() if bill.due_date else "",
        "periodStart": bill.start.isoformat() if bill.start else "",
        "periodEnd": last_day.isoformat() if last_day else "",
        "currency": bill.currency,
        "total": money.plain(bill.total),
        "purchaseOrder": _purchase_order(bill, config),
    }


def _noon(day: date) -> int:
    """The day as Unix seconds: noon UTC, which reads as the same date from UTC−12 to UTC+11."""
    return int(datetime.combine(day, time(12), UTC).timestamp())


def email_of(account: Account, config: StripeOptions) -> str | None:
    """The address to which invoices go, or None."""
    return (_custom(account, config.email_field) if config.email_field else account.email) or None


def customer_params(bill: Bill, config: StripeOptions) -> dict[str, Any] | Fault:
    """The body of POST /v1/customers, or a fault where the type of the VAT id is unknown."""
    account = bill.account
    vat_id = _custom(account, config.vat_id_field) if config.vat_id_field else ""
    country = account.address.get("country", "").strip()
    vat_type = config.vat_id_type or _VAT_TYPES.get(country.upper(), "")
    if vat_id and not vat_type:
        return errors.VAT_ID_TYPE.fault(
            f"account {account.id} has a VAT id, but its type is unknown for the country {country or '(none)'}"
        )
    return {
        "name": cut(fill(config.customer_name, _fields(bill, config)) or account.name, 256),
        "email": email_of(account, config),
        "address": _address(account) if config.send_address else None,
        "tax_id_data": [{"type": vat_type, "value": vat_id}] if vat_id else None,
        "metadata": {"billing_account_id": account.id, "billing_account_code": account.code},
    }


def _address(account: Account) -> dict[str, str]:
    given = account.address
    more = (given.get(f"addressLine{number}", "").strip() for number in (2, 3, 4))
    country = given.get("country", "").strip()
    address = {
        "line1": given.get("addressLine1"),
        "line2": ", ".join(line for line in more if line),
        "city": given.get("locality"),
        "state": given.get("region"),
        "postal_code": given.get("postCode"),
        "country": country.upper() if len(country) == 2 else country,
    }
    return {name: value for name, value in address.items() if value}
