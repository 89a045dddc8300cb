"""Users: invited by a link that is shown once, changed, signed out, deleted."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from tollbridge.console.visit import Form, MayAdminister, Visit, trying
from tollbridge.domain.errors import Refusal
from tollbridge.domain.people import ROLES, Purpose
from tollbridge.services import clock, users
from tollbridge.services.users import MadeLink
from tollbridge.store.records import Record

router = APIRouter()

_SHOWN = 50
MAY = {
    "administrator": "everything",
    "operator": "everything but users, API keys and the audit log",
    "finance": "read all, approve bills, write mappings, replay runs, work on alerts",
    "viewer": "read all but credentials",
    "source": "bring accounts, products, bills and events, and read those",
}
"""What the roles may do, in a few words."""


@router.get("/users")
async def list_users(visit: MayAdminister, after: str | None = None) -> Response:
    found = await users.page(visit.parts.db, visit.caller, _SHOWN, after)
    return visit.page("users.html", found=found, size=_SHOWN, state_of=_state, full_name=users.full_name)


@router.get("/users/invite")
async def invite_page(visit: MayAdminister) -> Response:
    return _invitation(visit, {})


@router.post("/users/invite")
async def invite(visit: MayAdminister) -> Response:
    """Make a user, and show the link by which they choose their password."""
    form = await visit.form()
    body = {name: form.text(name) for name in ("email", "firstName", "lastName", "role", "dtEndAccess", "dtExpiry")}
    async with trying() as again:
        made = await users.invite(
            visit.parts.db, visit.parts.settings, visit.caller, {name: text for name, text in body.items() if text}
        )
    if again.refusal:
        return _invitation(visit, form.plain(), again.refusal)
    return _link(visit, made)


@router.get("/users/{id}")
async def show_user(visit: MayAdminister, id: str) -> Response:
    return await _details(visit, id)


@router.post("/users/{id}")
async def change_user(visit: MayAdminister, id: str) -> Response:
    form = await visit.form()
    async with trying() as again:
        await users.update(visit.parts.db, visit.caller, id, _change(form))
    if again.refusal:
        return await _details(visit, id, again.refusal)
    return visit.go(f"/users/{id}", "The user was changed. It counts at once, for open sessions too.")


@router.post("/users/{id}/link")
async def make_link(visit: MayAdminister, id: str) -> Response:
    """Another link: an invitation for who never accepted one, a new password for everybody else."""
    await visit.form()
    db, settings, caller = visit.parts.db, visit.parts.settings, visit.caller
    user = await users.retrieve(db, caller, id)
    if user["invited_until"] is not None and user["accepted_at"] is None:
        body = {name: user.body[name] for name in ("email", "firstName", "lastName")}
        return _link(visit, await users.invite(db, settings, caller, body))
    return _link(visit, await users.make_link(db, settings, caller, id, Purpose.RESET))


@router.post("/users/{id}/sessions/end")
async def end_sessions(visit: MayAdminister, id: str) -> Response:
    """Sign the user out of one session, or everywhere."""
    form = await visit.form()
    count = await users.end_sessions(visit.parts.db, visit.caller, id, form.text("session") or None)
    return visit.go(f"/users/{id}", f"{count} session{' was' if count == 1 else 's were'} ended.")


@router.get("/users/{id}/delete")
async def ask_delete(visit: MayAdminister, id: str) -> Response:
    user = await users.retrieve(visit.parts.db, visit.caller, id)
    return visit.page("delete-user.html", user=user, name=users.full_name(user))


@router.post("/users/{id}/delete")
async def delete(visit: MayAdminister, id: str) -> Response:
    await visit.form()
    user = await users.delete(visit.parts.db, visit.caller, id)
    return visit.go("/users", f"{users.full_name(user)} was deleted.")


def _change(form: Form) -> dict[str, Any]:
    body: dict[str, Any] = {name: form.text(name) for name in ("firstName", "lastName", "contactNumber", "role")}
    if form.text("dtEndAccess") != form.text("ends"):
        # An end that nobody touched stays to the minute, which the field does not show.
        body["dtEndAccess"] = form.text("dtEndAccess") or None
    return body | form.version()


def _state(user: Record) -> str:
    """Whether somebody has access, in a status's words."""
    if users.ended(user["end_access"], clock.now()):
        return "ENDED"
    if user["accepted_at"] is None and user["subject"] is None:
        return "INVITED" if user["invited_until"] is not None else "INACTIVE"
    return "ACTIVE"


def _invitation(visit: Visit, sent: dict[str, str], refusal: Refusal | None = None) -> Response:
    return visit.page(
        "invite.html", 400 if refusal else 200, sent=sent, roles={role: MAY[role] for role in ROLES}, refusal=refusal
    )


def _link(visit: Visit, made: MadeLink) -> Response:
    """The link, which stands on this page alone: it is stored nowhere."""
    return visit.page("user-link.html", made=made, name=users.full_name(made.user))


async def _details(visit: Visit, id: str, refusal: Refusal | None = None) -> Response:
    user = await users.retrieve(visit.parts.db, visit.caller, id)
    return visit.page(
        "user.html",
        409 if refusal else 200,
        user=user,
        name=users.full_name(user),
        state=_state(user),
        roles={role: MAY[role] for role in ROLES},
        sessions=await users.sessions(visit.parts.db, visit.caller, id),
        local=visit.parts.settings.local_sign_in,
        refusal=refusal,
    )
