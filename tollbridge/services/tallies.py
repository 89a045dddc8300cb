"""How many deliveries ended well and how many failed in the last two weeks, for the bars of the Console.

What is over is counted once: this process remembers it. A store that has delivered much is counted a day at a time, the
latest first, and only for so long; what is left is counted when somebody asks again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain, takewhile

from tollbridge.domain.tallies import DAYS, Tally
from tollbridge.services import clock
from tollbridge.services.caller import Caller
from tollbridge.store import tallies
from tollbridge.store.db import Database
from tollbridge.store.tallies import HourOf

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LATE = timedelta(minutes=5)
"""A run's end may be written so much after the moment that it bears."""
PATIENCE = 0.5
"""Seconds after which no further day is begun."""
MOST_ORGANIZATIONS = 50
"""Whose days are remembered; the one that was not asked for longest is forgotten."""

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Tallies:
    """Hours by integration; what ended before `since` was not counted yet."""

    since: datetime
    hours: Mapping[str, Mapping[datetime, Tally]]


@dataclass(slots=True)
class _Remembered:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    spans: dict[Span, Sequence[HourOf]] = field(default_factory=dict)


class Counter:
    """Counts for all who read, and remembers what is over."""

    def __init__(self, db: Database, patience: float = PATIENCE) -> None:
        self._db = db
        self._patience = patience
        self._known: OrderedDict[str, _Remembered] = OrderedDict()

    async def count(self, caller: Caller) -> Tallies:
        """The deliveries of the caller's organization that ended within `DAYS` days, today in any zone among them."""
        known = self._known.setdefault(caller.org_id, _Remembered())
        self._known.move_to_end(caller.org_id)
        while len(self._known) > MOST_ORGANIZATIONS:
            self._known.popitem(last=False)
        async with known.turn:
            return await self._count(caller.org_id, known, clock.now())

    async def _count(self, org_id: str, known: _Remembered, now: datetime) -> Tallies:
        over, present = spans(now)
        counted = {span: known.spans[span] for span in over if span in known.spans}
        async with self._db.hot() as connection:
            found = await tallies.hours(connection, org_id, *present)
            time = asyncio.get_running_loop().time
            until = time() + self._patience
            for span in over:
                if span not in counted:
                    counted[span] = await tallies.hours(connection, org_id, *span)
                    if time() > until:
                        break
        known.spans = counted
        told = list(takewhile(counted.__contains__, over))
        hours: dict[str, dict[datetime, Tally]] = {}
        for each in chain(found, *(counted[span] for span in told)):
            hours.setdefault(each.integration_id, {})[each.hour] = each.tally
        return Tallies(told[-1][0], hours)


def spans(now: datetime) -> tuple[list[Span], Span]:
    """What is over, the latest first: hours of the present day, then whole days, in UTC. And what is not over yet."""
    present = (now - LATE).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    midnight = present.replace(hour=0)
    hours = [(midnight + number * HOUR, midnight + (number + 1) * HOUR) for number in range(present.hour)]
    days = [(midnight - (number + 1) * DAY, midnight - number * DAY) for number in range(DAYS)]
    return [*reversed(hours), *days], (present, now + DAY)
