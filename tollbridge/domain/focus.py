"""FOCUS 1.0 cost-and-usage rows (FinOps Foundation) as accounts and bills.

Rows are added up as they come, so memory grows with the number of bills and lines, never with the number of rows.
Pure: reads no file; the command line hands in the rows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, DecimalException
from functools import lru_cache
from typing import Any, NamedTuple

from tollbridge.domain.billing import LineItemType
from tollbridge.domain.errors import Invalid
from tollbridge.domain.money import EXACT, exponent, plain, round_half_up

EMAIL = "{account}@example.invalid"
"""Address of accounts made from a file that names none; RFC 2606 reserves the domain, so no mail ever arrives there."""

LINE_TYPES = {
    "Usage": LineItemType.USAGE,
    "Purchase": LineItemType.STANDING_CHARGE,
    "Tax": LineItemType.AD_HOC,
    "Credit": LineItemType.CREDIT_MEMO,
    "Adjustment": LineItemType.MANUAL_ADJUSTMENT,
}
"""The kind of line item by ChargeCategory; the category itself is kept in the line's `additional`."""

NEEDED = (
    "BilledCost",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargeCategory",
    "ServiceName",
    "SkuId",
    "SubAccountId",
)
USED = (
    *NEEDED,
    "SubAccountName",
    "ChargeDescription",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "PricingQuantity",
    "PricingUnit",
)

_DIGITS = 20
"""Digits of an amount before and after the point; sums of any number of rows then stay exact."""
_AVERAGE_DECIMALS = 12


class Key(NamedTuple):
    """What makes one bill."""

    sub_account: str
    start: datetime
    end: datetime
    currency: str


@dataclass(slots=True)
class _Line:
    """The running sums of one service, SKU and charge category."""

    cost: Decimal = Decimal(0)
    quantity: Decimal = Decimal(0)
    rows: int = 0
    units: set[str] = field(default_factory=set)
    descriptions: set[str] = field(default_factory=set)
    start: datetime | None = None
    end: datetime | None = None


@dataclass(slots=True)
class _Bill:
    name: str
    lines: dict[tuple[str, str, str], _Line] = field(default_factory=dict)
    refused_line: int | None = None
    """The first line of the file that belongs to this bill and could not be read: the bill would be wrong."""


class Charges:
    """Rows added up so far.

    `header` are the column names of the file; raises Invalid where a needed one is missing or stands twice.
    """

    def __init__(self, header: Sequence[str]) -> None:
        names = [name.strip() for name in header]
        for name in USED:
            if names.count(name) > 1:
                raise Invalid("focus.header", f"The column {name} stands {names.count(name)} times.", field=name)
        missing = [name for name in NEEDED if name not in names]
        if missing:
            raise Invalid(
                "focus.header",
                f"The column {missing[0]} is missing; the file has {', '.join(names[:8])} …",
                f"A FOCUS 1.0 file begins with a line of column names, among them {', '.join(NEEDED)}.",
                missing[0],
            )
        self._places = {name: names.index(name) for name in USED if name in names}
        self._width = len(names)
        self._bills: dict[Key, _Bill] = {}
        self.rows = 0

    def add(self, line: int, row: Sequence[str]) -> None:
        """Add one row, which ends on that line of the file.

        Raises Invalid for a row that cannot be used. Where it is known to which bill the row belongs, that bill is
        refused as well, since its total would be wrong.
        """
        self.rows += 1
        if len(row) != self._width:
            raise Invalid(
                "focus.row",
                f"The row has {len(row)} values, but there are {self._width} columns.",
                "Quote values that contain commas, quotation marks or line breaks.",
            )
        values = {name: _text(row[place]) for name, place in self._places.items()}
        key = _key(values)
        bill = self._bills.get(key)
        if bill is None:
            bill = self._bills[key] = _Bill(values.get("SubAccountName") or key.sub_account)
        try:
            _add(bill, values)
        except Invalid:
            bill.refused_line = bill.refused_line or line
            raise

    def accounts(self, email: str = EMAIL) -> Iterator[dict[str, Any]]:
        """One account per SubAccountId, in the wire's fields; `{account}` in the e-mail address is its id."""
        seen: set[str] = set()
        for key, bill in self._bills.items():
            if key.sub_account not in seen:
                seen.add(key.sub_account)
                yield _account(key, bill, email)

    def bills(self) -> Iterator[dict[str, Any]]:
        """One bill per sub-account, billing period and currency, in the wire's fields."""
        for key, bill in self._bills.items():
            if bill.refused_line is None:
                yield _wire_bill(key, bill)

    def refused_bills(self) -> Iterator[tuple[int, str]]:
        """Bills that are left out: the line of the file on which that rests, and the id."""
        for key, bill in self._bills.items():
            if bill.refused_line is not None:
                yield bill.refused_line, bill_id(key)


