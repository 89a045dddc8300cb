"""Events. Extensions: submitting one, what more is told of each, which types are here only if submitted."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from tollbridge.api.wire import (
    ORG,
    Body,
    Json,
    Many,
    MayDeliver,
    MayMap,
    MayRead,
    MayWriteBilling,
    Order,
    Paging100,
    TheParts,
    described,
    instant_of,
    listed,
    timestamp,
)
from tollbridge.domain.choices import Suggestion
from tollbridge.domain.errors import Invalid
from tollbridge.domain.event_input import EVENT
from tollbridge.domain.event_types import Category, type_of
from tollbridge.domain.events import message_of
from tollbridge.domain.fields import one_of
from tollbridge.services import events, mending, suggestions
from tollbridge.services.events import LatestOfGroup
from tollbridge.services.mending import Figures, Progress, Stuck
from tollbridge.store.events import Filters, Stored

router = APIRouter(prefix=f"{ORG}/events", tags=["Events"])
_CATEGORY = one_of(Category)
BARE = described(extension=True)


def _filters(
    ids: Many = [],  # noqa: B006
    eventName: str | None = None,
    eventType: Annotated[str | None, Query(description=f"One of {', '.join(Category)}.")] = None,
    accountId: str | None = None,
    resourceId: Annotated[str | None, Query(description="Id of the entity that the event is about.")] = None,
    notificationId: Annotated[str | None, Query(description="Id of a rule that fired.")] = None,
    notificationCode: Annotated[str | None, Query(description="Code of a rule that fired.")] = None,
    includeActioned: Annotated[bool | None, Query(description="Default: false, unless ids are given.")] = None,
    since: Annotated[str | None, Query(description="Only what came in then or later. An extension.")] = None,
) -> Filters:
    others = {
        "eventName": eventName,
        "eventType": eventType,
        "accountId": accountId,
        "resourceId": resourceId,
        "notificationId": notificationId,
        "notificationCode": notificationCode,
        "since": since,
    }
    given = [name for name, value in others.items() if value]
    if ids and (given or includeActioned is not None):
        raise Invalid(
            "events.ids",
            f"ids stand with {', '.join(given) or 'includeActioned'}, but must stand alone.",
            "Leave out ids or the other filters.",
            "ids",
        )
    return Filters(
        ids=ids,
        name=type_of(eventName).name if eventName else None,
        type=Category(_CATEGORY.check(eventType, "eventType")) if eventType else None,
        account_id=accountId or None,
        resource_id=resourceId or None,
        rule_id=notificationId or None,
        rule_code=notificationCode or None,
        actioned=bool(ids) or bool(includeActioned),
        since=instant_of(since, "since"),
    )


@router.get("")
async def list_events(
    parts: TheParts,
    caller: MayRead,
    paging: Paging100,
    filters: Annotated[Filters, Depends(_filters)],
    order: Annotated[Order, Query(description="By when they came in. An extension.")] = Order.DESC,
) -> Json:
    """Events, newest first by when they came in unless `order` says otherwise."""
    ascending = order is Order.ASC
    page = await events.page(parts.db, caller, filters, paging.size, paging.token, ascending=ascending)
    return listed([wire(each) for each in page.data], page.next_token)


@router.post("", openapi_extra=described(EVENT, extension=True))
async def submit_event(parts: TheParts, caller: MayWriteBilling, body: Body) -> Json:
    """Submit an event under an id of your own: however often it comes, it counts once."""
    kept = await parts.submissions.submit(caller, body)
    return Json({**wire(kept.stored), "outcome": kept.outcome})


@router.get("/types")
async def get_event_types(parts: TheParts, caller: MayRead) -> Json:
    names = await events.types(parts.db, caller)
    return Json({"events": names, "onlyIfSubmitted": [name for name in names if events.only_if_submitted(name)]})


@router.get("/fields")
async def get_event_fields(parts: TheParts, caller: MayRead, eventName: str | None = None) -> Json:
    """What rules can read of events of that type, or of each."""
    return Json({"events": await events.fields(parts.db, caller, eventName)})


@router.get("/groups", openapi_extra=BARE)
async def list_event_groups(
    parts: TheParts,
    caller: MayRead,
    paging: Paging100,
    integrationConfigId: str | None = None,
    eventName: str | None = None,
    includeActioned: bool = False,
) -> Json:
    """Error events of integrations by cause, the one seen last first: how many, how many of them are not marked as
    actioned, and the latest."""
    filters = Filters(
        name=eventName, type=Category.INTEGRATION, actioned=includeActioned, integration_id=integrationConfigId
    )
    page = await events.groups(parts.db, caller, filters, paging.size, paging.token)
    figures = await mending.figures(parts.db, caller, [each.group.cause for each in page.data])
    return listed([_group(each) | _figures(figures[each.group.cause]) for each in page.data], page.next_token)


@router.get("/mendings/{id}", openapi_extra=BARE)
async def retrieve_mending(parts: TheParts, caller: MayRead, id: str) -> Json:
    """How far the mending of a group is, when it may be over, and why what failed again did."""
    return Json(_mending(await mending.progress(parts.db, caller, id)))


@router.post("/mendings/{id}/stop", openapi_extra=BARE)
async def stop_mending(parts: TheParts, caller: MayDeliver, id: str) -> Json:
    """Send no more; what is left stays until the group is mended again."""
    return Json(_mending(await mending.stop(parts.db, caller, id)))


@router.get("/{id}/group", openapi_extra=BARE)
async def look_at_event_group(parts: TheParts, caller: MayRead, id: str) -> Json:
    """What is stuck of the group of an error event, and what lacks a mapping there."""
    return Json(_stuck(await mending.look(parts.db, caller, id)))


@router.get("/{id}/group/suggestions", openapi_extra=BARE)
async def suggest_mappings(parts: TheParts, caller: MayMap, id: str, runId: str | None = None) -> Json:
    """For what lacks a mapping in the group, the one thing in the system with the same e-mail address, else the same
    name; only where it is the only one. Nothing is mapped: give those that you accept to `mend`.

    The system is asked live, for at most 500 accounts. Where that takes longer than ten seconds the answer is 202; ask
    again with the `runId` that it names.
    """
    found = await suggestions.look(parts, caller, id, runId)
    told = {"compared": found.compared, **({"runId": found.run.id} if found.run else {})}
    if found.found is None:
        return Json(told, status_code=202)
    return Json({**told, "suggestions": [_suggestion(each) for each in found.found]})


@router.post("/{id}/group/mend", openapi_extra=described(mending.BODY, extension=True, optional=True))
async def mend_event_group(parts: TheParts, caller: MayDeliver, id: str, body: Body) -> Json:
    """Write the mappings, enable the integration where it is disabled, and send what failed and was held, paced.

    Mappings need the permission `map`, a disabled integration `configure`."""
    return Json(_mending(await mending.start(parts.db, caller, id, body)))


@router.post("/{id}/mark", openapi_extra=described(events.MARK, extension=True, optional=True))
async def mark_event(parts: TheParts, caller: MayDeliver, id: str, body: Body) -> Json:
    """Mark one event as actioned, or as not; the note goes into the audit log."""
    given = events.MARK.check(body or {})
    actioned, note = given.get("actioned", True), given.get("note", "")
    return Json(wire(await events.mark(parts.db, caller, id, actioned=actioned, note=note)))


@router.post("/{id}/group/mark", openapi_extra=described(events.MARK_GROUP, extension=True, optional=True))
async def mark_event_group(parts: TheParts, caller: MayDeliver, id: str, body: Body) -> Json:
    """Mark every error event of the same cause as actioned that came in until `until`, by default until now."""
    return Json({"marked": await events.mark_group_of(parts.db, caller, id, body or {})})


@router.get("/{id}")
async def retrieve_event(parts: TheParts, caller: MayRead, id: str) -> Json:
    return Json(wire(await events.retrieve(parts.db, caller, id)))


def _group(found: LatestOfGroup) -> dict[str, Any]:
    group = found.group
    told = {
        "integrationConfigId": group.cause.integration_id,
        "eventName": group.cause.name,
        "code": group.cause.code,
        "missing": group.cause.missing or None,
        "count": group.count,
        "open": group.open,
        "dtFirst": timestamp(group.first_seen),
        "dtLast": timestamp(group.last_seen),
        "message": message_of(found.latest.event),
        "latestEventId": group.latest_id,
    }
    return {name: value for name, value in told.items() if value is not None}


def _figures(found: Figures) -> dict[str, Any]:
    return {"failedRuns": found.failed, "heldRuns": found.held, "totals": dict(found.sums or {})}


def _stuck(found: Stuck) -> dict[str, Any]:
    return {
        "integrationConfigId": found.cause.integration_id,
        "eventName": found.cause.name,
        "code": found.cause.code,
        "enabled": found.enabled,
        "unmapped": [{"m3terEntity": entity, "m3terId": id} for entity, id in found.unmapped],
        **_figures(found.figures),
        **({"missing": found.cause.missing} if found.cause.missing else {}),
        **({"mendingId": found.under_way} if found.under_way else {}),
    }


def _suggestion(found: Suggestion) -> dict[str, Any]:
    return {
        "m3terEntity": found.ours.entity,
        "m3terId": found.ours.id,
        "name": found.ours.name,
        "externalId": found.thing.id,
        "externalName": found.thing.label,
        "evidence": found.evidence,
    }


def _mending(found: Progress) -> dict[str, Any]:
    mended = found.mending
    told = {
        "id": mended.id,
        "integrationConfigId": mended.integration_id,
        "eventName": mended.name,
        "code": mended.code,
        "state": mended.state,
        "note": mended.note,
        "total": mended.total,
        "totals": {currency: Decimal(total) for currency, total in mended.sums.items()},
        "delivered": found.delivered,
        "failed": found.failed,
        "held": found.held,
        "left": found.left,
        "failing": [
            {"code": each.code, "count": each.count, "message": each.message, "runId": each.run_id}
            for each in found.failing
        ],
        "dtStarted": timestamp(mended.started_at),
        "startedBy": mended.started_by,
        "eta": timestamp(found.eta),
    }
    return {name: value for name, value in told.items() if value is not None}


def wire(stored: Stored) -> dict[str, Any]:
    """An event on the wire; what is more than there are extensions."""
    event = stored.event
    more = {
        "accountId": event.account_id,
        "resourceId": event.resource_id,
        "integrationConfigId": event.integration_id,
        "runId": event.run_id,
        "notificationIds": list(event.rule_ids) or None,
        "notificationCodes": list(event.rule_codes) or None,
    }
    return {
        "id": event.id,
        "eventName": event.name,
        "eventTime": timestamp(event.happened_at),
        "dtActioned": timestamp(stored.actioned_at),
        "m3terEvent": event.body,
        "eventType": event.type,
        "dtCreated": timestamp(stored.received_at),
        **{name: value for name, value in more.items() if value is not None},
    }
