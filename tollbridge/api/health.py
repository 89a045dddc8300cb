"""/healthz: this process answers. /readyz: it can do its work, that is, reach the database and know its schema."""

from __future__ import annotations

from fastapi import APIRouter

from tollbridge.api.wire import Json, TheParts
from tollbridge.services import health

router = APIRouter(tags=["Health"])


@router.get("/healthz", openapi_extra={"x-extension": True})
async def healthz() -> Json:
    return Json({"status": "ok"})


@router.get("/readyz", openapi_extra={"x-extension": True})
async def readyz(parts: TheParts) -> Json:
    await health.check_ready(parts.db)
    return Json({"status": "ready"})