def account_id(sub_account: str) -> str:
    """The SubAccountId where it can stand in an address; else its clean characters and a short fingerprint."""
    if len(sub_account) <= 80 and re.fullmatch(r"[A-Za-z0-9._:-]+", sub_account):
        return sub_account
    clean = re.sub(r"[^A-Za-z0-9]+", "-", sub_account).strip("-")
    return f"{clean[:60]}-{_fingerprint(sub_account)}".lstrip("-")


def bill_id(key: Key) -> str:
    """Made of what makes the bill, so that the same file gives the same bills again."""
    return f"focus-{account_id(key.sub_account)}-{key.start:%Y%m%d}-{key.end:%Y%m%d}-{key.currency}"


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _text(value: str) -> str:
    """FOCUS writes null as an empty value; the published samples write the word."""
    value = value.strip()
    return "" if value == "NULL" else value


def _key(values: dict[str, str]) -> Key:
    sub_account = values["SubAccountId"]
    if not sub_account:
        raise Invalid(
            "focus.sub_account",
            "SubAccountId is null, so that the charge belongs to no account.",
            "Give the row a SubAccountId, or bill the charge by hand.",
            "SubAccountId",
        )
    currency = values["BillingCurrency"]
    if exponent(currency) is None:
        raise Invalid(
            "focus.currency",
            f"BillingCurrency is {currency or 'null'!r}, which is not a currency of ISO 4217.",
            "Write the three-letter code, such as USD.",
            "BillingCurrency",
        )
    start, end = _moment(values, "BillingPeriodStart"), _moment(values, "BillingPeriodEnd")
    if end <= start:
        raise Invalid(
            "focus.period",
            f"BillingPeriodEnd is {values['BillingPeriodEnd']}, not after BillingPeriodStart, "
            f"{values['BillingPeriodStart']}.",
            "The end of a FOCUS period is exclusive: the first day that no longer belongs to it.",
            "BillingPeriodEnd",
        )
    return Key(sub_account, start, end, currency)


def _moment(values: dict[str, str], name: str) -> datetime:
    text = values.get(name, "")
    moment = _parse_moment(text)
    if moment is None:
        raise Invalid(
            "focus.date",
            f"{name} is {text or 'null'!r}, which is not a date and time.",
            "Write it as 2024-09-01T00:00:00Z.",
            name,
        )
    return moment


@lru_cache(maxsize=4096)
def _parse_moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _amount(values: dict[str, str], name: str) -> Decimal:
    text = values[name]
    try:
        amount = Decimal(text)
    except DecimalException:
        amount = Decimal("NaN")
    whole, _, fraction = plain(abs(amount)).partition(".") if amount.is_finite() else ("", "", "")
    if not whole or max(len(whole), len(fraction)) > _DIGITS:
        raise Invalid(
            "focus.amount",
            f"{name} is {text[:60] or 'null'!r}, which is not a number of at most {_DIGITS} digits before and after "
            "the point.",
            "Write it with a point and without thousands separators, such as 0.00001605990.",
            name,
        )
    return amount


