"""Bills and deliveries that the tests of this folder share."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from tollbridge.connectors import stripe
from tollbridge.connectors.base import Delivery
from tollbridge.connectors.stripe.config import StripeOptions
from tollbridge.domain import money
from tollbridge.domain.billing import Account, Bill, LineItem, LineItemType
from tollbridge.domain.integrations import Mappings

TODAY = date(2026, 11, 2)
ACCOUNT = Account("a1", "ACME", "Acme Ltd", email="billing@acme.example")
MAPPED = Mappings({("Account", "a1", "Customer"): "cus_1"})
UNMAPPED = Mappings({})


def options(**given: Any) -> StripeOptions:
    """Options by the names of `configData`."""
    return StripeOptions.model_validate(given)


def line(number: int, subtotal: str, **given: Any) -> LineItem:
    """Line `number`, by default one standing charge."""
    values: dict[str, Any] = {
        "type": LineItemType.STANDING_CHARGE,
        "description": f"Line {number}",
        "quantity": Decimal(1),
        "unit_price": Decimal(subtotal),
    }
    return LineItem(id=f"l{number}", subtotal=Decimal(subtotal), **values | given)


def usage(number: int, quantity: str, unit_price: str, subtotal: str | None = None, **given: Any) -> LineItem:
    """A usage line; without a subtotal it is quantity × unit price."""
    exact = Decimal(quantity) * Decimal(unit_price)
    values: dict[str, Any] = {
        "type": LineItemType.USAGE,
        "description": f"Usage {number}",
        "quantity": Decimal(quantity),
        "unit_price": Decimal(unit_price),
        "unit": "calls",
    }
    return line(number, subtotal or str(exact), **values | given)


def bill(*lines: LineItem, currency: str = "USD", total: str | None = None, **given: Any) -> Bill:
    """A bill of these lines; without a total it is their sum, rounded half up once."""
    exact = money.total_of([each.subtotal for each in lines])
    decimals = money.exponent(currency)
    assert decimals is not None
    rounded = Decimal(total) if total is not None else money.round_half_up(exact, decimals)
    values: dict[str, Any] = {
        "id": "b1",
        "revision": 1,
        "account": ACCOUNT,
        "bill_date": date(2026, 11, 1),
        "due_date": date(2099, 12, 1),
        "start": date(2026, 10, 1),
        "end": date(2026, 11, 1),
        "invoice_number": "INV-1001",
    }
    return Bill(currency=currency, total=rounded, lines=lines, **values | given)


def delivery(of: Bill, config: StripeOptions | None = None, mappings: Mappings = MAPPED) -> Delivery:
    """A delivery in test mode."""
    return Delivery(of, config or StripeOptions(), mappings, stripe.TEST, datetime(2026, 11, 2, 8, tzinfo=UTC))


def with_account(of: Bill, **given: Any) -> Bill:
    """The bill of an account that differs in this."""
    return replace(of, account=replace(of.account, **given))
