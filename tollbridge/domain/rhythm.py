"""How a source usually sends: when its silence is longer than anything it is known for. No clock, no database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

FEWEST_DAYS = 4
SHORTEST_SPAN = timedelta(days=14)
"""A source that came on fewer days, or for a shorter time, has no rhythm yet."""
MANY_DAYS = 20
EXCEPTION = 3
"""With arrivals on many days, one pause so many times longer than the second longest was an exception."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day on which something came in: when the first and the last did."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Silences:
    """What counts as silence: `factor` times the usual longest pause, and never less than `least`."""

    factor: int
    least: timedelta


def usual_pause(days: Sequence[Day]) -> timedelta | None:
    """The usual longest pause between successive days, in their order; None where no rhythm is known yet."""
    if len(days) < FEWEST_DAYS or days[-1].last - days[0].first < SHORTEST_SPAN:
        return None
    longest, *rest = sorted((after.first - before.last for before, after in pairwise(days)), reverse=True)
    if len(days) >= MANY_DAYS and longest > EXCEPTION * rest[0]:
        return rest[0]
    return longest


def is_silent(days: Sequence[Day], now: datetime, rule: Silences) -> bool:
    """Whether nothing came in for longer than the rule allows a source of this rhythm."""
    usual = usual_pause(days)
    return usual is not None and now - days[-1].last > max(rule.least, usual * rule.factor)