def _add(bill: _Bill, values: dict[str, str]) -> None:
    category = values["ChargeCategory"]
    if category not in LINE_TYPES:
        raise Invalid(
            "focus.category",
            f"ChargeCategory is {category or 'null'!r}.",
            f"FOCUS 1.0 knows {', '.join(LINE_TYPES)}.",
            "ChargeCategory",
        )
    cost = _amount(values, "BilledCost")
    quantity = _amount(values, "PricingQuantity") if values.get("PricingQuantity") else Decimal(0)
    period = (
        (_moment(values, "ChargePeriodStart"), _moment(values, "ChargePeriodEnd"))
        if values.get("ChargePeriodStart") and values.get("ChargePeriodEnd")
        else None
    )
    line = bill.lines.setdefault((values["ServiceName"], values["SkuId"], category), _Line())
    line.cost = EXACT.add(line.cost, cost)
    line.quantity = EXACT.add(line.quantity, quantity)
    line.rows += 1
    # Two are enough to know that there is more than one.
    for seen, name in ((line.units, "PricingUnit"), (line.descriptions, "ChargeDescription")):
        if len(seen) < 2:
            seen.add(values.get(name, ""))
    if period:
        line.start = min(line.start or period[0], period[0])
        line.end = max(line.end or period[1], period[1])


def _account(key: Key, bill: _Bill, email: str) -> dict[str, Any]:
    identity = account_id(key.sub_account)
    local = identity if re.fullmatch(r"[A-Za-z0-9-]{1,40}", identity) else _fingerprint(key.sub_account)
    return {
        "id": identity,
        "code": key.sub_account if len(key.sub_account) <= 80 else identity,
        "name": bill.name[:200],
        "emailAddress": email.replace("{account}", local),
        "currency": key.currency,
    }


def _wire_bill(key: Key, bill: _Bill) -> dict[str, Any]:
    identity = bill_id(key)
    exact = Decimal(0)
    for line in bill.lines.values():
        exact = EXACT.add(exact, line.cost)
    total = round_half_up(exact, exponent(key.currency) or 0)
    return {
        "id": identity,
        "accountId": account_id(key.sub_account),
        "currency": key.currency,
        "billDate": f"{key.end:%Y-%m-%d}",
        "startDate": f"{key.start:%Y-%m-%d}",
        "endDate": f"{key.end:%Y-%m-%d}",
        "startDateTimeUTC": _wire_moment(key.start),
        "endDateTimeUTC": _wire_moment(key.end),
        "timezone": "UTC",
        "billingFrequency": "MONTHLY" if _is_one_month(key) else "AD_HOC",
        "billTotal": total,
        "rounding": {"mode": "HALF_UP", "exactTotal": exact, "difference": EXACT.subtract(total, exact)},
        "lineItems": [
            _wire_line(f"{identity}-{number:04}", number, key, group, bill.lines[group])
            for number, group in enumerate(sorted(bill.lines), start=1)
        ],
    }


def _wire_line(identity: str, number: int, key: Key, group: tuple[str, str, str], line: _Line) -> dict[str, Any]:
    service, sku, category = group
    described = next(iter(line.descriptions)) if len(line.descriptions) == 1 else ""
    unit = next(iter(line.units)) if len(line.units) == 1 else ""
    # Quantities of different units have no sum; the charges are counted instead.
    quantity = line.quantity if unit else Decimal(line.rows)
    average = line.cost
    if quantity:
        average = round_half_up(line.cost / quantity, _AVERAGE_DECIMALS)
    return {
        "id": identity,
        "sequenceNumber": number,
        "lineItemType": LINE_TYPES[category].value,
        "description": described or " ".join(part for part in (service, sku) if part) or category,
        "productName": service or "Other",
        "productCode": sku,
        "quantity": quantity,
        "units": quantity,
        "unit": unit or "Charges",
        "averageUnitPrice": average,
        "subtotal": line.cost,
        "convertedSubtotal": line.cost,
        "conversionRate": 1,
        "currency": key.currency,
        "servicePeriodStartDate": _wire_moment(line.start or key.start),
        "servicePeriodEndDate": _wire_moment(line.end or key.end),
        "additional": {"chargeCategory": category, "charges": line.rows},
    }


def _wire_moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_one_month(key: Key) -> bool:
    months = (key.end.year - key.start.year) * 12 + key.end.month - key.start.month
    return months == 1 and key.start.day == key.end.day == 1
