"""Hours become days of the reader."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tollbridge.domain.tallies import Tally, days_of, total

NOW = datetime(2026, 11, 26, 14, 5, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=30)


def at(day: int, hour: int) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def test_hours_of_all_integrations_are_added_up_by_day_and_days_without_any_are_told() -> None:
    hours = [{at(26, 1): Tally(2, 1), at(26, 13): Tally(3)}, {at(26, 1): Tally(1), at(24, 0): Tally(0, 4)}]
    days = days_of(hours, LONG_AGO, NOW, UTC, 3)
    assert [(day.day.day, day.tally) for day in days] == [(24, Tally(0, 4)), (25, Tally()), (26, Tally(6, 1))]
    assert total(days) == Tally(6, 5)


@pytest.mark.parametrize(("zone", "day"), [("UTC", 25), ("Europe/Berlin", 26), ("America/New_York", 25)])
def test_a_day_begins_at_the_readers_midnight(zone: str, day: int) -> None:
    days = days_of([{at(25, 23): Tally(1)}], LONG_AGO, NOW, ZoneInfo(zone), 3)
    assert [each.day.day for each in days if each.tally] == [day]


def test_what_lies_before_the_days_that_are_shown_does_not_count() -> None:
    assert total(days_of([{at(23, 23): Tally(7)}], LONG_AGO, NOW, UTC, 3)) == Tally()


def test_a_day_that_was_not_counted_as_a_whole_says_nothing() -> None:
    days = days_of([{at(25, 8): Tally(1), at(26, 8): Tally(2)}], at(25, 1), NOW, UTC, 3)
    assert [each.tally for each in days] == [None, None, Tally(2)]
    assert days[0].day == date(2026, 11, 24)
