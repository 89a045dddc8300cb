"""Outgoing webhooks. What says how they are delivered (`schedule`, `ordered`, …) and their health are extensions."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from tollbridge.api.wire import (
    ORG,
    Body,
    Json,
    Many,
    MayConfigure,
    MayRead,
    Paging200,
    TheParts,
    described,
    entity,
    listed,
    timestamp,
)
from tollbridge.domain.notifications import receiver_of
from tollbridge.services import webhooks
from tollbridge.services.webhooks import Webhook

router = APIRouter(prefix=f"{ORG}/integrationdestinations/webhooks", tags=["Webhooks"])


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


@router.get("/{id}/health", openapi_extra=described(extension=True))
async def retrieve_webhook_health(parts: TheParts, caller: MayRead, id: str) -> Json:
    """Its deliveries of the last 24 hours, each count up to 10,000, and since when they fail."""
    health = await webhooks.health(parts, caller, id)
    counts = health.counts
    down = {"downSince": timestamp(health.down_since)} if health.down_since else {}
    return Json({"delivered": counts.delivered, "pending": counts.pending, "failed": counts.failed, **down})


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
