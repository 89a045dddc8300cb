"""Sending notifications once more, each by a verb of its own: a test, one again, all that failed, what never was sent.

The message id stays the same over all attempts and all resends, so that a receiver can drop repeats. Never the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from tollbridge.domain.audit import Action
from tollbridge.domain.errors import Conflict, Invalid, NotFound
from tollbridge.domain.fields import Shape, instant, read_instant, required, shown
from tollbridge.domain.notifications import Occurrence, SentRule, envelope
from tollbridge.domain.runs import HoldReason
from tollbridge.services import audit, clock, firing, runs
from tollbridge.services.caller import Caller
from tollbridge.services.entities import load
from tollbridge.services.runs import Run
from tollbridge.services.webhooks import NOUN
from tollbridge.store import notifying, redelivery
from tollbridge.store import runs as run_rows
from tollbridge.store.db import Connection, Database, Tx, raw
from tollbridge.store.notifying import NewNotification, lane_of
from tollbridge.store.records import Record
from tollbridge.store.redelivery import Sent
from tollbridge.store.schema import webhooks

BATCH = 500
SINCE = Shape({"since": required(instant())})
AUDITED = "Webhook"
TEST_EVENT = "webhook.test"
"""The type of a message that only shows that messages arrive."""


async def send_test(db: Database, caller: Caller, webhook_id: str) -> Run:
    """Send a signed message of no event to the webhook, whatever stands; raises NotFound."""
    async with db.transaction() as tx:
        webhook = await load(tx, webhooks, caller.org_id, webhook_id, NOUN)
        made = a_test(caller, webhook, clock.new_id(), clock.now())
        await notifying.add(await raw(tx), [made], clock.now())
        await audit.note(tx, caller, Action.SEND_TEST, AUDITED, webhook_id, after={"runId": made.id})
        return await runs.get_run(tx, caller.org_id, made.id)


def a_test(caller: Caller, webhook: Record, id: str, now: datetime) -> NewNotification:
    """The run that carries a test to the webhook."""
    message_id = f"msg_{id}"
    event = Occurrence(id, TEST_EVENT, now, caller.org_id, None, {"webhookId": webhook.id}, None)
    return NewNotification(
        id=id,
        org_id=caller.org_id,
        created_by=caller.principal,
        integration_id=None,
        credential_id=webhook["credential_id"],
        webhook_id=webhook.id,
        entity=("Webhook", webhook.id),
        event_id=None,
        account_id=None,
        lane=None,
        message_id=message_id,
        body=envelope(message_id, event, SentRule("test", "test", "Test")),
    )


async def resend(db: Database, caller: Caller, run_id: str) -> Run:
    """Send one notification again; raises NotFound, also where its webhook is gone, and Conflict where it is under way
    or no longer kept."""
    async with db.transaction() as tx:
        connection = await raw(tx)
        found = await redelivery.sent(connection, caller.org_id, run_id)
        if found is None:
            raise NotFound(
                "run.unknown", f"There is no notification run {shown(run_id)}.", "List the runs of the rule."
            )
        if not found.state.ended:
            raise Conflict(
                "run.under_way", f"Run {run_id} is {found.state} and goes on by itself.", "Wait for its end."
            )
        await _known(tx, caller, found.webhook_id)
        made = again(found, caller, clock.new_id())
        await notifying.add(connection, [made], clock.now())
        await audit.note(tx, caller, Action.RESEND, "Run", run_id, after={"runId": made.id})
        return await runs.get_run(tx, caller.org_id, made.id)


def read_since(body: Any) -> datetime:
    """The moment from which on is sent again; raises Invalid where there is none, and for one that is still to come."""
    text = SINCE.check(body)["since"]
    since = read_instant(text)
    if since is None or since > clock.now():
        raise Invalid(
            "field.invalid", f"since is {text}, which is still to come.", "Name a moment that is over.", "since"
        )
    return since


async def recover(db: Database, caller: Caller, webhook_id: str, since: datetime) -> int:
    """Send again all that failed since that moment and was not sent again yet, oldest first; answers how many.

    One transaction for each batch; raises NotFound. What fails while it goes on is left alone.
    """
    count, until = 0, clock.now()
    while True:
        async with db.transaction() as tx:
            await _known(tx, caller, webhook_id)
            connection = await raw(tx)
            found = await redelivery.failed(connection, caller.org_id, webhook_id, since, until, BATCH)
            await notifying.add(connection, [again(each, caller, clock.new_id()) for each in found], clock.now())
            await _note(tx, caller, Action.RECOVER, webhook_id, {"since": since, "runs": len(found)})
            count += len(found)
        if len(found) < BATCH:
            return count


async def replay_missing(db: Database, caller: Caller, webhook_id: str, since: datetime) -> int:
    """Send what never was sent: events since that moment on which a rule fires now that is linked to the webhook, and
    for which there is no run. Answers how many; one transaction for each batch; raises NotFound."""
    count, after = 0, (since, "")
    while True:
        async with db.transaction() as tx:
            await _known(tx, caller, webhook_id)
            connection = await raw(tx)
            found = await redelivery.without_run(connection, caller.org_id, webhook_id, since, after, BATCH)
            events = [event for event, _ in found]
            fired = await firing.match(connection, events)
            known = await redelivery.links_with_run(connection, [event.id for event in events])
            pairs = list(zip(events, fired, strict=True))
            made = await firing.fire(connection, pairs, clock.now(), webhook_id=webhook_id, known=known)
            await _note(tx, caller, Action.REPLAY_MISSING, webhook_id, {"since": since, "runs": made})
            count += made
        if len(found) < BATCH:
            return count
        last, received_at = found[-1]
        after = (received_at, last.id)


def again(found: Sent, caller: Caller, id: str, hold_reason: HoldReason | None = None) -> NewNotification:
    """A run that sends the same message once more; raises Conflict where it is no longer kept."""
    if found.body is None:
        raise Conflict(
            "run.payload_gone",
            f"What run {found.id} sent is no longer kept.",
            "Submit the event once more under another id, if the receiver needs it.",
        )
    return NewNotification(
        id=id,
        org_id=found.org_id,
        created_by=caller.principal,
        integration_id=found.integration_id,
        credential_id=found.credential_id,
        webhook_id=found.webhook_id,
        entity=found.entity,
        event_id=found.event_id,
        account_id=found.account_id,
        lane=found.lane,
        message_id=found.message_id,
        body=found.body,
        hold_reason=hold_reason,
        replay_of=found.id,
    )


async def _known(tx: Tx, caller: Caller, webhook_id: str) -> None:
    await load(tx, webhooks, caller.org_id, webhook_id, NOUN)


async def _note(tx: Tx, caller: Caller, action: Action, webhook_id: str, made: Mapping[str, Any]) -> None:
    """Note a batch in the transaction in which it is made; one of nothing is not worth a line."""
    if made["runs"]:
        await audit.note(tx, caller, action, AUDITED, webhook_id, after=made)


async def make_children(
    connection: Connection, caller: Caller, webhook_id: str, since: datetime, parent_id: str, limit: int
) -> int:
    """Make held children that send again what failed, in lanes; answers how many."""
    found = await redelivery.failed(connection, caller.org_id, webhook_id, since, clock.now(), limit)
    made = [
        replace(
            again(each, caller, clock.new_id(), HoldReason.RECOVERING), lane=lane_of(each.webhook_id, each.account_id)
        )
        for each in found
    ]
    await notifying.add(connection, made, clock.now())
    await run_rows.adopt(connection, [run.id for run in made], parent_id)
    return len(made)
