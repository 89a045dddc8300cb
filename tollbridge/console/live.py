"""What keeps an open page up to date: a stream that says when to draw it anew.

The page itself is the only description of what it shows; the script fetches it again and replaces its live regions. To
look once a second while somebody watches costs less than to notify of every step while nobody does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from tollbridge.console.visit import MayWatch, Visit
from tollbridge.domain.errors import Unauthenticated
from tollbridge.services import pulse

router = APIRouter()

PERIOD = 1.0
"""Seconds between two looks."""
LONGEST = 600
"""Looks after which a stream ends; the browser comes back by itself, which checks the session again."""


@router.get("/live")
async def live(visit: MayWatch, request: Request, run: str = "") -> Response:
    return StreamingResponse(
        _stream(visit, request, run), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
    )


async def _stream(visit: Visit, request: Request, run: str) -> AsyncIterator[str]:
    """An event whenever the mark is another than the browser had; its id is the mark, so that none is missed."""
    known = request.headers.get("last-event-id", "")
    yield "retry: 3000\n\n"
    for _ in range(LONGEST):
        if await request.is_disconnected():
            return
        mark = await _mark(visit, run)
        if mark != known:
            yield f"id: {mark}\nevent: changed\ndata: {run}\n\n"
            known = mark
        else:
            yield ": \n\n"
        await asyncio.sleep(PERIOD)


async def _mark(visit: Visit, run: str) -> str:
    try:
        await visit.parts.sessions.visitor(visit.token, acts=False)
    except Unauthenticated:
        return "signed out"
    return await (
        pulse.of_run(visit.parts.db, visit.caller, run) if run else pulse.of_runs(visit.parts.db, visit.caller)
    )
