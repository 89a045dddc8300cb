"""Deliveries are counted by the hour, and what is over only once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.services.world import CALLER, World
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Delivered
from tollbridge.domain.tallies import DAYS, Tally
from tollbridge.services import clock
from tollbridge.services.caller import Caller
from tollbridge.services.tallies import LATE, MOST_ORGANIZATIONS, Counter, spans

FAILED = Fault(FaultKind.INVALID, "stripe.no", "No.", "Do.")


async def end(world: World, bill: str, account: str, ago: timedelta, fault: Fault | None = None) -> None:
    """A delivery that ended so long ago."""
    (claimed,) = await world.claim(await world.send(bill, account))
    assert await world.settle(claimed, fault or Delivered(f"in_{bill}"))
    await world.change("runs", claimed.run_id, completed_at=clock.now() - ago)


async def counted(counter: Counter) -> Tally:
    found = await counter.count(CALLER)
    return sum((tally for hours in found.hours.values() for tally in hours.values()), Tally())


async def test_what_ended_is_counted_by_integration_and_hour(world: World) -> None:
    await end(world, "one", "a", timedelta(minutes=1))
    await end(world, "two", "b", timedelta(days=3))
    await end(world, "three", "a", timedelta(days=3), FAILED)
    await end(world, "four", "b", timedelta(days=DAYS + 2))
    await world.send("five", "a")
    found = await Counter(world.db).count(CALLER)
    assert list(found.hours) == ["int"]
    assert sorted(found.hours["int"].values(), key=lambda each: each.failed) == [Tally(1), Tally(1, 1)]
    assert all(hour.minute == 0 for hour in found.hours["int"])


async def test_an_organization_sees_nothing_of_another(world: World) -> None:
    await end(world, "one", "a", timedelta(days=1))
    other = Caller("other", CALLER.principal)
    assert (await Counter(world.db).count(other)).hours == {}


async def test_what_is_over_is_counted_once_and_what_is_not_each_time(world: World) -> None:
    counter = Counter(world.db)
    await end(world, "one", "a", timedelta(days=2))
    assert await counted(counter) == Tally(1)
    await world.db.pool.execute("DELETE FROM runs")
    await end(world, "two", "b", timedelta(), FAILED)
    assert await counted(counter) == Tally(1, 1)
    assert await counted(Counter(world.db)) == Tally(0, 1)


async def test_without_patience_a_day_more_is_counted_each_time(world: World) -> None:
    counter = Counter(world.db, patience=-1)
    await end(world, "one", "a", timedelta(days=DAYS - 1))
    since: list[datetime] = []
    while not since or since[-1] > clock.now() - timedelta(days=DAYS):
        since.append((await counter.count(CALLER)).since)
    assert since == sorted(set(since), reverse=True)
    assert await counted(counter) == Tally(1)


async def test_only_so_many_organizations_are_remembered(world: World) -> None:
    counter = Counter(world.db)
    await end(world, "one", "a", timedelta(days=2))
    assert await counted(counter) == Tally(1)
    await world.db.pool.execute("DELETE FROM runs")
    for number in range(MOST_ORGANIZATIONS - 1):
        await counter.count(Caller(f"other {number}", CALLER.principal))
    assert await counted(counter) == Tally(1)
    for number in range(MOST_ORGANIZATIONS):
        await counter.count(Caller(f"other {number}", CALLER.principal))
    assert await counted(counter) == Tally()


@pytest.mark.parametrize("clock_time", ["00:00", "00:04", "00:05", "14:03", "14:05", "23:59"])
def test_spans_meet_without_gaps_and_leave_time_for_what_is_written_late(clock_time: str) -> None:
    now = datetime.fromisoformat(f"2026-11-26T{clock_time}:00+00:00")
    over, present = spans(now)
    newest_first = [present, *over]
    assert [later[0] for later in newest_first[:-1]] == [earlier[1] for earlier in over]
    assert over[0][1] <= now - LATE
    assert over[-1][0] <= now - timedelta(days=DAYS)
    assert over[-1][0].tzinfo is UTC
