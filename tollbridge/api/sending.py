"""Sending as a whole: whether it is paused, pausing and resuming it. An extension."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from tollbridge.api.wire import ORG, Body, Json, MayConfigure, MayRead, TheParts, described, timestamp
from tollbridge.services import sending
from tollbridge.store.organizations import Pause

router = APIRouter(prefix=f"{ORG}/sending", tags=["Sending"])
BARE = described(extension=True)


@router.get("", openapi_extra=BARE)
async def retrieve_sending(parts: TheParts, caller: MayRead) -> Json:
    """Whether the organization's sending is paused, why, and how many runs are held by that."""
    return Json(_told(*await sending.retrieve(parts.db, caller)))


@router.post("/pause", openapi_extra=described(sending.PAUSE, extension=True))
async def pause_sending(parts: TheParts, caller: MayConfigure, body: Body) -> Json:
    """Send nothing more: what is under way ends, everything else is held, bills and notifications alike."""
    return Json(_told(*await sending.pause(parts.db, caller, body)))


@router.post("/resume", openapi_extra=BARE)
async def resume_sending(parts: TheParts, caller: MayConfigure) -> Json:
    """Send again, beginning with what was held meanwhile."""
    return Json(_told(*await sending.resume(parts.db, caller)))


def _told(pause: Pause | None, held: int) -> dict[str, Any]:
    told: dict[str, Any] = {"paused": pause is not None, "heldRuns": held}
    if pause is not None:
        told |= {"reason": pause.reason, "pausedBy": pause.by, "dtPaused": timestamp(pause.at)}
    return told
