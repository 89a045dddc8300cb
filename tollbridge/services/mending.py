"""Mending a group of error events: one act maps what is missing, enables the integration and sends what is stuck.

What failed is replayed and what was held with it is released, paced, by workers that call `step` again and again; any
of them goes on where another died. Bills of other accounts go on meanwhile. Never the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from tollbridge.domain.access import Permission, demand
from tollbridge.domain.audit import Action
from tollbridge.domain.errors import Conflict, Invalid, NotFound, Refusal
from tollbridge.domain.event_types import Category
from tollbridge.domain.events import Cause, cause_of
from tollbridge.domain.fields import Shape, list_of, object_of, required, shown, text
from tollbridge.domain.integrations import CredentialStatus
from tollbridge.domain.runs import HoldReason, RunState
from tollbridge.services import audit, clock, integrations, runs
from tollbridge.services.caller import Caller
from tollbridge.services.entities import load, missing
from tollbridge.services.external_mappings import EXTERNAL_MAPPINGS
from tollbridge.services.integrations import NOTIFICATION, NOUN
from tollbridge.store import bulk, claims, event_groups, events, lanes
from tollbridge.store import mending as rows
from tollbridge.store import runs as run_rows
from tollbridge.store.db import Connection, Database, Tx, raw
from tollbridge.store.events import Filters
from tollbridge.store.mending import Failing, Mending
from tollbridge.store.records import Record
from tollbridge.store.schema import integrations as table

IN_FLIGHT = 200
"""Runs of one mending that are queued or at work at once; the others wait for their turn."""
MOST_MAPPINGS = 5000
GROUPS_LOOKED_AT = 50
"""Groups of an integration, those seen last, among which is looked for what is stuck."""
AUDITED = "Mending"
_MAPPING = Shape({"m3terId": required(text(least=1, most=200)), "externalId": required(text(least=1, most=200))})
BODY = Shape({"mappings": list_of(object_of(_MAPPING), most=MOST_MAPPINGS)})
_UNDER_WAY = frozenset({RunState.QUEUED, RunState.RUNNING, RunState.WAITING})
_AUTHENTICATION = "integration.authentication.error"
_DISABLED = "integration.disabled.error"


class State(StrEnum):
    """How far it is."""

    SENDING = "sending"
    DONE = "done"
    STOPPED = "stopped"
    """By a person, or since the integration was disabled again; beginning anew goes on with what is left."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What of a group is stuck: runs that failed, runs held with them, and the sums of their bills by currency."""

    failed: int = 0
    held: int = 0
    sums: Mapping[str, Decimal] | None = None

    @property
    def count(self) -> int:
        return self.failed + self.held


@dataclass(frozen=True, slots=True)
class Stuck:
    """A group before it is mended: its figures, what lacks a mapping as (entity, id), and the id of a mending of the
    integration that is under way."""

    cause: Cause
    figures: Figures
    unmapped: Sequence[tuple[str, str]]
    enabled: bool
    under_way: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """A mending as people see it. `left` is what has not come to an end, `held` what is held for another reason, `eta`
    when it may be over."""

    mending: Mending
    delivered: int
    failed: int
    held: int
    left: int
    failing: Sequence[Failing]
    eta: datetime | None


async def figures(db: Database, caller: Caller, causes: Sequence[Cause]) -> Mapping[Cause, Figures]:
    """What of each group is stuck. Runs that are held since errors disabled an integration count in each group whose
    errors did it."""
    async with db.transaction() as tx:
        return await _figures(await raw(tx), caller.org_id, causes)


async def _figures(connection: Connection, org_id: str, causes: Sequence[Cause]) -> Mapping[Cause, Figures]:
    sums = await rows.sums(connection, org_id)
    disabled = await rows.disabled_by(connection, org_id)
    found = {}
    for cause in causes:
        reasons = _held_with(cause, disabled)
        mine = [each for each in sums if _belongs(each, cause, reasons)]
        totals: dict[str, Decimal] = {}
        for each in mine:
            if each.currency is not None and each.total is not None:
                totals[each.currency] = totals.get(each.currency, Decimal(0)) + each.total
        found[cause] = Figures(
            sum(each.count for each in mine if each.reason is None),
            sum(each.count for each in mine if each.reason is not None),
            totals,
        )
    return found


