"""Bringing a webhook back whose receiver was down: one act, from a test to the last held notification.

First a test; when it arrives, what failed and what was held is gathered and set in lanes, one for each account, in the
order in which it came about; then every integration on the webhook is enabled, and all of it goes out. A notification
that fails holds the rest back. Workers call `step` again and again; any of them goes on where another died.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tollbridge.domain.audit import Action
from tollbridge.domain.errors import Conflict, NotFound
from tollbridge.domain.fields import shown
from tollbridge.domain.runs import RunState
from tollbridge.services import audit, clock, integrations, redelivery
from tollbridge.services.caller import Caller
from tollbridge.services.entities import load
from tollbridge.services.redelivery import AUDITED
from tollbridge.services.webhooks import NOUN
from tollbridge.store import integrations as integration_rows
from tollbridge.store import notifying, records
from tollbridge.store import redelivery as rows
from tollbridge.store import runs as run_rows
from tollbridge.store.db import Connection, Database, Tx, raw
from tollbridge.store.redelivery import BringBack
from tollbridge.store.schema import webhooks

AT_ONCE = 500
"""Notifications that one step gathers."""


class State(StrEnum):
    """How far it is."""

    TESTING = "testing"
    GATHERING = "gathering"
    DELIVERING = "delivering"
    DONE = "done"
    PAUSED = "paused"
    """Something failed; starting it anew goes on with what is left."""
    STOPPED = "stopped"

    @property
    def under_way(self) -> bool:
        return self in (State.TESTING, State.GATHERING, State.DELIVERING)


@dataclass(frozen=True, slots=True)
class Progress:
    """A bringing back as people see it. `left` is what has not come to an end, `eta` when it may be over."""

    state: State
    note: str | None
    test_run_id: str
    started_at: datetime
    started_by: str
    total: int
    delivered: int
    failed: int
    left: int
    eta: datetime | None


async def start(db: Database, caller: Caller, webhook_id: str) -> Progress:
    """Begin, or go on with what is left of an earlier one; raises NotFound, and Conflict where one is under way."""
    async with db.transaction() as tx:
        webhook = await load(tx, webhooks, caller.org_id, webhook_id, NOUN, lock=True)
        connection = await raw(tx)
        earlier = await rows.bring_back(connection, caller.org_id, webhook_id, lock=True)
        if earlier and State(earlier.state).under_way:
            raise Conflict(
                "webhook.coming_back",
                f"The webhook {shown(webhook['name'])} is being brought back already.",
                "Look how far it is, or stop it.",
            )
        now = clock.now()
        test = redelivery.a_test(caller, webhook, clock.new_id(), now)
        await notifying.add(connection, [test], now)
        since = webhook["down_since"] or now
        if earlier and earlier.state != State.DONE:
            since = min(since, earlier.since)
        await rows.begin(
            connection,
            BringBack(caller.org_id, webhook_id, test.id, State.TESTING, None, 0, since, now, caller.principal, now),
        )
        await audit.note(tx, caller, Action.BRING_BACK, AUDITED, webhook_id, after={"runId": test.id, "since": since})
        return await _progress(connection, caller.org_id, webhook_id)


async def progress(db: Database, caller: Caller, webhook_id: str) -> Progress:
    """How far the latest one is; raises NotFound where there was none."""
    async with db.transaction() as tx:
        return await _progress(await raw(tx), caller.org_id, webhook_id)


async def stop(db: Database, caller: Caller, webhook_id: str) -> Progress:
    """Send no more; what is left stays held, until it is started anew. Raises NotFound, and Conflict where none is
    under way."""
    async with db.transaction() as tx:
        connection = await raw(tx)
        found = await rows.bring_back(connection, caller.org_id, webhook_id, lock=True)
        if found is None or not State(found.state).under_way:
            raise Conflict(
                "webhook.not_coming_back", "The webhook is not being brought back.", "There is nothing to stop."
            )
        await rows.hold_back(connection, found, clock.now())
        await rows.note(connection, found, State.STOPPED, f"Stopped by {caller.principal}.", 0, clock.now())
        await audit.note(tx, caller, Action.STOP, AUDITED, webhook_id, after={"runId": found.test_run_id})
        return await _progress(connection, caller.org_id, webhook_id)


async def step(db: Database, now: datetime) -> bool:
    """Go on with one that is under way; answers whether there was one."""
    async with db.transaction() as tx:
        connection = await raw(tx)
        found = await rows.going_on(connection)
        if found is None:
            return False
        match State(found.state):
            case State.TESTING:
                await _after_test(connection, found, now)
            case State.GATHERING:
                await _gather(tx, found, now)
            case _:
                await _watch(connection, found, now)
        return True


async def _after_test(connection: Connection, found: BringBack, now: datetime) -> None:
    state, error = await run_rows.state_of(connection, found.test_run_id)
    match state:
        case RunState.DELIVERED:
            await rows.note(connection, found, State.GATHERING, None, 0, now)
        case RunState.FAILED | RunState.CANCELLED | RunState.HELD | None:
            text = f"The test did not arrive: {error or 'see its run.'}"
            await rows.note(connection, found, State.PAUSED, text, 0, now)
        case _:
            await rows.note(connection, found, State.TESTING, None, 0, now)


async def _gather(tx: Tx, found: BringBack, now: datetime) -> None:
    connection, caller = await raw(tx), Caller(found.org_id, found.started_by)
    held = await rows.adopt(connection, found, AT_ONCE, now)
    failed = await redelivery.make_children(
        connection, caller, found.webhook_id, found.since, found.test_run_id, AT_ONCE
    )
    if held + failed == 0:
        await rows.set_in_lanes(connection, found, now)
        await _enable_all(tx, caller, found.webhook_id)
        await rows.let_go(connection, found, now)
    state = State.GATHERING if held + failed else State.DELIVERING
    await rows.note(connection, found, state, None, held + failed, now)


async def _enable_all(tx: Tx, caller: Caller, webhook_id: str) -> None:
    """Enable every integration on the webhook, and the webhook, in the name of who brings it back."""
    webhook = await records.get(tx, webhooks, caller.org_id, webhook_id, lock=True)
    if webhook is not None and not webhook["active"]:
        body = {**webhook.body, "active": True}
        await records.save(tx, webhooks, webhook.changed(clock.now(), caller.principal, body=body, active=True))
    for link in await integration_rows.linked_to(tx, caller.org_id, webhook_id):
        if not link.enabled:
            await integrations.let_send(tx, caller, link.id)


async def _watch(connection: Connection, found: BringBack, now: datetime) -> None:
    states = await rows.children(connection, found.test_run_id)
    if states.get(RunState.FAILED):
        held = await rows.hold_back(connection, found, now)
        error = await rows.first_failure(connection, found.test_run_id)
        text = f"One of them failed again, so {held} are held: {error}"
        await rows.note(connection, found, State.PAUSED, text, 0, now)
        return
    done = all(state.ended for state in states)
    await rows.note(connection, found, State.DONE if done else State.DELIVERING, None, 0, now)


async def _progress(connection: Connection, org_id: str, webhook_id: str) -> Progress:
    found = await rows.bring_back(connection, org_id, webhook_id)
    if found is None:
        raise NotFound(
            "webhook.not_coming_back",
            f"The webhook {shown(webhook_id)} was never brought back.",
            "Start it with POST …/bringback.",
        )
    states = await rows.children(connection, found.test_run_id)
    delivered = states.get(RunState.DELIVERED, 0)
    left = sum(count for state, count in states.items() if not state.ended)
    eta = None
    if delivered and left and found.state == State.DELIVERING:
        now = clock.now()
        eta = now + (now - found.started_at) / delivered * left
    return Progress(
        State(found.state),
        found.note,
        found.test_run_id,
        found.started_at,
        found.started_by,
        found.total,
        delivered,
        states.get(RunState.FAILED, 0),
        left,
        eta,
    )
