"""Credentials: listed, made, checked, replaced, deleted. What is secret goes in and never comes out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from fastapi import APIRouter, Response

from tollbridge.console import forms
from tollbridge.console.forms import Field
from tollbridge.console.reader import Reader
from tollbridge.console.visit import Form, MayUseCredentials, Visit, trying
from tollbridge.domain.errors import Refusal
from tollbridge.domain.notifications import SYSTEM as WEBHOOK
from tollbridge.domain.runs import HoldReason, RunState
from tollbridge.services import connecting, credentials, oauth, overview, systems
from tollbridge.services.oauth import Finished
from tollbridge.services.overview import HeldGroup
from tollbridge.services.systems import Destination
from tollbridge.store import integrations as integration_rows
from tollbridge.store.integrations import Link
from tollbridge.store.records import Record

router = APIRouter()

_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Broken:
    """A credential with the fields in which another secret is given, and what is sent once it works, in words."""

    record: Record
    destination: Destination
    fields: Sequence[Field]
    used_by: Sequence[Link]
    waiting: str


@router.get("/credentials")
async def list_credentials(visit: MayUseCredentials, system: str = "", after: str | None = None) -> Response:
    found = await credentials.page(visit.parts, visit.caller, system or None, _SHOWN, after)
    return visit.page(
        "credentials.html", found=found, system=system, destinations=_destinations(), title_of_system=_title
    )


@router.get("/credentials/new")
async def new_credential(visit: MayUseCredentials, system: str = "", integration: str = "") -> Response:
    if not system:
        return visit.page("choose-system.html", destinations=_destinations())
    destination = systems.find(system)
    return _form(visit, destination, integration, fields=_fields(destination))


@router.post("/credentials/new")
async def create_credential(visit: MayUseCredentials) -> Response:
    """Make a credential, checked at once; on to the integration for which it was made."""
    form = await visit.form()
    destination = systems.find(form.text("system"))
    integration = form.text("integration")
    async with trying() as again:
        body = _body(destination, form)
        saved = await credentials.create(visit.parts, visit.caller, body)
    if again.refusal:
        return _form(
            visit, destination, integration, fields=_fields(destination), sent=form.plain(), refusal=again.refusal
        )
    if saved.begun:
        return await _to_vendor(visit, saved.record.id, integration)
    if integration:
        await connecting.give(visit.parts.db, visit.caller, integration, saved.record.id)
        return visit.go(f"/configurations/{integration}", "The credential was added.")
    return visit.go(f"/credentials/{saved.record.id}", _found(saved.record))


@router.get("/credentials/{id}")
async def show_credential(visit: MayUseCredentials, id: str) -> Response:
    return await _details(visit, id)


@router.post("/credentials/{id}/check")
async def check_credential(visit: MayUseCredentials, id: str) -> Response:
    await visit.form()
    saved = await credentials.check(visit.parts, visit.caller, id)
    return visit.go(f"/credentials/{id}", _found(saved.record))


@router.post("/credentials/{id}/replace")
async def replace_secret(visit: MayUseCredentials, id: str) -> Response:
    """Take another secret, once it was checked; what was held for it is sent."""
    form = await visit.form()
    found = await broken(visit, id)
    destination, waiting = found.destination, found.waiting
    async with trying() as again:
        if destination.connector.oauth:
            return await _to_vendor(visit, id, fields=forms.read(_fields(destination), form))
        saved = await credentials.update(visit.parts, visit.caller, id, _body(destination, form))
    if again.refusal:
        return await _details(visit, id, refusal=again.refusal)
    if saved.check_run_id is None:
        return visit.go(f"/credentials/{id}", f"{saved.record['name']} was saved.")
    said = f" Being sent: {waiting}." if waiting else ""
    return visit.go(f"/credentials/{id}", f"{saved.record['name']} was saved and works.{said}")


@router.post("/credentials/{id}/connect")
async def connect_credential(visit: MayUseCredentials, id: str) -> Response:
    """Show the way to the vendor, where the person lets us in."""
    await visit.form()
    return await _to_vendor(visit, id)


@router.get("/oauth")
async def come_back(visit: MayUseCredentials) -> Response:
    """A person is back from the vendor."""
    done = await oauth.finish(visit.parts, visit.caller, dict(visit.request.query_params))
    return await _connected(visit, done)


@router.post("/credentials/{id}/tenant")
async def choose_tenant(visit: MayUseCredentials, id: str) -> Response:
    """Take one of the tenants that the consent opens."""
    form = await visit.form()
    async with trying() as again:
        done = await oauth.choose_tenant(visit.parts, visit.caller, id, {"tenantId": form.text("tenant")})
    if again.refusal:
        return await _details(visit, id, refusal=again.refusal)
    return await _connected(visit, done)


async def _connected(visit: Visit, done: Finished) -> Response:
    """How far the connection is: it works, waits for a choice, is being checked and goes on by itself, or failed."""
    path, name = f"/credentials/{done.credential.id}", done.credential["name"]
    if done.credential["tenants"]:
        return visit.go(path, f"Choose what {name} opens.")
    if not done.run.state.ended:
        then = " The integration uses it as soon as it works." if done.integration_id else ""
        return visit.go(path, f"{name} is still being checked; this goes on by itself.{then}")
    if done.run.state is not RunState.DELIVERED:
        return visit.go(path, f"{name} is not connected: {done.run.error or done.run.note}")
    if done.integration_id:
        await connecting.go_on(visit.parts.db)
        path = f"/configurations/{done.integration_id}"
    return visit.go(path, f"{name} is connected.")


@router.post("/credentials/{id}/delete")
async def delete_credential(visit: MayUseCredentials, id: str) -> Response:
    await visit.form()
    record = await credentials.delete(visit.parts, visit.caller, id)
    return visit.go("/credentials", f"{record['name']} was deleted.")


def _destinations() -> Sequence[Destination]:
    """Systems whose credentials stand alone; a webhook's belongs to it."""
    return [each for each in systems.destinations() if each.system.key != WEBHOOK]


