"""Bills: taken in, approved, locked, deleted; each change decides in its own transaction what integrations do about it.

`version` counts every change of a bill. `revision` grows only when its content changes, and idempotency keys are made
of it: it never restarts, not even when a bill is deleted and comes again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tollbridge.domain.bill_input import BillInput, content_hash, read_bill
from tollbridge.domain.billing import BillStatus
from tollbridge.domain.errors import Conflict, Invalid, NotFound, Refusal
from tollbridge.domain.fields import Shape, list_of, one_of, required, shown, text
from tollbridge.domain.fingerprints import fingerprint
from tollbridge.domain.integrations import BillFacts, Cause
from tollbridge.services import clock
from tollbridge.services.caller import Caller
from tollbridge.services.dispatch import Decision, dispatch_bills
from tollbridge.services.entities import load, missing
from tollbridge.services.taken_in import Put, Taken
from tollbridge.store import bills, bulk, catalog, records
from tollbridge.store.bills import Filters, Line
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


async def put_many(tx: Tx, caller: Caller, given: Sequence[BillInput], now: datetime) -> list[Taken]:
    """Create or replace bills with different ids; each stands or falls alone."""
    found = await bills.lock(tx, caller.org_id, Filters(ids=[bill.id for bill in given]))
    batch = _Batch(
        caller,
        now,
        stored={record.id: record for record in found},
        last=await bills.last_revisions(tx, caller.org_id, [bill.id for bill in given]),
        codes=await catalog.account_codes(
            tx,
            caller.org_id,
            [bill.account_id for bill in given if bill.account_id],
            [bill.account_code for bill in given if bill.account_code],
            keep=True,
        ),
    )
    taken = [batch.take(bill) for bill in given]
    await bulk.write(tx, table, batch.fresh, batch.changed)
    await bills.add_revisions(tx, batch.revisions, now)
    decisions = await _dispatch(tx, caller, [record for record, _ in batch.revisions], Cause.CALCULATED, now)
    return [replace(each, decisions=decisions.get(each.id, ())) if isinstance(each, Put) else each for each in taken]


class _Batch:
    """Decides what becomes of bills that came in, against those that are stored."""

    def __init__(
        self,
        caller: Caller,
        now: datetime,
        *,
        stored: Mapping[str, Record],
        last: Mapping[str, int],
        codes: Mapping[str, str],
    ) -> None:
        self._caller = caller
        self._now = now
        self._stored = stored
        self._last = last
        self._codes = codes
        self._ids = {code: id for id, code in codes.items()}
        self.fresh: list[Record] = []
        self.changed: list[Record] = []
        self.revisions: list[tuple[Record, Sequence[Line]]] = []

    def take(self, given: BillInput) -> Taken:
        try:
            account_id = self._account(given)
            return self._place(given, account_id, {**given.body, "accountId": account_id})
        except Refusal as refusal:
            return refusal

    def _place(self, given: BillInput, account_id: str, body: Mapping[str, Any]) -> Put:
        present = self._stored.get(given.id)
        hash = content_hash(body, given.lines)
        if present is not None and present["content_hash"] == hash:
            if fingerprint(present.body) == fingerprint(body):
                return Put(given.id, "unchanged")
            self._may_replace(present, given)
            self.changed.append(
                present.changed(self._now, self._caller.principal, body=body, bill_job_id=body.get("billJobId"))
            )
            return Put(given.id, "updated")
        columns = {
            "account_id": account_id,
            "revision": self._last.get(given.id, 0) + 1,
            "content_hash": hash,
            "currency": body["currency"],
            "total": given.total,
            "bill_date": given.bill_date,
            "billing_frequency": body.get("billingFrequency"),
            "bill_job_id": body.get("billJobId"),
            "external_invoice_date": given.external_invoice_date,
            **_PENDING,
        }
        if present is None:
            record = records.fresh(
                self._caller.org_id, given.id, self._now, self._caller.principal, body, **columns, **_UNLOCKED
            )
            self.fresh.append(record)
        else:
            self._may_replace(present, given)
            record = present.changed(self._now, self._caller.principal, body=body, **columns)
            self.changed.append(record)
        self.revisions.append((record, given.lines))
        return Put(given.id, "updated" if present else "created")

    def _account(self, given: BillInput) -> str:
        id = given.account_id or self._ids.get(given.account_code or "")
        if id is None or id not in self._codes:
            field, told = ("accountId", given.account_id) if given.account_id else ("accountCode", given.account_code)
            raise Invalid(
                "bill.account",
                f"{field} is {shown(told)}, but there is no such account.",
                "Create the account first (POST …/accounts takes your own id; imports take accounts too).",
                field,
            )
        if given.account_code not in (None, self._codes[id]):
            raise Invalid(
                "bill.account",
                f"accountCode is {shown(given.account_code)}, but account {shown(id)} has {shown(self._codes[id])}.",
                "Leave one of the two out.",
                "accountCode",
            )
        return id

    def _may_replace(self, present: Record, given: BillInput) -> None:
        refuse_locked(present, "replaced")
        if given.version not in (None, present.version):
            raise Conflict(
                "version.stale",
                f"version is {given.version}, but bill {present.id} is at version {present.version}: it was changed "
                "meanwhile.",
                "Read it again and repeat the change with its present version, or leave version out.",
                "version",
            )


_PENDING: Mapping[str, Any] = {"status": BillStatus.PENDING.value, "approved_at": None, "approved_by": None}
_UNLOCKED: Mapping[str, Any] = {"locked": False, "locked_at": None, "locked_by": None}


def refuse_locked(bill: Record, what: str) -> None:
    if bill["locked"]:
        raise Conflict(
            "bill.locked",
            f"Bill {bill.id} was locked by {bill['locked_by']} and cannot be {what} any more.",
            "Correct it by another bill, such as one with a credit line.",
        )


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
    if not (revision.isdecimal() and after.isdecimal() and len(token) < 30):
        raise Invalid(
            "paging.token",
            f"nextToken {token[:80]!r} is not one of ours.",
            "Leave nextToken out to start at the first page, then pass on what the last page answered.",
            "nextToken",
        )
    return int(revision), int(after)


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
        return await _approve(tx, caller, [bill for bill in found if bill["status"] == BillStatus.PENDING])

    return await bulk.settle_races(db, work)


async def _approve(tx: Tx, caller: Caller, pending: Sequence[Record]) -> tuple[int, Sequence[Decision]]:
    now = clock.now()
    approved = [
        bill.changed(
            now, caller.principal, status=BillStatus.APPROVED.value, approved_at=now, approved_by=caller.principal
        )
        for bill in pending
    ]
    await bulk.write(tx, table, [], approved)
    decisions = await _dispatch(tx, caller, approved, Cause.APPROVED, now)
    return len(approved), [decision for each in decisions.values() for decision in each]


async def set_status(db: Database, caller: Caller, id: str, value: Any) -> tuple[Bill, Sequence[Decision]]:
    """Approve one bill, or take its approval back; raises Conflict where it is locked."""
    status = STATUS.check(value)["status"]
    decisions: Sequence[Decision] = ()
    async with db.transaction() as tx:
        bill = await load(tx, table, caller.org_id, id, NOUN, lock=True)
        if status != bill["status"]:
            refuse_locked(bill, "changed")
            if status == BillStatus.APPROVED:
                _, decisions = await _approve(tx, caller, [bill])
            else:
                await records.save(tx, table, bill.changed(clock.now(), caller.principal, **_PENDING))
        return await _shown(tx, caller, id), decisions


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
            now = clock.now()
            locked = bill.changed(now, caller.principal, locked=True, locked_at=now, locked_by=caller.principal)
            await records.save(tx, table, locked)
        return await _shown(tx, caller, id)


async def delete(db: Database, caller: Caller, id: str) -> Bill:
    """Delete a bill and cancel what was not sent yet; its revisions are kept. Raises Conflict where it is locked."""
    async with db.transaction() as tx:
        bill = await load(tx, table, caller.org_id, id, NOUN, lock=True)
        refuse_locked(bill, "deleted")
        answer = await _with_lines(tx, bill)
        await _dispatch(tx, caller, [bill], Cause.DELETED, clock.now())
        await records.remove(tx, table, caller.org_id, id)
    return answer


async def _shown(tx: Tx, caller: Caller, id: str) -> Bill:
    return await _with_lines(tx, await load(tx, table, caller.org_id, id, NOUN))


async def _with_lines(tx: Tx, bill: Record) -> Bill:
    codes = await catalog.account_codes(tx, bill.org_id, [bill["account_id"]])
    return Bill(bill, codes[bill["account_id"]], (await bills.lines(tx, [bill]))[bill.id])


async def _dispatch(
    tx: Tx, caller: Caller, changed: Sequence[Record], cause: Cause, now: datetime
) -> dict[str, list[Decision]]:
    """What integrations do about these bills, by bill id."""
    by_bill: dict[str, list[Decision]] = {}
    if changed:
        facts = [_facts(bill) for bill in changed]
        for decision in await dispatch_bills(tx, caller.org_id, facts, cause, now):
            by_bill.setdefault(decision.bill_id, []).append(decision)
    return by_bill


def _facts(bill: Record) -> BillFacts:
    return BillFacts(bill.id, bill["revision"], bill["account_id"], bill["bill_date"], bill["status"])