def _held_with(cause: Cause, disabled: Mapping[str, frozenset[str]]) -> frozenset[HoldReason]:
    """For which reasons runs are held because of the group."""
    if cause.name == _AUTHENTICATION:
        return frozenset({HoldReason.UNAUTHORIZED})
    codes = disabled.get(cause.integration_id or "")
    if codes is not None and (cause.name == _DISABLED or cause.code in codes):
        return frozenset({HoldReason.DISABLED})
    return frozenset()


def _belongs(each: rows.Sum, cause: Cause, reasons: frozenset[HoldReason]) -> bool:
    if each.reason is None or each.reason is HoldReason.MENDING:
        return each.cause == cause
    return each.cause.integration_id == cause.integration_id and each.reason in reasons


async def stuck_in(
    db: Database, caller: Caller, integration_id: str, code: str | None
) -> Sequence[tuple[str, Figures]]:
    """The groups of errors of an integration, or those of one code, of which runs are stuck: each by an event of it,
    the largest first. That errors disabled the integration is no group beside those that did it."""
    async with db.transaction() as tx:
        filters = Filters(type=Category.INTEGRATION, integration_id=integration_id, actioned=False)
        found = (await event_groups.page(tx, caller.org_id, filters, size=GROUPS_LOOKED_AT, token=None)).data
        groups = [each for each in found if code in (None, each.cause.code)]
        groups = [each for each in groups if each.cause.name != _DISABLED] or groups
        known = await _figures(await raw(tx), caller.org_id, [each.cause for each in groups]) if groups else {}
    stuck = [(each.latest_id, known[each.cause]) for each in groups if known[each.cause].count]
    return sorted(stuck, key=lambda each: -each[1].count)


async def look(db: Database, caller: Caller, event_id: str) -> Stuck:
    """The group of an error event before it is mended; raises NotFound, and Invalid for an event of no group."""
    async with db.transaction() as tx:
        cause, record = await _group(tx, caller, event_id)
        connection = await raw(tx)
        under_way = await rows.under_way(connection, caller.org_id, record.id)
        return Stuck(
            cause,
            (await _figures(connection, caller.org_id, [cause]))[cause],
            await rows.missing(connection, caller.org_id, cause, MOST_MAPPINGS) if cause.missing else (),
            record["enabled"],
            under_way.id if under_way else None,
        )


async def _group(tx: Tx, caller: Caller, event_id: str, *, lock: bool = False) -> tuple[Cause, Record]:
    """The cause of the event, and its integration."""
    stored = await events.get(tx, caller.org_id, event_id)
    if stored is None:
        raise missing("event", event_id)
    if stored.event.type != Category.INTEGRATION or stored.event.integration_id is None:
        raise Invalid(
            "event.no_error",
            f"The event {event_id} is no error of an integration, so there is nothing to mend.",
            "Name an error event of an integration; `tollbridge events groups` shows them.",
        )
    cause = cause_of(stored.event)
    record = await load(tx, table, caller.org_id, stored.event.integration_id, NOUN, lock=lock)
    if record["entity_type"] == NOTIFICATION:
        raise Conflict(
            "mending.webhook",
            f"{record['name']} sends notifications, which are brought back by their webhook.",
            f"Bring it back: tollbridge webhooks bring-back {record['destination_id']}",
        )
    return cause, record


async def start(db: Database, caller: Caller, event_id: str, body: Any = None) -> Progress:
    """Mend the group of an error event: write the mappings, enable the integration, and send what is stuck.

    Raises NotFound, Invalid where a mapping cannot be, Forbidden where the caller may not map or enable, and Conflict
    where one of the integration is under way, its credential does not work, or nothing is stuck.
    """
    given = BODY.check(body or {})

    async def work(tx: Tx) -> str:
        cause, record = await _group(tx, caller, event_id, lock=True)
        connection, now = await raw(tx), clock.now()
        await _refuse(connection, caller.org_id, record)
        if given.get("mappings"):
            demand(caller.role, Permission.MAP)
            await _map(tx, caller, cause, given["mappings"], now)
        found = (await _figures(connection, caller.org_id, [cause]))[cause]
        if not found.count:
            raise Conflict("mending.nothing", "Nothing of this group is stuck.", "Mark it as actioned.")
        fresh = _fresh(caller, cause, found, now)
        await rows.begin(connection, fresh)
        reasons = _held_with(cause, await rows.disabled_by(connection, caller.org_id))
        await rows.adopt_held(connection, fresh, list(reasons), now)
        if not record["enabled"]:
            demand(caller.role, Permission.CONFIGURE)
            await integrations.let_send(tx, caller, record.id)
            # What is held for other groups goes out as whenever an integration is enabled.
            await runs.release_for_integration(tx, caller.org_id, record.id, now)
        after = {"integrationId": record.id, "code": cause.code, "runs": found.count}
        await audit.note(tx, caller, Action.MEND, AUDITED, fresh.id, after=after)
        return fresh.id

    return await progress(db, caller, await bulk.settle_races(db, work))


