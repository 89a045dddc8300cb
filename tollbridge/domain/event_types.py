"""The catalogue of events: their types, the fields that rules may read of each, and who raises them. Pure.

The names are those of m3ter's public API; the fields of entities are those of its responses (`event_fields.json`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType

BILLING = (
    "balance balanceamount bill billconfig billjob charge counteradjustment scheduledbalancecharge"
    " scheduledbalancetransaction statementjob"
).split()
CONFIGURATION = (
    "account accountplan aggregation alert commitment compoundaggregation contract counter counterpricing creditreason"
    " customfield meter metergroup organization organizationconfig plan plangroup plangrouplink plantemplate pricing"
    " pricingband product transactiontype"
).split()
CHANGES = ("created", "deleted", "updated")
ERRORS = (
    "integration.authentication.error",
    "integration.disabled.error",
    "integration.missingaccountmapping.error",
    "integration.perform.error",
    "integration.validation.error",
)
DATA_EXPORT = "dataexport.job.failure"
INGEST = "ingest.validation.failure"
SCHEDULED = "scheduled."

HELD = frozenset({"account", "product", "bill", "billconfig"})
"""The entities whose events we raise ourselves; those of all others are there only if they are submitted."""

EVENT_TYPES: tuple[str, ...] = (
    *(f"billing.{entity}.{change}" for entity in BILLING for change in CHANGES),
    *(f"configuration.{entity}.{change}" for entity in CONFIGURATION for change in CHANGES),
    DATA_EXPORT,
    INGEST,
    *ERRORS,
)

_AUDIT = {
    "id": "string",
    "version": "int",
    "dtCreated": "string",
    "createdBy": "string",
    "dtLastModified": "string",
    "lastModifiedBy": "string",
}
_ERROR = {
    "message": "string",
    "code": "string",
    "runId": "string",
    "integrationId": "string",
    "accountId": "string",
    "entityId": "string",
    "missing": "map",
}
_FAILURE = {"id": "string", "message": "string", "code": "string", "details": "map"}


class Category(StrEnum):
    """The wire's eventType; entities have none of their own there."""

    ENTITY = "Entity"
    INTEGRATION = "IntegrationEvent"
    INGEST = "IngestValidationFailure"
    DATA_EXPORT = "DataExportJobFailure"


FIRED = "Notification"
"""The eventType under which events are listed on which a rule fired."""


def category_of(name: str) -> Category:
    """The category of an event type."""
    if name.startswith("integration."):
        return Category.INTEGRATION
    return {INGEST: Category.INGEST, DATA_EXPORT: Category.DATA_EXPORT}.get(name, Category.ENTITY)


def entity_of(name: str) -> str | None:
    """The entity whose change an event type tells, or None."""
    parts = name.split(".")
    return parts[1] if len(parts) == 3 and parts[0] in ("billing", "configuration", "scheduled") else None


def is_raised(name: str) -> bool:
    """Whether we raise events of this type ourselves."""
    return name in ERRORS or name.startswith(SCHEDULED) or entity_of(name) in HELD


def sides_of(name: str) -> tuple[bool, bool]:
    """Whether events of this type have a `new` and an `old` side."""
    change = name.rpartition(".")[2]
    if entity_of(name) is None or change not in CHANGES or name.startswith(SCHEDULED):
        return True, False
    return change != "deleted", change != "created"


@cache
def fields_of(name: str) -> Mapping[str, str]:
    """The fields that a rule on this event type may read, with their types: string, double, int, boolean, map, array.

    Empty for a type that there is not; of a scheduled one those of its entity.
    """
    entity = entity_of(name)
    if name in ERRORS:
        own: Mapping[str, str] = _ERROR
    elif name in (INGEST, DATA_EXPORT):
        own = _FAILURE
    elif entity is None or entity not in _entities():
        return {}
    else:
        own = {**_AUDIT, **_entities()[entity]}
    sides = [side for side, there in zip(("new", "old"), sides_of(name), strict=True) if there]
    return MappingProxyType({f"{side}.{field}": own[field] for side in sides for field in sorted(own)})


@cache
def _entities() -> Mapping[str, Mapping[str, str]]:
    text = (files(__package__) / "event_fields.json").read_text(encoding="utf-8")
    found: Mapping[str, Mapping[str, str]] = json.loads(text)
    return found
