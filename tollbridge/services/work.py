"""What a worker asks of the database: claim runs, record their conversation, settle them, stay alive.

Every function takes a list and is one transaction, so that concurrent runs share commits. Never the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tollbridge.domain.conversation import Entry, StepDone
from tollbridge.domain.errors import Fault
from tollbridge.domain.flows import Checked, Delivered, Outcome
from tollbridge.domain.people import KNOWN_FOR
from tollbridge.domain.runs import Change, HoldReason, Paused, RunLimits
from tollbridge.services import clock, connecting, guarding
from tollbridge.services.asking import claim_questions
from tollbridge.services.claiming import Claimed, claim_due
from tollbridge.services.previewing import claim_previews
from tollbridge.services.recording import write
from tollbridge.services.settling import Settlement, apply
from tollbridge.store import (
    audit,
    chores,
    claims,
    events,
    jobs,
    lanes,
    ledger,
    notifying,
    previews,
    questions,
    recording,
    standing,
    users,
    workers,
)
from tollbridge.store import limits as buckets
from tollbridge.store import runs as rows
from tollbridge.store.db import Database
from tollbridge.vault import Vault

__all__ = [
    "Claimed",
    "Settlement",
    "block_until",
    "claim",
    "forget",
    "heartbeat",
    "leave",
    "permits",
    "record",
    "register_worker",
    "settle",
    "sweep",
    "trim",
]

SWEPT_AT_ONCE = 1000
BODIES_AT_ONCE = 1000
EVENTS_AT_ONCE = 1000
PREVIEWS_AT_ONCE = 100
PREVIEWS_KEPT = timedelta(days=7)
"""How long what a preview found can be read."""
QUESTIONS_KEPT = timedelta(days=1)
"""How long a question for things in another system is kept, with what it found."""
FORGET_EVERY = timedelta(hours=12)
FORGOTTEN_AT_ONCE = 1000
JOB_LOG_KEPT = timedelta(hours=1)
SLOT_LEASE = timedelta(seconds=15)
WORKER_KEPT = timedelta(hours=1)
"""How long a worker that fell silent stays on the list."""


async def claim(
    db: Database, vault: Vault, run_ids: Sequence[str], worker_id: str, now: datetime, lease: timedelta
) -> list[Claimed]:
    """Lease those of the runs that may start now; runs that must not are held, skipped or left alone."""
    async with db.hot() as connection:
        found = await claim_due(connection, vault, run_ids, worker_id, now, lease)
        if len(found) < len(run_ids):
            found += await claim_previews(connection, vault, run_ids, worker_id, now, lease)
        if len(found) < len(run_ids):
            found += await claim_questions(connection, vault, run_ids, worker_id, now, lease)
        return found


async def record(db: Database, vault: Vault, entries: Sequence[Entry]) -> list[bool]:
    """Make the entries durable; False for each whose fence is stale, of which nothing is kept."""
    async with db.hot() as connection:
        runs = await recording.fenced(connection, {entry.run_id: entry.fence for entry in entries})
        # Of one run there is one fence that counts, whichever entry was asked about last.
        good = [entry.run_id in runs and runs[entry.run_id]["fence"] == entry.fence for entry in entries]
        await write(connection, vault, runs, [entry for entry, kept in zip(entries, good, strict=True) if kept])
        return good


async def settle(
    db: Database, vault: Vault, settlements: Sequence[Settlement], limits: RunLimits
) -> list[Change | None]:
    """Apply what follows from each settlement, and answer it; None for each whose fence is stale: nothing changes."""
    async with db.hot() as connection:
        faulty = [each.run_id for each in settlements if isinstance(each.result, Fault)]
        faring = await standing.lock(connection, [each.run_id for each in settlements], faulty)
        await claims.lock_credentials_of(
            connection, [each.run_id for each in settlements if _is_about_credential(each.result)]
        )
        await lanes.lock_of(connection, [each.run_id for each in settlements])
        runs = await recording.fenced(connection, {each.run_id: each.fence for each in settlements})
        kept = [each for each in settlements if each.run_id in runs]
        entries = [Entry(each.run_id, each.fence, done=_remembered(each)) for each in kept if each.done is not None]
        await write(connection, vault, runs, entries)
        changes, working = await apply(connection, runs, kept, limits, faring) if kept else ({}, [])
    if working:
        await connecting.go_on(db)
    for credential in working:
        await _release(db, credential, max(each.now for each in settlements))
    return [changes.get(each.run_id) for each in settlements]


async def _release(db: Database, credential: claims.Key, now: datetime) -> None:
    """Queue what was held because the credential did not work; the sweep does it if we do not get that far."""
    async with db.hot() as connection:
        users = await claims.integrations_of(connection, credential)
        await rows.release_held(connection, users, (HoldReason.UNAUTHORIZED, HoldReason.DISCONNECTED), now)


def _remembered(settlement: Settlement) -> StepDone | None:
    """The last step, without its reply where the run surely ends: no resume asks for it."""
    done = settlement.done
    if done is None or done.reply is None or not isinstance(settlement.result, Delivered):
        return done
    return replace(done, reply=None)


def _is_about_credential(result: Outcome | Paused) -> bool:
    return isinstance(result, (Checked, Fault))


async def heartbeat(
    db: Database, worker_id: str, fences: Sequence[tuple[str, int]], now: datetime, lease: timedelta
) -> set[str]:
    """Extend the leases of (run id, fence) and answer the ids of runs that are lost."""
    async with db.hot() as connection:
        mine = await rows.heartbeat(connection, fences, worker_id, now, now + lease)
    return {run_id for run_id, _ in fences} - mine


async def sweep(db: Database, now: datetime) -> int:
    """Enqueue every due run that has no job, runs with an expired lease among them; answers how many.

    Runs that are held for a cause that is gone are queued again.
    """
    await connecting.go_on(db)
    async with db.hot() as connection:
        reasons = (HoldReason.DISABLED, HoldReason.UNAUTHORIZED, HoldReason.DISCONNECTED, HoldReason.PAUSED)
        await rows.release_held(connection, await claims.wrongly_held(connection), reasons, now)
        await notifying.release_held(connection, await notifying.wrongly_held(connection), now)
        await guarding.sweep(connection, now)
        lost = await jobs.due_without_job(connection, now, SWEPT_AT_ONCE)
        await jobs.enqueue(connection, lost, now)
        return len(lost)


async def trim(db: Database, now: datetime, keep_bodies: timedelta, keep_events: timedelta) -> None:
    """Forget what is only of use for a while, in small transactions: the queue's own log, what previews found,
    questions, bodies in the run log, events by when they came in."""
    more = True
    while more:
        async with db.hot() as connection:
            more = await jobs.trim_log(connection, now - JOB_LOG_KEPT)
    more = True
    while more:
        async with db.hot() as connection:
            more = await previews.forget(connection, now - PREVIEWS_KEPT, PREVIEWS_AT_ONCE)
    more = True
    while more:
        async with db.hot() as connection:
            more = await questions.forget(connection, now - QUESTIONS_KEPT, PREVIEWS_AT_ONCE)
    more = bool(keep_bodies)
    while more:
        async with db.hot() as connection:
            more = await recording.forget_bodies(connection, now - keep_bodies, BODIES_AT_ONCE)
    more = bool(keep_bodies)
    while more:
        async with db.hot() as connection:
            before = clock.first_id(now - keep_bodies)
            more = await notifying.forget_payloads(connection, before, BODIES_AT_ONCE)
    more = True
    while more:
        async with db.hot() as connection:
            more = await events.forget(connection, now - keep_events, EVENTS_AT_ONCE)


async def forget(db: Database, now: datetime, keep_ledger: timedelta, keep_audit: timedelta) -> None:
    """Forget what is past its time for good, in small transactions: sign-ins, the audit log, the ledger. One process
    looks for all, since to find nothing costs as much as the ledger is long."""
    async with db.hot() as connection:
        if not await chores.take(connection, "forget", now, FORGET_EVERY):
            return
        await users.forget(connection, now, KNOWN_FOR)
    for keep, forget_before in ((keep_audit, audit.forget_before), (keep_ledger, ledger.forget_before)):
        more = bool(keep)
        while more:
            async with db.hot() as connection:
                more = await forget_before(connection, now - keep, FORGOTTEN_AT_ONCE)


async def register_worker(db: Database, worker_id: str, host: str, pid: int, version: str, now: datetime) -> None:
    """Announce a worker; rows of workers long gone are removed."""
    async with db.hot() as connection:
        await workers.register(connection, worker_id, host, pid, version, now, now - WORKER_KEPT)


async def leave(db: Database, worker_id: str) -> None:
    """Take a worker that drained off the list, with the slots it leased."""
    async with db.hot() as connection:
        await workers.remove(connection, worker_id)


async def permits(
    db: Database,
    credential_id: str,
    worker_id: str,
    *,
    want_tokens: int,
    want_slots: int,
    rate: float,
    burst: int,
    concurrency: int,
    now: datetime,
) -> tuple[int, int, timedelta]:
    """Lease requests and slots of a credential to a worker: (tokens, slots, wait until the next token).

    `want_slots` is how many the worker wants altogether; 0 gives them back. Slots are leased for `SLOT_LEASE`, so that
    a killed worker's come free: ask again before.
    """
    async with db.hot() as connection:
        bucket = await buckets.lock_bucket(connection, credential_id, burst, now)
        taken = bucket.take(want_tokens, rate, burst, now)
        await buckets.save_bucket(connection, credential_id, taken.bucket)
        slots = await buckets.lease_slots(
            connection, credential_id, worker_id, want_slots, concurrency, now, SLOT_LEASE
        )
    return taken.tokens, slots, taken.wait


async def block_until(db: Database, credential_id: str, until: datetime) -> None:
    """Lease no more requests of the credential before that moment: the other side asked for the wait."""
    async with db.hot() as connection:
        await buckets.block(connection, credential_id, until)
