"""Configurations of scheduled events. Extension: a new one may bring its own id."""

from __future__ import annotations

from fastapi import APIRouter

from tollbridge.api.wire import (
    ORG,
    Body,
    Json,
    Many,
    MayConfigure,
    MayRead,
    Paging100,
    TheParts,
    described,
    entity,
    page,
)
from tollbridge.services.schedules import SCHEDULED_EVENTS

router = APIRouter(prefix=f"{ORG}/scheduledevents/configurations", tags=["Events"])


@router.get("")
async def list_scheduled_events(
    parts: TheParts,
    caller: MayRead,
    paging: Paging100,
    ids: Many = [],  # noqa: B006
) -> Json:
    return page(await SCHEDULED_EVENTS.page(parts.db, caller, {"id": ids}, paging.size, paging.token))


@router.post("", openapi_extra=described(SCHEDULED_EVENTS.shape))
async def create_scheduled_event(parts: TheParts, caller: MayConfigure, body: Body) -> Json:
    return Json(entity(await SCHEDULED_EVENTS.create(parts.db, caller, body)))


@router.get("/{id}")
async def retrieve_scheduled_event(parts: TheParts, caller: MayRead, id: str) -> Json:
    return Json(entity(await SCHEDULED_EVENTS.retrieve(parts.db, caller, id)))


@router.put("/{id}", openapi_extra=described(SCHEDULED_EVENTS.shape))
async def update_scheduled_event(parts: TheParts, caller: MayConfigure, id: str, body: Body) -> Json:
    return Json(entity(await SCHEDULED_EVENTS.update(parts.db, caller, id, body)))


@router.delete("/{id}")
async def delete_scheduled_event(parts: TheParts, caller: MayConfigure, id: str) -> Json:
    return Json(entity(await SCHEDULED_EVENTS.delete(parts.db, caller, id)))
