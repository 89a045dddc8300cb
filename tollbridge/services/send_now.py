"""Sending one bill to one integration because a person says so: what was never sent, or failed."""

from __future__ import annotations

from tollbridge.domain.audit import Action
from tollbridge.domain.deliveries import DeliveryState
from tollbridge.domain.errors import Conflict
from tollbridge.domain.integrations import Cause
from tollbridge.services import audit, clock, deliveries, runs
from tollbridge.services.bill_intake import facts_of
from tollbridge.services.caller import Caller
from tollbridge.services.deliveries import Delivery
from tollbridge.services.dispatch import BILL, dispatch_bills
from tollbridge.services.entities import load, missing
from tollbridge.store.db import Database
from tollbridge.store.schema import bills


def sendable(delivery: Delivery) -> bool:
    """Whether to send it now is what moves the bill on: it failed, or nothing carries its present version."""
    if delivery.state is DeliveryState.HELD:
        return delivery.run_id is None
    return delivery.state in (DeliveryState.FAILED, DeliveryState.SUPERSEDED)


async def send_now(db: Database, caller: Caller, integration_id: str, bill_id: str) -> str:
    """Make the run that carries the bill there, and answer its id.

    Raises NotFound, and Conflict with the reason where nothing can or need be sent.
    """
    found = await deliveries.of_bill(db, caller, bill_id)
    delivery = next((each for each in found if each.integration_id == integration_id), None)
    if delivery is None:
        raise missing("integration configuration", integration_id)
    if not sendable(delivery):
        raise _refused(delivery.reason)
    if delivery.state is DeliveryState.FAILED and delivery.run_id:
        return (await runs.replay(db, caller, delivery.run_id)).id
    async with db.transaction() as tx:
        bill = await load(tx, bills, caller.org_id, bill_id, "bill", lock=True)
        decisions = await dispatch_bills(
            tx, caller.org_id, [facts_of(bill)], Cause.CALCULATED, clock.now(), integration_id=integration_id
        )
        run_id = decisions[0].run_id if decisions else None
        if run_id is None:
            raise _refused(decisions[0].reason if decisions else delivery.reason)
        await audit.note(tx, caller, Action.SEND, BILL, bill_id, after={"runId": run_id})
        return run_id


def _refused(reason: str) -> Conflict:
    return Conflict(
        "bill.not_sendable", f"The bill is not sent: {reason}", "Change what the reason says, then send it."
    )
