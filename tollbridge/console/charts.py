"""Days as bars: what was delivered stands on the line, what failed hangs under it. Pure: numbers in, places out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from tollbridge.domain.tallies import DAYS, Day, Tally, days_of, total
from tollbridge.services import clock
from tollbridge.services.tallies import Tallies

STEP = 10
"""Units from one day to the next."""
UP, DOWN = 32, 14
"""Units above and under the line."""
LEAST = 3
"""Units of the shortest bar, so that it can be seen."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One day: where it is and how high it stands and hangs."""

    day: Day
    x: int
    up: int
    down: int


@dataclass(frozen=True, slots=True)
class Chart:
    """The days, oldest first, and all of them together."""

    bars: Sequence[Bar]
    total: Tally

    @property
    def width(self) -> int:
        return STEP * len(self.bars)

    @property
    def days(self) -> Sequence[Day]:
        return [bar.day for bar in self.bars]

    @property
    def uncounted(self) -> int:
        """Days that were not counted yet."""
        return sum(day.tally is None for day in self.days)


def chart(days: Sequence[Day]) -> Chart:
    """Both directions have one scale; what is too little for it is still seen."""
    tallies = [day.tally or Tally() for day in days]
    most = max((each.delivered for each in tallies), default=0)
    worst = max((each.failed for each in tallies), default=0)
    unit = max(most / UP, worst / DOWN)
    bars = [
        Bar(day, STEP * place, _height(tally.delivered, unit), _height(tally.failed, unit))
        for place, (day, tally) in enumerate(zip(days, tallies, strict=True))
    ]
    return Chart(bars, total(days))


def of_all(counted: Tallies, zone: tzinfo) -> Chart:
    """Every integration together."""
    return chart(days_of(counted.hours.values(), counted.since, clock.now(), zone))


def of_one(counted: Tallies, integration_id: str, zone: tzinfo, days: int = DAYS) -> Chart:
    """One integration."""
    hours: Mapping[datetime, Tally] = counted.hours.get(integration_id, {})
    return chart(days_of([hours], counted.since, clock.now(), zone, days))


def _height(count: int, unit: float) -> int:
    return max(LEAST, round(count / unit)) if count else 0
