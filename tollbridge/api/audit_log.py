"""The audit log, for administrators. An extension."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from tollbridge.api.wire import ORG, Json, MayAdminister, Paging200, TheParts, described, instant_of, listed, timestamp
from tollbridge.domain.audit import Action
from tollbridge.services import audit
from tollbridge.store.audit import Entry, Wanted

router = APIRouter(prefix=f"{ORG}/auditlog", tags=["Audit log"])


@router.get("", openapi_extra=described(extension=True))
async def list_audit_log(
    parts: TheParts,
    caller: MayAdminister,
    paging: Paging200,
    entity: str | None = None,
    entityId: str | None = None,
    principal: str | None = None,
    action: Action | None = None,
    dtStart: str | None = None,
    dtEnd: str | None = None,
) -> Json:
    """Who changed what, newest first, from `dtStart` on and until before `dtEnd`."""
    wanted = Wanted(entity, entityId, principal, action, instant_of(dtStart, "dtStart"), instant_of(dtEnd, "dtEnd"))
    found = await audit.page(parts.db, caller, wanted, paging.size, paging.token)
    return listed([_entry(entry) for entry in found.data], found.next_token)


def _entry(entry: Entry) -> dict[str, Any]:
    told = {
        "id": entry.id,
        "dtOccurred": timestamp(entry.at),
        "principal": entry.principal,
        "action": entry.action,
        "entity": entry.entity,
        "entityId": entry.entity_id,
        "before": entry.before,
        "after": entry.after,
        "requestId": entry.request_id,
        "address": entry.address,
    }
    return {name: value for name, value in told.items() if value is not None}
