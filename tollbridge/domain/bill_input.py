"""What a bill must be to be taken in: its fields, its lines, and how they add up.

`read_bill` turns a parsed JSON value into a `BillInput` or raises Invalid. Everything that was sent is kept unchanged;
what a hand-written bill may leave out is filled in (docs/reference/bills.md has the list). Knows no database: whether
the account exists is the service's question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Context, Decimal
from typing import Any

from tollbridge.domain.bill_shape import BILL, BOOKKEEPING, ID, LINE
from tollbridge.domain.billing import MAX_LINES
from tollbridge.domain.common_fields import MAX_DECIMALS, amount
from tollbridge.domain.errors import Invalid
from tollbridge.domain.fields import integer, refuse, shown
from tollbridge.domain.fingerprints import fingerprint
from tollbridge.domain.money import exponent, plain, quantum, round_half_up, total_of

AVERAGE_DECIMALS = 12
"""Decimals of an averageUnitPrice that we work out ourselves."""

_WIDE = Context(prec=100)
"""Room for the product of two amounts."""


@dataclass(frozen=True, slots=True)
class BillInput:
    """A bill that is right in itself. `body` has the bill's own fields, `lines` its line items, both as kept.

    One of `account_id` and `account_code` is given. `version` is what the caller believes to replace, if it said so.
    """

    id: str
    account_id: str | None
    account_code: str | None
    body: Mapping[str, Any]
    lines: Sequence[Mapping[str, Any]]
    total: Decimal
    bill_date: date
    version: int | None

    @property
    def currency(self) -> str:
        return str(self.body["currency"])

    @property
    def external_invoice_date(self) -> date | None:
        text = self.body.get("externalInvoiceDate")
        return date.fromisoformat(text) if text else None


_VERSION = integer()


def read_bill(value: Any, id: str | None = None) -> BillInput:
    """Check a bill that came in; `id` is the one in the address, which the body need not repeat.

    Raises Invalid that names line, field, value and the way out.
    """
    body = BILL.check(value)
    bill_id = _bill_id(value, id)
    version = value.get("version")
    _account_named(body)
    lines = _lines(value.get("lineItems"), body["currency"])
    _in_order(body, "startDate", "endDate", date.fromisoformat)
    _in_order(body, "startDateTimeUTC", "endDateTimeUTC", datetime.fromisoformat)
    _adds_up(body, lines)
    return BillInput(
        id=bill_id,
        account_id=body.get("accountId"),
        account_code=body.pop("accountCode", None),
        body=body,
        lines=lines,
        total=Decimal(body["billTotal"]),
        bill_date=date.fromisoformat(body["billDate"]),
        version=None if version is None else _VERSION.check(version, "version"),
    )


def content_hash(body: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> str:
    """The same for bills that say the same, however their numbers are written; knows nothing of `BOOKKEEPING`."""
    content = {name: inner for name, inner in body.items() if name not in BOOKKEEPING}
    return fingerprint({"bill": content, "lines": list(lines)})


def _bill_id(value: Mapping[str, Any], id: str | None) -> str:
    given = value.get("id")
    if given is None and id is None:
        raise Invalid("field.missing", "id is missing.", "Give the bill the id that your system knows it by.", "id")
    if given is not None and id is not None and given != id:
        raise Invalid(
            "bill.id",
            f"id is {shown(given)}, but the address names {shown(id)}.",
            "Leave id out of the body, or write the same in both.",
            "id",
        )
    checked: str = ID.check(id if given is None else given, "id")
    return checked


def _account_named(body: Mapping[str, Any]) -> None:
    if "accountId" not in body and "accountCode" not in body:
        raise Invalid(
            "field.missing",
            "accountId is missing.",
            "Give accountId, or accountCode, of the account that the bill is for.",
            "accountId",
        )


def _lines(value: Any, bill_currency: str) -> list[dict[str, Any]]:
    if value is None:
        raise Invalid(
            "field.missing", "lineItems is missing.", "Give the lines; a bill may have none: [].", "lineItems"
        )
    if not isinstance(value, list):
        refuse("lineItems", value, "a list of line items")
    if len(value) > MAX_LINES:
        raise Invalid(
            "bill.too_many_lines",
            f"lineItems has {len(value)} lines, but at most {MAX_LINES} are taken.",
            "Join lines, or split the bill.",
            "lineItems",
        )
    lines = []
    seen: dict[str, int] = {}
    for index, given in enumerate(value):
        try:
            line = _line(given, index, bill_currency)
            _only_once(seen, line["id"], index)
        except Invalid as refusal:
            message = f"Line {index + 1}: {refusal.message}"
            raise Invalid(refusal.code, message, refusal.hint, refusal.field) from None
        lines.append(line)
    return lines


def _only_once(seen: dict[str, int], id: str, index: int) -> None:
    first = seen.setdefault(id, index)
    if first != index:
        raise Invalid(
            "bill.line_id",
            f"lineItems[{index}].id is {shown(id)}, which line {first + 1} has already.",
            "Give each line an id of its own; a line without one is given its position.",
            f"lineItems[{index}].id",
        )


def _line(given: Any, index: int, bill_currency: str) -> dict[str, Any]:
    path = f"lineItems[{index}]"
    line = LINE.check(given, path)
    line.setdefault("id", str(index + 1))
    line.setdefault("currency", bill_currency)
    line.setdefault("unit", "")
    line.setdefault("quantity", line.get("units", 1))
    line.setdefault("units", line["quantity"])
    _convert(line, bill_currency, path)
    if "averageUnitPrice" not in line:
        line["averageUnitPrice"] = _average(Decimal(line["subtotal"]), Decimal(line["units"]))
    _in_order(line, "servicePeriodStartDate", "servicePeriodEndDate", datetime.fromisoformat, f"{path}.")
    return line


def _average(subtotal: Decimal, units: Decimal) -> Decimal:
    """Per unit; the subtotal itself where nothing was used."""
    if not units:
        return subtotal
    average = _WIDE.divide(subtotal, units)
    return subtotal if average.adjusted() >= 20 else _short(round_half_up(average, AVERAGE_DECIMALS))


def _convert(line: dict[str, Any], bill_currency: str, path: str) -> None:
    """Fill in or check rate and converted subtotal, which is in the bill's currency."""
    subtotal = Decimal(line["subtotal"])
    if line["currency"] == bill_currency:
        if line.setdefault("conversionRate", 1) != 1:
            raise Invalid(
                "bill.conversion",
                f"{path}.conversionRate is {plain(Decimal(line['conversionRate']))}, but line and bill are both in "
                f"{bill_currency}.",
                "Leave it out or write 1; or say in `currency` which currency the subtotal is in.",
                f"{path}.conversionRate",
            )
        allowed = Decimal(0)
    elif "conversionRate" not in line:
        raise Invalid(
            "bill.conversion",
            f"{path}.conversionRate is missing: the line is in {line['currency']}, the bill in {bill_currency}.",
            f"Give how much {bill_currency} one {line['currency']} is worth.",
            f"{path}.conversionRate",
        )
    else:
        allowed = quantum(exponent(bill_currency) or 0) / 2
    exact = _WIDE.multiply(subtotal, Decimal(line["conversionRate"]))
    if "convertedSubtotal" not in line:
        line["convertedSubtotal"] = line["subtotal"] if not allowed else _converted(exact, path)
    elif _WIDE.subtract(Decimal(line["convertedSubtotal"]), exact).copy_abs() > allowed:
        raise Invalid(
            "bill.conversion",
            f"{path}.convertedSubtotal is {plain(Decimal(line['convertedSubtotal']))} {bill_currency}, but subtotal × "
            f"conversionRate is {plain(exact)}.",
            "Correct one of the three, or leave convertedSubtotal out.",
            f"{path}.convertedSubtotal",
        )


