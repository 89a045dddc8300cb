"""The first page: four numbers, what needs somebody, and what is left of the set-up."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Response

from tollbridge.console.visit import MayRead
from tollbridge.domain.runs import RunState
from tollbridge.services import overview
from tollbridge.services.overview import Overview

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a first set-up: whether it is done, and where it is."""

    words: str
    path: str
    done: bool


@router.get("/")
async def first_page(visit: MayRead) -> Response:
    found = await overview.overview_of(visit.parts.db, visit.caller)
    steps = _steps(found)
    return visit.page(
        "overview.html",
        found=found,
        steps=steps if not all(step.done for step in steps) else [],
        failed=found.states.get(RunState.FAILED, 0),
        under_way=sum(found.states.get(state, 0) for state in (RunState.QUEUED, RunState.RUNNING, RunState.WAITING)),
        total=sum(found.states.values()),
    )


def _steps(found: Overview) -> list[Step]:
    done = found.steps
    return [
        Step("Add a credential of the system that bills go to", "/credentials/new", done["credential"]),
        Step("Configure an integration", "/integrations", done["integration"]),
        Step("Import bills", "/bills/import", done["bills"]),
        Step("Say which account is which customer there", "/mappings", done["mappings"]),
        Step("Watch the first bill arrive", "/runs", done["delivered"]),
    ]
