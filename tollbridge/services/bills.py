"""Bills: taken in, approved, locked, deleted; each change decides in its own transaction what integrations do about it.

`version` counts every change of a bill. `revision` grows only when its content changes, and idempotency keys are made
of it: it never restarts, not even when a bill is deleted and comes again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollbridge.domain.bill_input import read_bill
from tollbridge.domain.billing import BillStatus
from tollbridge.domain.errors import Conflict, Invalid, NotFound, Refusal
from tollbridge.domain.fields import Shape, list_of, one_of, required, shown, text
from tollbridge.domain.integrations import Cause
from tollbridge.domain.search import Search
from tollbridge.services import clock
from tollbridge.services.bill_events import tell
from tollbridge.services.bill_intake import PENDING, dispatch, put_many, refuse_locked
from tollbridge.services.caller import Caller
from tollbridge.services.dispatch import Decision
from tollbridge.services.entities import load, missing
from tollbridge.store import bills, bulk, catalog, records, search
from tollbridge.store.bills import Filters, Line, Place
from tollbridge.store.db import Database, Tx
from tollbridge.store.records import Record
from tollbridge.store.schema import bills as table

NOUN = "bill"
PAGE_LINES = 20_000
"""Lines that one page of bills carries at most; a page ends earlier for them, but has one bill at least."""

APPROVE = Shape({"billIds": list_of(text(least=1, most=200), least=1, most=100_000)})
STATUS = Shape({"status": required(one_of(BillStatus))})


@dataclass(frozen=True, slots=True)
class Bill:
    """A stored bill as it is shown: with the account's present code, and its lines where they were asked for."""

    record: Record
    account_code: str
    lines: Sequence[Line] | None = None


@dataclass(frozen=True, slots=True)
class Bills:
    data: Sequence[Bill]
    next_token: str | None


async def put(db: Database, caller: Caller, id: str, value: Any) -> tuple[Bill, Sequence[Decision]]:
    """Create or replace one bill; raises Invalid, and Conflict where it is locked or was changed meanwhile."""
    given = read_bill(value, id)

    async def work(tx: Tx) -> tuple[Bill, Sequence[Decision]]:
        [taken] = await put_many(tx, caller, [given], clock.now())
        if isinstance(taken, Refusal):
            raise taken
        return await _shown(tx, caller, id), taken.decisions

    return await bulk.settle_races(db, work)


async def retrieve(db: Database, caller: Caller, id: str) -> Bill:
    async with db.transaction() as tx:
        return await _shown(tx, caller, id)


async def latest(db: Database, caller: Caller, account_id: str) -> Bill:
    """The account's bill with the latest date; raises NotFound where it has none."""
    async with db.transaction() as tx:
        record = await bills.latest(tx, caller.org_id, account_id)
        if record is None:
            raise NotFound(
                "bill.not_found", f"Account {shown(account_id)} has no bill.", "Check the id; ids are case-sensitive."
            )
        return await _with_lines(tx, record)


async def find(db: Database, caller: Caller, asked: Search) -> tuple[Sequence[Bill], int | None]:
    """The bills that the search finds, and from which one on to continue; raises Invalid."""
    async with db.transaction() as tx:
        found = await search.find(tx, table, bills.FIELDS, caller.org_id, asked)
        lines = await bills.lines(tx, found.data)
        codes = await catalog.account_codes(tx, caller.org_id, [bill["account_id"] for bill in found.data])
    return [Bill(bill, codes[bill["account_id"]], lines[bill.id]) for bill in found.data], found.next_start


async def page(
    db: Database, caller: Caller, filters: Filters, size: int, token: str | None, *, with_lines: bool
) -> Bills:
    """One page of bills, newest first."""
    async with db.transaction() as tx:
        found = await bills.page(tx, caller.org_id, filters, size=size, token=token)
        data, next_token = found.data, found.next_token
        lines: Mapping[str, Sequence[Line]] = {}
        if with_lines:
            fits = _how_many_fit(await bills.count_lines(tx, data))
            if fits < len(data):
                data = data[:fits]
                next_token = records.make_token(data[-1].created_at, data[-1].id)
            lines = await bills.lines(tx, data)
        codes = await catalog.account_codes(tx, caller.org_id, [bill["account_id"] for bill in data])
    return Bills([Bill(bill, codes[bill["account_id"]], lines.get(bill.id)) for bill in data], next_token)


