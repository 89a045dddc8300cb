"""The catalogue of event types: their names as on the wire, what a rule can read of each, and who raises them.

`new.<field>` is what stands now, `old.<field>` what stood before. An event of creation has only the first, one of
deletion only the second. Knows no stored event.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tollbridge.domain.bill_shape import BILL
from tollbridge.domain.catalog import ACCOUNT, BILL_CONFIG, PRODUCT
from tollbridge.domain.errors import Invalid
from tollbridge.domain.event_fields import AUDIT, FOREIGN
from tollbridge.domain.fields import Shape, did_you_mean, shown

SCHEDULED = "scheduled"
MAX_NAME = 200
"""Characters of an event's name."""

_SCHEDULED_NAME = re.compile(rf"{SCHEDULED}\.(?P<entity>[a-z]+)\.(?P<custom>[A-Za-z0-9_-]+)")
_TYPES = {
    "string": "string",
    "number": "double",
    "integer": "int",
    "boolean": "boolean",
    "object": "map",
    "array": "array",
}
"""JSON Schema's types as the wire's."""


class Category(StrEnum):
    """The wire's eventType. Its own four are the first; it has none for what entities raise, so the others are ours."""

    NOTIFICATION = "Notification"
    """A rule fired."""
    INTEGRATION = "IntegrationEvent"
    INGEST = "IngestValidationFailure"
    DATA_EXPORT = "DataExportJobFailure"
    ENTITY = "EntityEvent"
    """An entity was created, updated or deleted."""
    SCHEDULED = "ScheduledEvent"
    """A date of an entity came near, came, or lies back by some days."""


