"""Erasing a person's data: an account, its bills, and whatever was said of them, in all tables.

Some small transactions; who is interrupted calls again, and the account itself comes last, so that a second call still
knows whom to look for. What stays is in the ledger: ids, total, hash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tollbridge.domain import erasing
from tollbridge.domain.audit import Action
from tollbridge.domain.errors import Conflict
from tollbridge.domain.runs import RunState
from tollbridge.services import audit, clock
from tollbridge.services.accounts import ACCOUNTS
from tollbridge.services.caller import Caller
from tollbridge.services.entities import missing
from tollbridge.store import erasing as rows
from tollbridge.store import lanes, questions
from tollbridge.store import runs as run_rows
from tollbridge.store.db import Connection, Database
from tollbridge.store.erasing import Person

BATCH = 200


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The person at another system, where they must be erased by hand."""

    system: str
    table: str
    id: str


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows of each table were changed or deleted, and where else the person is known."""

    account_id: str
    touched: Mapping[str, int]
    elsewhere: Sequence[Elsewhere]


async def erase_account(db: Database, caller: Caller, id: str) -> Erased:
    """Make the account's person unrecognisable; what was not sent yet is cancelled.

    Raises NotFound, and Conflict while a run of the account is under way.
    """
    touched: Counter[str] = Counter()
    async with db.hot() as connection:
        person = await _stop(connection, caller, id)
    after, bills = "", [""]
    while bills:
        async with db.hot() as connection:
            bills = await rows.bill_ids(connection, caller.org_id, id, after, BATCH)
            touched.update(await rows.erase_bills(connection, caller.org_id, bills, erasing.bill, erasing.line))
            touched["events"] += await rows.erase_events(connection, caller.org_id, None, bills, erasing.ERASED)
        after = bills[-1] if bills else after
    after, runs = "", [""]
    while runs:
        async with db.hot() as connection:
            runs = await rows.run_ids(connection, caller.org_id, id, after, BATCH)
            touched.update(await rows.erase_runs(connection, runs, erasing.ERASED))
        after = runs[-1] if runs else after
    asked = True
    while asked:
        # What was looked for in another system names accounts and is kept for a day: it goes for all at once.
        async with db.hot() as connection:
            asked = await questions.forget(connection, clock.now(), BATCH, caller.org_id)
    async with db.hot() as connection:
        return await _finish(connection, caller, id, person, touched)


async def _stop(connection: Connection, caller: Caller, id: str) -> Person:
    """Cancel what has not begun; raises Conflict where something has."""
    person = await rows.person(connection, caller.org_id, id)
    if person is None:
        raise missing(ACCOUNTS.noun, id)
    waiting = await rows.unstarted(connection, caller.org_id, id)
    await lanes.lock(connection, [lane for _, lane in waiting if lane])
    note = "The account's data was erased."
    await run_rows.end_unstarted(connection, [run for run, _ in waiting], RunState.CANCELLED, note, clock.now())
    left = await rows.under_way(connection, caller.org_id, id)
    if left:
        raise Conflict(
            "account.runs_under_way",
            f"{left} runs of account {id} are under way.",
            "Wait for their end, then call again; what had not begun is cancelled.",
        )
    return person


async def _finish(connection: Connection, caller: Caller, id: str, person: Person, touched: Counter[str]) -> Erased:
    found = await rows.erase_mappings(connection, caller.org_id, id)
    touched["external_mappings"] += len(found)
    touched["events"] += await rows.erase_events(connection, caller.org_id, id, (), erasing.ERASED)
    touched.update(await rows.erase_mentions(connection, caller.org_id, person.texts, erasing.ERASED))
    touched["audit_log"] += await rows.erase_audit(connection, caller.org_id, id, person.texts)
    await rows.erase_account(connection, caller.org_id, id, erasing.account(id, person.body), caller.principal)
    touched["accounts"] += 1
    told = {table: count for table, count in sorted(touched.items()) if count}
    await audit.note_raw(connection, caller, Action.ERASE, "Account", id, told)
    return Erased(id, told, [Elsewhere(*each[1:]) for each in found])