def _how_many_fit(counts: Sequence[int]) -> int:
    total = 0
    for position, count in enumerate(counts):
        total += count
        if total > PAGE_LINES and position:
            return position
    return len(counts)


async def lines(
    db: Database, caller: Caller, id: str, size: int, token: str | None
) -> tuple[Record, Sequence[Line], str | None]:
    """A page of a bill's lines in their order. Pages continue in the revision in which they began."""
    async with db.transaction() as tx:
        bill = await load(tx, table, caller.org_id, id, NOUN)
        revision, after = _read_token(token) if token else (bill["revision"], 0)
        found = await bills.some_lines(tx, caller.org_id, id, revision, after=after, size=size + 1)
    more = f"{revision}.{after + size}" if len(found) > size else None
    return bill, found[:size], more


def _read_token(token: str) -> tuple[int, int]:
    revision, _, after = token.partition(".")
    if not (revision.isdecimal() and after.isdecimal() and len(revision) < 10 and len(after) < 10):
        raise _not_ours(token)
    return int(revision), int(after)


def _not_ours(token: str) -> Invalid:
    return Invalid(
        "paging.token",
        f"nextToken {token[:80]!r} is not one of ours.",
        "Leave nextToken out to start at the first page, then pass on what the last page answered.",
        "nextToken",
    )


async def all_lines(
    db: Database,
    caller: Caller,
    size: int,
    token: str | None,
    *,
    bill_id: str | None = None,
    line_type: str | None = None,
    commitment_id: str | None = None,
) -> tuple[Sequence[tuple[Record, Line]], str | None]:
    """A page of the lines of all bills, newest bill first, each with its bill."""
    async with db.transaction() as tx:
        found = await bills.all_lines(
            tx,
            caller.org_id,
            bill_id=bill_id,
            line_type=line_type,
            commitment_id=commitment_id,
            after=_read_place(token) if token else None,
            size=size + 1,
        )
    last = found[size - 1][2] if len(found) > size else None
    more = f"{last.position}.{records.make_token(last.created_at, last.bill_id)}" if last else None
    return [(bill, line) for bill, line, _ in found[:size]], more


def _read_place(token: str) -> Place:
    position, _, bill = token.partition(".")
    if not (position.isascii() and position.isdecimal() and len(position) < 10):
        raise _not_ours(token)
    return Place(*records.read_token(bill), int(position))


async def line(db: Database, caller: Caller, id: str, line_id: str) -> tuple[Record, Line]:
    """One line of a bill, and the bill."""
    async with db.transaction() as tx:
        bill = await load(tx, table, caller.org_id, id, NOUN)
        found = await bills.line(tx, bill, line_id)
        if found is None:
            raise missing("line item", line_id)
        return bill, found


async def approve(db: Database, caller: Caller, value: Any, filters: Filters) -> tuple[int, Sequence[Decision]]:
    """Approve the bills named in the body, or else those that the filters find; answers how many were pending.

    All or none: raises NotFound where one of the named is missing.
    """
    ids = APPROVE.check(value).get("billIds")
    if ids is None and filters.find_all:
        raise Invalid(
            "field.missing", "billIds is missing.", "Name the bills, or give accountIds or invoice dates.", "billIds"
        )

    async def work(tx: Tx) -> tuple[int, Sequence[Decision]]:
        found = await bills.lock(tx, caller.org_id, filters if ids is None else Filters(ids=ids))
        absent = set(ids or ()) - {bill.id for bill in found}
        if absent:
            raise missing(NOUN, min(absent))
        return await approve_all(tx, caller, [bill for bill in found if bill["status"] == BillStatus.PENDING])

    return await bulk.settle_races(db, work)


