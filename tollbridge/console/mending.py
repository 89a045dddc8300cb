"""Mending a group of error events: what is stuck, the mappings it lacks, the button that sends, how far it is."""

from __future__ import annotations

import re
from collections.abc import Collection

from fastapi import APIRouter, Response

from tollbridge.console.visit import MayDeliver, MayRead, Visit, trying
from tollbridge.domain.access import Permission
from tollbridge.domain.errors import Invalid, Refusal
from tollbridge.domain.events import message_of
from tollbridge.domain.fields import shown
from tollbridge.services import events, mending, names, suggestions
from tollbridge.services.suggestions import Suggested

router = APIRouter()


@router.get("/events/{id}/mend")
async def ask(visit: MayDeliver, id: str) -> Response:
    return await _form(visit, id)


@router.post("/events/{id}/mend")
async def begin(visit: MayDeliver, id: str) -> Response:
    """Send what is stuck; or, where that was pressed, ask the system for suggestions first. What was typed and ticked
    stands in the form again."""
    form = await visit.form()
    suggested, ticked = None, set(form.all("accept")) if form.on("asked") else None
    async with trying() as again:
        if visit.may(Permission.MAP) and (form.on("suggest") or form.on("asked")):
            suggested = await suggestions.look(visit.parts, visit.caller, id, form.text("asked") or None)
        if form.on("suggest"):
            return await _form(visit, id, sent=form.text("mappings"), suggested=suggested)
        given = _mappings(form.text("mappings"))
        mapped = {each["m3terId"] for each in given}
        given += [each for each in _accepted(suggested, ticked or set()) if each["m3terId"] not in mapped]
        begun = await mending.start(visit.parts.db, visit.caller, id, {"mappings": given} if given else {})
    if again.refusal:
        return await _form(
            visit, id, sent=form.text("mappings"), suggested=suggested, ticked=ticked, refusal=again.refusal
        )
    return visit.go(f"/mendings/{begun.mending.id}", f"{begun.mending.total} are being sent.")


@router.get("/mendings/{id}")
async def show(visit: MayRead, id: str) -> Response:
    told = await mending.progress(visit.parts.db, visit.caller, id)
    known = await names.of_integrations(visit.parts.db, visit.caller, [told.mending.integration_id])
    return visit.page("mending.html", told=told, integration=known.get(told.mending.integration_id))


@router.post("/mendings/{id}/stop")
async def stop(visit: MayDeliver, id: str) -> Response:
    await visit.form()
    await mending.stop(visit.parts.db, visit.caller, id)
    return visit.go(f"/mendings/{id}", "It is stopped; what is left can be mended again.")


def _accepted(suggested: Suggested | None, ticked: Collection[str]) -> list[dict[str, str]]:
    """The suggestions that were ticked, as the system answered them."""
    return [
        {"m3terId": each.ours.id, "externalId": each.thing.id}
        for each in (suggested.found if suggested else None) or ()
        if f"{each.ours.id} {each.thing.id}" in ticked
    ]


async def _form(
    visit: Visit,
    id: str,
    *,
    sent: str | None = None,
    suggested: Suggested | None = None,
    ticked: Collection[str] | None = None,
    refusal: Refusal | None = None,
) -> Response:
    stuck = await mending.look(visit.parts.db, visit.caller, id)
    event = (await events.retrieve(visit.parts.db, visit.caller, id)).event
    known = await names.of_integrations(visit.parts.db, visit.caller, [stuck.cause.integration_id])
    return visit.page(
        "mend.html",
        400 if refusal else 200,
        id=id,
        stuck=stuck,
        message=message_of(event),
        integration=known.get(stuck.cause.integration_id or ""),
        in_flight=mending.IN_FLIGHT,
        sent=sent,
        suggested=suggested,
        ticked=ticked,
        most_compared=suggestions.MOST,
        refusal=refusal,
    )


def _mappings(pasted: str) -> list[dict[str, str]]:
    """The lines that have both sides; an id of ours may hold a comma, an external id does not. Raises Invalid for a
    line that does not say where one ends and the other begins."""
    found = []
    for number, line in enumerate(pasted.splitlines(), start=1):
        pair = re.fullmatch(r"(.+)[,;\t]([^,;\t]*)", line.strip(" "))
        if pair is None and line.strip():
            raise Invalid(
                "mapping.line",
                f"Line {number} of mappings is {shown(line)}, which has no comma between the ids.",
                "Write the id, a comma and the external id.",
                "mappings",
            )
        if pair and pair[2].strip():
            found.append({"m3terId": pair[1].strip(), "externalId": pair[2].strip()})
    return found
