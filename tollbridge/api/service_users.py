"""Service users and their access keys. Extensions: the wire names these operations but publishes no shapes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from tollbridge.api.wire import (
    ORG,
    Body,
    Json,
    MayAdminister,
    Paging200,
    TheParts,
    described,
    entity,
    listed,
    page,
    timestamp,
)
from tollbridge.services import service_users
from tollbridge.store.access_keys import AccessKey

router = APIRouter(prefix=f"{ORG}/serviceusers", tags=["Service users"])
KEYS = "/{id}/accesskeys"
WITH_BODY = described(service_users.BODY, extension=True)
WITH_CHANGE = described(service_users.CHANGE, extension=True)
BARE = described(extension=True)


@router.get("", openapi_extra=BARE)
async def list_service_users(parts: TheParts, caller: MayAdminister, paging: Paging200) -> Json:
    return page(await service_users.page(parts.db, caller, paging.size, paging.token))


@router.post("", openapi_extra=WITH_BODY)
async def create_service_user(parts: TheParts, caller: MayAdminister, body: Body) -> Json:
    return Json(entity(await service_users.create(parts.db, caller, body)))


@router.get("/{id}", openapi_extra=BARE)
async def retrieve_service_user(parts: TheParts, caller: MayAdminister, id: str) -> Json:
    return Json(entity(await service_users.retrieve(parts.db, caller, id)))


@router.put("/{id}", openapi_extra=WITH_CHANGE)
async def update_service_user(parts: TheParts, caller: MayAdminister, id: str, body: Body) -> Json:
    return Json(entity(await service_users.update(parts.db, caller, id, body)))


@router.delete("/{id}", openapi_extra=BARE)
async def delete_service_user(parts: TheParts, caller: MayAdminister, id: str) -> Json:
    return Json(entity(await service_users.delete(parts.db, caller, id)))


@router.get(KEYS, openapi_extra=BARE)
async def list_access_keys(parts: TheParts, caller: MayAdminister, id: str) -> Json:
    return listed([_key(key) for key in await service_users.keys(parts.db, caller, id)])


@router.post(KEYS, openapi_extra=BARE)
async def create_access_key(parts: TheParts, caller: MayAdminister, id: str) -> Json:
    """The only answer that ever contains the secret."""
    key, made = await service_users.create_key(parts.db, caller, id)
    return Json({**_key(key), "apiSecret": made.secret})


@router.post(KEYS + "/{keyId}/activate", openapi_extra=BARE)
async def activate_access_key(parts: TheParts, caller: MayAdminister, id: str, keyId: str) -> Json:
    return Json(_key(await service_users.set_key_active(parts.db, caller, id, keyId, True)))


@router.post(KEYS + "/{keyId}/deactivate", openapi_extra=BARE)
async def deactivate_access_key(parts: TheParts, caller: MayAdminister, id: str, keyId: str) -> Json:
    return Json(_key(await service_users.set_key_active(parts.db, caller, id, keyId, False)))


@router.delete(KEYS + "/{keyId}", openapi_extra=BARE)
async def delete_access_key(parts: TheParts, caller: MayAdminister, id: str, keyId: str) -> Json:
    return Json(_key(await service_users.delete_key(parts.db, caller, id, keyId)))


def _key(key: AccessKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "apiKey": key.id,
        "serviceUserId": key.service_user_id,
        "active": key.active,
        "dtCreated": timestamp(key.created_at),
    }
