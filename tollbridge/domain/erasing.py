"""What is left of an account, and of its bills, when a person's data is erased: ids, moments, figures, choices among
few. Whatever is free text goes, whether or not it names the person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollbridge.domain.bill_shape import BILL, LINE
from tollbridge.domain.fields import Shape
from tollbridge.domain.fingerprints import fingerprint

ERASED = "Erased"
MAIL = "erased@example.invalid"

IDS = frozenset(
    "id accountId billJobId accountingProductId aggregationId balanceId chargeId childAccountId commitmentId contractId"
    " compoundAggregationId counterId creditTypeId meterId planGroupId planId pricingId productId reasonId"
    " referencedBillId referencedLineItemId".split()
)
"""Texts that stay: others, the ledger too, refer to them."""
_IMPERSONAL = frozenset({"currency", "from", "to", "lineItemType", "mode"})

Body = Mapping[str, Any]


def account(id: str, body: Body) -> dict[str, Any]:
    """The account as one of nobody, which still fits its bills."""
    kept = {name: body[name] for name in ("currency", "parentAccountId", "daysBeforeBillDue") if name in body}
    return {"code": f"erased-{fingerprint({'id': id})[:20]}", "name": ERASED, "emailAddress": MAIL, **kept}


def bill(body: Body) -> dict[str, Any]:
    """The bill without its free texts."""
    return _impersonal(BILL, body)


def line(body: Body) -> dict[str, Any]:
    """A line without its free texts; the description must be there."""
    return {**_impersonal(LINE, body), "description": ERASED}


def _impersonal(shape: Shape, body: Body) -> dict[str, Any]:
    kept = {}
    for name, value in body.items():
        rule = shape.fields.get(name)
        if rule is not None and (name in IDS or name in _IMPERSONAL or _tells_nobody(rule.schema)):
            kept[name] = value
    return kept


def _tells_nobody(schema: Mapping[str, Any]) -> bool:
    """Whether a value of this schema cannot be a free text."""
    match schema.get("type"):
        case "number" | "integer" | "boolean":
            return True
        case "string":
            return "enum" in schema or "format" in schema
        case "array":
            return _tells_nobody(schema["items"])
        case "object" if "properties" in schema:
            return all(
                _tells_nobody(each) or name in IDS | _IMPERSONAL or name.endswith("Id")
                for name, each in schema["properties"].items()
            )
        case _:
            return False
