"""The account itself, products and tax rates: what invoices refer to."""

from __future__ import annotations

from decimal import Decimal

from tollbridge.sandbox.stripe import lists
from tollbridge.sandbox.stripe.books import Books, Record, merge_metadata
from tollbridge.sandbox.stripe.errors import StripeError, no_such

AUTOMATIC_TAX_PERCENT = 10
"""Automatic tax is this flat, exclusive rate wherever the customer's country is known."""

_PRODUCT_FIELDS = (
    "active",
    "description",
    "images",
    "name",
    "shippable",
    "statement_descriptor",
    "tax_code",
    "unit_label",
    "url",
)
_RATE_FIELDS = ("active", "country", "description", "display_name", "jurisdiction", "state", "tax_type")


def account(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/account: the account that the key belongs to."""
    name = f"Sandbox {books.account[5:]}"
    return {
        "id": books.account,
        "object": "account",
        "business_profile": {"name": name, "url": None},
        "business_type": "company",
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": f"{books.account[5:].lower()}@sandbox.example",
        "payouts_enabled": True,
        "settings": {"dashboard": {"display_name": name, "timezone": "Etc/UTC"}},
        "type": "standard",
    }


def create_product(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/products: the caller may bring the id."""
    id = given.get("id") or books.new_id("prod")
    if id in books.products:
        raise StripeError(f"Product already exists: {id}", code="resource_already_exists", param="id")
    record: Record = {
        "id": id,
        "object": "product",
        "active": True,
        "created": books.now(),
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": books.livemode,
        "marketing_features": [],
        "metadata": {},
        "name": "",
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "unit_label": None,
        "updated": books.now(),
        "url": None,
    }
    _apply(books, record, given, _PRODUCT_FIELDS)
    books.products[id] = record
    return record


def get_product(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/products/{id}"""
    return books.product(path["id"])


def update_product(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/products/{id}"""
    record = books.product(path["id"])
    _apply(books, record, given, _PRODUCT_FIELDS)
    record["images"] = record["images"] or []
    record["updated"] = books.now()
    return record


def delete_product(books: Books, path: Record, given: Record) -> Record:
    """DELETE /v1/products/{id}"""
    del books.products[books.product(path["id"])["id"]]
    return {"id": path["id"], "object": "product", "deleted": True}


def list_products(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/products"""

    def wanted(record: Record) -> bool:
        same = all(given.get(name, record[name]) == record[name] for name in ("active", "shippable", "url"))
        named = record["id"] in given.get("ids", (record["id"],))
        return same and named and lists.within(record["created"], given.get("created"))

    rows = reversed(books.products.values())
    return lists.page(rows, given, "/v1/products", noun="product", known=books.products, keep=wanted)


def create_tax_rate(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/tax_rates"""
    percentage = given["percentage"]
    if not 0 <= percentage <= 100 or percentage != percentage.quantize(Decimal("0.0001")):
        message = f"Invalid percentage: {percentage}; must be between 0 and 100 with at most 4 decimal places"
        raise StripeError(message, param="percentage")
    record: Record = {
        "id": books.new_id("txr"),
        "object": "tax_rate",
        "active": True,
        "country": None,
        "created": books.now(),
        "description": None,
        "display_name": "",
        "effective_percentage": None,
        "flat_amount": None,
        "inclusive": given["inclusive"],
        "jurisdiction": None,
        "jurisdiction_level": None,
        "livemode": books.livemode,
        "metadata": {},
        "percentage": float(percentage),
        "rate_type": None,
        "state": None,
        "tax_type": None,
    }
    _apply(books, record, given, _RATE_FIELDS)
    books.tax_rates[record["id"]] = record
    return record


def get_tax_rate(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/tax_rates/{tax_rate}"""
    return books.tax_rate(path["tax_rate"])


def update_tax_rate(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/tax_rates/{tax_rate}: the percentage never changes."""
    record = books.tax_rate(path["tax_rate"])
    _apply(books, record, given, _RATE_FIELDS)
    return record


def list_tax_rates(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/tax_rates"""

    def wanted(record: Record) -> bool:
        same = all(given.get(name, record[name]) == record[name] for name in ("active", "inclusive"))
        return same and lists.within(record["created"], given.get("created"))

    rows = reversed(books.tax_rates.values())
    return lists.page(rows, given, "/v1/tax_rates", noun="tax rate", known=books.tax_rates, keep=wanted)


def usable_rates(books: Books, ids: list[str], param: str) -> list[str]:
    """Tax rates that may be put on something new: known and active."""
    for id in ids:
        if id not in books.tax_rates:
            raise no_such("tax rate", id, param)
        if not books.tax_rates[id]["active"]:
            raise StripeError(f"The tax rate {id} is archived and cannot be used.", param=param)
    return ids


def automatic_rate(books: Books) -> str:
    """The rate that automatic tax applies, made when it is first needed."""
    for id, record in books.tax_rates.items():
        if record["metadata"].get("stand_in") == "automatic_tax":
            return id
    given = {
        "display_name": "Automatic tax of the stand-in",
        "inclusive": False,
        "percentage": Decimal(AUTOMATIC_TAX_PERCENT),
        "metadata": {"stand_in": "automatic_tax"},
    }
    return str(create_tax_rate(books, {}, given)["id"])


def _apply(books: Books, record: Record, given: Record, fields: tuple[str, ...]) -> None:
    record.update({name: given[name] for name in fields if name in given})
    if "metadata" in given:
        record["metadata"] = merge_metadata(record["metadata"], given["metadata"])
