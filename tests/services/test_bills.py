"""What the API's tests cannot see: callers at the same moment, and what is kept of revisions."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from tests.api.entities import ACCOUNT, a_bill
from tollbridge.domain.bill_input import read_bill
from tollbridge.domain.errors import Conflict, Refusal
from tollbridge.services import bills, clock, organizations
from tollbridge.services.accounts import ACCOUNTS
from tollbridge.services.bill_intake import put_many
from tollbridge.services.caller import Caller
from tollbridge.services.taken_in import Put, Taken
from tollbridge.store import bulk
from tollbridge.store.db import Database
from tollbridge.store.schema import bill_revisions


@pytest.fixture
async def caller(db: Database) -> Caller:
    made = await organizations.create(db, "Acme")
    caller = Caller(made.org_id, "USER_1")
    await ACCOUNTS.create(db, caller, ACCOUNT)
    return caller


async def test_callers_who_create_one_bill_at_the_same_moment_all_get_an_answer(db: Database, caller: Caller) -> None:
    bodies = [a_bill(dueDate=f"2026-12-{day:02}") for day in range(1, 9)]
    answers = await asyncio.gather(*(bills.put(db, caller, "b", body) for body in bodies))
    assert sorted(bill.record.version for bill, _ in answers) == list(range(1, 9))
    assert sorted(bill.record["revision"] for bill, _ in answers) == list(range(1, 9))


async def test_callers_who_put_the_same_bill_at_the_same_moment_make_one_revision(db: Database, caller: Caller) -> None:
    answers = await asyncio.gather(*(bills.put(db, caller, "b", a_bill()) for _ in range(8)))
    assert {(bill.record.version, bill.record["revision"]) for bill, _ in answers} == {(1, 1)}


async def test_batches_that_share_bills_in_another_order_do_not_lose_any(db: Database, caller: Caller) -> None:
    ids = [f"b-{n}" for n in range(20)]

    async def put(ids: list[str], due: str) -> list[Taken]:
        items = [read_bill(a_bill(dueDate=due), id) for id in ids]
        return await bulk.settle_races(db, lambda tx: put_many(tx, caller, items, clock.now()))

    results = await asyncio.gather(put(ids, "2026-12-01"), put(ids[::-1], "2026-12-02"), put(ids[::2], "2026-12-03"))
    assert all(isinstance(each, Put) for result in results for each in result)
    assert [(await bills.retrieve(db, caller, id)).record["revision"] for id in ids] == [3, 2] * 10


async def test_callers_who_create_one_account_code_at_the_same_moment_get_one_account(
    db: Database, caller: Caller
) -> None:
    body = {"code": "NEW", "name": "New", "emailAddress": "a@b"}
    answers = await asyncio.gather(*(ACCOUNTS.create(db, caller, body) for _ in range(6)), return_exceptions=True)
    assert sorted(isinstance(answer, Conflict) for answer in answers) == [False] + [True] * 5


async def test_every_revision_is_kept_even_when_the_bill_is_deleted(db: Database, caller: Caller) -> None:
    await bills.put(db, caller, "b", a_bill())
    await bills.put(db, caller, "b", a_bill(dueDate="2026-12-01"))
    await bills.delete(db, caller, "b")
    async with db.transaction() as tx:
        rows = list(await tx.execute(select(bill_revisions).order_by(bill_revisions.c.revision)))
    assert [(row.revision, row.body.get("dueDate")) for row in rows] == [(1, None), (2, "2026-12-01")]
    assert rows[0].lines[0]["subtotal"] == Decimal("12.5")


@pytest.mark.parametrize("change", [{"billTotal": 1}, {"accountId": "nobody"}, {"lineItems": [{}]}])
async def test_what_is_refused_writes_no_revision(db: Database, caller: Caller, change: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        await bills.put(db, caller, "b", a_bill(**change))
    async with db.transaction() as tx:
        assert (await tx.execute(select(bill_revisions))).first() is None
