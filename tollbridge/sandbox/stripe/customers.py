"""Customers and their credit balance. A deleted one can be read for ever, and changed never."""

from __future__ import annotations

from typing import Any

from tollbridge.sandbox.stripe import lists
from tollbridge.sandbox.stripe.books import Books, Record, merge_metadata
from tollbridge.sandbox.stripe.errors import StripeError, no_such

_TEXTS = ("business_name", "description", "email", "individual_name", "name", "phone", "invoice_prefix")


def create(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/customers"""
    id = books.new_id("cus")
    record: Record = {
        "id": id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": books.now(),
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_credit_balance": {},
        "invoice_prefix": id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": books.livemode,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    _apply(record, given)
    books.customers[id] = record
    if "tax_id_data" in given:
        record["tax_ids"] = _tax_ids(books, record, given["tax_id_data"])
    books.changed("customer", record)
    books.happened("customer.created", record)
    return record


def get(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/customers/{customer}: a deleted one is answered too, marked so."""
    if path["customer"] in books.deleted_customers:
        return books.deleted_customers[path["customer"]]
    return books.customer(path["customer"])


def update(books: Books, path: Record, given: Record) -> Record:
    """POST /v1/customers/{customer}"""
    record = books.customer(path["customer"])
    _apply(record, given)
    books.changed("customer", record)
    books.happened("customer.updated", record)
    return record


def delete(books: Books, path: Record, given: Record) -> Record:
    """DELETE /v1/customers/{customer}"""
    record = books.customer(path["customer"])
    id = record["id"]
    del books.customers[id]
    books.deleted_customers[id] = {"id": id, "object": "customer", "deleted": True}
    books.removed("customer", id)
    books.happened("customer.deleted", record)
    return books.deleted_customers[id]


def list_(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/customers: the e-mail filter is exact and case-sensitive."""

    def wanted(record: Record) -> bool:
        created = lists.within(record["created"], given.get("created"))
        return created and given.get("email", record["email"]) == record["email"]

    rows = reversed(books.customers.values())
    return lists.page(rows, given, "/v1/customers", noun="customer", known=books.customers, keep=wanted)


def search(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/customers/search"""
    return lists.search_page(books, "customer", books.customers, given, "/v1/customers/search")


def balance_transactions(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/customers/{customer}/balance_transactions"""
    id = books.customer(path["customer"])["id"]
    table = books.balance_transactions[id]

    def wanted(record: Record) -> bool:
        created = lists.within(record["created"], given.get("created"))
        return created and given.get("invoice", record["invoice"]) == record["invoice"]

    url = f"/v1/customers/{id}/balance_transactions"
    rows = reversed(table.values())
    return lists.page(rows, given, url, noun="customer balance transaction", known=table, keep=wanted)


def balance(record: Record, currency: str) -> int:
    """What the customer owes (positive) or has as credit (negative) in that currency."""
    return int(record["invoice_credit_balance"].get(currency, 0))


def move_balance(books: Books, customer_id: str, amount: int, currency: str, kind: str, **about: str) -> Record | None:
    """Book an amount on the customer's balance; a deleted customer has none left."""
    record = books.customers.get(customer_id)
    if record is None or amount == 0:
        return None
    record["currency"] = record["currency"] or currency
    ending = balance(record, currency) + amount
    record["invoice_credit_balance"][currency] = ending
    if record["currency"] == currency:
        record["balance"] = ending
    transaction: Record = {
        "id": books.new_id("cbtxn"),
        "object": "customer_balance_transaction",
        "amount": amount,
        "created": books.now(),
        "credit_note": about.get("credit_note"),
        "currency": currency,
        "customer": customer_id,
        "description": None,
        "ending_balance": ending,
        "invoice": about.get("invoice"),
        "livemode": books.livemode,
        "metadata": {},
        "type": kind,
    }
    books.balance_transactions[customer_id][transaction["id"]] = transaction
    return transaction


def _apply(record: Record, given: Record) -> None:
    email = given.get("email")
    if email is not None and ("@" not in email.strip("@") or any(letter.isspace() for letter in email)):
        raise StripeError(f"Invalid email address: {email}", code="email_invalid", param="email")
    record.update({name: given[name] for name in _TEXTS if name in given})
    if "address" in given:
        record["address"] = _address(given["address"])
    if "shipping" in given:
        shipping = given["shipping"]
        record["shipping"] = shipping and {"phone": None, **shipping, "address": _address(shipping["address"])}
    if "invoice_settings" in given:
        record["invoice_settings"] = {**record["invoice_settings"], **given["invoice_settings"]}
    if "tax_exempt" in given:
        record["tax_exempt"] = given["tax_exempt"] or "none"
    for name in ("preferred_locales", "next_invoice_sequence"):
        if name in given:
            record[name] = given[name]
    if "balance" in given:
        record["currency"] = record["currency"] or "usd"
        record["balance"] = given["balance"]
        record["invoice_credit_balance"][record["currency"]] = given["balance"]
    if "metadata" in given:
        record["metadata"] = merge_metadata(record["metadata"], given["metadata"])


def _address(given: Record | None) -> Record | None:
    parts = ("city", "country", "line1", "line2", "postal_code", "state")
    return None if given is None else {part: given.get(part) for part in parts}


def _tax_ids(books: Books, record: Record, given: list[Record]) -> Record:
    rows: list[dict[str, Any]] = [
        {
            "id": books.new_id("txi"),
            "object": "tax_id",
            "country": each["value"][:2].upper() if each["value"][:2].isalpha() else None,
            "created": books.now(),
            "customer": record["id"],
            "livemode": books.livemode,
            "type": each["type"],
            "value": each["value"],
            "verification": None,
        }
        for each in given
    ]
    return {"object": "list", "data": rows, "has_more": False, "url": f"/v1/customers/{record['id']}/tax_ids"}


def email_of(books: Books, customer_id: str, param: str) -> str:
    """The address that invoices go to; refuses a customer that has none."""
    customer = books.customers.get(customer_id)
    if customer is None:
        raise no_such("customer", customer_id, param)
    if not customer["email"]:
        message = (
            "Missing email. In order to create invoices that are sent to the customer, the customer must have a valid "
            "email."
        )
        raise StripeError(message)
    return str(customer["email"])
