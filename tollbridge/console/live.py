"""What keeps an open page up to date: a stream that says when to draw it anew.

The page itself is the only description of what it shows; the script fetches it again and replaces its live regions. To
look once a second while somebody watches costs less than to notify of every step while nobody does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from tollbridge.console.visit import MayWatch, Visit
from tollbridge.domain.errors import Unauthenticated
from tollbridge.services import pulse

router = APIRouter()

PERIOD = 1.0
"""Seconds between two looks."""
LONGEST = 600
"""Looks after which a stream ends; the browser comes back by itself, which checks the session again."""


@dataclass(frozen=True, slots=True)
class About:
    """What the page is about, by its id; nothing where it is about all there is."""

    run: str = ""
    integration: str = ""
    bill: str = ""
    mending: str = ""


@router.get("/live")
async def live(visit: MayWatch, request: Request, about: Annotated[About, Depends()]) -> Response:
    return StreamingResponse(
        _stream(visit, request, about), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
    )


async def _stream(visit: Visit, request: Request, about: About) -> AsyncIterator[str]:
    """An event whenever the mark is another than the browser had; its id is the mark, so that none is missed."""
    known = request.headers.get("last-event-id", "")
    yield "retry: 3000\n\n"
    for _ in range(LONGEST):
        if await request.is_disconnected():
            return
        mark = await _mark(visit, about)
        if mark != known:
            yield f"id: {mark}\nevent: changed\ndata: \n\n"
            known = mark
        else:
            yield ": \n\n"
        await asyncio.sleep(PERIOD)


async def _mark(visit: Visit, about: About) -> str:
    try:
        await visit.parts.sessions.visitor(visit.token, acts=False)
    except Unauthenticated:
        return "signed out"
    for name, id in asdict(about).items():
        if id:
            return await pulse.of_one(visit.parts.db, visit.caller, name, id)
    return await pulse.of_runs(visit.parts.db, visit.caller)
