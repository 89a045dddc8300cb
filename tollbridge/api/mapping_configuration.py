"""What can be mapped to what: our entities, the systems, and the systems' tables."""

from __future__ import annotations

from fastapi import APIRouter

from tollbridge.api.wire import ORG, Json, MayMap, MayRead, MayUseCredentials, TheParts, Words
from tollbridge.domain.errors import Conflict
from tollbridge.services import choices, credentials, systems
from tollbridge.services.caller import Caller
from tollbridge.services.parts import Parts

router = APIRouter(prefix=f"{ORG}/externalmappingconfiguration", tags=["External mappings"])


@router.get("")
async def mapping_configuration(caller: MayRead) -> Json:
    return Json(systems.mapping_catalogue())


@router.get("/values/{destination}/{entityType}")
async def mapping_values(
    parts: TheParts,
    caller: MayMap,
    destination: str,
    entityType: str,
    externalTable: str | None = None,
    search: Words = "",
) -> Json:
    """To what of the system's table a thing of ours can be mapped, asked live; empty where the system has no credential
    that works, or cannot be asked for this; 503 where no worker is there to ask, or no answer came. `search` is an
    extension."""
    return await _values(parts, caller, destination, entityType, externalTable, search, None)


@router.get("/values/{destination}/{entityType}/{integrationCredentialsId}")
async def mapping_values_of_credential(
    parts: TheParts,
    caller: MayUseCredentials,
    destination: str,
    entityType: str,
    integrationCredentialsId: str,
    externalTable: str | None = None,
    search: Words = "",
) -> Json:
    """The same, asked with this credential."""
    await credentials.retrieve(parts, caller, integrationCredentialsId)
    return await _values(parts, caller, destination, entityType, externalTable, search, integrationCredentialsId)


async def _values(
    parts: Parts, caller: Caller, name: str, entity: str, table: str | None, search: str, credential_id: str | None
) -> Json:
    destination = systems.find(name)
    tables = destination.connector.mapping_tables.get(entity, ())
    of = table or next(iter(tables), "")
    try:
        answer = await choices.look(parts, caller, destination, of, search, credential_id=credential_id)
    except Conflict as refusal:
        if refusal.code not in choices.NOT_ASKED:
            raise
        return Json([])
    assert answer.found is not None
    return Json([{"externalId": each.id, "externalName": each.label} for each in answer.found.things])
