"""External mappings. Extension: a new one may bring its own id; those that an integration wrote name their tenant."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from tollbridge.api.wire import ORG, Body, Json, Many, MayMap, MayRead, Paging200, TheParts, described, entity, page
from tollbridge.services.external_mappings import EXTERNAL_MAPPINGS
from tollbridge.store.records import Record

router = APIRouter(prefix=f"{ORG}/externalmappings", tags=["External mappings"])


def _wire(mapping: Record) -> dict[str, Any]:
    return entity(mapping, tenant=mapping["tenant"])


@router.get("")
async def list_external_mappings(
    parts: TheParts,
    caller: MayRead,
    paging: Paging200,
    m3terIds: Many = [],  # noqa: B006
    externalSystemId: Annotated[str | None, Query(description="The name of the system.")] = None,
    integrationConfigId: str | None = None,
) -> Json:
    among = {
        "m3ter_id": m3terIds,
        "external_system": [externalSystemId] if externalSystemId else [],
        "integration_id": [integrationConfigId] if integrationConfigId else [],
    }
    return page(await EXTERNAL_MAPPINGS.page(parts.db, caller, among, paging.size, paging.token), _wire)


@router.get("/external/{entityName}/{m3terId:path}")
async def list_by_entity(parts: TheParts, caller: MayRead, paging: Paging200, entityName: str, m3terId: str) -> Json:
    among = {"m3ter_entity": [entityName], "m3ter_id": [m3terId]}
    return page(await EXTERNAL_MAPPINGS.page(parts.db, caller, among, paging.size, paging.token), _wire)


@router.get("/externalid/{system}/{externalTable}/{externalId:path}")
async def list_by_external_id(
    parts: TheParts, caller: MayRead, paging: Paging200, system: str, externalTable: str, externalId: str
) -> Json:
    among = {"external_system": [system], "external_table": [externalTable], "external_id": [externalId]}
    return page(await EXTERNAL_MAPPINGS.page(parts.db, caller, among, paging.size, paging.token), _wire)


@router.post("", openapi_extra=described(EXTERNAL_MAPPINGS.shape))
async def create_external_mapping(parts: TheParts, caller: MayMap, body: Body) -> Json:
    return Json(_wire(await EXTERNAL_MAPPINGS.create(parts.db, caller, body)))


@router.get("/{id}")
async def retrieve_external_mapping(parts: TheParts, caller: MayRead, id: str) -> Json:
    return Json(_wire(await EXTERNAL_MAPPINGS.retrieve(parts.db, caller, id)))


@router.put("/{id}", openapi_extra=described(EXTERNAL_MAPPINGS.shape))
async def update_external_mapping(parts: TheParts, caller: MayMap, id: str, body: Body) -> Json:
    return Json(_wire(await EXTERNAL_MAPPINGS.update(parts.db, caller, id, body)))


@router.delete("/{id}")
async def delete_external_mapping(parts: TheParts, caller: MayMap, id: str) -> Json:
    return Json(_wire(await EXTERNAL_MAPPINGS.delete(parts.db, caller, id)))
