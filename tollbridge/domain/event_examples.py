"""Examples of events for who writes rules and receivers: realistic values for every field that a type of event has.

Pure: the id and the moment are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tollbridge.domain.notifications import moment

_KNOWN: Mapping[str, Any] = {
    "accountCode": "NORDLICHT",
    "accountId": "example-account",
    "accountName": "Nordlicht GmbH",
    "address": {"addressLine1": "Hafenstraße 7", "locality": "Hamburg", "postCode": "20457", "country": "DE"},
    "amount": Decimal("1000.00"),
    "amountSpent": Decimal("910.00"),
    "approvedBy": "USER_example",
    "billTotal": Decimal("1250.50"),
    "billingFrequency": "MONTHLY",
    "code": "EXAMPLE",
    "createdBy": "USER_example",
    "currency": "EUR",
    "customFields": {},
    "description": "An example",
    "emailAddress": "accounts@nordlicht.example",
    "lastModifiedBy": "USER_example",
    "locked": False,
    "lockedBy": "USER_example",
    "message": "An example message.",
    "name": "Nordlicht GmbH",
    "purchaseOrderNumber": "PO-4711",
    "sequentialInvoiceNumber": "INV-0042",
    "status": "PENDING",
    "timezone": "UTC",
    "version": 1,
}
_BY_KIND: Mapping[str, Any] = {
    "string": "example",
    "double": Decimal("12.50"),
    "int": 1,
    "boolean": False,
    "map": {},
    "array": [],
}
_MONTH = timedelta(days=30)
_AFTER = ("dtApproved", "approvedBy", "dtLocked", "lockedBy")
"""What a bill only has later in its life than an example shows it."""


def example_of(fields: Mapping[str, str], id: str, at: datetime) -> dict[str, dict[str, Any]]:
    """The sides `new` and `old` that an event with these fields has (`new.amount` → `double`), filled in.

    What stood before is a version and an hour older, and its amounts are lower.
    """
    sides: dict[str, dict[str, Any]] = {}
    for path, kind in fields.items():
        side, _, name = path.partition(".")
        if name not in _AFTER:
            sides.setdefault(side, {})[name] = id if name == "id" else _value(name, kind, at)
    if "new" in sides and "old" in sides:
        sides["new"] = {name: 2 if name == "version" else value for name, value in sides["new"].items()}
        sides["old"] = {name: _before(name, value, at) for name, value in sides["old"].items()}
    return sides


def _value(name: str, kind: str, at: datetime) -> Any:
    if name in _KNOWN:
        return _KNOWN[name]
    if kind == "string" and (name.startswith("dt") or name.endswith("UTC")):
        return moment(at - _MONTH if name.startswith("start") else at)
    if kind == "string" and name.lower().endswith("date"):
        return (at - _MONTH if name.startswith("start") else at).date().isoformat()
    if kind == "string" and name.endswith("Id"):
        return f"example-{name.removesuffix('Id').lower()}"
    return _BY_KIND[kind]


def _before(name: str, value: Any, at: datetime) -> Any:
    if name == "dtLastModified":
        return moment(at - timedelta(hours=1))
    return (value * Decimal("0.8")).quantize(Decimal("0.01")) if isinstance(value, Decimal) else value
