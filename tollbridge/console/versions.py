"""What a configuration was before: one version, compared with another."""

from __future__ import annotations

from fastapi import APIRouter, Response

from tollbridge.console.visit import MayRead
from tollbridge.domain.errors import NotFound
from tollbridge.domain.versions import OPTIONS, Version, compare
from tollbridge.services import integrations, names, versions
from tollbridge.services.versions import History

router = APIRouter()


@router.get("/configurations/{id}/versions/{version}")
async def show_version(visit: MayRead, id: str, version: str, against: str = "") -> Response:
    """Compared with the present one, unless asked for another."""
    record = (await integrations.retrieve(visit.parts.db, visit.caller, id)).record
    history = await versions.history(visit.parts.db, visit.caller, record)
    shown = _find(history, version)
    other = _find(history, against) if against else history.versions[0]
    earlier, later = sorted((shown, other), key=lambda each: -history.versions.index(each))
    before, after = compare(earlier.values, later.values)
    return visit.page(
        "version.html",
        record=record,
        shown=shown,
        other=other,
        earlier=earlier,
        later=later,
        before=before,
        after=after,
        config=shown.values.get(OPTIONS, {}),
        versions=history.versions,
        people=await names.of_principals(visit.parts.db, visit.caller, [each.by for each in history.versions]),
    )


def _find(history: History, id: str) -> Version:
    for each in history.versions:
        if each.id == id:
            return each
    raise NotFound("version.unknown", f"There is no version {id} of it.", "Choose one on the integration's page.")
