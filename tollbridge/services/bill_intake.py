"""Taking bills in: what becomes of each against what is stored, and what integrations do about those that changed.

Set-based, so that 500 bills of an import cost a few statements. The use cases around it are in `services.bills`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from tollbridge.domain.bill_input import BillInput, content_hash
from tollbridge.domain.billing import BillStatus
from tollbridge.domain.errors import Conflict, Invalid, Refusal
from tollbridge.domain.fields import shown
from tollbridge.domain.fingerprints import fingerprint
from tollbridge.domain.integrations import BillFacts, Cause
from tollbridge.services import bill_config
from tollbridge.services.bill_config import refuse_before
from tollbridge.services.bill_events import tell
from tollbridge.services.caller import Caller
from tollbridge.services.dispatch import Decision, dispatch_bills
from tollbridge.services.taken_in import Put, Taken
from tollbridge.store import bills, bulk, catalog, records
from tollbridge.store.bills import Filters, Line
from tollbridge.store.db import Tx
from tollbridge.store.records import Record
from tollbridge.store.schema import bills as table

PENDING: Mapping[str, Any] = {"status": BillStatus.PENDING.value, "approved_at": None, "approved_by": None}
_UNLOCKED: Mapping[str, Any] = {"locked": False, "locked_at": None, "locked_by": None}


async def put_many(tx: Tx, caller: Caller, given: Sequence[BillInput], now: datetime) -> list[Taken]:
    """Create or replace bills with different ids; each stands or falls alone."""
    if not given:
        return []
    found = await bills.lock(tx, caller.org_id, Filters(ids=[bill.id for bill in given]))
    before = {record.id: record for record in found}
    batch = _Batch(
        caller,
        now,
        stored=before,
        last=await bills.last_revisions(tx, caller.org_id, [bill.id for bill in given]),
        codes=await catalog.account_codes(
            tx,
            caller.org_id,
            {bill.account_id for bill in given if bill.account_id} | {bill["account_id"] for bill in found},
            [bill.account_code for bill in given if bill.account_code],
            keep=True,
        ),
        lock_date=await bill_config.lock_date(tx, caller.org_id),
    )
    taken = [batch.take(bill) for bill in given]
    await bulk.write(tx, table, batch.fresh, batch.changed)
    await bills.add_revisions(tx, batch.revisions, now)
    await tell(
        tx, caller.org_id, [(before.get(bill.id), bill) for bill in (*batch.fresh, *batch.changed)], now, batch.codes
    )
    decisions = await dispatch(tx, caller, [record for record, _ in batch.revisions], Cause.CALCULATED, now)
    return [replace(each, decisions=decisions.get(each.id, ())) if isinstance(each, Put) else each for each in taken]


def refuse_locked(bill: Record, what: str) -> None:
    if bill["locked"]:
        raise Conflict(
            "bill.locked",
            f"Bill {bill.id} was locked by {bill['locked_by']} and cannot be {what} any more.",
            "Correct it by another bill, such as one with a credit line.",
        )


async def dispatch(
    tx: Tx, caller: Caller, changed: Sequence[Record], cause: Cause, now: datetime
) -> dict[str, list[Decision]]:
    """What integrations do about these bills, by bill id."""
    by_bill: dict[str, list[Decision]] = {}
    if changed:
        facts = [facts_of(bill) for bill in changed]
        for decision in await dispatch_bills(tx, caller.org_id, facts, cause, now):
            by_bill.setdefault(decision.bill_id, []).append(decision)
    return by_bill


def facts_of(bill: Record) -> BillFacts:
    """What decides whether the bill is sent."""
    return BillFacts(bill.id, bill["revision"], bill["account_id"], bill["bill_date"], bill["status"])


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
        lock_date: date | None,
    ) -> None:
        self._caller = caller
        self._now = now
        self._stored = stored
        self._last = last
        self.codes = codes
        self._lock_date = lock_date
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
        refuse_before(self._lock_date, given.id, given.bill_date)
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
            **PENDING,
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
        if id is None or id not in self.codes:
            field, told = ("accountId", given.account_id) if given.account_id else ("accountCode", given.account_code)
            raise Invalid(
                "bill.account",
                f"{field} is {shown(told)}, but there is no such account.",
                "Create the account first (POST …/accounts takes your own id; imports take accounts too).",
                field,
            )
        if given.account_code not in (None, self.codes[id]):
            raise Invalid(
                "bill.account",
                f"accountCode is {shown(given.account_code)}, but account {shown(id)} has {shown(self.codes[id])}.",
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
