"""Error events of integrations: by cause or one by one, each with the one button that mends it, marked as actioned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from tollbridge.console.remedies import Remedy, remedy_of
from tollbridge.console.visit import Form, MayDeliver, MayRead, Visit
from tollbridge.domain.errors import ACTIONS, Invalid
from tollbridge.domain.event_types import Category
from tollbridge.domain.events import Cause, cause_of, message_of
from tollbridge.domain.fields import read_instant
from tollbridge.services import events, mending, names
from tollbridge.store.event_groups import Group
from tollbridge.store.events import Filters, Stored
from tollbridge.store.records import Record

router = APIRouter()

_SHOWN = 50
KINDS = sorted(ACTIONS)
"""The names of the error events."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An error event as a person reads it; the latest of `group`, where groups are shown."""

    stored: Stored
    message: str
    cause: Cause
    remedy: Remedy | None
    integration: Record | None
    group: Group | None = None

    @property
    def state(self) -> str:
        return "ACTIONED" if self.stored.actioned_at else "NOT_ACTIONED"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the address asks for. A cause is wanted where there is a `code`, be it empty."""

    name: str = ""
    integration: str = ""
    code: str | None = None
    missing: str = ""
    account: str = ""
    view: str = ""
    state: str = ""

    @property
    def cause(self) -> Cause | None:
        return None if self.code is None else Cause(self.integration or None, self.name, self.code, self.missing)

    @property
    def single(self) -> bool:
        """Whether events are shown one by one."""
        return self.view == "single" or self.code is not None

    def filters(self) -> Filters:
        return Filters(
            name=self.name or None,
            type=Category.INTEGRATION,
            account_id=self.account or None,
            actioned=self.state == "all",
            integration_id=self.integration or None,
            cause=self.cause,
        )

    def named(self) -> Mapping[str, str]:
        """The filters that are set, for people."""
        told = {"kind": self.name, "integration": self.integration, "code": self.code or "", "missing": self.missing}
        return {name: value for name, value in (told | {"account": self.account}).items() if value}


@router.get("/events")
async def list_events(visit: MayRead, wanted: Annotated[Wanted, Depends()], after: str | None = None) -> Response:
    """By cause, unless asked for one by one."""
    db, caller = visit.parts.db, visit.caller
    found: list[tuple[Stored, Group | None]]
    if wanted.single:
        page = await events.page(db, caller, wanted.filters(), _SHOWN, after)
        found, token = [(each, None) for each in page.data], page.next_token
    else:
        grouped = await events.groups(db, caller, wanted.filters(), _SHOWN, after)
        found, token = [(each.latest, each.group) for each in grouped.data], grouped.next_token
    causes = [group.cause for _, group in found if group]
    return visit.page(
        "events.html",
        shown=await _shown(visit, found),
        next_token=token,
        size=_SHOWN,
        wanted=wanted,
        kinds=KINDS,
        most=events.MOST_GROUPED,
        figures=await mending.figures(db, caller, causes) if causes else {},
    )


@router.get("/events/{id}")
async def show_event(visit: MayRead, id: str) -> Response:
    stored = await events.retrieve(visit.parts.db, visit.caller, id)
    history = await events.history(visit.parts.db, visit.caller, stored)
    (shown,) = await _shown(visit, [(stored, None)])
    return visit.page(
        "event.html",
        shown=shown,
        event=stored.event,
        is_error=stored.event.type == Category.INTEGRATION,
        history=history,
        people=await names.of_principals(visit.parts.db, visit.caller, [entry.principal for entry in history]),
    )


@router.post("/events/mark")
async def mark_group(visit: MayDeliver) -> Response:
    """Mark what the reader saw of a group; what came in since stays as it is."""
    form = await visit.form()
    until = read_instant(form.text("until"))
    if until is None:
        raise Invalid("events.until", "until is no moment.", "Open the page again and repeat.", "until")
    cause = Cause(form.text("integration") or None, form.text("name"), form.text("code"), form.text("missing"))
    count = await events.mark_group(visit.parts.db, visit.caller, cause, until, form.text("note"))
    said = f"{count} event{' was' if count == 1 else 's were'} marked as actioned."
    return visit.go(_next(form, "/events"), said)


@router.post("/events/{id}/mark")
async def mark(visit: MayDeliver, id: str) -> Response:
    form = await visit.form()
    actioned = form.text("actioned") != "no"
    await events.mark(visit.parts.db, visit.caller, id, actioned=actioned, note=form.text("note"))
    said = f"The event was marked as {'' if actioned else 'not '}actioned."
    return visit.go(_next(form, f"/events/{id}"), said)


def _next(form: Form, default: str) -> str:
    """The list from which the form was sent."""
    asked = form.text("next")
    return asked if asked.startswith("/events") else default


async def _shown(visit: Visit, found: list[tuple[Stored, Group | None]]) -> list[Shown]:
    ids = [stored.event.integration_id for stored, _ in found]
    integrations = await names.of_integrations(visit.parts.db, visit.caller, ids)
    return [_one(stored, group, integrations.get(stored.event.integration_id or "")) for stored, group in found]


def _one(stored: Stored, group: Group | None, integration: Record | None) -> Shown:
    event = stored.event
    remedy = remedy_of(
        ACTIONS.get(event.name),
        run_id=event.run_id,
        integration_id=integration.id if integration else None,
        credential_id=integration["credential_id"] if integration else None,
    )
    cause = group.cause if group else cause_of(event)
    return Shown(stored, message_of(event), cause, remedy, integration, group)