def _title(key: str) -> str:
    return systems.find(key).system.title


def _fields(destination: Destination) -> list[Field]:
    return forms.fields_of(systems.options_of(destination.connector.credential), {})


def _body(destination: Destination, form: Form) -> dict[str, object]:
    return {
        "destination": destination.system.key,
        "name": form.text("name"),
        **forms.read(_fields(destination), form),
    }


async def _to_vendor(visit: Visit, id: str, integration: str = "", fields: dict[str, object] | None = None) -> Response:
    found = await broken(visit, id)
    begun = await oauth.begin(visit.parts, visit.caller, id, fields, integration_id=integration or None)
    return visit.page(
        "credential-connect.html",
        record=found.record,
        destination=found.destination,
        waiting=found.waiting,
        begun=begun,
    )


def _found(record: Record) -> str:
    """How the check ended."""
    status = str(record["status"]).lower()
    return f"{record['name']} was checked: it is {status}."


def _form(
    visit: Visit,
    destination: Destination,
    integration: str,
    *,
    fields: Sequence[Field],
    sent: dict[str, str] | None = None,
    refusal: Refusal | None = None,
) -> Response:
    return visit.page(
        "credential-form.html",
        400 if refusal else 200,
        destination=destination,
        integration=integration,
        fields=fields,
        callback=oauth.redirect_uri(visit.parts),
        sent=sent or {},
        refusal=refusal,
    )


async def _waiting(visit: Visit, used_by: Sequence[Link]) -> list[HeldGroup]:
    """What goes out once the credential works again."""
    held = await overview.held_of(visit.parts.db, visit.caller, [each.id for each in used_by])
    return [group for group in held if group.reason in (HoldReason.UNAUTHORIZED, HoldReason.DISCONNECTED)]


def _told(visit: Visit, waiting: Sequence[HeldGroup]) -> str:
    """Such as: 48 held bills of 3 integrations (41,220.00 EUR); empty where nothing is held."""
    if not waiting:
        return ""
    count, of = sum(group.count for group in waiting), len({group.integration_id for group in waiting})
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for group in waiting:
        for currency, amount in group.sums.items():
            sums[currency] += amount
    read = Reader.of(visit.request)
    total = f" ({read.sums(sums)})" if sums else ""
    bills, integrations = "bill" if count == 1 else "bills", "integration" if of == 1 else "integrations"
    return f"{read.number(count)} held {bills} of {of} {integrations}{total}"


async def broken(visit: Visit, id: str) -> Broken:
    """What a page needs to have the credential reconnected; raises NotFound."""
    record = await credentials.retrieve(visit.parts, visit.caller, id)
    destination = systems.find(record["system"])
    async with visit.parts.db.transaction() as tx:
        used_by = await integration_rows.using(tx, visit.caller.org_id, id)
    return Broken(
        record,
        destination,
        _fields(destination) if record["system"] != WEBHOOK else [],
        used_by,
        _told(visit, await _waiting(visit, used_by)),
    )


async def _details(visit: Visit, id: str, refusal: Refusal | None = None) -> Response:
    found = await broken(visit, id)
    return visit.page(
        "credential.html",
        409 if refusal else 200,
        record=found.record,
        destination=found.destination,
        used_by=found.used_by,
        waiting=found.waiting,
        fields=found.fields,
        refusal=refusal,
    )
