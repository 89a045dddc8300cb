"""Bills as connectors see them: typed, frozen, exact.

What the caller sent is kept apart, unchanged, by the store; these values are read from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

MAX_LINES = 10_000
"""Line items of one bill; more are refused."""


class BillStatus(StrEnum):
    PENDING = "PENDING"
    APPROVED = "APPROVED"


class LineItemType(StrEnum):
    """The kinds of line item, in the words of the wire."""

    STANDING_CHARGE = "STANDING_CHARGE"
    USAGE = "USAGE"
    COUNTER_RUNNING_TOTAL_CHARGE = "COUNTER_RUNNING_TOTAL_CHARGE"
    COUNTER_ADJUSTMENT_DEBIT = "COUNTER_ADJUSTMENT_DEBIT"
    COUNTER_ADJUSTMENT_CREDIT = "COUNTER_ADJUSTMENT_CREDIT"
    USAGE_CREDIT = "USAGE_CREDIT"
    MINIMUM_SPEND = "MINIMUM_SPEND"
    MINIMUM_SPEND_REFUND = "MINIMUM_SPEND_REFUND"
    CREDIT_DEDUCTION = "CREDIT_DEDUCTION"
    MANUAL_ADJUSTMENT = "MANUAL_ADJUSTMENT"
    CREDIT_MEMO = "CREDIT_MEMO"
    DEBIT_MEMO = "DEBIT_MEMO"
    COMMITMENT_CONSUMED = "COMMITMENT_CONSUMED"
    COMMITMENT_FEE = "COMMITMENT_FEE"
    OVERAGE_SURCHARGE = "OVERAGE_SURCHARGE"
    OVERAGE_USAGE = "OVERAGE_USAGE"
    BALANCE_CONSUMED = "BALANCE_CONSUMED"
    BALANCE_FEE = "BALANCE_FEE"
    AD_HOC = "AD_HOC"


USAGE_TYPES = frozenset({LineItemType.USAGE, LineItemType.OVERAGE_USAGE, LineItemType.USAGE_CREDIT})
"""The types that `split usage lines` may join."""


@dataclass(frozen=True, slots=True)
class Account:
    """A customer of the organization. `address` has the wire's keys: addressLine1…4, locality, region, postCode …"""

    id: str
    code: str
    name: str
    email: str | None = None
    currency: str | None = None
    purchase_order_number: str | None = None
    days_before_bill_due: int | None = None
    address: Mapping[str, str] = field(default_factory=dict)
    custom_fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LineItem:
    """One line of a bill. `subtotal` is the truth, in the bill's currency (the wire's convertedSubtotal).

    `service_start` is inclusive, `service_end` exclusive, both aware UTC.
    """

    id: str
    type: LineItemType
    description: str
    quantity: Decimal
    unit_price: Decimal
    subtotal: Decimal
    unit: str | None = None
    product_id: str | None = None
    product_code: str | None = None
    product_name: str | None = None
    aggregation_id: str | None = None
    service_start: datetime | None = None
    service_end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """A finished bill. `revision` grows when its content changes, not when it is approved or locked.

    `total` is in major units of `currency` and has no more decimals than the currency; the exact sum of the lines may
    differ from it by what rounding once explains. `start` and `end` bound the billing period, `end` exclusive.
    """

    id: str
    revision: int
    account: Account
    currency: str
    total: Decimal
    bill_date: date
    lines: tuple[LineItem, ...]
    due_date: date | None = None
    start: date | None = None
    end: date | None = None
    timezone: str = "UTC"
    external_invoice_date: date | None = None
    invoice_number: str | None = None
    purchase_order_number: str | None = None
