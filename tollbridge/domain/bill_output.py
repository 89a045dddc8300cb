"""A bill as it is sent: what the caller sent, with usage lines joined and accounting products put in.

The store keeps bills as the caller sent them; these functions read those bodies, which passed `domain.bill_input`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from typing import Any

from tollbridge.domain.billing import USAGE_TYPES, Account, Bill, LineItem, LineItemType
from tollbridge.domain.integrations import BillOptions, Split
from tollbridge.domain.money import total_of


def bill_of(
    bill_id: str,
    revision: int,
    body: Mapping[str, Any],
    lines: Sequence[Mapping[str, Any]],
    account_id: str,
    account_body: Mapping[str, Any],
    options: BillOptions,
) -> Bill:
    """The bill as it is sent, from what the caller sent: usage lines joined and accounting products put in, as the
    integration's options say. All bodies have passed validation."""
    items = [_line_of(line, options.use_accounting_product) for line in lines]
    return Bill(
        id=bill_id,
        revision=revision,
        account=account_of(account_id, account_body),
        currency=body["currency"],
        total=Decimal(body["billTotal"]),
        bill_date=date.fromisoformat(body["billDate"]),
        lines=tuple(joined(items, options.split_usage_lines)),
        due_date=_date(body, "dueDate"),
        start=_date(body, "startDate"),
        end=_date(body, "endDate"),
        timezone=body.get("timezone") or "UTC",
        external_invoice_date=_date(body, "externalInvoiceDate"),
        invoice_number=body.get("sequentialInvoiceNumber"),
        purchase_order_number=body.get("purchaseOrderNumber"),
    )


def account_of(account_id: str, body: Mapping[str, Any]) -> Account:
    """The account from its body on the wire."""
    return Account(
        id=account_id,
        code=body["code"],
        name=body["name"],
        email=body.get("emailAddress"),
        currency=body.get("currency"),
        purchase_order_number=body.get("purchaseOrderNumber"),
        days_before_bill_due=body.get("daysBeforeBillDue"),
        address={key: value for key, value in (body.get("address") or {}).items() if value is not None},
        custom_fields=body.get("customFields") or {},
    )


def joined(lines: Sequence[LineItem], split: Split) -> list[LineItem]:
    """The lines with those of usage joined, each where its first part stood. Kinds stay apart, so that a credit is not
    hidden in what it credits."""
    groups: dict[Any, list[LineItem]] = {}
    for index, line in enumerate(lines):
        groups.setdefault(_group_of(line, index, split), []).append(line)
    return [_join(group, split) if len(group) > 1 else group[0] for group in groups.values()]


def _group_of(line: LineItem, index: int, split: Split) -> Any:
    if split is Split.LINE or line.type not in USAGE_TYPES:
        return index
    match split:
        case Split.BILL:
            return line.type, None
        case Split.PRODUCT:
            return line.type, _product(line)
    return line.type, (_product(line), line.aggregation_id)


def _product(line: LineItem) -> str | None:
    """By what the line says of its product: not every source gives ids."""
    return line.product_id or line.product_code or line.product_name


def _join(lines: Sequence[LineItem], split: Split) -> LineItem:
    first = lines[0]
    subtotal = total_of([line.subtotal for line in lines])
    quantity, unit_price = _quantity_and_price(lines, subtotal)
    name = first.product_name if split is not Split.BILL else None
    starts = [line.service_start for line in lines if line.service_start is not None]
    ends = [line.service_end for line in lines if line.service_end is not None]
    return LineItem(
        id=first.id,
        type=first.type,
        description=first.description if len({line.description for line in lines}) == 1 else name or _title(first.type),
        quantity=quantity,
        unit_price=unit_price,
        subtotal=subtotal,
        unit=_common([line.unit for line in lines]),
        product_id=_common([line.product_id for line in lines]),
        product_code=_common([line.product_code for line in lines]),
        product_name=_common([line.product_name for line in lines]),
        aggregation_id=_common([line.aggregation_id for line in lines]),
        service_start=min(starts, default=None),
        service_end=max(ends, default=None),
    )


def _quantity_and_price(lines: Sequence[LineItem], subtotal: Decimal) -> tuple[Decimal, Decimal]:
    """Quantities of one unit are added; where units differ there is one piece at the subtotal."""
    if len({line.unit for line in lines}) > 1:
        return Decimal(1), subtotal
    quantity = total_of([line.quantity for line in lines])
    prices = {line.unit_price for line in lines}
    if len(prices) == 1:
        return quantity, prices.pop()
    if quantity == 0:
        return Decimal(1), subtotal
    # An average; who sends it checks first that it reproduces the subtotal.
    with localcontext(prec=28):
        return quantity, subtotal / quantity


def _common(values: Sequence[str | None]) -> str | None:
    return values[0] if len(set(values)) == 1 else None


def _title(type: LineItemType) -> str:
    return type.replace("_", " ").capitalize()


def _line_of(line: Mapping[str, Any], use_accounting_product: bool) -> LineItem:
    accounting = use_accounting_product and line.get("accountingProductId") is not None
    product = "accountingProduct" if accounting else "product"
    converted = line.get("convertedSubtotal")
    return LineItem(
        id=line["id"],
        type=LineItemType(line["lineItemType"]),
        description=line["description"],
        quantity=Decimal(line["quantity"]),
        unit_price=Decimal(line["averageUnitPrice"]),
        subtotal=Decimal(line["subtotal"] if converted is None else converted),
        unit=line.get("unit"),
        product_id=line.get(f"{product}Id"),
        product_code=line.get(f"{product}Code"),
        product_name=line.get(f"{product}Name"),
        aggregation_id=line.get("aggregationId") or line.get("compoundAggregationId"),
        service_start=_instant(line, "servicePeriodStartDate"),
        service_end=_instant(line, "servicePeriodEndDate"),
    )


def _date(body: Mapping[str, Any], name: str) -> date | None:
    text = body.get(name)
    return date.fromisoformat(text) if text else None


def _instant(body: Mapping[str, Any], name: str) -> datetime | None:
    text = body.get(name)
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
