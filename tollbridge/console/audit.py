"""The audit log: who changed what, when, from where, before and after."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Response

from tollbridge.console.visit import MayAdminister, Unset
from tollbridge.domain.audit import Action
from tollbridge.domain.errors import Invalid
from tollbridge.domain.fields import read_instant
from tollbridge.services import audit, names
from tollbridge.store.audit import Wanted

router = APIRouter()

_SHOWN = 50
PAGES = {
    "User": "/users/{}",
    "ServiceUser": "/keys/{}",
    "Credential": "/credentials/{}",
    "Integration": "/configurations/{}",
    "NotificationRule": "/rules/{}",
    "Webhook": "/webhooks/{}",
    "Run": "/runs/{}",
    "Event": "/events/{}",
    "Account": "/accounts/{}",
    "ExternalMapping": "/mappings/{}/edit",
}
"""Where an entity of the log is shown, with its id."""


@router.get("/audit")
async def list_audit_log(
    visit: MayAdminister,
    entity: str = "",
    entityId: str = "",
    principal: str = "",
    action: Annotated[Action | None, Unset] = None,
    start: str = "",
    end: str = "",
    after: str | None = None,
) -> Response:
    """Newest first, from the day `start` on to the end of the day `end`."""
    until = _day(end, "end")
    wanted = Wanted(
        entity or None,
        entityId or None,
        principal or None,
        action,
        _day(start, "start"),
        until + timedelta(days=1) if until else None,
    )
    found = await audit.page(visit.parts.db, visit.caller, wanted, _SHOWN, after)
    filters = {
        "entity": entity,
        "entityId": entityId,
        "principal": principal,
        "action": action or "",
        "start": start,
        "end": end,
    }
    return visit.page(
        "audit.html",
        found=found,
        size=_SHOWN,
        filters={name: value for name, value in filters.items() if value},
        actions=list(Action),
        entities=sorted([*PAGES, "AccessKey", "BillConfig", "EventGroup", "ScheduledEvent"]),
        pages=PAGES,
        people=await names.of_principals(visit.parts.db, visit.caller, [entry.principal for entry in found.data]),
    )


def _day(text: str, name: str) -> datetime | None:
    """Midnight, in UTC, of a day; raises Invalid."""
    if not text:
        return None
    found = read_instant(f"{text}T00:00:00Z")
    if found is None:
        message = f"{name} is {text[:80]!r}, but must be a day as 2026-01-31."
        raise Invalid("field.invalid", message, "Correct the address.", name)
    return found