async def _refuse(connection: Connection, org_id: str, record: Record) -> None:
    """Raise Conflict where the integration cannot send now, or does so already."""
    under_way = await rows.under_way(connection, org_id, record.id)
    if under_way is not None:
        raise Conflict(
            "mending.under_way",
            f"A group of {record['name']} is being mended already.",
            f"Look how far it is, or stop it: tollbridge events mending {under_way.id}",
        )
    key = (org_id, record["credential_id"] or "")
    credential = (await claims.credentials(connection, [key])).get(key)
    if credential is None or credential.status != CredentialStatus.VALID:
        raise Conflict(
            "mending.credential",
            f"{record['name']} has no credential that works, so nothing can be sent.",
            "Configure the credential; what is held for it is then sent by itself.",
        )


async def _map(tx: Tx, caller: Caller, cause: Cause, given: Sequence[Mapping[str, str]], now: datetime) -> None:
    if not cause.missing:
        raise Invalid(
            "mending.mappings", "mappings are given, but this group lacks none.", "Leave them out.", "mappings"
        )
    system, _, place = cause.missing.partition("/")
    connection = await raw(tx)
    entities = {id: entity for entity, id in await rows.missing(connection, caller.org_id, cause, MOST_MAPPINGS)}
    items = []
    for index, each in enumerate(given):
        if each["m3terId"] not in entities:
            raise Invalid(
                "mending.mappings",
                f"mappings[{index}].m3terId is {shown(each['m3terId'])}, which lacks no mapping in this group.",
                "Name what the group lacks; GET …/events/{id}/group lists it.",
                f"mappings[{index}].m3terId",
            )
        body = {"m3terEntity": entities[each["m3terId"]], "externalSystem": system, "externalTable": place, **each}
        items.append(EXTERNAL_MAPPINGS.read(body))
    for index, taken in enumerate(await EXTERNAL_MAPPINGS.put_many(tx, caller, items, now)):
        if isinstance(taken, Refusal):
            raise Invalid(taken.code, f"mappings[{index}]: {taken.message}", taken.hint, f"mappings[{index}]")


def _fresh(caller: Caller, cause: Cause, found: Figures, now: datetime) -> Mending:
    return Mending(
        caller.org_id,
        clock.new_id(),
        cause.integration_id or "",
        cause.name,
        cause.code,
        cause.missing,
        State.SENDING,
        None,
        found.count,
        {currency: str(total) for currency, total in (found.sums or {}).items()},
        "",
        now,
        caller.principal,
        now,
    )


async def progress(db: Database, caller: Caller, id: str) -> Progress:
    """How far a mending is; raises NotFound."""
    async with db.transaction() as tx:
        connection = await raw(tx)
        return await _progress(connection, await _known(connection, caller, id))


async def stop(db: Database, caller: Caller, id: str) -> Progress:
    """Send no more; what is left stays held, or failed, until the group is mended again. Raises NotFound, and Conflict
    where it is over."""
    async with db.transaction() as tx:
        connection = await raw(tx)
        found = await _known(connection, caller, id, lock=True)
        if found.state != State.SENDING:
            raise Conflict("mending.over", f"The mending {id} is {found.state}.", "There is nothing to stop.")
        await _stop(connection, found, f"Stopped by {caller.principal}.", clock.now())
        await audit.note(tx, caller, Action.STOP, AUDITED, id)
        return await _progress(connection, await _known(connection, caller, id))


