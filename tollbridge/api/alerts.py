"""Alerts: what is wrong now, and what people do about it. All of it is ours: m3ter publishes no address for them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from tollbridge.api.wire import (
    ORG,
    Body,
    Json,
    MayDeliver,
    MayRead,
    Paging200,
    TheParts,
    described,
    listed,
    timestamp,
)
from tollbridge.domain.alerts import AlertState, AlertType, Severity
from tollbridge.services import alerts
from tollbridge.services.alerts import Details
from tollbridge.store.alerts import Note, Row
from tollbridge.store.outbox import Letter

router = APIRouter(prefix=f"{ORG}/alerts", tags=["Alerts"])


@router.get("", openapi_extra=described(extension=True))
async def list_alerts(
    parts: TheParts,
    caller: MayRead,
    paging: Paging200,
    state: AlertState | None = None,
    severity: Severity | None = None,
    type: AlertType | None = None,
    integrationConfigId: str | None = None,
) -> Json:
    """The latest opened first."""
    found, token = await alerts.page(
        parts.db,
        caller,
        states=[state] if state else list(AlertState),
        severity=severity,
        type=type,
        integration_id=integrationConfigId or None,
        size=paging.size,
        token=paging.token,
    )
    return listed([_alert(each) for each in found], token)


@router.get("/{id}", openapi_extra=described(extension=True))
async def retrieve_alert(parts: TheParts, caller: MayRead, id: str) -> Json:
    """One alert, with its notes, and who was told."""
    return Json(_details(await alerts.retrieve(parts.db, caller, id)))


@router.put("/{id}", openapi_extra=described(alerts.CHANGE, extension=True))
async def change_alert(parts: TheParts, caller: MayDeliver, id: str, body: Body) -> Json:
    """Take it, close it, assign it, write a note; what is not given stays. Whoever takes one that is nobody's becomes
    its assignee; an empty assignee is nobody."""
    return Json(_details(await alerts.change(parts.db, caller, id, body)))


def _alert(row: Row) -> dict[str, Any]:
    values = {
        "id": row.id,
        "version": row.version,
        "type": row.type,
        "severity": row.severity,
        "state": row.state,
        "description": row.description,
        "remedy": row.remedy,
        "cause": row.cause,
        "count": row.count,
        "faultCode": row.code,
        "dtCreated": timestamp(row.created_at),
        "dtOpened": timestamp(row.opened_at),
        "dtLastModified": timestamp(row.updated_at),
        "dtClosed": timestamp(row.closed_at),
        "assignee": row.assignee,
        "integrationConfigId": row.integration_id,
        "credentialId": row.credential_id,
        "runId": row.run_id,
        "eventId": row.event_id,
    }
    return {name: value for name, value in values.items() if value is not None}


def _details(found: Details) -> dict[str, Any]:
    return {
        **_alert(found.alert),
        "notes": [_note(note) for note in found.notes],
        "told": [_letter(letter) for letter in found.letters],
    }


def _note(note: Note) -> dict[str, Any]:
    return {"dtCreated": timestamp(note.at), "createdBy": note.by, "text": note.text}


def _letter(letter: Letter) -> dict[str, Any]:
    values = {
        "channel": letter.channel,
        "recipient": letter.recipient,
        "change": letter.content["told"],
        "state": letter.state,
        "attempts": letter.attempts,
        "error": letter.error,
        "dtCreated": timestamp(letter.created_at),
        "dtEnded": timestamp(letter.ended_at),
    }
    return {name: value for name, value in values.items() if value is not None}
