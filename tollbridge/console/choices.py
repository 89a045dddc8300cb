"""Ids from the live system, for a field that has them: a page of its own, and over the form where there is script."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Response

from tollbridge.console.visit import MayMap, local, trying
from tollbridge.services import choices, systems

router = APIRouter()


def place_of(system: str, kind: str, field: str, *, next: str = "", integration: str = "") -> str:
    """The page on which things of the kind are looked up for the field of that id.

    `next` is the page that takes the id, which is added to it."""
    given = {"system": system, "kind": kind, "field": field, "next": next, "integration": integration}
    return "/choices?" + urlencode({name: value for name, value in given.items() if value})


@router.get("/choices")
async def look_up(
    visit: MayMap,
    system: str,
    kind: str,
    q: str = "",
    field: str = "",
    next: str = "",
    credential: str = "",
    integration: str = "",
) -> Response:
    """What the system has with these words; where it cannot be asked, why, and that the id can be typed."""
    destination = systems.find(system)
    async with trying() as again:
        found = await choices.look(
            visit.parts,
            visit.caller,
            destination,
            kind,
            q.strip(),
            credential_id=credential or None,
            integration_id=integration or None,
        )
    kept = {"system": system, "kind": kind, "field": field, "next": next}
    kept |= {"credential": credential, "integration": integration}
    return visit.page(
        "choices.html",
        destination=destination,
        q=q.strip(),
        kept={name: value for name, value in kept.items() if value},
        field=field,
        next=local(next) if next else "",
        answer=None if again.refusal else found,
        refusal=again.refusal,
    )
