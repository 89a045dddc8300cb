"""Scheduled events are told once for each configuration, entity and moment, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.entities import ACCOUNT, a_bill
from tollbridge.services import bills, clock, organizations, schedules
from tollbridge.services.accounts import ACCOUNTS
from tollbridge.services.caller import Caller
from tollbridge.services.schedules import SCHEDULED_EVENTS, tell_due
from tollbridge.store.db import Database

DUE = {"name": "scheduled.bill.due", "entity": "Bill", "field": "dueDate", "offset": 0}


def midnight(days: int) -> datetime:
    """The beginning of a day so many days from the present one."""
    today = datetime.combine(clock.now().date(), datetime.min.time(), UTC)
    return today + timedelta(days=days)


def day(days: int) -> str:
    return midnight(days).date().isoformat()


@dataclass
class Diary:
    db: Database
    caller: Caller

    async def configure(self, **changes: Any) -> str:
        return (await SCHEDULED_EVENTS.create(self.db, self.caller, DUE | changes)).id

    async def bill(self, id: str, due: int | None, **changes: Any) -> None:
        dates = {} if due is None else {"dueDate": day(due)}
        await bills.put(self.db, self.caller, id, a_bill(**dates, **changes))

    async def tell(self, days: int) -> list[tuple[str, int]]:
        """What is told at noon of that day: entities, and to which day it belongs."""
        before = await self._all()
        await tell_due(self.db, midnight(days) + timedelta(hours=12))
        return [each for each in await self._all() if each not in before]

    async def _all(self) -> list[tuple[str, int]]:
        rows = await self.db.pool.fetch(
            "SELECT resource_id, happened_at FROM events WHERE type = 'ScheduledEvent'"
            " ORDER BY happened_at, resource_id"
        )
        return [(row["resource_id"], (row["happened_at"] - midnight(0)).days) for row in rows]


@pytest.fixture
async def diary(db: Database) -> Diary:
    made = await organizations.create(db, "Acme")
    caller = Caller(made.org_id, "USER_1")
    await ACCOUNTS.create(db, caller, ACCOUNT)
    return Diary(db, caller)


async def test_an_event_is_told_once_when_its_day_has_come(diary: Diary) -> None:
    await diary.configure()
    await diary.bill("b", 3)
    assert await diary.tell(2) == []
    assert await diary.tell(3) == [("b", 3)]
    assert await diary.tell(3) == []
    assert await diary.tell(30) == []


async def test_it_carries_the_entity_as_it_stands(diary: Diary) -> None:
    await diary.configure(offset=2)
    await diary.bill("b", 1)
    await bills.set_status(diary.db, diary.caller, "b", {"status": "APPROVED"})
    assert await diary.tell(3) == [("b", 3)]
    row = await diary.db.pool.fetchrow("SELECT * FROM events WHERE type = 'ScheduledEvent'")
    assert (row["name"], row["account_id"]) == ("scheduled.bill.due", "acme")
    assert row["body"]["eventData"]["newDto"]["status"] == "APPROVED"
    assert row["received_at"] == midnight(3) + timedelta(hours=12)


async def test_what_fell_due_while_nobody_worked_is_told_afterwards(diary: Diary) -> None:
    await diary.configure()
    for id, due in (("a", 1), ("b", 5), ("c", 99)):
        await diary.bill(id, due)
    assert await diary.tell(80) == [("a", 1), ("b", 5)]


async def test_entities_that_were_there_before_the_configuration_count(
    diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "AT_ONCE", 2)
    for n in range(5):
        await diary.bill(f"b{n}", n)
    await diary.bill("past", -1)
    await diary.bill("none", None)
    await diary.configure()
    assert await diary.tell(0) == [("b0", 0)]
    assert await diary.tell(4) == [("b1", 1), ("b2", 2), ("b3", 3), ("b4", 4)]


async def test_a_changed_date_counts_instead_of_the_old_one(diary: Diary) -> None:
    await diary.configure()
    await diary.bill("b", 1)
    await diary.bill("b", 4)
    assert await diary.tell(3) == []
    assert await diary.tell(4) == [("b", 4)]
    await diary.bill("b", 6)
    assert await diary.tell(5) == []
    assert await diary.tell(6) == [("b", 6)]
    # Back on a day that was told.
    await diary.bill("b", 4)
    assert await diary.tell(7) == []
    await diary.bill("b", None)
    assert await diary.tell(8) == []


async def test_a_change_of_something_else_tells_nothing_anew(diary: Diary) -> None:
    await diary.bill("b", -1)
    await diary.configure()
    assert await diary.tell(0) == []
    await bills.set_status(diary.db, diary.caller, "b", {"status": "APPROVED"})
    assert await diary.tell(0) == []


async def test_what_is_deleted_is_not_told(diary: Diary) -> None:
    id = await diary.configure()
    await diary.bill("b", 1)
    await diary.bill("c", 1)
    await bills.delete(diary.db, diary.caller, "b")
    assert await diary.tell(1) == [("c", 1)]
    await diary.bill("d", 2)
    await SCHEDULED_EVENTS.delete(diary.db, diary.caller, id)
    assert await diary.tell(2) == []
    assert await diary.db.pool.fetchval("SELECT count(*) FROM scheduled_dues") == 0


async def test_a_changed_configuration_counts_for_all_entities(diary: Diary) -> None:
    id = await diary.configure(offset=1)
    await diary.bill("b", 1)
    assert await diary.tell(0) == []
    await SCHEDULED_EVENTS.update(diary.db, diary.caller, id, {**DUE, "offset": 4, "version": 1})
    await diary.bill("c", 0)
    assert await diary.tell(3) == []
    assert await diary.tell(5) == [("c", 4), ("b", 5)]
    await SCHEDULED_EVENTS.update(
        diary.db,
        diary.caller,
        id,
        {"name": "scheduled.account.day", "entity": "Account", "field": "billEpoch", "offset": 0},
    )
    await ACCOUNTS.update(diary.db, diary.caller, "acme", {**ACCOUNT, "billEpoch": day(7)})
    assert await diary.tell(7) == [("acme", 7)]


async def test_two_configurations_are_told_apart(diary: Diary) -> None:
    await diary.configure()
    await diary.configure(name="scheduled.bill.reminder", offset=-2)
    await diary.bill("b", 3)
    assert await diary.tell(1) == [("b", 1)]
    assert await diary.tell(3) == [("b", 3)]


async def test_many_workers_tell_each_once(diary: Diary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "AT_ONCE", 3)
    for n in range(20):
        await diary.bill(f"b{n}", 1)
    await diary.configure()
    noon = midnight(1) + timedelta(hours=12)
    await asyncio.gather(*(tell_due(diary.db, noon) for _ in range(5)))
    await tell_due(diary.db, noon)
    told = await diary.db.pool.fetch("SELECT resource_id FROM events WHERE type = 'ScheduledEvent'")
    assert sorted(row["resource_id"] for row in told) == sorted(f"b{n}" for n in range(20))


async def test_no_bill_that_comes_in_at_the_moment_of_configuring_is_missed(diary: Diary) -> None:
    await asyncio.gather(
        diary.configure(), *(diary.bill(f"b{n}", 1) for n in range(12)), tell_due(diary.db, midnight(0))
    )
    assert len(await diary.tell(1)) == 12


async def test_what_was_told_long_ago_is_forgotten_and_still_not_told_again(diary: Diary) -> None:
    await diary.configure()
    await diary.bill("b", 1)
    assert await diary.tell(1) == [("b", 1)]
    await schedules.forget_told(diary.db, midnight(30))
    assert await diary.db.pool.fetchval("SELECT count(*) FROM scheduled_dues") == 1
    await schedules.forget_told(diary.db, midnight(31))
    assert await diary.db.pool.fetchval("SELECT count(*) FROM scheduled_dues") == 0
    assert await diary.tell(31) == []
