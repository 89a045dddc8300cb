"""What an integration does not send before a person had a look: more than its first bills, and a month that is much
larger than the last.

Pure. A bill that was let through once is not counted again: replays and corrections of it pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from tollbridge.domain.money import plain
from tollbridge.domain.runs import HoldReason

FACTOR = 2
"""So many times the last month is too much."""
PERIODS_KEPT = 60
"""Months of which the volume is kept, the latest."""


@dataclass(frozen=True, slots=True)
class Volume:
    """What was let through of one month: bills, and their sums by currency. `stopped` says why the rest of it waits,
    `free` that a person let it go on."""

    bills: int = 0
    sums: Mapping[str, Decimal] = field(default_factory=dict)
    stopped: str | None = None
    free: bool = False

    def and_one(self, bill: Asking) -> Volume:
        """One bill later."""
        total = self.sums.get(bill.currency, Decimal(0)) + bill.total
        return replace(self, bills=self.bills + 1, sums={**self.sums, bill.currency: total})


@dataclass(frozen=True, slots=True)
class Asking:
    """A bill that a run is about to send for the first time."""

    run_id: str
    bill_id: str
    day: date
    currency: str
    total: Decimal

    @property
    def period(self) -> str:
        """The calendar month of the bill's date."""
        return period_of(self.day)


@dataclass(frozen=True, slots=True)
class FirstSends:
    """So many bills are sent, then the others wait; `sent` are the ids of those that were let through."""

    most: int
    sent: frozenset[str]


@dataclass(frozen=True, slots=True)
class Guard:
    """How the guards of an integration stand; None for one that is off. `known` are bills that it let through before,
    `volumes` are by month."""

    first: FirstSends | None = None
    volumes: Mapping[str, Volume] | None = None
    known: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Judged:
    """Which runs are let through, which are held and why, and the volumes as they are then."""

    let_through: Sequence[str]
    held: Mapping[str, tuple[HoldReason, str]]
    volumes: Mapping[str, Volume] | None


def judge(guard: Guard, asking: Sequence[Asking]) -> Judged:
    """Go through the bills in their order; once a month is stopped, nothing more of it passes."""
    sent = set(guard.first.sent) if guard.first else set()
    known = set(guard.known)
    volumes = dict(guard.volumes) if guard.volumes is not None else None
    through: list[str] = []
    held: dict[str, tuple[HoldReason, str]] = {}
    for bill in asking:
        if guard.first and bill.bill_id not in sent and len(sent) >= guard.first.most:
            held[bill.run_id] = HoldReason.FIRST_SENDS, told_first(guard.first.most)
            continue
        if volumes is not None and bill.bill_id not in known:
            after = _with(volumes, bill)
            volumes[bill.period] = after
            if after.stopped:
                held[bill.run_id] = HoldReason.VOLUME, told_volume(after.stopped)
                continue
        sent.add(bill.bill_id)
        known.add(bill.bill_id)
        through.append(bill.run_id)
    return Judged(through, held, volumes)


def _with(volumes: Mapping[str, Volume], bill: Asking) -> Volume:
    """The volume of the bill's month with the bill, or stopped without it."""
    before = volumes.get(bill.period, Volume())
    if before.stopped:
        return before
    after = before.and_one(bill)
    why = None if before.free else too_much(after, bill, volumes)
    return replace(before, stopped=why) if why else after


def too_much(after: Volume, bill: Asking, volumes: Mapping[str, Volume]) -> str | None:
    """Why the month with this bill would be too much, against the last month before it of which anything was sent;
    None where it is not, or where there is none to compare with."""
    last = last_before(volumes, bill.period)
    if last is None:
        return None
    past, before = volumes[last], f"of {last}"
    if after.bills > FACTOR * past.bills:
        return f"{bill.period} would come to {after.bills} bills, more than twice the {past.bills} {before}"
    limit = past.sums.get(bill.currency, Decimal(0))
    total = after.sums[bill.currency]
    if limit > 0 and total > FACTOR * limit:
        money = f"{plain(total)} {bill.currency}"
        return f"{bill.period} would come to {money}, more than twice the {plain(limit)} {before}"
    return None


def last_before(volumes: Mapping[str, Volume], period: str) -> str | None:
    """The latest month before that one of which anything was sent."""
    return max((each for each, volume in volumes.items() if each < period and volume.bills), default=None)


def set_free(volumes: Mapping[str, Volume] | None) -> Mapping[str, Volume] | None:
    """The volumes after a person let the stopped months go on."""
    if volumes is None:
        return None
    return {
        period: replace(volume, stopped=None, free=True) if volume.stopped else volume
        for period, volume in volumes.items()
    }


def period_of(day: date) -> str:
    """A month as text that sorts."""
    return f"{day:%Y-%m}"


def told_first(most: int) -> str:
    """What a run says that waits behind the first sends."""
    what = "The first bill goes out" if most == 1 else f"The first {most} bills go out"
    return f"{what}, then the integration waits for a look at them. Continue it, and this is sent."


def told_volume(why: str) -> str:
    """What a run says whose month is stopped."""
    return f"{why}. Look whether that is right, then continue the integration, and it is sent."


def write(volumes: Mapping[str, Volume] | None) -> dict[str, Any] | None:
    """The volumes as they are kept; the oldest months are left out, unless they are stopped and wait for a person."""
    if volumes is None:
        return None
    return {
        period: {
            "bills": volumes[period].bills,
            "sums": {currency: str(total) for currency, total in volumes[period].sums.items()},
            "stopped": volumes[period].stopped,
            "free": volumes[period].free,
        }
        for place, period in enumerate(sorted(volumes, reverse=True))
        if place < PERIODS_KEPT or volumes[period].stopped
    }


def read(kept: Mapping[str, Any] | None) -> Mapping[str, Volume] | None:
    """The volumes out of what is kept."""
    if kept is None:
        return None
    return {
        period: Volume(
            each["bills"],
            {currency: Decimal(total) for currency, total in each["sums"].items()},
            each["stopped"],
            each["free"],
        )
        for period, each in kept.items()
    }
