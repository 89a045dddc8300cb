"""Notification rules. Extensions: a new one may bring its own id; trying on an event tells whether it `fires`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter

from tollbridge.api.wire import (
    ORG,
    Body,
    Json,
    Many,
    MayConfigure,
    MayRead,
    Paging100,
    TheParts,
    described,
    entity,
    listed,
)
from tollbridge.domain.event_types import type_of
from tollbridge.domain.rules import RULE, TRIAL, always_fires, is_active
from tollbridge.services import rules
from tollbridge.services.rules import RULES
from tollbridge.store.records import Record

router = APIRouter(prefix=f"{ORG}/notifications", tags=["Notifications"])


@router.get("/configurations")
async def list_rules(
    parts: TheParts,
    caller: MayRead,
    paging: Paging100,
    active: bool | None = None,
    eventName: str | None = None,
    ids: Many = [],  # noqa: B006
) -> Json:
    among: dict[str, Sequence[Any]] = {
        "id": ids,
        "active": [] if active is None else [active],
        "event_name": [type_of(eventName).name] if eventName else [],
    }
    found = await RULES.page(parts.db, caller, among, paging.size, paging.token)
    return listed([_rule(record) for record in found.data], found.next_token)


@router.post("/configurations", openapi_extra=described(RULE))
async def create_rule(parts: TheParts, caller: MayConfigure, body: Body) -> Json:
    """Make a rule; its calculation is checked against the fields of its type of events."""
    return Json(_rule(await RULES.create(parts.db, caller, body)))


@router.get("/configurations/{id}")
async def retrieve_rule(parts: TheParts, caller: MayRead, id: str) -> Json:
    return Json(_rule(await RULES.retrieve(parts.db, caller, id)))


@router.put("/configurations/{id}", openapi_extra=described(RULE))
async def update_rule(parts: TheParts, caller: MayConfigure, id: str, body: Body) -> Json:
    return Json(_rule(await RULES.update(parts.db, caller, id, body)))


@router.delete("/configurations/{id}")
async def delete_rule(parts: TheParts, caller: MayConfigure, id: str) -> Json:
    """Refused while integrations lead from it to webhooks."""
    return Json(_rule(await RULES.delete(parts.db, caller, id)))


@router.post("/evaluate", openapi_extra=described(TRIAL))
async def evaluate_calculation(parts: TheParts, caller: MayRead, body: Body) -> Json:
    """Try a calculation on a type of events or, where none is named, on an event. Nothing is sent."""
    trial = await rules.evaluate(parts.db, caller, body)
    more = {"errorMessage": trial.error, "fires": trial.fires}
    return Json({"success": trial.error is None, **{name: value for name, value in more.items() if value is not None}})


def _rule(record: Record) -> dict[str, Any]:
    return entity(record, active=is_active(record.body), alwaysFireEvent=always_fires(record.body))
