"""API keys: service users, which are programs, and their access keys, whose secrets are shown once."""

from __future__ import annotations

from fastapi import APIRouter, Response

from tollbridge.console.users import MAY
from tollbridge.console.visit import MayAdminister, Visit, trying
from tollbridge.domain.access import Role
from tollbridge.domain.errors import Refusal
from tollbridge.services import service_users
from tollbridge.services.service_users import NewKey
from tollbridge.store.records import Record

router = APIRouter()

_SHOWN = 50
ROLES = {role.value: MAY[role.value] for role in Role}


@router.get("/keys")
async def list_service_users(visit: MayAdminister, after: str | None = None) -> Response:
    found = await service_users.page(visit.parts.db, visit.caller, _SHOWN, after)
    return visit.page("keys.html", found=found, size=_SHOWN)


@router.get("/keys/new")
async def new_service_user(visit: MayAdminister) -> Response:
    return visit.page("key-form.html", sent={}, roles=ROLES, refusal=None)


@router.post("/keys/new")
async def create_service_user(visit: MayAdminister) -> Response:
    """A service user and, since it is of no use without, its first key."""
    form = await visit.form()
    async with trying() as again:
        made = await service_users.create(
            visit.parts.db, visit.caller, {"name": form.text("name"), "role": form.text("role")}
        )
        _, key = await service_users.create_key(visit.parts.db, visit.caller, made.id)
    if again.refusal:
        return visit.page("key-form.html", 400, sent=form.plain(), roles=ROLES, refusal=again.refusal)
    return _secret(visit, made, key)


@router.get("/keys/{id}")
async def show_service_user(visit: MayAdminister, id: str) -> Response:
    return await _details(visit, id)


@router.post("/keys/{id}")
async def change_service_user(visit: MayAdminister, id: str) -> Response:
    form = await visit.form()
    body = {"name": form.text("name"), "role": form.text("role")}
    async with trying() as again:
        await service_users.update(visit.parts.db, visit.caller, id, body | form.version())
    if again.refusal:
        return await _details(visit, id, again.refusal)
    return visit.go(f"/keys/{id}", "It was changed. Its keys have the role within seconds.")


@router.post("/keys/{id}/new")
async def create_key(visit: MayAdminister, id: str) -> Response:
    """Another key, whose secret is shown on this page alone."""
    await visit.form()
    record = await service_users.retrieve(visit.parts.db, visit.caller, id)
    _, key = await service_users.create_key(visit.parts.db, visit.caller, id)
    return _secret(visit, record, key)


@router.post("/keys/{id}/{key}/active")
async def set_active(visit: MayAdminister, id: str, key: str) -> Response:
    form = await visit.form()
    active = form.text("active") == "yes"
    await service_users.set_key_active(visit.parts.db, visit.caller, id, key, active)
    return visit.go(
        f"/keys/{id}", f"The key is {'active' if active else 'inactive, within seconds for its tokens too'}."
    )


@router.post("/keys/{id}/{key}/delete")
async def delete_key(visit: MayAdminister, id: str, key: str) -> Response:
    await visit.form()
    await service_users.delete_key(visit.parts.db, visit.caller, id, key)
    return visit.go(f"/keys/{id}", "The key was deleted.")


@router.get("/keys/{id}/delete")
async def ask_delete(visit: MayAdminister, id: str) -> Response:
    record = await service_users.retrieve(visit.parts.db, visit.caller, id)
    keys = await service_users.keys(visit.parts.db, visit.caller, id)
    return visit.page("delete-key.html", record=record, keys=keys)


@router.post("/keys/{id}/delete")
async def delete(visit: MayAdminister, id: str) -> Response:
    await visit.form()
    record = await service_users.delete(visit.parts.db, visit.caller, id)
    return visit.go("/keys", f"{record['name']} was deleted with its keys.")


def _secret(visit: Visit, record: Record, key: NewKey) -> Response:
    return visit.page("key-secret.html", record=record, key=key, url=visit.parts.settings.people_url)


async def _details(visit: Visit, id: str, refusal: Refusal | None = None) -> Response:
    return visit.page(
        "key.html",
        409 if refusal else 200,
        record=await service_users.retrieve(visit.parts.db, visit.caller, id),
        keys=await service_users.keys(visit.parts.db, visit.caller, id),
        roles=ROLES,
        refusal=refusal,
    )
