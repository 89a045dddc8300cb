"""How many deliveries ended well and how many failed: hours added up to the days of whoever reads. No clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

DAYS = 14
"""Days that are told, today among them."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Runs that ended: delivered, or failed for good."""

    delivered: int = 0
    failed: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.delivered + other.delivered, self.failed + other.failed)

    def __bool__(self) -> bool:
        return bool(self.delivered or self.failed)


@dataclass(frozen=True, slots=True)
class Day:
    """What ended on one day of the reader; `tally` is None where that day was not counted yet."""

    day: date
    tally: Tally | None


def days_of(
    hours: Iterable[Mapping[datetime, Tally]], since: datetime, now: datetime, zone: tzinfo, days: int = DAYS
) -> list[Day]:
    """The last days as they are in the zone, oldest first; hours count to the day in which they begin.

    `hours` are those of the integrations that are meant, counted from `since` on.
    """
    today = now.astimezone(zone).date()
    first = today - timedelta(days=days - 1)
    sums: dict[date, Tally] = {}
    for each in hours:
        for hour, tally in each.items():
            day = hour.astimezone(zone).date()
            sums[day] = sums.get(day, Tally()) + tally
    wanted = [first + timedelta(days=number) for number in range(days)]
    return [
        Day(day, sums.get(day, Tally()) if datetime.combine(day, time(), zone) >= since else None) for day in wanted
    ]


def total(days: Sequence[Day]) -> Tally:
    """All that was counted of these days."""
    return sum((day.tally for day in days if day.tally), Tally())
