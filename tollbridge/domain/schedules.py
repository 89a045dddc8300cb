"""Scheduled events: which are possible, and when one is due.

A calendar day counts from its midnight in UTC. Knows no stored entity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from tollbridge.domain.errors import Invalid
from tollbridge.domain.event_types import DATES, MAX_NAME, SCHEDULED, scheduled_entity
from tollbridge.domain.fields import (
    Shape,
    did_you_mean,
    integer,
    one_of,
    read_day,
    read_instant,
    required,
    shown,
    text,
)

ENTITIES: Mapping[str, str] = {"Account": "account", "Bill": "bill", "BillConfig": "billconfig", "Product": "product"}
"""The entities that have dates here: the wire's name, and the one in event types."""

MOST_DAYS = 3650
LATEST = timedelta(days=28)
"""A moment that lies further back when it becomes known is not told any more."""

SCHEDULED_EVENT = Shape(
    {
        "name": required(text(least=1, most=MAX_NAME)),
        "entity": required(one_of(ENTITIES)),
        "field": required(text(least=1, most=MAX_NAME)),
        "offset": required(integer(least=-MOST_DAYS, most=MOST_DAYS)),
    }
)


@dataclass(frozen=True, slots=True)
class ScheduledEvent:
    """One configuration: `offset` days after (before, where negative) the date in `field` of each `entity`."""

    id: str
    name: str
    entity: str
    field: str
    offset: int
    changed_at: datetime

    def due(self, dto: Mapping[str, Any] | None) -> datetime | None:
        """When it is due for this entity; None where the entity has no such date, or is gone."""
        value = dto.get(self.field) if dto else None
        day = read_day(value)
        if day is None:
            return None
        moment = read_instant(value) or datetime.combine(day, time(), UTC)
        try:
            return moment + timedelta(days=self.offset)
        except OverflowError:
            return None

    def tells(self, due: datetime, now: datetime) -> bool:
        """Whether that moment is told, if it becomes known now: not one before the day on which the configuration was
        made or last changed, nor one that lies too far back."""
        since = datetime.combine(self.changed_at.astimezone(UTC).date(), time(), UTC)
        return due >= max(since, now - LATEST)


def check(body: Mapping[str, Any]) -> None:
    """Whether name, entity and field fit together; raises Invalid."""
    entity = ENTITIES[body["entity"]]
    dates = DATES[entity]
    if body["field"] not in dates:
        raise Invalid(
            "scheduled_event.field",
            f"field is {shown(body['field'])}, which is no date of {body['entity']}.",
            did_you_mean(body["field"], dates) or f"Its dates are {', '.join(dates)}.",
            "field",
        )
    if scheduled_entity(body["name"]) != entity:
        raise Invalid(
            "scheduled_event.name",
            f"name is {shown(body['name'])}, but must be {SCHEDULED}.{entity}. and then letters, digits, - and _.",
            f"Call it {SCHEDULED}.{entity}.{body['field']}Event, for example.",
            "name",
        )
