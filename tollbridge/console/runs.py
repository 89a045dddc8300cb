"""Runs: the list, one run with its log, replaying it, and deciding about bills that changed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Response

from tollbridge.console.remedies import Remedy, remedy_of
from tollbridge.console.timeline import bars, curl
from tollbridge.console.visit import MayDeliver, MayRead, Unset, Visit
from tollbridge.domain.errors import FAULTS, FaultKind, NotFound
from tollbridge.domain.runs import Flow, RunState, RunStatus
from tollbridge.services import bills, changes, integrations, known_errors, runs, systems
from tollbridge.services.accounts import ACCOUNTS
from tollbridge.services.run_log import held_for
from tollbridge.services.runs import Run

router = APIRouter()

_SHOWN = 50
TABS = {
    "All": None,
    "Running": RunStatus.STARTED,
    "Waiting": RunStatus.WAITING,
    "Failed": RunStatus.ERROR,
}


@router.get("/runs")
async def list_runs(
    visit: MayRead,
    status: Annotated[RunStatus | None, Unset] = None,
    integration: str | None = None,
    entityType: str | None = None,
    entity: str | None = None,
    credential: str | None = None,
    event: str | None = None,
    destination: str | None = None,
    after: str | None = None,
) -> Response:
    async with visit.parts.db.transaction() as tx:
        found = await runs.list_runs(
            tx,
            visit.caller.org_id,
            status=status,
            integration_id=integration,
            entity_type=entityType,
            entity_id=entity,
            credential_id=credential,
            event_id=event,
            destination_id=destination,
            size=_SHOWN,
            token=after,
        )
    filters = {
        "status": status,
        "integration": integration,
        "entityType": entityType,
        "entity": entity,
        "credential": credential,
        "event": event,
        "destination": destination,
    }
    return visit.page(
        "runs.html",
        found=found,
        tabs=TABS,
        statuses=list(RunStatus),
        filters={name: value for name, value in filters.items() if value},
        title_of_system=title_of_system,
    )


@router.get("/runs/{id}")
async def show_run(visit: MayRead, id: str) -> Response:
    """The run with its log: what was asked and answered, and what a person can do about it."""
    async with visit.parts.db.transaction() as tx:
        log = await runs.run_log(tx, visit.caller.org_id, id)
        tries = await runs.list_runs(
            tx, visit.caller.org_id, entity_type=log.run.entity_type, entity_id=log.run.entity_id, size=20
        )
    run = log.run
    return visit.page(
        "run.html",
        explained=known_errors.explain(run.fault_code) if run.fault_code else None,
        log=log,
        run=run,
        bars=bars(log.steps),
        curl=curl,
        held_for=held_for,
        remedy=_remedy(run),
        replayable=_replayable(run),
        tries=[each for each in tries.data if each.integration_id == run.integration_id],
        title=await _title(visit, run),
        integration=await _integration_name(visit, run),
        system=title_of_system(run.system),
        live=not run.state.ended,
        portal=visit.parts.settings.support_url,
    )


@router.post("/runs/{id}/replay")
async def replay(visit: MayDeliver, id: str) -> Response:
    form = await visit.form()
    again = await runs.replay(visit.parts.db, visit.caller, id, {"askAgain": True} if form.on("askAgain") else {})
    return visit.go(f"/runs/{again.id}", "It is delivered again, unless it already took effect.")


@router.post("/runs/{id}/decide")
async def decide(visit: MayDeliver, id: str) -> Response:
    """Say what is done about the documents of a bill that changed after it was sent."""
    form = await visit.form()
    body: dict[str, Any] = {"choice": form.text("choice")}
    if form.text("money"):
        body["money"] = form.text("money")
    if form.text("mail"):
        body["mailCustomer"] = form.text("mail") == "yes"
    await changes.decide(visit.parts.db, visit.caller, id, body)
    return visit.go(f"/runs/{id}", "It goes on as you chose.")


def title_of_system(key: str) -> str:
    """How people call the system; its key where it is not here any more."""
    for destination in systems.destinations():
        if destination.system.key == key:
            return destination.system.title
    return key


def _replayable(run: Run) -> bool:
    over = run.state in (RunState.FAILED, RunState.CANCELLED)
    return over and run.flow in (Flow.DELIVER, Flow.WITHDRAW) and run.integration_id is not None


def _remedy(run: Run) -> Remedy | None:
    """The one button that mends it; what is already shown on this page needs none."""
    action = FAULTS[FaultKind(run.fault_kind)].action if run.fault_kind else None
    if run.hold_reason == "disabled":
        action = "Re-enable"
    elif run.hold_reason in ("unauthorized", "disconnected"):
        action = "Configure credential"
    if action == "Go to run":
        return None
    return remedy_of(action, run_id=run.id, integration_id=run.integration_id, credential_id=run.credential_id)


async def _title(visit: Visit, run: Run) -> str:
    """What the run is about, in words."""
    if run.entity_type == "Bill" and run.account_id:
        try:
            account = await ACCOUNTS.retrieve(visit.parts.db, visit.caller, run.account_id)
            return f"Bill {await _number(visit, run.entity_id)} of {account['name']}"
        except NotFound:
            pass
    return f"{run.entity_type} {run.entity_id}"


async def _number(visit: Visit, bill_id: str) -> str:
    try:
        bill = await bills.retrieve(visit.parts.db, visit.caller, bill_id)
    except NotFound:
        return bill_id
    return str(bill.record.body.get("sequentialInvoiceNumber") or bill_id)


async def _integration_name(visit: Visit, run: Run) -> str | None:
    if run.integration_id is None:
        return None
    try:
        found = await integrations.retrieve(visit.parts.db, visit.caller, run.integration_id)
    except NotFound:
        return None
    return str(found.record["name"])
