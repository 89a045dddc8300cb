"""Integration configurations, and the catalogue of the systems and options that there are."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from tollbridge.api.previews import preview_of
from tollbridge.api.wire import (
    ORG,
    Body,
    Json,
    MayConfigure,
    MayDeliver,
    MayMap,
    MayRead,
    Paging200,
    TheParts,
    Words,
    described,
    entity,
    listed,
    timestamp,
)
from tollbridge.domain.runs import RunStatus
from tollbridge.services import choices, dispatch, guarding, integrations, previews, systems
from tollbridge.services.dispatch import InScope
from tollbridge.services.guarding import Month, Waiting
from tollbridge.services.integrations import Integration, Standing, Trouble
from tollbridge.services.parts import Parts
from tollbridge.store.events import Stored
from tollbridge.store.guards import Sent
from tollbridge.store.records import Record

router = APIRouter(prefix=f"{ORG}/integrationconfigs", tags=["Integration configurations"])
WITH_BODY = described(integrations.BODY)
BARE = described(extension=True)


@router.get("/available")
async def available(caller: MayRead, systemName: str | None = None, entityType: str | None = None) -> Json:
    """The options in their layers: of every integration, of an entity type, of a system, of its credential."""
    return Json(systems.catalogue(systemName, entityType))


@router.get("/available/systems")
async def available_systems(caller: MayRead, entityType: str | None = None) -> Json:
    return Json(
        [
            {
                "identifier": destination.system.key,
                "displayName": destination.system.title,
                "validationSupported": True,
                "supportedAuthTypes": [destination.auth_type],
            }
            for destination in systems.destinations(entityType)
        ]
    )


@router.get("/available/{systemName}/entities")
async def available_entities(caller: MayRead, systemName: str) -> Json:
    names = systems.entity_types(systemName)
    return Json([{"entityType": name, "readableName": name, "released": True} for name in names])


@router.get("/available/{systemName}/auth/{entityType}")
async def available_auth(caller: MayRead, systemName: str, entityType: str) -> Json:
    return Json(systems.auth_options(systemName, entityType))


@router.get("/values/{systemName}/{configOption}")
async def option_values(caller: MayRead, systemName: str, configOption: str) -> Json:
    """What the option can be set to, where it is one of a few names. Where it has ids of things in the system, its
    schema names their kind as `choices`: these are asked for there."""
    return Json(systems.option_values(systemName, configOption))


@router.get("/choices/{systemName}/{kind}", openapi_extra=BARE)
async def list_choices(
    parts: TheParts,
    caller: MayMap,
    systemName: str,
    kind: str,
    search: Words = "",
    integrationCredentialsId: str | None = None,
    integrationConfigId: str | None = None,
) -> Json:
    """What the system has of a kind (a table of mappings such as `Customer`, or what the schema of an option names as
    `choices`), with these words, asked live by a worker in at most ten seconds; at most 50, the latest without words.

    Asked with the credential named, or that of the integration named, else with one for the system that works.
    """
    answer = await choices.look(
        parts,
        caller,
        systems.find(systemName, "systemName"),
        kind,
        search,
        credential_id=integrationCredentialsId,
        integration_id=integrationConfigId,
    )
    assert answer.found is not None
    return Json(
        {
            "choices": [{"id": each.id, "label": each.label} for each in answer.found.things],
            "more": answer.found.more,
            "integrationCredentialsId": answer.credential.id,
            "tenantName": answer.credential["tenant_name"],
            "runId": answer.run.id,
        }
    )


@router.get("/entity/{entityType}")
async def get_by_entity(
    parts: TheParts,
    caller: MayRead,
    entityType: str,
    destination: str | None = None,
    destinationId: str | None = None,
    entityId: str | None = None,
) -> Json:
    found = await integrations.by_entity(
        parts.db, caller, entityType, destination=destination, destination_id=destinationId, entity_id=entityId
    )
    return Json(_with_run(parts, found))


@router.get("")
async def list_integrations(
    parts: TheParts, caller: MayRead, paging: Paging200, destinationId: str | None = None
) -> Json:
    found, standings = await integrations.page(parts.db, caller, destinationId, paging.size, paging.token)
    return listed([_integration(parts, record, standings[record.id]) for record in found.data], found.next_token)


@router.post("", openapi_extra=WITH_BODY)
async def create_integration(parts: TheParts, caller: MayConfigure, body: Body) -> Json:
    return Json(_saved(parts, await integrations.create(parts.db, caller, body)))


@router.get("/{id}")
async def retrieve_integration(parts: TheParts, caller: MayRead, id: str) -> Json:
    return Json(_with_run(parts, await integrations.retrieve(parts.db, caller, id)))


@router.put("/{id}", openapi_extra=WITH_BODY)
async def update_integration(parts: TheParts, caller: MayConfigure, id: str, body: Body) -> Json:
    return Json(_saved(parts, await integrations.update(parts.db, caller, id, body)))


@router.delete("/{id}")
async def delete_integration(parts: TheParts, caller: MayConfigure, id: str) -> Json:
    deleted = await integrations.delete(parts.db, caller, id)
    return Json(_integration(parts, deleted.record, deleted.standing))


@router.post("/{id}/enable", openapi_extra=described(integrations.ENABLE, optional=True))
async def enable_integration(parts: TheParts, caller: MayConfigure, id: str, body: Body) -> Json:
    """Let it send again. `held`, an extension, says what becomes of what was held since it was disabled: `send` (the
    default), in the order in which it came, or `drop`: it is cancelled and can still be sent by hand."""
    return Json(_with_run(parts, await integrations.enable(parts.db, caller, id, body)))


@router.post("/{id}/disable", openapi_extra=described(integrations.DISABLE, extension=True))
async def disable_integration(parts: TheParts, caller: MayConfigure, id: str, body: Body) -> Json:
    return Json(_with_run(parts, await integrations.disable(parts.db, caller, id, body)))


@router.get("/{id}/continue", openapi_extra=BARE)
async def retrieve_waiting(parts: TheParts, caller: MayRead, id: str) -> Json:
    """What waits for a look at what was sent: the bills with their links, the sums of the delivered, and what is held
    behind them."""
    return Json(_waiting(await guarding.waiting(parts.db, caller, id)))


@router.post("/{id}/continue", openapi_extra=BARE)
async def continue_integration(parts: TheParts, caller: MayDeliver, id: str) -> Json:
    """Send on after a look: first sends are over, and months that are stopped go on. Answers what there was to look
    at, and how many runs were `released`."""
    found, released = await guarding.go_on(parts.db, caller, id)
    return Json({**_waiting(found), "released": released})


@router.post("/{id}/send", openapi_extra=BARE)
async def send_existing(parts: TheParts, caller: MayDeliver, id: str) -> Json:
    """Make a run for every bill in scope that was never delivered and has none under way."""
    return Json({"runs": await dispatch.send_existing(parts.db, caller, id)})


@router.post("/{id}/preview", openapi_extra=described(previews.BODY, extension=True))
async def preview_delivery(parts: TheParts, caller: MayDeliver, id: str, body: Body) -> Json:
    """The exact requests that would be sent for a bill, with the source of each value; nothing is written.

    `configData` stands in for that of the integration. Reads are really made, by a worker. Where that takes longer than
    ten seconds the answer is 202, and the preview is read later by its run.
    """
    return preview_of(await previews.preview(parts, caller, id, body))


def _saved(parts: Parts, saved: Integration) -> dict[str, Any]:
    scope = {"billsInScope": _scope(saved.in_scope)} if saved.in_scope else {}
    return _integration(parts, saved.record, saved.standing) | scope


def _scope(scope: InScope) -> dict[str, Any]:
    return {"count": scope.count, "totals": dict(scope.sums), "undecidedAccounts": scope.undecided}


def _with_run(parts: Parts, found: Integration) -> dict[str, Any]:
    """The configuration with the keys of its latest run, as which the wire declares this answer."""
    run = found.latest
    keys: dict[str, Any] = {"status": RunStatus.WAITING}
    if run is not None:
        keys = {
            "status": run.status,
            "dtStarted": timestamp(run.started_at),
            "dtCompleted": timestamp(run.completed_at),
            "error": run.error,
            "externalId": run.external_id,
            "url": run.url,
        }
    if not found.record["enabled"]:
        keys["status"] = RunStatus.DISABLED
    present = {name: value for name, value in keys.items() if value is not None}
    trouble = _trouble(found.trouble) if found.trouble else {}
    return _integration(parts, found.record, found.standing) | present | trouble


def _trouble(trouble: Trouble) -> dict[str, Any]:
    return {
        "errorEvents": {"count": trouble.errors, "latest": [_error(each) for each in trouble.latest]},
        "heldRuns": {"count": trouble.held.count, "totals": dict(trouble.held.totals)},
    }


def _waiting(found: Waiting) -> dict[str, Any]:
    return {
        "waiting": found.any,
        "firstSends": found.first,
        "months": [_month(month) for month in found.months],
        "sent": {
            "count": found.sent_count,
            "delivered": found.delivered_count,
            "totals": dict(found.totals),
            "latest": [_sent(each) for each in found.sent],
        },
        "heldRuns": {"count": found.held.count, "totals": dict(found.held.totals)},
    }


def _month(month: Month) -> dict[str, Any]:
    told = {
        "month": month.period,
        "reason": month.volume.stopped,
        "count": month.volume.bills,
        "totals": dict(month.volume.sums),
    }
    if month.last is None:
        return told
    return told | {"last": {"month": month.last_period, "count": month.last.bills, "totals": dict(month.last.sums)}}


def _sent(each: Sent) -> dict[str, Any]:
    told = {
        "billId": each.bill_id,
        "accountId": each.account_id,
        "runId": each.run_id,
        "state": each.state,
        "externalId": each.external_id,
        "url": each.url,
        "total": each.total,
        "currency": each.currency,
        "dtCompleted": timestamp(each.completed_at),
    }
    return {name: value for name, value in told.items() if value is not None}


def _error(stored: Stored) -> dict[str, Any]:
    event = stored.event
    told = {name: event.new.get(name) for name in ("code", "message", "action")}
    return {
        "id": event.id,
        "eventName": event.name,
        "eventTime": timestamp(event.happened_at),
        "runId": event.run_id,
        "accountId": event.account_id,
        **told,
    }


def _integration(parts: Parts, record: Record, standing: Standing) -> dict[str, Any]:
    return entity(
        record,
        name=record["name"],
        authorized=standing.authorized,
        enabled=record["enabled"],
        connectionStatus=standing.status,
        disabledReason=record["disabled_reason"],
        errorsInARow=integrations.errors_in_row(record),
        disableAfter=integrations.rule_of(record, parts.settings).after,
    )
