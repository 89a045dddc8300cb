"""When a scheduled event is due, and which moments are told at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tollbridge.domain.errors import Invalid
from tollbridge.domain.event_types import DATES, fields_of
from tollbridge.domain.schedules import LATEST, ScheduledEvent, check

MADE = datetime(2026, 11, 1, 15, 30, tzinfo=UTC)


def scheduled(offset: int = 0) -> ScheduledEvent:
    return ScheduledEvent("s", "scheduled.bill.x", "bill", "dueDate", offset, MADE)


@pytest.mark.parametrize(
    ("value", "offset", "due"),
    [
        ("2026-11-10", 0, datetime(2026, 11, 10, tzinfo=UTC)),
        ("2026-11-10", 3, datetime(2026, 11, 13, tzinfo=UTC)),
        ("2026-11-10", -10, datetime(2026, 10, 31, tzinfo=UTC)),
        ("2026-11-10T01:30:00+02:00", 1, datetime(2026, 11, 10, 23, 30, tzinfo=UTC)),
        ("9999-12-31", 1, None),
        (None, 0, None),
        (7, 0, None),
    ],
)
def test_it_is_due_so_many_days_after_the_date(value: Any, offset: int, due: datetime | None) -> None:
    assert scheduled(offset).due({"dueDate": value}) == due


def test_nothing_is_due_for_what_is_gone() -> None:
    assert scheduled().due(None) is None
    assert scheduled().due({}) is None


def test_days_before_the_configuration_and_long_past_ones_are_not_told() -> None:
    day = datetime(2026, 11, 1, tzinfo=UTC)
    assert scheduled().tells(day, MADE)
    assert not scheduled().tells(day - timedelta(microseconds=1), MADE)
    later = day + LATEST
    assert scheduled().tells(day, later)
    assert not scheduled().tells(day, later + timedelta(microseconds=1))


def config(**changes: Any) -> dict[str, Any]:
    return {"name": "scheduled.bill.ends", "entity": "Bill", "field": "endDate", "offset": 0, **changes}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (config(field="billTotal"), "field"),
        (config(field="lineItems"), "field"),
        (config(entity="Product"), "field"),
        (config(name="scheduled.account.ends"), "name"),
        (config(name="bill.ends"), "name"),
        (config(name="scheduled.bill.a b"), "name"),
        (config(name="scheduled.bill." + "x" * 200), "name"),
    ],
)
def test_what_does_not_fit_together_is_refused(body: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check(body)
    assert refusal.value.field == field


def test_the_dates_of_an_entity_are_among_its_fields() -> None:
    check(config())
    areas = {"bill": "billing", "billconfig": "billing", "account": "configuration", "product": "configuration"}
    for entity, dates in DATES.items():
        assert {f"new.{name}" for name in dates} <= fields_of(f"{areas[entity]}.{entity}.updated").keys()
    assert {"billDate", "endDate", "dueDate", "dtApproved", "endDateTimeUTC"} <= set(DATES["bill"])
    assert "billTotal" not in DATES["bill"]
