"""Changes of entities raise events, in the transaction that makes them, however they come in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.api.entities import ACCOUNT, a_bill
from tollbridge.domain.bill_input import read_bill
from tollbridge.domain.errors import Conflict
from tollbridge.domain.events import Event, body_of
from tollbridge.services import bill_config, bills, clock, organizations
from tollbridge.services.accounts import ACCOUNTS
from tollbridge.services.bill_intake import put_many
from tollbridge.services.caller import Caller
from tollbridge.services.products import PRODUCTS
from tollbridge.services.raising import raise_events
from tollbridge.store import bulk
from tollbridge.store.bills import Filters
from tollbridge.store.db import Database


@pytest.fixture
async def caller(db: Database) -> Caller:
    made = await organizations.create(db, "Acme")
    caller = Caller(made.org_id, "USER_1")
    await ACCOUNTS.create(db, caller, ACCOUNT)
    return caller


async def told(db: Database, *names: str) -> list[Any]:
    """The events so far, of these names, with their two sides."""
    rows = await db.pool.fetch("SELECT * FROM events ORDER BY id")
    return [
        (row["name"].rpartition(".")[2], row["body"]["eventData"])
        for row in rows
        if not names or row["name"].rpartition(".")[0] in names
    ]


async def test_an_account_is_created_updated_and_deleted(db: Database, caller: Caller) -> None:
    await ACCOUNTS.update(db, caller, "acme", {**ACCOUNT, "name": "New"})
    await ACCOUNTS.delete(db, caller, "acme")
    (created, updated, deleted) = await told(db)
    assert (created[0], updated[0], deleted[0]) == ("created", "updated", "deleted")
    assert created[1]["newDto"]["name"] == "Acme Ltd"
    assert "oldDto" not in created[1]
    assert (updated[1]["oldDto"]["name"], updated[1]["newDto"]["name"]) == ("Acme Ltd", "New")
    assert (updated[1]["oldDto"]["version"], updated[1]["newDto"]["version"]) == (1, 2)
    assert deleted[1].keys() == {"oldDto"}
    rows = await db.pool.fetch("SELECT DISTINCT account_id, resource_id, type FROM events")
    assert [tuple(row) for row in rows] == [("acme", "acme", "EntityEvent")]


async def test_a_bill_tells_each_of_its_changes_without_its_lines(db: Database, caller: Caller) -> None:
    await bills.put(db, caller, "b", a_bill())
    await bills.put(db, caller, "b", a_bill())
    await bills.put(db, caller, "b", a_bill(dueDate="2026-12-01"))
    await bills.put(db, caller, "b", a_bill(dueDate="2026-12-01", billJobId="j"))
    await bills.approve(db, caller, {"billIds": ["b"]}, Filters())
    await bills.set_status(db, caller, "b", {"status": "PENDING"})
    await bills.set_status(db, caller, "b", {"status": "APPROVED"})
    await bills.delete(db, caller, "b")
    found = await told(db, "billing.bill")
    assert [name for name, _ in found] == ["created", *["updated"] * 5, "deleted"]
    versions = [(data.get("oldDto", {}).get("version"), data.get("newDto", {}).get("version")) for _, data in found]
    assert versions == [(None, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, None)]
    created = found[0][1]["newDto"]
    assert created["billTotal"] == Decimal("12.50")
    assert (created["accountCode"], created["status"], created["locked"]) == ("ACME", "PENDING", False)
    assert "lineItems" not in created
    states = [data["newDto"]["status"] for name, data in found if name == "updated"]
    assert states == ["PENDING", "PENDING", "APPROVED", "PENDING", "APPROVED"]


async def test_a_lock_is_told_of_the_bill_and_of_all_that_a_lock_date_locks(
    db: Database, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bill_config, "LOCKED_AT_ONCE", 2)
    for n in range(5):
        await bills.put(db, caller, f"b{n}", a_bill())
    await bills.put(db, caller, "later", a_bill(billDate="2026-11-30"))
    await bills.set_status(db, caller, "b0", {"status": "APPROVED"})
    await bills.lock(db, caller, "b0")
    await bill_config.update(db, caller, {"billLockDate": "2026-10-31"})
    await bill_config.update(db, caller, {"billLockDate": "2026-10-31", "version": 1})
    locked = [
        data["newDto"]["id"]
        for name, data in await told(db, "billing.bill")
        if name == "updated" and data["newDto"]["locked"] and not data["oldDto"]["locked"]
    ]
    assert sorted(locked) == ["b0", "b1", "b2", "b3", "b4"]
    assert [name for name, _ in await told(db, "billing.billconfig")] == ["created", "updated"]


async def test_what_comes_in_bulk_is_told_like_what_comes_alone(db: Database, caller: Caller) -> None:
    async def import_bills(due: str) -> None:
        items = [read_bill(a_bill(dueDate=due), f"b{n}") for n in range(3)]
        await bulk.settle_races(db, lambda tx: put_many(tx, caller, items, clock.now()))

    await import_bills("2026-12-01")
    await import_bills("2026-12-01")
    await import_bills("2026-12-02")
    assert [name for name, _ in await told(db, "billing.bill")] == ["created"] * 3 + ["updated"] * 3
    items = [PRODUCTS.read({"code": code, "name": code}) for code in "ab"]
    again = [PRODUCTS.read({"code": "a", "name": name}) for name in ("x", "y")]
    for each in (items, items, again):
        async with db.transaction() as tx:
            await PRODUCTS.put_many(tx, caller, each, clock.now())
    found = await told(db, "configuration.product")
    assert [name for name, _ in found] == ["created", "created", "updated"]
    # However often it came in one batch, it was written once.
    assert (found[2][1]["oldDto"]["name"], found[2][1]["newDto"]["name"]) == ("a", "y")


async def test_nothing_is_told_of_what_did_not_happen(db: Database, caller: Caller) -> None:
    await bills.put(db, caller, "b", a_bill())
    before = await told(db)
    with pytest.raises(Conflict):
        await ACCOUNTS.delete(db, caller, "acme")
    with pytest.raises(Conflict):
        await bills.put(db, caller, "b", a_bill(version=7, dueDate="2026-12-01"))
    assert await told(db) == before


async def test_an_event_whose_id_is_known_is_not_raised_again(db: Database, caller: Caller) -> None:
    def event(id: str, name: str) -> Event:
        return Event(caller.org_id, id, name, "EntityEvent", clock.now(), body_of({"n": name}, None))

    first, twin, other = event("e1", "first"), event("e1", "twin"), event("e2", "other")
    async with db.hot() as connection:
        assert await raise_events(connection, [first, twin, other], clock.now()) == [first, other]
        third = event("e3", "third")
        assert await raise_events(connection, [twin, third], clock.now()) == [third]
    rows = await db.pool.fetch("SELECT name FROM events WHERE id IN ('e1', 'e2', 'e3') ORDER BY id")
    assert [row["name"] for row in rows] == ["first", "other", "third"]
