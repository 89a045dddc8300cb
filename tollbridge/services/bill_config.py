"""The organization's bill configuration: the day up to which all bills are locked."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from tollbridge.domain.catalog import BILL_CONFIG
from tollbridge.domain.errors import Conflict
from tollbridge.services import clock
from tollbridge.services.bill_events import tell
from tollbridge.services.caller import Caller
from tollbridge.services.entities import check_version
from tollbridge.services.raising import raise_changes
from tollbridge.services.wire_form import change_of
from tollbridge.store import bills, bulk, records
from tollbridge.store.db import Database, Tx
from tollbridge.store.records import Record
from tollbridge.store.schema import bill_configs
from tollbridge.store.schema import bills as bills_table

LOCKED_AT_ONCE = 500


async def retrieve(db: Database, caller: Caller) -> Record:
    """What is set; where nothing ever was, a configuration at version 0."""
    async with db.transaction() as tx:
        return await _load(tx, caller)


async def update(db: Database, caller: Caller, value: Any) -> Record:
    """Set the lock date and lock every bill dated on or before it, for good: an earlier date later unlocks none.

    Raises Conflict where it was changed meanwhile.
    """
    body = BILL_CONFIG.check(value)
    day = date.fromisoformat(body["billLockDate"]) if body else None

    async def work(tx: Tx) -> Record:
        present = await _load(tx, caller, lock=True)
        check_version(present, value)
        now = clock.now()
        changed = present.changed(now, caller.principal, body=body, lock_date=day)
        await bulk.write(tx, bill_configs, [] if present.version else [changed], [changed] if present.version else [])
        told = change_of(present if present.version else None, changed, lambda _: None)
        await raise_changes(tx, caller.org_id, "billconfig", [told], now)
        if day is not None:
            await _lock_until(tx, caller, day, now)
        return changed

    return await bulk.settle_races(db, work)


async def _lock_until(tx: Tx, caller: Caller, day: date, now: datetime) -> None:
    last, more = "", True
    while more:
        found = await bills.unlocked_until(tx, caller.org_id, day, after=last, size=LOCKED_AT_ONCE)
        locked = [
            bill.changed(now, caller.principal, locked=True, locked_at=now, locked_by=caller.principal)
            for bill in found
        ]
        await bulk.write(tx, bills_table, [], locked)
        await tell(tx, caller.org_id, list(zip(found, locked, strict=True)), now)
        more = len(found) == LOCKED_AT_ONCE
        last = found[-1].id if found else last


async def lock_date(tx: Tx, org_id: str) -> date | None:
    """The day up to which bills are locked, if one is set."""
    record = await records.get(tx, bill_configs, org_id, org_id)
    found: date | None = record["lock_date"] if record else None
    return found


def refuse_before(day: date | None, bill_id: str, bill_date: date) -> None:
    """Raises Conflict for a bill dated on or before the lock date."""
    if day is not None and bill_date <= day:
        raise Conflict(
            "bill.locked_period",
            f"Bill {bill_id} is dated {bill_date}, and bills dated up to {day} are locked.",
            "Date the bill later, or move billLockDate in the bill configuration.",
            "billDate",
        )


async def _load(tx: Tx, caller: Caller, *, lock: bool = False) -> Record:
    found = await records.get(tx, bill_configs, caller.org_id, caller.org_id, lock=lock)
    if found is not None:
        return found
    now, by = clock.now(), caller.principal
    return Record(caller.org_id, caller.org_id, 0, now, by, now, by, {}, {"lock_date": None})
