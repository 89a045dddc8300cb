"""Every part of a page in every state, for who changes how pages look: a mirror, with nothing behind it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

from fastapi import APIRouter, Response

from tollbridge.console.charts import chart
from tollbridge.console.remedies import Remedy
from tollbridge.console.runs import title_of_system
from tollbridge.console.set_up import Step
from tollbridge.console.status import every_status
from tollbridge.console.users import MAY
from tollbridge.console.visit import MayAdminister
from tollbridge.domain.errors import Invalid
from tollbridge.domain.tallies import Day, Tally
from tollbridge.services import clock
from tollbridge.services.mending import Figures

router = APIRouter()

ICONS = ("ok", "bad", "warn", "busy", "amber", "green", "none")


@router.get("/_gallery")
async def gallery(visit: MayAdminister) -> Response:
    now = clock.now()
    session = {"id": "s", "address": "192.0.2.1", "agent": "Firefox", "way": "link", "created_at": now, "seen_at": now}
    return visit.page(
        "gallery.html",
        icons=ICONS,
        statuses=every_status(),
        moments=[now, now - timedelta(days=3), now + timedelta(hours=2), None],
        refusal=Invalid("gallery", "name is '', but must be text of 1 to 200 characters.", "Give it a name.", "name"),
        remedies=[Remedy("Go to run", "/runs"), None],
        runs=[_run(status, total) for status, total in (("COMPLETE", Decimal("41220")), ("ERROR", None))],
        sessions=[SimpleNamespace(**session), SimpleNamespace(**session | {"id": "own"})],
        title_of_system=title_of_system,
        chart=chart(_days()),
        roles=MAY,
        short={"name": "Stripe", "count": 3, "open": True, "nothing": None},
        long=list(range(60)),
        hues=range(8),
        set_up=[Step("Add a credential", "/_gallery", True), Step("Configure an integration", "/_gallery", False)],
        figures=Figures(10, 303, {"EUR": Decimal("41220")}),
    )


def _days() -> list[Day]:
    """Days of all kinds: not counted, without anything, with failures, of very different size."""
    today = clock.now().date()
    tallies = [None, Tally(), Tally(1), Tally(0, 1), Tally(41220, 3), Tally(20000, 313), Tally(7)]
    return [Day(today - timedelta(days=len(tallies) - 1 - place), each) for place, each in enumerate(tallies)]


def _run(status: str, total: Decimal | None) -> SimpleNamespace:
    return SimpleNamespace(
        id="none",
        status=status,
        entity_type="Bill",
        entity_id="2026-10-acme",
        system="STRIPE",
        total=total,
        currency="EUR",
        started_at=clock.now(),
        created_at=clock.now(),
        url="https://dashboard.example/in_1" if total else None,
        external_id="in_1" if total else None,
    )
