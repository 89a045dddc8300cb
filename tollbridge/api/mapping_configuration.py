"""What can be mapped to what: our entities, the systems, and the systems' tables."""

from __future__ import annotations

from fastapi import APIRouter

from tollbridge.api.wire import ORG, Json, MayRead, MayUseCredentials, TheParts
from tollbridge.services import credentials, systems

router = APIRouter(prefix=f"{ORG}/externalmappingconfiguration", tags=["External mappings"])


@router.get("")
async def mapping_configuration(caller: MayRead) -> Json:
    return Json(systems.mapping_catalogue())


@router.get("/values/{destination}/{entityType}")
async def mapping_values(caller: MayRead, destination: str, entityType: str) -> Json:
    """Always empty: no system is asked for a list of what it holds."""
    systems.find(destination)
    return Json([])


@router.get("/values/{destination}/{entityType}/{integrationCredentialsId}")
async def mapping_values_of_credential(
    parts: TheParts, caller: MayUseCredentials, destination: str, entityType: str, integrationCredentialsId: str
) -> Json:
    """Always empty: no system is asked for a list of what it holds."""
    systems.find(destination)
    await credentials.retrieve(parts, caller, integrationCredentialsId)
    return Json([])
