"""The lines of an invoice: text, tax rates, metadata, and rolling up beyond Stripe's limit. Amounts are added last."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any

from tollbridge.connectors.base import cut
from tollbridge.connectors.stripe import errors
from tollbridge.connectors.stripe.amounts import Scale
from tollbridge.connectors.stripe.config import StripeOptions, Tax
from tollbridge.domain import money
from tollbridge.domain.billing import LineItem
from tollbridge.domain.errors import Fault

MAX_LINES = 250
"""Lines of one invoice (Stripe's documentation of invoice items)."""

_TEXT = 5000
_METADATA = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """One line to be: its exact amount, and everything that Stripe is told except the amount."""

    exact: Decimal
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Group:
    """Lines that are shown as one."""

    items: tuple[LineItem, ...]
    rates: tuple[str, ...]
    by_product: bool = True


def entries(items: Sequence[LineItem], currency: str, scale: Scale, config: StripeOptions) -> list[Entry] | Fault:
    """The lines as they are, each with its tax rates; a fault where a line has no tax rate."""
    groups = _groups(items, config)
    return groups if isinstance(groups, Fault) else [_entry(group, currency, scale) for group in groups]


def rolled_up(items: Sequence[LineItem], currency: str, scale: Scale, config: StripeOptions) -> list[Entry] | Fault:
    """At most `MAX_LINES` lines: one per type, product and tax rates; where these are too many, one per type and tax
    rates. Order of first appearance."""
    groups = _groups(items, config)
    if isinstance(groups, Fault):
        return groups
    joined = _joined(groups, lambda group: (_one(group).type, _product(_one(group)), group.rates), by_product=True)
    if len(joined) > MAX_LINES:
        joined = _joined(groups, lambda group: (_one(group).type, group.rates), by_product=False)
    if len(joined) > MAX_LINES:
        return errors.TOO_MANY_LINES.fault(
            f"the bill has {len(items)} lines, and {len(joined)} when rolled up by type and tax rate; "
            f"Stripe takes {MAX_LINES}",
            "Set overflow to split, or split the bill.",
        )
    return [_entry(group, currency, scale) for group in joined]


def _groups(items: Sequence[LineItem], config: StripeOptions) -> list[_Group] | Fault:
    groups = []
    for item in items:
        rates = _rates(item, config)
        if rates is None:
            return errors.TAX_RATE.fault(
                f"no tax rate is set for line {item.id} (product {item.product_code or 'none'}, type {item.type})",
                f"Add {item.product_code or item.type} or * to taxRates of the integration, then replay the run.",
            )
        groups.append(_Group((item,), rates))
    return groups


def _rates(item: LineItem, config: StripeOptions) -> tuple[str, ...] | None:
    if config.tax is not Tax.RATES:
        return ()
    names = (item.product_code or "*", item.type.value, "*")
    return next((config.tax_rates[name] for name in names if name in config.tax_rates), None)


def _joined(groups: Iterable[_Group], key: Callable[[_Group], Hashable], *, by_product: bool) -> list[_Group]:
    found: dict[Hashable, list[_Group]] = {}
    for group in groups:
        found.setdefault(key(group), []).append(group)
    return [
        _Group(tuple(item for group in same for item in group.items), same[0].rates, by_product)
        for same in found.values()
    ]


def _one(group: _Group) -> LineItem:
    return group.items[0]


def _product(item: LineItem) -> str:
    return item.product_id or item.product_code or item.product_name or ""


def _entry(group: _Group, currency: str, scale: Scale) -> Entry:
    first, exact = _one(group), money.total_of([item.subtotal for item in group.items])
    alone = len(group.items) == 1
    text = _text(first, currency, scale) if alone else _text_of_many(group)
    params = {
        "description": cut(text, _TEXT),
        "discountable": False,
        "period": _period(group.items),
        "tax_rates": list(group.rates),
        "metadata": _metadata(group, exact, alone),
    }
    return Entry(exact, params)


def _metadata(group: _Group, exact: Decimal, alone: bool) -> dict[str, str]:
    first = _one(group)
    known: dict[str, str | None] = {"exact_amount": money.plain(exact), "type": first.type.value}
    if group.by_product:
        known["product_code"] = first.product_code
    if alone:
        known |= {
            "line_id": first.id,
            "quantity": money.plain(first.quantity),
            "unit": first.unit,
            "unit_price": money.plain(first.unit_price),
        }
    else:
        known["lines"] = str(len(group.items))
    return {name: cut(value, _METADATA) for name, value in known.items() if value}


def _text(item: LineItem, currency: str, scale: Scale) -> str:
    """The description with the calculation in brackets, which is shown only as far as it is true."""
    text = item.description or item.product_name or _title(item)
    if item.quantity == 1 and item.unit_price == item.subtotal:
        return text
    measure = f"{_figure(item.quantity)} {item.unit or ''}".strip()
    with localcontext(prec=100):
        product = item.quantity * item.unit_price
    if money.round_half_up(product, scale.decimals) == money.round_half_up(item.subtotal, scale.decimals):
        measure += f" × {_figure(item.unit_price)} {currency}"
    return f"{text} ({measure})"


def _text_of_many(group: _Group) -> str:
    first = _one(group)
    name = (first.product_name or first.product_code or "") if group.by_product else ""
    title = f"{name}: {_title(first).lower()}" if name else _title(first)
    return f"{title} ({len(group.items)} lines)"


def _title(item: LineItem) -> str:
    return item.type.value.replace("_", " ").capitalize()


def _figure(value: Decimal) -> str:
    text = money.plain(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _period(items: Sequence[LineItem]) -> dict[str, int] | None:
    starts = [item.service_start for item in items if item.service_start]
    ends = [item.service_end for item in items if item.service_end]
    if not starts or not ends:
        return None
    return {"start": _seconds(min(starts)), "end": _seconds(max(ends))}


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
