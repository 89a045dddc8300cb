"""Mending a group of error events: what is stuck, the mappings it lacks, the button that sends, how far it is."""

from __future__ import annotations

import re

from fastapi import APIRouter, Response

from tollbridge.console.visit import MayDeliver, MayRead, Visit, trying
from tollbridge.domain.errors import Invalid, Refusal
from tollbridge.domain.events import message_of
from tollbridge.domain.fields import shown
from tollbridge.services import events, mending, names

router = APIRouter()


@router.get("/events/{id}/mend")
async def ask(visit: MayDeliver, id: str) -> Response:
    return await _form(visit, id)


@router.post("/events/{id}/mend")
async def begin(visit: MayDeliver, id: str) -> Response:
    form = await visit.form()
    async with trying() as again:
        given = _mappings(form.text("mappings"))
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


async def _form(visit: Visit, id: str, *, sent: str | None = None, refusal: Refusal | None = None) -> Response:
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
