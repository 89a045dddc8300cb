"""Where to get help: the portal, what to send there of a run, and the run's log as a file."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Response

from tollbridge.console.visit import Anybody, MayRead
from tollbridge.domain import json_text
from tollbridge.services import support
from tollbridge.services.run_log import text_of

router = APIRouter()


@router.get("/support")
async def help_page(visit: Anybody) -> Response:
    return visit.page("support.html", portal=visit.parts.settings.support_url, version=version("tollbridge"))


@router.get("/runs/{id}/support")
async def bundle(visit: MayRead, id: str) -> Response:
    """The redacted run with its log, configuration and versions, as a JSON file."""
    made = await support.bundle(visit.parts.db, visit.caller, id)
    text = json_text.dump(made, indent=2)
    return _file(text, "application/json", f"tollbridge-support-{made['run']['id']}.json")


@router.get("/runs/{id}/log")
async def log(visit: MayRead, id: str) -> Response:
    """The run's log as plain text."""
    found = await support.log_of(visit.parts.db, visit.caller, id)
    return _file(text_of(found), "text/plain; charset=utf-8", f"tollbridge-run-{found.run.id}.txt")


def _file(text: str, type: str, name: str) -> Response:
    """A download; the name has an id that we made, which needs no quoting."""
    return Response(text, media_type=type, headers={"content-disposition": f'attachment; filename="{name}"'})
