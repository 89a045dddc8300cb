"""The organization's bill configuration, of which there is always exactly one."""

from __future__ import annotations

from fastapi import APIRouter

from tollbridge.api.wire import ORG, Body, Json, MayConfigure, MayRead, TheParts, described, entity
from tollbridge.domain.catalog import BILL_CONFIG
from tollbridge.services import bill_config

router = APIRouter(prefix=f"{ORG}/billconfig", tags=["Bills"])


@router.get("")
async def retrieve_bill_config(parts: TheParts, caller: MayRead) -> Json:
    return Json(entity(await bill_config.retrieve(parts.db, caller)))


@router.put("", openapi_extra=described(BILL_CONFIG))
async def update_bill_config(parts: TheParts, caller: MayConfigure, body: Body) -> Json:
    """Set the lock date: bills dated on or before it are locked at once, and none so dated is taken in any more."""
    return Json(entity(await bill_config.update(parts.db, caller, body)))