def _converted(exact: Decimal, path: str) -> Decimal:
    return Decimal(amount().check(_short(_WIDE.quantize(exact, quantum(MAX_DECIMALS))), f"{path}.convertedSubtotal"))


def _short(value: Decimal) -> Decimal:
    """Without trailing zeros after the point."""
    normal = value.normalize(_WIDE)
    return normal.quantize(Decimal(1)) if normal.as_tuple().exponent > 0 else normal  # type: ignore[operator]


def _in_order(holder: Mapping[str, Any], start: str, end: str, read: Callable[[str], date], prefix: str = "") -> None:
    """Raises Invalid where the end lies before the start; both may be the same."""
    first, last = holder.get(start), holder.get(end)
    if first is not None and last is not None and read(last) < read(first):
        raise Invalid(
            "bill.period",
            f"{prefix}{end} is {last}, before {prefix}{start}, {first}.",
            "Exchange the two, or correct one.",
            f"{prefix}{end}",
        )


def _adds_up(body: dict[str, Any], lines: Sequence[Mapping[str, Any]]) -> None:
    """The total has the currency's decimals, and differs from the lines by no more than rounding once explains."""
    total, code = Decimal(body["billTotal"]), body["currency"]
    decimals = exponent(code) or 0
    if round_half_up(total, decimals) != total:
        raise Invalid(
            "bill.total_decimals",
            f"billTotal is {plain(total)}, but {code} has {decimals} decimals.",
            "Round the total; the lines may keep all their decimals.",
            "billTotal",
        )
    exact = total_of([Decimal(line["convertedSubtotal"]) for line in lines])
    difference = _WIDE.subtract(total, exact)
    if difference.copy_abs() > quantum(decimals) / 2:
        raise Invalid(
            "bill.total",
            f"billTotal is {plain(total)} {code}, but its lines ({len(lines)}) add up to {plain(exact)} {code}.",
            "Correct the total or the lines; they may differ by what rounding once explains, "
            f"at most {plain(quantum(decimals) / 2)} {code}.",
            "billTotal",
        )
    _state_rounding(body, exact, difference)


def _state_rounding(body: dict[str, Any], exact: Decimal, difference: Decimal) -> None:
    """Check what the bill says of its rounding, and say it where there is any."""
    stated = body.get("rounding", {})
    for name, right in (("exactTotal", exact), ("difference", difference)):
        if name in stated and stated[name] != right:
            raise Invalid(
                "bill.rounding",
                f"rounding.{name} is {plain(Decimal(stated[name]))}, but the bill's figures make it {plain(right)}.",
                "Correct it, or leave rounding out.",
                f"rounding.{name}",
            )
    if difference or stated:
        body["rounding"] = {**stated, "exactTotal": _short(exact), "difference": _short(difference)}
