"""Integration runs: lists, one run, its log as text and as steps, and replay."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from tollbridge.api.previews import preview_of
from tollbridge.api.wire import (
    ORG,
    Body,
    Json,
    Many,
    MayDeliver,
    MayRead,
    Order,
    Paging200,
    TheParts,
    described,
    instant_of,
    listed,
    timestamp,
)
from tollbridge.domain.runs import RunStatus
from tollbridge.services import changes, previews, redelivery, runs
from tollbridge.services.caller import Caller
from tollbridge.services.entities import missing
from tollbridge.services.parts import Parts
from tollbridge.services.run_log import text_of
from tollbridge.services.runs import LoggedStep, Run, RunLog

router = APIRouter(prefix=f"{ORG}/integrationruns", tags=["Integration runs"])
BARE = described(extension=True)
NO_IDS: list[str] = []


def _window(
    paging: Paging200,
    status: RunStatus | None = None,
    startDate: str | None = None,
    endDate: str | None = None,
    order: Order = Order.DESC,
) -> dict[str, Any]:
    """What the lists of runs have in common, as arguments of `services.runs.list_runs`."""
    return {
        "status": status,
        "started_after": instant_of(startDate, "startDate"),
        "started_until": instant_of(endDate, "endDate"),
        "ascending": order is Order.ASC,
        "size": paging.size,
        "token": paging.token,
    }


Window = Annotated[dict[str, Any], Depends(_window)]


@router.get("", openapi_extra=BARE)
async def list_all_runs(
    parts: TheParts,
    caller: MayRead,
    window: Window,
    integrationId: str | None = None,
    credentialId: str | None = None,
    entityType: str | None = None,
    entityId: str | None = None,
    eventId: str | None = None,
) -> Json:
    chosen = {"integration_id": integrationId, "credential_id": credentialId, "event_id": eventId}
    return await _list(parts, caller, window, **chosen, entity_type=entityType, entity_id=entityId)


@router.get("/logs/{id}")
async def get_run_log(parts: TheParts, caller: MayRead, id: str) -> Json:
    text = text_of(await _log(parts, caller, id))
    return Json({"Payload": base64.b64encode(text.encode()).decode()})


@router.get("/destinations/{destinationId}")
async def list_runs_of_destination(
    parts: TheParts, caller: MayRead, window: Window, destinationId: str, destination: str | None = None
) -> Json:
    return await _list(parts, caller, window, destination=destination, destination_id=destinationId)


@router.get("/{id}")
async def get_run(parts: TheParts, caller: MayRead, id: str) -> Json:
    """One run, with the configuration that is or was in force for it."""
    log = await _log(parts, caller, id)
    return Json(run_of(log.run) | ({"configuration": log.config} if log.config is not None else {}))


@router.get("/{id}/steps", openapi_extra=BARE)
async def get_run_steps(parts: TheParts, caller: MayRead, id: str) -> Json:
    """The run as a timeline: what was asked and answered, and the options, mappings and account as they were."""
    log = await _log(parts, caller, id)
    return Json(
        {
            "run": run_of(log.run),
            "configuration": log.config,
            "mappings": log.mappings,
            "account": log.account,
            "steps": [_step(step) for step in log.steps],
        }
    )


@router.get("/{id}/preview", openapi_extra=BARE)
async def get_preview(parts: TheParts, caller: MayRead, id: str) -> Json:
    """What a preview found, by its run; 202 and no more than its state while it is under way."""
    return preview_of(await previews.get(parts, caller, id))


@router.post("/{id}/replay", openapi_extra=described(runs.REPLAY, extension=True, optional=True))
async def replay_run(parts: TheParts, caller: MayDeliver, id: str, body: Body) -> Json:
    """Deliver again what the run was to deliver; looks first whether it already took effect.

    What a person decided for the run holds for the new one; with askAgain it does not."""
    return Json(run_of(await runs.replay(parts.db, caller, id, body)))


@router.post("/{id}/resend", openapi_extra=BARE)
async def resend_run(parts: TheParts, caller: MayDeliver, id: str) -> Json:
    """Send a notification that has come to an end once more, under its message id; answers the run that does."""
    return Json(run_of(await redelivery.resend(parts.db, caller, id)))


@router.post("/{id}/decide", openapi_extra=described(changes.DECIDE, extension=True))
async def decide_run(parts: TheParts, caller: MayDeliver, id: str, body: Body) -> Json:
    """Say what is done about the documents of a bill that changed, or was deleted, after it was sent."""
    return Json(run_of(await changes.decide(parts.db, caller, id, body)))


@router.get("/{entityType}/latest")
async def get_latest_runs(parts: TheParts, caller: MayRead, entityType: str, ids: Many = NO_IDS) -> Json:
    """The newest run of each of the entities that has one."""
    found = await _latest(parts, caller, entityType, ids)
    return listed([run_of(found[id]) for id in dict.fromkeys(ids) if id in found])


@router.get("/{entityType}/latest/{id}")
async def get_latest_run(parts: TheParts, caller: MayRead, entityType: str, id: str) -> Json:
    found = await _latest(parts, caller, entityType, [id])
    if id not in found:
        raise missing(f"run of the {entityType}", id)
    return Json(run_of(found[id]))


@router.get("/{entityType}/{entityId}")
async def list_runs_of_entity(parts: TheParts, caller: MayRead, window: Window, entityType: str, entityId: str) -> Json:
    return await _list(parts, caller, window, entity_type=entityType, entity_id=entityId)


async def _list(parts: Parts, caller: Caller, window: dict[str, Any], **filters: Any) -> Json:
    async with parts.db.transaction() as tx:
        found = await runs.list_runs(tx, caller.org_id, **window, **filters)
    return listed([run_of(run) for run in found.data], found.next_token)


async def _latest(parts: Parts, caller: Caller, entity_type: str, ids: list[str]) -> dict[str, Run]:
    async with parts.db.transaction() as tx:
        return await runs.latest_runs(tx, caller.org_id, entity_type, ids)


async def _log(parts: Parts, caller: Caller, id: str) -> RunLog:
    async with parts.db.transaction() as tx:
        return await runs.run_log(tx, caller.org_id, id)


def run_of(run: Run) -> dict[str, Any]:
    """The wire's run, then what we add. A run is changed by the machinery only, so nobody is named for that."""
    values = {
        "id": run.id,
        "version": run.version,
        "dtCreated": timestamp(run.created_at),
        "createdBy": run.created_by,
        "dtLastModified": timestamp(run.updated_at),
        "lastModifiedBy": "SYSTEM",
        "entityType": run.entity_type,
        "entityId": run.entity_id,
        "dtStarted": timestamp(run.started_at),
        "dtCompleted": timestamp(run.completed_at),
        "status": run.status,
        "destination": run.destination,
        "destinationId": run.destination_id,
        "error": run.error,
        "url": run.url,
        "externalId": run.external_id,
        "parentIntegrationRunId": run.parent_id,
        "state": run.state,
        "flow": run.flow,
        "system": run.system,
        "holdReason": run.hold_reason,
        "faultKind": run.fault_kind,
        "faultCode": run.fault_code,
        "hint": run.hint,
        "note": run.note,
        "attempt": run.attempt,
        "dtDue": None if run.state.ended else timestamp(run.due_at),
        "revision": run.revision,
        "accountId": run.account_id,
        "integrationId": run.integration_id,
        "credentialId": run.credential_id,
        "eventId": run.event_id,
        "messageId": run.message_id,
        "replayOf": run.replay_of,
        "total": run.total,
        "currency": run.currency,
        "choices": run.offers,
        "decision": run.decision,
        "holds": run.holds,
    }
    return {name: value for name, value in values.items() if value is not None}


def _step(step: LoggedStep) -> dict[str, Any]:
    values = {
        "seq": step.seq,
        "key": step.key,
        "name": step.name,
        "kind": step.kind,
        "attempt": step.attempt,
        "epoch": step.epoch,
        "dtStarted": timestamp(step.started_at),
        "dtCompleted": timestamp(step.completed_at),
        "status": step.status,
        "request": step.request,
        "reply": step.reply,
        "fault": step.fault,
    }
    return {name: value for name, value in values.items() if value is not None}
