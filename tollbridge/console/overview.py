"""The first page: four numbers, what needs somebody, the last days, and what is left of the set-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Response

from tollbridge.console import charts
from tollbridge.console.charts import Chart
from tollbridge.console.visit import MayRead, Visit
from tollbridge.domain.runs import RunState
from tollbridge.services import names, overview
from tollbridge.services.tallies import Tallies

router = APIRouter()

_INTEGRATIONS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class OfIntegration:
    """The last days of one integration."""

    id: str
    name: str
    chart: Chart


@router.get("/")
async def first_page(visit: MayRead) -> Response:
    found = await overview.overview_of(visit.parts.db, visit.caller)
    counted = await visit.parts.tallies.count(visit.caller)
    by_integration = await _by_integration(visit, counted)
    return visit.page(
        "overview.html",
        found=found,
        failed=found.states.get(RunState.FAILED, 0),
        under_way=sum(found.states.get(state, 0) for state in (RunState.QUEUED, RunState.RUNNING, RunState.WAITING)),
        total=sum(found.states.values()),
        chart=charts.of_all(counted, visit.reader.zone),
        by_integration=by_integration[:_INTEGRATIONS_SHOWN],
        more=len(by_integration[_INTEGRATIONS_SHOWN:]),
    )


async def _by_integration(visit: Visit, counted: Tallies) -> Sequence[OfIntegration]:
    """Those in which something ended, the one with most failures first."""
    known = await names.of_integrations(visit.parts.db, visit.caller, counted.hours)
    found = [
        OfIntegration(id, record["name"], charts.of_one(counted, id, visit.reader.zone)) for id, record in known.items()
    ]
    return sorted(
        (each for each in found if each.chart.total),
        key=lambda each: (-each.chart.total.failed, -each.chart.total.delivered, each.name),
    )
