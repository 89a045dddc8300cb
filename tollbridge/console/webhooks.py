"""Outgoing webhooks: where notifications go, how they fare, and how one comes back whose receiver was down."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Response

from tollbridge.console.rules import link_to
from tollbridge.console.visit import WHOLE, Form, MayConfigure, MayDeliver, MayRead, Visit, trying
from tollbridge.domain.errors import Invalid, NotFound, Refusal
from tollbridge.domain.notifications import Schedule
from tollbridge.services import bringing_back, clock, integrations, overview, redelivery, runs, webhooks
from tollbridge.services.bringing_back import Progress
from tollbridge.services.rules import RULES
from tollbridge.services.webhooks import CREDENTIAL_TYPE, Webhook
from tollbridge.store import integrations as integration_rows

router = APIRouter()

_SHOWN = 50
_RUNS_SHOWN = 20
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
SINCE = {"1 hour": timedelta(hours=1), "24 hours": timedelta(days=1), "7 days": timedelta(days=7)}
"""How far back failed and missing notifications can be sent again from the page."""


@router.get("/webhooks")
async def list_webhooks(visit: MayRead, after: str | None = None) -> Response:
    found, _ = await webhooks.page(visit.parts, visit.caller, [], _SHOWN, after)
    health = {each.id: await webhooks.health(visit.parts, visit.caller, each.id) for each in found.data}
    return visit.page("webhooks.html", found=found, health=health)


@router.get("/webhooks/new")
async def new_webhook(visit: MayConfigure) -> Response:
    return _form(visit, {"schedule": Schedule.STANDARD})


@router.post("/webhooks/new")
async def create_webhook(visit: MayConfigure) -> Response:
    form = await visit.form()
    sent = form.plain()
    async with trying() as again:
        body = _body(form) | {"credentials": _credentials(form, new=True)}
        made = await webhooks.create(visit.parts, visit.caller, body)
    if again.refusal:
        return _form(visit, sent, refusal=again.refusal)
    return visit.go(f"/webhooks/{made.record.id}", f"{made.record['name']} was created. Link a rule to it.")


@router.get("/webhooks/{id}")
async def show_webhook(visit: MayRead, id: str) -> Response:
    webhook = await webhooks.retrieve(visit.parts, visit.caller, id)
    async with visit.parts.db.transaction() as tx:
        links = await integration_rows.linked_to(tx, visit.caller.org_id, id)
        latest = await runs.list_runs(tx, visit.caller.org_id, destination_id=id, size=_RUNS_SHOWN)
    linked = [await integrations.retrieve(visit.parts.db, visit.caller, link.id) for link in links]
    held = await overview.held_of(visit.parts.db, visit.caller, [link.id for link in links])
    taken = {each.record["entity_id"] for each in linked}
    rules = await RULES.page(visit.parts.db, visit.caller, {}, 100, None)
    return visit.page(
        "webhook.html",
        webhook=webhook,
        record=webhook.record,
        health=await webhooks.health(visit.parts, visit.caller, id),
        linked=linked,
        held=sum(group.count for group in held),
        free=[rule for rule in rules.data if rule.id not in taken],
        runs=latest.data,
        progress=await _progress(visit, id),
        since=list(SINCE),
    )


@router.get("/webhooks/{id}/edit")
async def edit_webhook(visit: MayConfigure, id: str) -> Response:
    webhook = await webhooks.retrieve(visit.parts, visit.caller, id)
    return _form(visit, {**webhook.record.body, "version": webhook.record.version}, webhook=webhook)


@router.post("/webhooks/{id}/edit")
async def update_webhook(visit: MayConfigure, id: str) -> Response:
    """Change it; another secret signs beside the present one for 24 hours."""
    form = await visit.form()
    webhook = await webhooks.retrieve(visit.parts, visit.caller, id)
    async with trying() as again:
        body = _body(form) | form.version()
        credentials = _credentials(form, new=False)
        changed = await webhooks.update(
            visit.parts, visit.caller, id, body | ({"credentials": credentials} if credentials else {})
        )
    if again.refusal:
        return _form(visit, form.plain(), webhook=webhook, refusal=again.refusal)
    return visit.go(f"/webhooks/{id}", f"{changed.record['name']} was updated.")


@router.post("/webhooks/{id}/active")
async def set_active(visit: MayConfigure, id: str) -> Response:
    form = await visit.form()
    active = form.text("active") == "yes"
    await webhooks.set_active(visit.parts, visit.caller, id, active)
    said = "It is sent to again, beginning with what was held." if active else "What would be sent to it is held."
    return visit.go(f"/webhooks/{id}", said)


@router.post("/webhooks/{id}/delete")
async def delete_webhook(visit: MayConfigure, id: str) -> Response:
    await visit.form()
    deleted = await webhooks.delete(visit.parts, visit.caller, id)
    return visit.go("/webhooks", f"{deleted.record['name']} was deleted.")


@router.post("/webhooks/{id}/link")
async def link(visit: MayConfigure, id: str) -> Response:
    form = await visit.form()
    return await link_to(visit, form.text("rule"), id)


@router.post("/webhooks/{id}/unlink")
async def unlink(visit: MayConfigure, id: str) -> Response:
    form = await visit.form()
    deleted = await integrations.delete(visit.parts.db, visit.caller, form.text("integration"))
    return visit.go(f"/webhooks/{id}", f"{deleted.record['name']} was unlinked; what it had not sent is cancelled.")


@router.post("/webhooks/{id}/test")
async def send_test(visit: MayDeliver, id: str) -> Response:
    await visit.form()
    run = await redelivery.send_test(visit.parts.db, visit.caller, id)
    return visit.go(f"/runs/{run.id}", "A signed test is on its way.")


@router.post("/webhooks/{id}/recover")
async def recover(visit: MayDeliver, id: str) -> Response:
    """Send again all that failed since then and was not sent again yet."""
    form = await visit.form()
    count = await redelivery.recover(visit.parts.db, visit.caller, id, _since(form))
    return visit.go(f"/webhooks/{id}", f"{count} that failed {'is' if count == 1 else 'are'} sent again.")


@router.post("/webhooks/{id}/replay-missing")
async def replay_missing(visit: MayDeliver, id: str) -> Response:
    """Send what never was sent since then."""
    form = await visit.form()
    count = await redelivery.replay_missing(visit.parts.db, visit.caller, id, _since(form))
    return visit.go(f"/webhooks/{id}", f"{count} that never {'was' if count == 1 else 'were'} sent are on the way.")


@router.post("/webhooks/{id}/bring-back")
async def bring_back(visit: MayDeliver, id: str) -> Response:
    """One act for a receiver that was down: a test, then all that failed and was held, oldest first."""
    form = await visit.form()
    if form.on("stop"):
        await bringing_back.stop(visit.parts.db, visit.caller, id)
        return visit.go(f"/webhooks/{id}", "It is stopped; what is left stays held.")
    await bringing_back.start(visit.parts.db, visit.caller, id)
    return visit.go(f"/webhooks/{id}", "A test is on its way; when it arrives, all the rest follows.")


@router.post("/runs/{id}/resend")
async def resend(visit: MayDeliver, id: str) -> Response:
    await visit.form()
    run = await redelivery.resend(visit.parts.db, visit.caller, id)
    return visit.go(f"/runs/{run.id}", "It is sent again, with the same id.")


async def _progress(visit: Visit, id: str) -> Progress | None:
    try:
        return await bringing_back.progress(visit.parts.db, visit.caller, id)
    except NotFound:
        return None


def _since(form: Form) -> datetime:
    return clock.now() - SINCE.get(form.text("since"), SINCE["24 hours"])


def _body(form: Form) -> dict[str, Any]:
    """What the form says; an option that stands at its default is null."""
    body: dict[str, Any] = {name: form.text(name) for name in ("name", "description", "url")}
    body["description"] = body["description"] or body["name"]
    if form.text("code"):
        body["code"] = form.text("code")
    schedule = form.text("schedule")
    return body | {
        "schedule": None if schedule == Schedule.STANDARD else schedule or None,
        "ordered": form.on("ordered") or None,
        "goneDeactivates": form.on("goneDeactivates") or None,
        "concurrency": _number(form, "concurrency"),
        "perSecond": _number(form, "perSecond"),
    }


def _number(form: Form, name: str) -> int | Decimal | None:
    text = form.text(name)
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise Invalid("field.invalid", f"{name} is {text[:80]!r}, but must be a number.", None, name)
    return int(text) if WHOLE.fullmatch(text) else Decimal(text)


def _credentials(form: Form, *, new: bool) -> dict[str, Any] | None:
    """API key and secret; for a new webhook they are made up where none was typed."""
    given = {"apiKey": form.text("apiKey"), "secret": str(form.data.get("secret.secret", ""))}
    typed = {name: value for name, value in given.items() if value}
    if not typed and not new:
        return None
    return {"type": CREDENTIAL_TYPE, **typed, **({"empty": True} if new and len(typed) < 2 else {})}


def _form(
    visit: Visit, body: dict[str, Any], *, webhook: Webhook | None = None, refusal: Refusal | None = None
) -> Response:
    return visit.page(
        "webhook-form.html",
        400 if refusal else 200,
        body=body,
        webhook=webhook,
        schedules=list(Schedule),
        refusal=refusal,
    )