class Happening(StrEnum):
    """What becomes of an entity, as the last part of the event's name."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class EventType:
    """`held`: raised by us; others are only here if somebody submits them."""

    name: str
    category: Category
    held: bool
    fields: Mapping[str, str]


def _fields(shape: Shape, more: Mapping[str, str] | None = None) -> Mapping[str, str]:
    own = {name: _TYPES.get(str(rule.schema.get("type")), "string") for name, rule in shape.fields.items()}
    return {**AUDIT, **own, **(more or {})}


def _dates(shape: Shape) -> tuple[str, ...]:
    return tuple(name for name, rule in shape.fields.items() if rule.schema.get("format") in ("date", "date-time"))


OURS: Mapping[str, Mapping[str, str]] = {
    "account": _fields(ACCOUNT),
    "bill": _fields(
        BILL,
        {
            "revision": "int",
            "status": "string",
            "approvedBy": "string",
            "dtApproved": "string",
            "locked": "boolean",
            "lockedBy": "string",
            "dtLocked": "string",
        },
    ),
    "billconfig": _fields(BILL_CONFIG),
    "product": _fields(PRODUCT),
}
"""The entities that we hold, as events carry them: a bill without its line items."""

_MOMENTS = ("dtCreated", "dtLastModified")
DATES: Mapping[str, tuple[str, ...]] = {
    "account": (*_dates(ACCOUNT), *_MOMENTS),
    "bill": (*_dates(BILL), "dtApproved", "dtLocked", *_MOMENTS),
    "billconfig": (*_dates(BILL_CONFIG), *_MOMENTS),
    "product": (*_dates(PRODUCT), *_MOMENTS),
}
"""Which of their fields are days or moments."""

_BILLING = (
    "balance balanceamount bill billconfig billjob charge counteradjustment scheduledbalancecharge "
    "scheduledbalancetransaction statementjob"
).split()
_CONFIGURATION = (
    "account accountplan aggregation alert commitment compoundaggregation contract counter counterpricing creditreason "
    "customfield meter metergroup organization organizationconfig plan plangroup plangrouplink plantemplate pricing "
    "pricingband product transactiontype"
).split()

_FAILED_RUN = {
    "message": "string",
    "code": "string",
    "action": "string",
    "runId": "string",
    "integrationId": "string",
    "accountId": "string",
    "entityId": "string",
}
_SINGLE: Mapping[str, tuple[Category, bool, Mapping[str, str]]] = {
    "dataexport.job.failure": (
        Category.DATA_EXPORT,
        False,
        {
            "id": "string",
            "message": "string",
            "scheduleId": "string",
            "sourceType": "string",
            "startedAt": "string",
            "status": "string",
        },
    ),
    "ingest.validation.failure": (
        Category.INGEST,
        False,
        {
            "accountId": "string",
            "account": "string",
            "meter": "string",
            "uid": "string",
            "ts": "string",
            "message": "string",
            "errors": "array",
        },
    ),
    "integration.authentication.error": (Category.INTEGRATION, True, _FAILED_RUN),
    "integration.disabled.error": (Category.INTEGRATION, True, _FAILED_RUN),
    "integration.missingaccountmapping.error": (Category.INTEGRATION, True, _FAILED_RUN | {"missing": "map"}),
    "integration.perform.error": (Category.INTEGRATION, True, _FAILED_RUN),
    "integration.validation.error": (Category.INTEGRATION, True, _FAILED_RUN),
}


def _of_entity(area: str, entity: str, happening: Happening) -> EventType:
    # A bill configuration is changed only; nothing deletes it.
    held = entity in OURS and (entity, happening) != ("billconfig", Happening.DELETED)
    fields = OURS.get(entity) or FOREIGN[entity]
    sides = {Happening.CREATED: ("new",), Happening.UPDATED: ("new", "old"), Happening.DELETED: ("old",)}[happening]
    return EventType(f"{area}.{entity}.{happening}", Category.ENTITY, held, _prefixed(fields, *sides))


def _prefixed(fields: Mapping[str, str], *sides: str) -> Mapping[str, str]:
    return {f"{side}.{name}": kind for side in sides for name, kind in sorted(fields.items())}


def _catalogue() -> list[EventType]:
    areas = [("billing", entity) for entity in _BILLING] + [("configuration", entity) for entity in _CONFIGURATION]
    entities = [_of_entity(area, entity, happening) for area, entity in areas for happening in Happening]
    single = [EventType(name, kind, held, _prefixed(its, "new")) for name, (kind, held, its) in _SINGLE.items()]
    return sorted(entities + single, key=lambda each: each.name)


EVENT_TYPES: Mapping[str, EventType] = {each.name: each for each in _catalogue()}
"""The 106 event types of the wire, by name, in its order."""


def entity_event(entity: str, happening: Happening) -> EventType:
    """The type of what became of an entity; `entity` as in its event types, such as `bill`."""
    area = "billing" if entity in _BILLING else "configuration"
    return EVENT_TYPES[f"{area}.{entity}.{happening}"]


def scheduled_entity(name: str) -> str | None:
    """The entity of a scheduled event's name, such as `bill` in `scheduled.bill.endDateEvent`; None for other names,
    and where the entity is none of the wire's."""
    found = _SCHEDULED_NAME.fullmatch(name) if len(name) <= MAX_NAME else None
    entity = found["entity"] if found else None
    return entity if entity in OURS or entity in FOREIGN else None


def type_of(name: str) -> EventType:
    """The type with that name; any rightly formed scheduled name is one. Raises Invalid, with the nearest name."""
    if name in EVENT_TYPES:
        return EVENT_TYPES[name]
    entity = scheduled_entity(name)
    if entity is not None:
        fields = OURS.get(entity) or FOREIGN[entity]
        return EventType(name, Category.SCHEDULED, entity in OURS, _prefixed(fields, "new"))
    raise Invalid(
        "event.type",
        f"eventName is {shown(name)}, but there is no such event type.",
        did_you_mean(name, EVENT_TYPES) or "GET …/events/types lists all.",
        "eventName",
    )


def fields_of(name: str) -> Mapping[str, str]:
    """What a rule on that event type can read, and of which type: string, double, int, boolean, map or array.

    Raises Invalid.
    """
    return type_of(name).fields
