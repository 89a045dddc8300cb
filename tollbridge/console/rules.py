"""Notification rules: on which events they fire, tried on a real event while they are written, and where they lead."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from tollbridge.console.visit import Form, MayConfigure, MayRead, Visit, trying
from tollbridge.domain import rules as rule_domain
from tollbridge.domain.errors import Refusal
from tollbridge.services import events, integrations, rules, runs, webhooks
from tollbridge.services.integrations import NOTIFICATION
from tollbridge.services.rules import RULES, Trial
from tollbridge.store import integrations as integration_rows
from tollbridge.store.events import Filters
from tollbridge.store.records import Record

router = APIRouter()

_SHOWN = 50
_TRIED_ON = 20
"""The newest events of the type that one can be chosen from."""


@router.get("/rules")
async def list_rules(visit: MayRead, after: str | None = None) -> Response:
    found = await RULES.page(visit.parts.db, visit.caller, {}, _SHOWN, after)
    async with visit.parts.db.transaction() as tx:
        links = {each.id: await integration_rows.linked_from(tx, visit.caller.org_id, each.id) for each in found.data}
        latest = await runs.latest_runs(tx, visit.caller.org_id, NOTIFICATION, [each.id for each in found.data])
    return visit.page("rules.html", found=found, links=links, latest=latest, is_active=rule_domain.is_active)


@router.get("/rules/new")
async def new_rule(visit: MayConfigure, eventName: str = "") -> Response:
    return await _form(visit, {"eventName": eventName, "active": True})


@router.post("/rules/new")
async def create_rule(visit: MayConfigure) -> Response:
    form = await visit.form()
    body = _body(form)
    async with trying() as again:
        made = await RULES.create(visit.parts.db, visit.caller, body)
    if again.refusal:
        return await _form(visit, body, refusal=again.refusal)
    return visit.go(f"/rules/{made.id}", f"{made['name']} was created. Link it to a webhook, so that it sends.")


@router.post("/rules/try")
async def try_calculation(visit: MayRead) -> Response:
    """What a calculation comes to on an event, as plain text: asked for while somebody types."""
    form = await visit.form()
    async with trying() as again:
        trial = await _trial(visit, form.text("calculation"), form.text("eventName"), form.text("event"))
    return PlainTextResponse(again.refusal.message if again.refusal else told(trial))


@router.get("/rules/{id}")
async def show_rule(visit: MayRead, id: str) -> Response:
    record = await RULES.retrieve(visit.parts.db, visit.caller, id)
    async with visit.parts.db.transaction() as tx:
        found = await integration_rows.linked_from(tx, visit.caller.org_id, id)
        latest = (await runs.latest_runs(tx, visit.caller.org_id, NOTIFICATION, [id])).get(id)
    links = [await integrations.retrieve(visit.parts.db, visit.caller, link.id) for link in found]
    there, _ = await webhooks.page(visit.parts, visit.caller, [], 100, None)
    linked = {link.record["destination_id"] for link in links}
    return visit.page(
        "rule.html",
        record=record,
        links=links,
        latest=latest,
        active=rule_domain.is_active(record.body),
        always=rule_domain.always_fires(record.body),
        webhooks={each.id: each for each in there.data},
        free=[each for each in there.data if each.id not in linked],
    )


@router.get("/rules/{id}/edit")
async def edit_rule(visit: MayConfigure, id: str) -> Response:
    record = await RULES.retrieve(visit.parts.db, visit.caller, id)
    return await _form(visit, {**record.body, "version": record.version}, record=record)


@router.post("/rules/{id}/edit")
async def update_rule(visit: MayConfigure, id: str) -> Response:
    form = await visit.form()
    record = await RULES.retrieve(visit.parts.db, visit.caller, id)
    body = _body(form) | form.version()
    async with trying() as again:
        changed = await RULES.update(visit.parts.db, visit.caller, id, body)
    if again.refusal:
        return await _form(visit, body, record=record, refusal=again.refusal)
    return visit.go(f"/rules/{id}", f"{changed['name']} was updated.")


@router.post("/rules/{id}/delete")
async def delete_rule(visit: MayConfigure, id: str) -> Response:
    await visit.form()
    deleted = await RULES.delete(visit.parts.db, visit.caller, id)
    return visit.go("/rules", f"{deleted['name']} was deleted.")


@router.post("/rules/{id}/link")
async def link(visit: MayConfigure, id: str) -> Response:
    """Link the rule to a webhook: that makes the integration, whose details are shown."""
    form = await visit.form()
    return await link_to(visit, id, form.text("webhook"))


@router.post("/rules/{id}/unlink")
async def unlink(visit: MayConfigure, id: str) -> Response:
    form = await visit.form()
    deleted = await integrations.delete(visit.parts.db, visit.caller, form.text("integration"))
    return visit.go(f"/rules/{id}", f"{deleted.record['name']} was unlinked; what it had not sent is cancelled.")


async def link_to(visit: Visit, rule_id: str, webhook_id: str) -> Response:
    """The integration that leads from the rule to the webhook, made and opened."""
    rule = await RULES.retrieve(visit.parts.db, visit.caller, rule_id)
    webhook = await webhooks.retrieve(visit.parts, visit.caller, webhook_id)
    body = {
        "destination": "WEBHOOK",
        "entityType": NOTIFICATION,
        "entityId": rule_id,
        "destinationId": webhook_id,
        "name": f"{rule['name']} → {webhook.record['name']}"[:200],
    }
    made = await integrations.create(visit.parts.db, visit.caller, body)
    return visit.go(f"/configurations/{made.record.id}", "The rule is linked: from now on it sends to the webhook.")


def told(trial: Trial) -> str:
    """A trial in words."""
    if trial.error:
        return trial.error
    if trial.fires is None:
        return "It can be read. Choose an event to see whether it fires."
    return "It fires on this event." if trial.fires else "It does not fire on this event."


async def _trial(visit: Visit, calculation: str, event_name: str, event_id: str) -> Trial:
    asked = {"calculation": calculation, **({"eventId": event_id} if event_id else {"eventName": event_name})}
    return await rules.evaluate(visit.parts.db, visit.caller, asked)


def _body(form: Form) -> dict[str, Any]:
    body: dict[str, Any] = {name: form.text(name) for name in ("name", "code", "description", "eventName")}
    body["description"] = body["description"] or body["name"]
    always = form.on("alwaysFireEvent")
    return body | {
        "calculation": form.text("calculation"),
        "alwaysFireEvent": always,
        "active": form.on("active"),
    }


async def _form(
    visit: Visit, body: dict[str, Any], *, record: Record | None = None, refusal: Refusal | None = None
) -> Response:
    name = body.get("eventName") or ""
    types = await events.types(visit.parts.db, visit.caller)
    known = name in types
    newest = await events.page(visit.parts.db, visit.caller, Filters(name=name), _TRIED_ON, None) if known else None
    fields = (await events.fields(visit.parts.db, visit.caller, name))[name] if known else {}
    return visit.page(
        "rule-form.html",
        400 if refusal else 200,
        body={"name": "", "code": "", "description": "", "calculation": "", "alwaysFireEvent": False} | body,
        record=record,
        types=types,
        fields=fields,
        newest=newest.data if newest else [],
        refusal=refusal,
    )
