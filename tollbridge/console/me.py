"""One's own account: who one is here, another password, where one is signed in."""

from __future__ import annotations

from fastapi import APIRouter, Response

from tollbridge.console.users import MAY
from tollbridge.console.visit import Anybody, Visit, trying
from tollbridge.domain.errors import Invalid, Refusal
from tollbridge.domain.people import SHORTEST_PASSWORD
from tollbridge.services import users

router = APIRouter()


@router.get("/account")
async def show_account(visit: Anybody) -> Response:
    return await _account(visit)


@router.post("/account/password")
async def change_password(visit: Anybody) -> Response:
    """Another password; all other sessions end."""
    form = await visit.form()
    present, new, repeated = (str(form.data.get(f"secret.{name}", "")) for name in ("present", "password", "repeated"))
    async with trying() as again:
        if new != repeated:
            raise Invalid("password.differs", "The two passwords differ.", "Type the same twice.", "repeated")
        await visit.parts.sessions.change_password(visit.token, present, new)
    if again.refusal:
        return await _account(visit, again.refusal)
    return visit.go("/account", "The password was changed. You are signed out everywhere else.")


@router.post("/account/sessions/end")
async def end_sessions(visit: Anybody) -> Response:
    """End one of one's own sessions, or all but this one."""
    form = await visit.form()
    own = visit.visitor
    session = form.text("session") or None
    count = await users.end_sessions(visit.parts.db, visit.caller, own.user_id, session, but=own.session_id)
    return visit.go("/account", f"{count} session{' was' if count == 1 else 's were'} ended.")


async def _account(visit: Visit, refusal: Refusal | None = None) -> Response:
    user = await users.retrieve(visit.parts.db, visit.caller, visit.visitor.user_id)
    return visit.page(
        "me.html",
        400 if refusal else 200,
        user=user,
        may_do=MAY[visit.caller.role],
        sessions=await users.sessions(visit.parts.db, visit.caller, user.id),
        local=visit.parts.settings.local_sign_in,
        has_password=user["password"] is not None,
        shortest=SHORTEST_PASSWORD,
        refusal=refusal,
    )
