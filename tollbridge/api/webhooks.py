"""Outgoing webhooks. What says how they are delivered (`schedule`, `ordered`, …), their health, and all that sends once
more are extensions."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from tollbridge.api.runs import run_of
from tollbridge.api.wire import (
    ORG,
    Body,
    Json,
    Many,
    MayConfigure,
    MayDeliver,
    MayRead,
    Paging200,
    TheParts,
    described,
    entity,
    listed,
    timestamp,
)
from tollbridge.domain.notifications import receiver_of
from tollbridge.services import bringing_back, redelivery, webhooks
from tollbridge.services.bringing_back import Progress
from tollbridge.services.webhooks import Webhook

router = APIRouter(prefix=f"{ORG}/integrationdestinations/webhooks", tags=["Webhooks"])
BARE = described(extension=True)
SINCE = described(redelivery.SINCE, extension=True)


@router.get("")
async def list_webhooks(
    parts: TheParts,
    caller: MayRead,
    paging: Paging200,
    ids: Many = [],  # noqa: B006
) -> Json:
    found, by_id = await webhooks.page(parts, caller, ids, paging.size, paging.token)
    return listed([_webhook(by_id[record.id]) for record in found.data], found.next_token)


@router.post("", openapi_extra=described(webhooks.BODY))
async def create_webhook(parts: TheParts, caller: MayConfigure, body: Body) -> Json:
    """Make a webhook; its address must have a DNS entry and lead to no inner network."""
    return Json(_webhook(await webhooks.create(parts, caller, body)))


@router.get("/{id}")
async def retrieve_webhook(parts: TheParts, caller: MayRead, id: str) -> Json:
    return Json(_webhook(await webhooks.retrieve(parts, caller, id)))


@router.put("/{id}", openapi_extra=described(webhooks.CHANGE))
async def update_webhook(parts: TheParts, caller: MayConfigure, id: str, body: Body) -> Json:
    """Replace it. Without a secret the present one stays; with another both sign for 24 hours."""
    return Json(_webhook(await webhooks.update(parts, caller, id, body)))


@router.delete("/{id}")
async def delete_webhook(parts: TheParts, caller: MayConfigure, id: str) -> Json:
    """Refused while rules are linked to it."""
    return Json(_webhook(await webhooks.delete(parts, caller, id)))


@router.put("/{id}/active")
async def set_webhook_active(parts: TheParts, caller: MayConfigure, id: str, active: bool = True) -> Json:
    """Let notifications go to it, or hold them."""
    return Json(_webhook(await webhooks.set_active(parts, caller, id, active)))


@router.get("/{id}/health", openapi_extra=BARE)
async def retrieve_webhook_health(parts: TheParts, caller: MayRead, id: str) -> Json:
    """Its deliveries of the last 24 hours, each count up to 10,000, and since when they fail."""
    health = await webhooks.health(parts, caller, id)
    counts = health.counts
    down = {"downSince": timestamp(health.down_since)} if health.down_since else {}
    return Json({"delivered": counts.delivered, "pending": counts.pending, "failed": counts.failed, **down})


@router.post("/{id}/test", openapi_extra=BARE)
async def send_test(parts: TheParts, caller: MayDeliver, id: str) -> Json:
    """Send it a signed message of no event, whatever stands; answers the run that carries it."""
    return Json(run_of(await redelivery.send_test(parts.db, caller, id)))


@router.post("/{id}/recover", openapi_extra=SINCE)
async def recover(parts: TheParts, caller: MayDeliver, id: str, body: Body) -> Json:
    """Send again what failed since that moment and was not sent again yet; answers how many runs that makes."""
    since = redelivery.read_since(body)
    return Json({"runs": await redelivery.recover(parts.db, caller, id, since)})


@router.post("/{id}/replaymissing", openapi_extra=SINCE)
async def replay_missing(parts: TheParts, caller: MayDeliver, id: str, body: Body) -> Json:
    """Send what never was sent: the events since that moment on which a linked rule fires now, and that have no run."""
    since = redelivery.read_since(body)
    return Json({"runs": await redelivery.replay_missing(parts.db, caller, id, since)})


@router.post("/{id}/bringback", openapi_extra=BARE)
async def bring_back(parts: TheParts, caller: MayConfigure, id: str) -> Json:
    """Bring it back after its receiver was down: a test, then everything that failed or was held, in order.

    Enables the webhook and every integration on it. A paused or stopped one goes on with what is left."""
    return Json(_progress(await bringing_back.start(parts.db, caller, id)))


@router.get("/{id}/bringback", openapi_extra=BARE)
async def retrieve_progress(parts: TheParts, caller: MayRead, id: str) -> Json:
    """How far the latest bringing back is."""
    return Json(_progress(await bringing_back.progress(parts.db, caller, id)))


@router.post("/{id}/bringback/stop", openapi_extra=BARE)
async def stop_bringing_back(parts: TheParts, caller: MayConfigure, id: str) -> Json:
    """Send no more; what is left stays held until it is started anew."""
    return Json(_progress(await bringing_back.stop(parts.db, caller, id)))


def _progress(progress: Progress) -> dict[str, Any]:
    values = {
        "state": progress.state,
        "note": progress.note,
        "testRunId": progress.test_run_id,
        "dtStarted": timestamp(progress.started_at),
        "startedBy": progress.started_by,
        "total": progress.total,
        "delivered": progress.delivered,
        "failed": progress.failed,
        "left": progress.left,
        "eta": timestamp(progress.eta),
    }
    return {name: value for name, value in values.items() if value is not None}


def _webhook(webhook: Webhook) -> dict[str, Any]:
    receiver = receiver_of(webhook.record.body)
    credential = webhook.credential
    return entity(
        webhook.record,
        active=webhook.record["active"],
        schedule=receiver.schedule,
        ordered=receiver.ordered,
        concurrency=receiver.concurrency,
        goneDeactivates=receiver.gone_deactivates,
        downSince=timestamp(webhook.record["down_since"]),
        credentials=entity(credential, type=credential["type"], destination=credential["system"]) | webhook.told,
    )
