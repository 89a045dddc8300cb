"""Writes the demo's accounts, products and bills: `python -m tollbridge.cli.demo_data.generate`.

The invented vendor sells metered power, data and software to forty customers and bills October 2026. The same files
come out on every run; a test compares them with what is in the repository.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from tollbridge.domain import json_text
from tollbridge.domain.billing import LineItemType
from tollbridge.domain.money import exponent, round_half_up, total_of

FOLDER = Path(__file__).parent
FAILING_ACCOUNT = "acc-harbour-lights"
"""Its customer at the vendor has no e-mail address: sending its invoice fails, on purpose."""

JSON = dict[str, Any]
_START, _END = "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"
_DAYS = 31

PRODUCTS = {
    "power": "Metered power",
    "data": "Data platform",
    "software": "Software seats",
    "support": "Support",
}


class Customer(NamedTuple):
    slug: str
    name: str
    currency: str
    country: str
    city: str
    bill: Callable[[Customer], Iterable[JSON]]

    @property
    def id(self) -> str:
        return f"acc-{self.slug}"


def figure(seed: str, low: int, high: int) -> int:
    """A number that looks measured, always the same for the same seed."""
    digest = hashlib.sha256(seed.encode()).digest()
    return low + int.from_bytes(digest[:8], "big") % (high - low + 1)


def line(product: str, kind: LineItemType, text: str, quantity: Decimal | int, unit: str, price: Decimal) -> JSON:
    """A line item whose subtotal is exactly quantity times price."""
    return {
        "lineItemType": kind.value,
        "description": text,
        "productId": f"prod-{product}",
        "productCode": product,
        "productName": PRODUCTS[product],
        "quantity": quantity,
        "units": quantity,
        "unit": unit,
        "averageUnitPrice": price,
        "subtotal": quantity * price,
    }


def scaled(customer: Customer, euros: str) -> Decimal:
    """A price as this vendor's price list has it in the customer's currency."""
    factors = {"JPY": "150", "SEK": "11", "KWD": "0.5"}
    return Decimal(euros) * Decimal(factors.get(customer.currency, "1"))


def standing_charge(customer: Customer, product: str, text: str, euros: str) -> JSON:
    return line(product, LineItemType.STANDING_CHARGE, text, 1, "month", scaled(customer, euros))


def power(customer: Customer) -> Iterator[JSON]:
    """Day and night tariff with prices of four decimals, and a standing charge by the day."""
    day, night = figure(f"{customer.slug}/day", 9_000, 70_000), figure(f"{customer.slug}/night", 4_000, 30_000)
    tenth = Decimal("0.1")
    yield line("power", LineItemType.USAGE, "Energy, day tariff", day * tenth, "kWh", scaled(customer, "0.1648"))
    yield line("power", LineItemType.USAGE, "Energy, night tariff", night * tenth, "kWh", scaled(customer, "0.1137"))
    yield line("power", LineItemType.STANDING_CHARGE, "Meter, per day", _DAYS, "days", scaled(customer, "0.4213"))


def tiered(customer: Customer) -> Iterator[JSON]:
    """Calls in three tiers, storage, and a platform fee."""
    yield standing_charge(customer, "data", "Platform fee", "99.00")
    calls = figure(f"{customer.slug}/calls", 180_000, 2_400_000)
    bands, subtotal = [], Decimal(0)
    for lower, upper, euros in ((0, 100_000, "0.0010"), (100_000, 1_000_000, "0.0008"), (1_000_000, None, "0.0005")):
        inside = max(0, (calls if upper is None else min(calls, upper)) - lower)
        price = scaled(customer, euros)
        subtotal += inside * price
        bands.append(
            {
                "lowerLimit": lower,
                "unitPrice": price,
                "fixedPrice": 0,
                "bandQuantity": inside,
                "bandUnits": inside,
                "unitSubtotal": inside * price,
                "bandSubtotal": inside * price,
                "convertedBandSubtotal": inside * price,
            }
        )
    usage = line("data", LineItemType.USAGE, "API calls, three tiers", calls, "calls", Decimal(0))
    average = round_half_up(subtotal / calls, 8)
    yield {**usage, "averageUnitPrice": average, "subtotal": subtotal, "usagePerPricingBand": bands}
    stored = figure(f"{customer.slug}/stored", 20_000, 900_000)
    price = scaled(customer, "0.0230")
    yield line("data", LineItemType.USAGE, "Storage", stored * Decimal("0.01"), "GB-months", price)


def seats(customer: Customer) -> Iterator[JSON]:
    """Software by the seat, with support."""
    count = figure(f"{customer.slug}/seats", 4, 180)
    yield line("software", LineItemType.STANDING_CHARGE, "Seats", count, "seats", scaled(customer, "25.00"))
    yield standing_charge(customer, "support", "Support, business hours", "120.00")


def minimum_spend(customer: Customer) -> Iterator[JSON]:
    """Usage that stays below the agreed minimum, which is made up."""
    calls = figure(f"{customer.slug}/calls", 40_000, 160_000)
    usage = line("data", LineItemType.USAGE, "API calls", calls, "calls", scaled(customer, "0.0010"))
    yield usage
    gap = scaled(customer, "450.00") - usage["subtotal"]
    yield line("data", LineItemType.MINIMUM_SPEND, "Minimum spend, made up", 1, "month", gap)


def prepaid(customer: Customer) -> Iterator[JSON]:
    """Usage drawn from a prepayment; what goes beyond it is overage."""
    calls = figure(f"{customer.slug}/calls", 900_000, 1_800_000)
    usage = line("data", LineItemType.USAGE, "API calls", calls, "calls", scaled(customer, "0.0008"))
    yield usage
    left = min(usage["subtotal"], scaled(customer, "700.00"))
    yield line("data", LineItemType.COMMITMENT_CONSUMED, "Drawn from prepayment of January", 1, "month", -left)
    over = figure(f"{customer.slug}/over", 2_000, 90_000)
    yield line(
        "data", LineItemType.OVERAGE_USAGE, "Calls beyond the commitment", over, "calls", scaled(customer, "0.0011")
    )
    yield standing_charge(customer, "support", "Support, around the clock", "390.00")


def credited(customer: Customer) -> Iterator[JSON]:
    """A tiered bill less credits: one for an outage, one for a wrong reading in September."""
    yield from tiered(customer)
    outage, reading = scaled(customer, "-24.75"), scaled(customer, "-11.20")
    yield line("data", LineItemType.CREDIT_MEMO, "Credit for the outage of 14 October", 1, "credit", outage)
    yield line("data", LineItemType.MANUAL_ADJUSTMENT, "Corrected reading, September", 1, "adjustment", reading)


def many_sites(customer: Customer) -> Iterator[JSON]:
    """A chain of shops: one line per shop."""
    for number in range(1, 241):
        tenths = figure(f"{customer.slug}/{number}", 3_000, 48_000)
        text = f"Shop {number:03}: energy"
        yield line("power", LineItemType.USAGE, text, tenths * Decimal("0.1"), "kWh", scaled(customer, "0.1648"))


def four_decimals(customer: Customer) -> Iterator[JSON]:
    """Prices of four decimals only, so that no line is a whole number of cents."""
    for name, tenths, price in (
        ("Energy, solar park north", 123_457, "0.0613"),
        ("Energy, solar park south", 98_761, "0.0597"),
        ("Balancing", 222_218, "0.0041"),
    ):
        yield line("power", LineItemType.USAGE, name, tenths * Decimal("0.1"), "kWh", scaled(customer, price))


CUSTOMERS = (
    Customer("aster-bakery", "Aster Bakery GmbH", "EUR", "DE", "Leipzig", power),
    Customer("birch-hotels", "Birch Hotels AB", "SEK", "SE", "Uppsala", power),
    Customer("bluefin-freight", "Bluefin Freight Ltd", "GBP", "GB", "Hull", seats),
    Customer("cedar-clinic", "Cedar Clinic", "USD", "US", "Portland", tiered),
    Customer("clearwater", "Clearwater Utilities Inc.", "USD", "US", "Duluth", prepaid),
    Customer("cobalt-labs", "Cobalt Labs", "USD", "US", "Austin", tiered),
    Customer("coral-media", "Coral Media SARL", "EUR", "FR", "Nantes", minimum_spend),
    Customer("delta-dairy", "Delta Dairy BV", "EUR", "NL", "Leeuwarden", power),
    Customer("dune-trading", "Dune Trading WLL", "KWD", "KW", "Kuwait City", minimum_spend),
    Customer("eastgate-shops", "Eastgate Shops plc", "GBP", "GB", "Leicester", many_sites),
    Customer("elm-and-sons", "Elm & Sons", "GBP", "GB", "Exeter", seats),
    Customer("falcon-air", "Falcon Air Services WLL", "KWD", "KW", "Farwaniya", seats),
    Customer("fjord-data", "Fjord Data AS", "EUR", "NO", "Bergen", tiered),
    Customer("foxglove", "Foxglove Studio", "USD", "US", "Savannah", minimum_spend),
    Customer("granite-works", "Granite Works SpA", "EUR", "IT", "Carrara", power),
    Customer("harbour-lights", "Harbour Lights Ltd", "GBP", "GB", "Whitby", seats),
    Customer("heron-analytics", "Heron Analytics", "USD", "US", "Madison", prepaid),
    Customer("hoshino-foods", "Hoshino Foods KK", "JPY", "JP", "Sapporo", tiered),
    Customer("indigo-games", "Indigo Games", "USD", "CA", "Montréal", credited),
    Customer("ivory-optics", "Ivory Optics AG", "CHF", "CH", "Biel", seats),
    Customer("juniper-farms", "Juniper Farms Pty", "AUD", "AU", "Ballarat", power),
    Customer("kestrel-maps", "Kestrel Maps", "USD", "US", "Boulder", tiered),
    Customer("kitano-motors", "Kitano Motors KK", "JPY", "JP", "Hamamatsu", power),
    Customer("lantern-books", "Lantern Books", "USD", "US", "Iowa City", minimum_spend),
    Customer("larch-robotics", "Larch Robotics GmbH", "EUR", "AT", "Graz", prepaid),
    Customer("linden-school", "Linden School", "EUR", "DE", "Kassel", seats),
    Customer("magnolia-care", "Magnolia Care", "USD", "US", "Mobile", seats),
    Customer("maple-transit", "Maple Transit", "USD", "CA", "Hamilton", power),
    Customer("marigold", "Marigold Apps Oy", "EUR", "FI", "Oulu", credited),
    Customer("northstar", "Northstar Solar SL", "EUR", "ES", "Badajoz", four_decimals),
    Customer("oak-insurance", "Oak Insurance plc", "GBP", "GB", "Bristol", prepaid),
    Customer("orchid-labs", "Orchid Labs", "USD", "US", "San Diego", credited),
    Customer("pebble-phones", "Pebble Phones", "USD", "US", "Reno", tiered),
    Customer("quartz-mining", "Quartz Mining Pty", "AUD", "AU", "Kalgoorlie", prepaid),
    Customer("raven-security", "Raven Security GmbH", "EUR", "DE", "Ulm", tiered),
    Customer("saffron-kitchen", "Saffron Kitchen", "GBP", "GB", "Bradford", minimum_spend),
    Customer("sakura-hotel", "Sakura Hotel KK", "JPY", "JP", "Kanazawa", seats),
    Customer("tern-shipping", "Tern Shipping A/S", "EUR", "DK", "Esbjerg", tiered),
    Customer("umber-paints", "Umber Paints", "USD", "US", "Toledo", credited),
    Customer("willow-press", "Willow Press SA", "CHF", "CH", "Fribourg", tiered),
)


def accounts() -> Iterator[JSON]:
    for number, customer in enumerate(CUSTOMERS, start=1):
        yield {
            "id": customer.id,
            "code": customer.slug,
            "name": customer.name,
            "emailAddress": f"billing@{customer.slug}.example",
            "currency": customer.currency,
            "address": {
                "addressLine1": f"{figure(customer.slug, 1, 240)} Market Street",
                "locality": customer.city,
                "country": customer.country,
            },
            **({"purchaseOrderNumber": f"PO-{4000 + number}"} if number % 5 == 0 else {}),
        }


def products() -> Iterator[JSON]:
    for code, name in PRODUCTS.items():
        yield {"id": f"prod-{code}", "code": code, "name": name}


def bills() -> Iterator[JSON]:
    for number, customer in enumerate(CUSTOMERS, start=1):
        identity = f"2026-10-{customer.slug}"
        lines = [
            {
                "id": f"{identity}-{place:03}",
                "sequenceNumber": place,
                **item,
                "currency": customer.currency,
                "conversionRate": 1,
                "convertedSubtotal": item["subtotal"],
                "servicePeriodStartDate": _START,
                "servicePeriodEndDate": _END,
            }
            for place, item in enumerate(customer.bill(customer), start=1)
        ]
        exact = total_of([item["subtotal"] for item in lines])
        total = round_half_up(exact, exponent(customer.currency) or 0)
        yield {
            "id": identity,
            "accountId": customer.id,
            "billDate": _END[:10],
            "startDate": _START[:10],
            "endDate": _END[:10],
            "startDateTimeUTC": _START,
            "endDateTimeUTC": _END,
            "timezone": "UTC",
            "billingFrequency": "MONTHLY",
            "currency": customer.currency,
            "sequentialInvoiceNumber": f"INV-2026-{1000 + number}",
            "billTotal": total,
            "rounding": {"mode": "HALF_UP", "exactTotal": exact, "difference": total - exact},
            "lineItems": lines,
        }


FILES = {"accounts.jsonl": accounts, "products.jsonl": products, "bills.jsonl": bills}


def text_of(name: str) -> str:
    """The whole text of one of the files."""
    return "".join(json_text.dump(value) + "\n" for value in FILES[name]())


if __name__ == "__main__":
    for each in FILES:
        (FOLDER / each).write_text(text_of(each), encoding="utf-8")
