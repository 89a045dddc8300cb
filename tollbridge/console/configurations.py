"""Configurations of integrations: made, read, changed, connected, switched off and on again, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response

from tollbridge.console import charts, forms
from tollbridge.console.charts import Chart
from tollbridge.console.choices import place_of
from tollbridge.console.forms import Field
from tollbridge.console.integrations import tile_of
from tollbridge.console.visit import Form, MayConfigure, MayDeliver, MayRead, Visit, trying
from tollbridge.domain import json_text, notifications
from tollbridge.domain.access import Permission
from tollbridge.domain.errors import Refusal
from tollbridge.domain.integrations import CredentialStatus, IntegrationStatus
from tollbridge.domain.runs import HeldChoice
from tollbridge.services import (
    bills,
    clock,
    credentials,
    dispatch,
    guarding,
    integrations,
    names,
    overview,
    previews,
    runs,
    systems,
    versions,
)
from tollbridge.services.integrations import Integration
from tollbridge.services.systems import Destination
from tollbridge.store.bills import Filters
from tollbridge.store.records import Record

router = APIRouter()

_RUNS_SHOWN = 10
FIRST_SENDS = 3
"""Bills that a configuration made here sends first, unless it says otherwise."""
_CREDENTIALS_SHOWN = 200
_VERSIONS_SHOWN = 5
LAYERS = {"global": "For every integration", "entity": "For every system", "destination": "For this system"}
"""The panels of the form, by the layers of options."""


@router.get("/integrations/{system}/new")
async def new_configuration(visit: MayConfigure, system: str, entityType: str = "", credential: str = "") -> Response:
    tile = await tile_of(visit, system)
    entity_type = entityType or tile.destination.connector.entity_types[0]
    # Who begins today rarely wants the bills of the years before to be sent.
    # And whoever sends for the first time wants to look at what came of it before the rest goes out.
    today = clock.now().date().isoformat()
    values = {"sendFrom": today, "firstSends": FIRST_SENDS, "volumeGuard": True} if entity_type == "Bill" else {}
    return await _form(visit, tile.destination, entity_type, values, {}, credential=credential)


@router.post("/integrations/{system}/new")
async def create_configuration(visit: MayConfigure, system: str) -> Response:
    form = await visit.form()
    destination = (await tile_of(visit, system)).destination
    entity_type = form.text("entityType")
    async with trying() as again:
        body = _body(destination, entity_type, form)
        made = await integrations.create(visit.parts.db, visit.caller, body)
    if again.refusal:
        return await _form(visit, destination, entity_type, {}, form.plain(), refusal=again.refusal)
    return visit.go(f"/configurations/{made.record.id}", f"{made.record['name']} was created.")


@router.get("/configurations/{id}")
async def details(visit: MayRead, id: str) -> Response:
    found = await integrations.retrieve(visit.parts.db, visit.caller, id)
    async with visit.parts.db.transaction() as tx:
        latest = await runs.list_runs(tx, visit.caller.org_id, integration_id=id, size=_RUNS_SHOWN)
    history = await versions.history(visit.parts.db, visit.caller, found.record)
    return visit.page(
        "configuration.html",
        history=history,
        versions_shown=_VERSIONS_SHOWN,
        people=await names.of_principals(visit.parts.db, visit.caller, [each.by for each in history.versions]),
        chart=await _chart(visit, found.record),
        found=found,
        record=found.record,
        state=_status(found),
        destination=systems.find(found.record["system"]),
        runs=latest.data,
        held=await overview.held_of(visit.parts.db, visit.caller, [id]),
        waiting=await guarding.waiting(visit.parts.db, visit.caller, id),
        usable=await _usable(visit, found.record),
        credential=await _credential(visit, found.record),
        config=found.record.body.get("configData", {}),
        errors=integrations.errors_in_row(found.record),
        disable_after=integrations.rule_of(found.record, visit.parts.settings).after,
        newest_bill=await _newest_bill(visit, found.record),
    )


@router.get("/configurations/{id}/edit")
async def edit(visit: MayConfigure, id: str) -> Response:
    record = (await integrations.retrieve(visit.parts.db, visit.caller, id)).record
    values = record.body.get("configData", {})
    return await _form(visit, systems.find(record["system"]), record["entity_type"], values, {}, record=record)


@router.post("/configurations/{id}/edit")
async def update(visit: MayConfigure, id: str) -> Response:
    form = await visit.form()
    record = (await integrations.retrieve(visit.parts.db, visit.caller, id)).record
    destination = systems.find(record["system"])
    async with trying() as again:
        body = _body(destination, record["entity_type"], form) | form.version()
        kept = {name: record.body[name] for name in ("destinationId", "entityId") if name in record.body}
        await integrations.update(visit.parts.db, visit.caller, id, kept | body)
    if again.refusal:
        return await _form(
            visit, destination, record["entity_type"], {}, form.plain(), record=record, refusal=again.refusal
        )
    return visit.go(f"/configurations/{id}", f"{body['name'] or record['name']} was updated.")


@router.post("/configurations/{id}/connect")
async def connect(visit: MayConfigure, id: str) -> Response:
    """Use the chosen credential; back to the details, now CONNECTED."""
    form = await visit.form()
    record = (await integrations.retrieve(visit.parts.db, visit.caller, id)).record
    body = {**record.body, "name": record["name"], "integrationCredentialsId": form.text("credential")}
    await integrations.update(visit.parts.db, visit.caller, id, body)
    return visit.go(f"/configurations/{id}", "The credential was added.")


@router.get("/configurations/{id}/delete")
async def ask_delete(visit: MayConfigure, id: str) -> Response:
    """The question of the dialog as a page, for browsers without script."""
    record = (await integrations.retrieve(visit.parts.db, visit.caller, id)).record
    held = await overview.held_of(visit.parts.db, visit.caller, [id])
    return visit.page("delete-configuration.html", record=record, waiting=sum(group.count for group in held))


@router.post("/configurations/{id}/delete")
async def delete(visit: MayConfigure, id: str) -> Response:
    await visit.form()
    deleted = await integrations.delete(visit.parts.db, visit.caller, id)
    return visit.go(f"/integrations/{deleted.record['system'].lower()}", f"{deleted.record['name']} was deleted.")


@router.post("/configurations/{id}/disable")
async def disable(visit: MayConfigure, id: str) -> Response:
    form = await visit.form()
    reason = form.text("reason")
    await integrations.disable(visit.parts.db, visit.caller, id, {"reason": reason} if reason else {})
    return visit.go(f"/configurations/{id}", "It is disabled: what arrives is held until it is re-enabled.")


@router.post("/configurations/{id}/enable")
async def enable(visit: MayConfigure, id: str) -> Response:
    """Let it send again; the form says whether what was held is sent or dropped."""
    form = await visit.form()
    held = HeldChoice.DROP if form.text("held") == HeldChoice.DROP else HeldChoice.SEND
    await integrations.enable(visit.parts.db, visit.caller, id, {"held": held.value})
    what = "dropped; its runs say so." if held is HeldChoice.DROP else "being sent."
    return visit.go(f"/configurations/{id}", f"It is enabled again: what was held is {what}")


@router.post("/configurations/{id}/continue")
async def go_on(visit: MayDeliver, id: str) -> Response:
    """Send on after a look at what was sent."""
    await visit.form()
    _, released = await guarding.go_on(visit.parts.db, visit.caller, id)
    return visit.go(
        f"/configurations/{id}", f"It goes on: {released} held bill{'s are' if released != 1 else ' is'} sent."
    )


@router.post("/configurations/{id}/send")
async def send_existing(visit: MayDeliver, id: str) -> Response:
    await visit.form()
    made = await dispatch.send_existing(visit.parts.db, visit.caller, id)
    said = f"{made} bill{'s are' if made != 1 else ' is'} on the way." if made else "Every bill in scope was sent."
    return visit.go(f"/configurations/{id}", said)


@router.post("/configurations/{id}/preview")
async def preview(visit: MayDeliver, id: str) -> Response:
    """What would be sent for one bill, with the source of every value; nothing is written."""
    form = await visit.form()
    made = await previews.preview(visit.parts, visit.caller, id, {"billId": form.text("bill")})
    return visit.go(f"/previews/{made.run.id}")


@router.get("/previews/{id}")
async def show_preview(visit: MayDeliver, id: str) -> Response:
    found = await previews.get(visit.parts, visit.caller, id)
    known = await names.of_integrations(visit.parts.db, visit.caller, [found.run.integration_id])
    integration = known.get(found.run.integration_id or "")
    return visit.page("preview.html", run=found.run, found=found.found, integration=integration)


async def _chart(visit: Visit, record: Record) -> Chart | None:
    """The last days of the integration; notifications are not counted by days."""
    if record["system"] == notifications.SYSTEM:
        return None
    return charts.of_one(await visit.parts.tallies.count(visit.caller), record.id, visit.reader.zone)


async def _newest_bill(visit: Visit, record: Record) -> str:
    """The id of a bill with which a preview can be tried at once; empty where there is none."""
    if record["entity_type"] != dispatch.BILL or not visit.may(Permission.DELIVER):
        return ""
    page = await bills.page(visit.parts.db, visit.caller, Filters(), 1, None, with_lines=False)
    return page.data[0].record.id if page.data else ""


def _status(found: Integration) -> str:
    return str(found.standing.status if found.record["enabled"] else IntegrationStatus.DISABLED)


def _fields(destination: Destination, entity_type: str, values: dict[str, Any]) -> list[tuple[str, list[Field]]]:
    """The panels of the form: general first, then of the entity, then of the system."""
    return [
        (LAYERS[name], forms.fields_of(systems.options_of(layer), values))
        for name, layer in systems.option_layers(destination, entity_type)
    ]


def _body(destination: Destination, entity_type: str, form: Form) -> dict[str, Any]:
    """What the form says, as a body of the API; raises Invalid where JSON was to be typed."""
    config: dict[str, Any] = {}
    if form.text("json"):
        config = forms.as_json(form.text("json"), "Configuration")
    else:
        for _, fields in _fields(destination, entity_type, {}):
            config |= forms.read(fields, form)
    body = {
        "destination": destination.system.key,
        "entityType": entity_type,
        "name": form.text("name"),
        "configData": config,
    }
    return body | ({"integrationCredentialsId": form.text("credential")} if form.text("credential") else {})


async def _form(
    visit: Visit,
    destination: Destination,
    entity_type: str,
    values: dict[str, Any],
    sent: dict[str, str],
    *,
    record: Record | None = None,
    credential: str = "",
    refusal: Refusal | None = None,
) -> Response:
    """The form, new, with the credential that is proposed, or of a record; what was `sent` stands in it again where it
    was refused."""
    panels = _fields(destination, entity_type, values)
    kept = {"name": "", "credential": credential}
    if record:
        kept = {"name": record["name"], "credential": record["credential_id"] or ""}
    return visit.page(
        "configuration-form.html",
        400 if refusal else 200,
        record=record,
        destination=destination,
        entity_type=entity_type,
        entity_types=destination.connector.entity_types,
        panels=panels,
        place_of=place_of,
        sent=sent,
        kept=kept | sent,
        usable=await _credentials(visit, destination.system.key),
        json=sent.get("json", ""),
        present=json_text.dump(values, indent=2) if record else "",
        refusal=refusal,
    )


async def _credentials(visit: Visit, system: str) -> Sequence[Record]:
    """The credentials for the system, where the visitor may see them."""
    if not visit.may(Permission.CREDENTIALS):
        return ()
    return (await credentials.page(visit.parts, visit.caller, system, _CREDENTIALS_SHOWN, None)).data


async def _usable(visit: Visit, record: Record) -> Sequence[Record]:
    found = await _credentials(visit, record["system"])
    return sorted(found, key=lambda each: each["status"] != CredentialStatus.VALID)


async def _credential(visit: Visit, record: Record) -> Record | None:
    if record["credential_id"] is None or not visit.may(Permission.CREDENTIALS):
        return None
    return await credentials.retrieve(visit.parts, visit.caller, record["credential_id"])