async def _known(connection: Connection, caller: Caller, id: str, *, lock: bool = False) -> Mending:
    found = await rows.get(connection, caller.org_id, id, lock=lock)
    if found is None:
        raise NotFound("mending.unknown", f"There is no mending {shown(id)}.", "Begin one: tollbridge events mend")
    return found


async def step(db: Database, now: datetime) -> bool:
    """Go on with one that is under way; answers whether there was one."""
    async with db.transaction() as tx:
        connection = await raw(tx)
        found = await rows.next_one(connection)
        if found is None:
            return False
        key = (found.org_id, found.integration_id)
        integration = (await claims.integrations(connection, [key])).get(key)
        if integration is None or not integration.enabled:
            why = integration.disabled_reason if integration else None
            told = "The integration was " + ("deleted" if integration is None else "disabled again")
            await _stop(connection, found, f"{told}: {why}" if why else f"{told}.", now)
            return True
        states = await rows.children(connection, found.id)
        under_way = sum(count for (state, _), count in states.items() if state in _UNDER_WAY)
        room, reached = IN_FLIGHT - under_way, found.reached
        if room > 0:
            reached, made = await _replay(tx, found, room)
            released = await rows.release(connection, found, room - made, now) if made < room else 0
            if not under_way and not made and not released and reached == found.reached:
                await _end(tx, found, now)
                return True
        await rows.note(connection, found, State.SENDING, None, reached, now)
        return True


async def _replay(tx: Tx, found: Mending, limit: int) -> tuple[str, int]:
    """Replay the next failed runs; answers the last that was looked at, and how many were made. What must not be
    replayed any more, since it changed meanwhile, is left alone."""
    connection, caller = await raw(tx), Caller(found.org_id, found.started_by)
    stuck = await rows.stuck(connection, found, limit)
    await lanes.lock(connection, [lane for _, lane in stuck if lane is not None])
    made = []
    for run_id, _ in stuck:
        try:
            made.append((await runs.replay_in(tx, caller, run_id)).id)
        except Refusal:
            continue
    await run_rows.adopt(connection, made, found.id)
    return (stuck[-1][0] if stuck else found.reached), len(made)


async def _end(tx: Tx, found: Mending, now: datetime) -> None:
    """Say how it ended; a group of which nothing is stuck any more is marked as actioned."""
    connection = await raw(tx)
    told = await _progress(connection, found)
    reasons = "; ".join(f"{each.count} × {each.code}" for each in told.failing)
    text = f"{told.delivered} delivered, {told.failed} still failing{f': {reasons}' if reasons else ''}."
    if told.held:
        text += f" {told.held} are held for another reason."
    await rows.note(connection, found, State.DONE, text, found.reached, now)
    if not told.failed and not told.held:
        filters = Filters(type=Category.INTEGRATION, cause=found.cause, until=found.started_at, actioned=False)
        marked = await event_groups.mark(tx, found.org_id, filters, now)
        if marked:
            caller = Caller(found.org_id, found.started_by)
            after = {"events": marked, "note": "Mended."}
            await audit.note(tx, caller, Action.MARK_ACTIONED, "EventGroup", found.cause.key, after=after)


async def _stop(connection: Connection, found: Mending, why: str, now: datetime) -> None:
    await rows.hold_back(connection, found, now)
    await rows.note(connection, found, State.STOPPED, why, found.reached, now)


async def _progress(connection: Connection, found: Mending) -> Progress:
    states = await rows.children(connection, found.id)
    ended = {state: count for (state, _), count in states.items() if state.ended}
    held = sum(
        count
        for (state, reason), count in states.items()
        if state is RunState.HELD and reason is not HoldReason.MENDING
    )
    delivered = ended.get(RunState.DELIVERED, 0) + ended.get(RunState.SKIPPED, 0)
    left = max(found.total - sum(ended.values()) - held, 0) if found.state != State.DONE else 0
    eta = None
    if sum(ended.values()) and left and found.state == State.SENDING:
        now = clock.now()
        eta = now + (now - found.started_at) / sum(ended.values()) * left
    failing = await rows.failing(connection, found.id)
    return Progress(found, delivered, ended.get(RunState.FAILED, 0), held, left, failing, eta)