async def approve_all(tx: Tx, caller: Caller, pending: Sequence[Record]) -> tuple[int, Sequence[Decision]]:
    """Approve these bills, which are locked against change; answers how many, and what follows for integrations."""
    now = clock.now()
    approved = [
        bill.changed(
            now, caller.principal, status=BillStatus.APPROVED.value, approved_at=now, approved_by=caller.principal
        )
        for bill in pending
    ]
    await bulk.write(tx, table, [], approved)
    await tell(tx, caller.org_id, list(zip(pending, approved, strict=True)), now)
    decisions = await dispatch(tx, caller, approved, Cause.APPROVED, now)
    return len(approved), [decision for each in decisions.values() for decision in each]


async def set_status(db: Database, caller: Caller, id: str, value: Any) -> tuple[Bill, Sequence[Decision]]:
    """Approve one bill, or take that back, which cancels what waited for it; raises Conflict where it is locked."""
    status = STATUS.check(value)["status"]
    decisions: Sequence[Decision] = ()
    async with db.transaction() as tx:
        bill = await load(tx, table, caller.org_id, id, NOUN, lock=True)
        if status != bill["status"]:
            # One that the lock date locked may still be approved: it says the same, and waits to be sent.
            if status == BillStatus.APPROVED:
                _, decisions = await approve_all(tx, caller, [bill])
            else:
                refuse_locked(bill, "changed")
                decisions = await _withdraw(tx, caller, bill)
        return await _shown(tx, caller, id), decisions


async def _withdraw(tx: Tx, caller: Caller, bill: Record) -> Sequence[Decision]:
    now = clock.now()
    pending = bill.changed(now, caller.principal, **PENDING)
    await records.save(tx, table, pending)
    await tell(tx, caller.org_id, [(bill, pending)], now)
    return (await dispatch(tx, caller, [pending], Cause.WITHDRAWN, now)).get(bill.id, ())


async def lock(db: Database, caller: Caller, id: str) -> Bill:
    """Lock an approved bill for good; raises Conflict where it is not approved."""
    async with db.transaction() as tx:
        bill = await load(tx, table, caller.org_id, id, NOUN, lock=True)
        if bill["status"] != BillStatus.APPROVED:
            raise Conflict(
                "bill.not_approved",
                f"Bill {id} is {bill['status']}; only approved bills can be locked.",
                "Approve it first.",
            )
        if not bill["locked"]:
            await lock_all(tx, caller, [bill])
        return await _shown(tx, caller, id)


async def lock_all(tx: Tx, caller: Caller, open_ones: Sequence[Record]) -> int:
    """Lock these approved bills for good; answers how many."""
    now = clock.now()
    locked = [
        bill.changed(now, caller.principal, locked=True, locked_at=now, locked_by=caller.principal)
        for bill in open_ones
    ]
    await bulk.write(tx, table, [], locked)
    await tell(tx, caller.org_id, list(zip(open_ones, locked, strict=True)), now)
    return len(locked)


async def delete(db: Database, caller: Caller, id: str) -> Bill:
    """Delete a bill and cancel what was not sent yet; its revisions are kept. Raises Conflict where it is locked."""
    async with db.transaction() as tx:
        bill = await load(tx, table, caller.org_id, id, NOUN, lock=True)
        refuse_locked(bill, "deleted")
        answer = await _with_lines(tx, bill)
        now = clock.now()
        await dispatch(tx, caller, [bill], Cause.DELETED, now)
        await records.remove(tx, table, caller.org_id, id)
        await tell(tx, caller.org_id, [(bill, None)], now)
    return answer


async def _shown(tx: Tx, caller: Caller, id: str) -> Bill:
    return await _with_lines(tx, await load(tx, table, caller.org_id, id, NOUN))


async def _with_lines(tx: Tx, bill: Record) -> Bill:
    codes = await catalog.account_codes(tx, bill.org_id, [bill["account_id"]])
    return Bill(bill, codes[bill["account_id"]], (await bills.lines(tx, [bill]))[bill.id])
