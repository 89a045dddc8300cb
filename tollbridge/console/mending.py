"""Mending a group of error events: what is stuck, the mappings it lacks, the button that sends, how far it is."""

from __future__ import annotations

import re

from fastapi import APIRouter, Response

from tollbridge.console.visit import Form, MayDeliver, MayRead, Visit, trying
from tollbridge.domain.access import Permission
from tollbridge.domain.errors import Invalid, Refusal
from tollbridge.domain.events import message_of
from tollbridge.domain.fields import shown
from tollbridge.services import events, mending, names, suggestions
from tollbridge.services.suggestions import Suggested

router = APIRouter()


@router.get("/events/{id}/mend")
async def ask(visit: MayDeliver, id: str, suggest: str = "", run: str = "") -> Response:
    """The form; with `suggest` also what may be accepted, asked of the system, or read from the run that asked it."""
    if not suggest or not visit.may(Permission.MAP):
        return await _form(visit, id)
    async with trying() as again:
        found = await suggestions.look(visit.parts, visit.caller, id, run or None)
    if again.refusal:
        return await _form(visit, id, refusal=again.refusal)
    return await _form(visit, id, suggested=found)


@router.post("/events/{id}/mend")
async def begin(visit: MayDeliver, id: str) -> Response:
    form = await visit.form()
    async with trying() as again:
        given = _mappings(form.text("mappings"))
        mapped = {each["m3terId"] for each in given}
        given += [each for each in await _accepted(visit, id, form) if each["m3terId"] not in mapped]
        begun = await mending.start(visit.parts.db, visit.caller, id, {"mappings": given} if given else {})
    if again.refusal:
        return await _form(visit, id, sent=form.text("mappings"), refusal=again.refusal)
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


async def _accepted(visit: Visit, id: str, form: Form) -> list[dict[str, str]]:
    """The suggestions that were ticked, as the system answered them."""
    ticked = set(form.all("accept"))
    if not ticked:
        return []
    found = await suggestions.look(visit.parts, visit.caller, id, form.text("asked"))
    return [
        {"m3terId": each.ours.id, "externalId": each.thing.id}
        for each in found.found or ()
        if f"{each.ours.id} {each.thing.id}" in ticked
    ]


async def _form(
    visit: Visit,
    id: str,
    *,
    sent: str | None = None,
    suggested: Suggested | None = None,
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
