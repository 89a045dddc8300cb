"""Alerts: what is wrong now, taken, given to somebody, written about, closed and opened again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Response

from tollbridge.console.credentials import Broken, broken
from tollbridge.console.visit import MayDeliver, MayRead, Unset, Visit, trying
from tollbridge.domain.access import Permission
from tollbridge.domain.alerts import AlertState, AlertType, Severity
from tollbridge.domain.errors import NotFound, Refusal
from tollbridge.services import alerts, mending, names, users
from tollbridge.services.mending import Figures
from tollbridge.store.alerts import Row as Alert
from tollbridge.store.records import Record

router = APIRouter()

_SHOWN = 50
_USERS_SHOWN = 200
OPEN: Sequence[AlertState] = (AlertState.NEW, AlertState.IN_PROGRESS)
TABS: Mapping[str, tuple[str | None, Sequence[AlertState]]] = {
    "Open": (None, OPEN),
    "New": ("NEW", (AlertState.NEW,)),
    "In progress": ("IN_PROGRESS", (AlertState.IN_PROGRESS,)),
    "Closed": ("CLOSED", (AlertState.CLOSED,)),
    "All": ("all", tuple(AlertState)),
}
"""The words of the states, what stands in the address, and what is shown."""


@router.get("/alerts")
async def list_alerts(
    visit: MayRead,
    state: str | None = None,
    severity: Annotated[Severity | None, Unset] = None,
    type: Annotated[AlertType | None, Unset] = None,
    integration: str = "",
    after: str | None = None,
) -> Response:
    """Those that are open, unless asked for others; the latest opened first."""
    found, token = await alerts.page(
        visit.parts.db,
        visit.caller,
        states=next((states for value, states in TABS.values() if value == state), OPEN),
        severity=severity,
        type=type,
        integration_id=integration or None,
        size=_SHOWN,
        token=after,
    )
    filters = {"severity": severity or "", "type": type or "", "integration": integration}
    return visit.page(
        "alerts.html",
        alerts=found,
        next_token=token,
        size=_SHOWN,
        tabs={word: value for word, (value, _) in TABS.items()},
        state=state,
        severities=list(Severity),
        types=list(AlertType),
        filters={name: value for name, value in filters.items() if value},
        people=await names.of_principals(visit.parts.db, visit.caller, [each.assignee for each in found]),
    )


@router.get("/alerts/{id}")
async def show_alert(visit: MayRead, id: str) -> Response:
    return await _details(visit, id)


@router.post("/alerts/{id}")
async def change_alert(visit: MayDeliver, id: str) -> Response:
    """Take, close, reopen, assign or write a note: what the form says, and the rest stays."""
    form = await visit.form()
    body: dict[str, Any] = {name: form.text(name) for name in ("state", "note") if form.text(name)}
    if "assignee" in form.data:
        body["assignee"] = form.text("assignee")
    async with trying() as again:
        changed = await alerts.change(visit.parts.db, visit.caller, id, body | form.version())
    if again.refusal:
        return await _details(visit, id, refusal=again.refusal)
    return visit.go(f"/alerts/{id}", f"The alert was changed: it is {changed.alert.state.replace('_', ' ').lower()}.")


async def _details(visit: Visit, id: str, refusal: Refusal | None = None) -> Response:
    db, caller = visit.parts.db, visit.caller
    found = await alerts.retrieve(db, caller, id)
    alert = found.alert
    return visit.page(
        "alert.html",
        409 if refusal else 200,
        alert=alert,
        notes=found.notes,
        letters=found.letters,
        people=await names.of_principals(db, caller, [alert.assignee, *(note.by for note in found.notes)]),
        integration=(await names.of_integrations(db, caller, [alert.integration_id])).get(alert.integration_id or ""),
        colleagues=await _colleagues(visit),
        me=caller.principal,
        stuck=await _stuck(visit, alert),
        reconnect=await _reconnect(visit, alert),
        refusal=refusal,
    )


async def _stuck(visit: Visit, alert: Alert) -> Sequence[tuple[str, Figures]]:
    """What is stuck because of it, where the visitor may send that."""
    if alert.integration_id is None or alert.credential_id or not visit.may(Permission.DELIVER):
        return ()
    return await mending.stuck_in(visit.parts.db, visit.caller, alert.integration_id, alert.code)


async def _reconnect(visit: Visit, alert: Alert) -> Broken | None:
    """The credential that the alert is about, where the visitor may enter another secret."""
    if alert.credential_id is None or alert.state is AlertState.CLOSED or not visit.may(Permission.CREDENTIALS):
        return None
    try:
        return await broken(visit, alert.credential_id)
    except NotFound:
        return None


async def _colleagues(visit: Visit) -> Mapping[str, Record]:
    """To whom the visitor may give an alert, by principal; who may not read who the users are takes or leaves it."""
    if not visit.may(Permission.CONFIGURE):
        return {}
    found = await users.page(visit.parts.db, visit.caller, _USERS_SHOWN, None)
    return {f"{names.PERSON}{user.id}": user for user in found.data}
