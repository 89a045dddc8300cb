"""Credentials. Extensions: the wire names these operations but publishes no shapes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from tollbridge.api.wire import (
    ORG,
    Body,
    Json,
    MayUseCredentials,
    Paging200,
    TheParts,
    described,
    entity,
    page,
    timestamp,
)
from tollbridge.services import credentials, oauth
from tollbridge.services.credentials import Saved
from tollbridge.services.oauth import Begun
from tollbridge.store.records import Record

router = APIRouter(prefix=f"{ORG}/integrationcredentials", tags=["Credentials"])
WITH_BODY = described(credentials.BODY, extension=True)
BARE = described(extension=True)


@router.get("", openapi_extra=BARE)
async def list_credentials(
    parts: TheParts, caller: MayUseCredentials, paging: Paging200, destination: str | None = None
) -> Json:
    return page(await credentials.page(parts, caller, destination, paging.size, paging.token), _credential)


@router.post("", openapi_extra=WITH_BODY)
async def create_credential(parts: TheParts, caller: MayUseCredentials, body: Body) -> Json:
    """Keep a credential and check it: beside the fields shown here the body has those of the system."""
    return Json(_saved(await credentials.create(parts, caller, body)))


@router.get("/{id}", openapi_extra=BARE)
async def retrieve_credential(parts: TheParts, caller: MayUseCredentials, id: str) -> Json:
    return Json(_credential(await credentials.retrieve(parts, caller, id)))


@router.put("/{id}", openapi_extra=WITH_BODY)
async def update_credential(parts: TheParts, caller: MayUseCredentials, id: str, body: Body) -> Json:
    """Rename it, or replace its secret; without any of the system's fields the secret stays."""
    return Json(_saved(await credentials.update(parts, caller, id, body)))


@router.delete("/{id}", openapi_extra=BARE)
async def delete_credential(parts: TheParts, caller: MayUseCredentials, id: str) -> Json:
    return Json(_credential(await credentials.delete(parts, caller, id)))


@router.post("/{id}/check", openapi_extra=BARE)
async def check_credential(parts: TheParts, caller: MayUseCredentials, id: str) -> Json:
    return Json(_saved(await credentials.check(parts, caller, id)))


@router.post("/{id}/connect", openapi_extra=described(oauth.CONNECT, extension=True, optional=True))
async def connect_credential(parts: TheParts, caller: MayUseCredentials, id: str, body: Body) -> Json:
    """Begin to connect a credential by OAuth, again or for the first time: a person opens `authorizeUrl` in the browser
    in which they are signed in to the Console. Fields of the system in the body replace the present ones with it."""
    begun = await oauth.begin(parts, caller, id, body)
    return Json(_begun(begun))


@router.post("/{id}/tenant", openapi_extra=described(oauth.TENANT, extension=True))
async def choose_tenant(parts: TheParts, caller: MayUseCredentials, id: str, body: Body) -> Json:
    """Choose one of the `tenants` that the consent opens, where it opens several; the credential is then checked."""
    done = await oauth.choose_tenant(parts, caller, id, body)
    return Json(_credential(done.credential) | {"checkRunId": done.run.id})


def _begun(begun: Begun) -> dict[str, Any]:
    return {"authorizeUrl": begun.url, "dtAuthorizeUntil": timestamp(begun.expires_at)}


def _saved(saved: Saved) -> dict[str, Any]:
    check = {"checkRunId": saved.check_run_id} if saved.check_run_id else {}
    return _credential(saved.record) | check | (_begun(saved.begun) if saved.begun else {})


def _credential(record: Record) -> dict[str, Any]:
    tenant = record["tenant"]
    return entity(
        record,
        type=record["type"],
        destination=record["system"],
        status=record["status"],
        error=record["error"],
        dtChecked=timestamp(record["checked_at"]),
        tenantId=tenant.partition(":")[2] if tenant else None,
        tenantName=record["tenant_name"],
        tenants=record["tenants"],
    )
