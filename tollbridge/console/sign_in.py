"""Coming in and going out: by password, by a one-time link, by single sign-on."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from tollbridge.console.visit import SESSION, AGuest, Guest, SignedOut, local, trying, visit_of
from tollbridge.domain.errors import Invalid
from tollbridge.domain.people import Purpose
from tollbridge.services.tokens import new_token

router = APIRouter()

BROWSER = "tollbridge_sso"
"""The cookie that ties a single sign-on to the browser that began it."""
KEPT = "kept."
"""Fields of a form that was sent after the session was over, on the sign-in page."""


def ways(somebody: Guest) -> dict[str, Any]:
    """How one may sign in here."""
    return {"sso": somebody.parts.sso is not None, "local": somebody.parts.settings.local_sign_in, "refusal": None}


@router.get("/sign-in")
async def sign_in_page(somebody: AGuest, next: str = "/") -> Response:
    try:
        await visit_of(somebody.request)
    except SignedOut:
        return somebody.page("sign-in.html", next=local(next), kept={}, **ways(somebody))
    return somebody.go(local(next))


@router.post("/sign-in")
async def sign_in(somebody: AGuest) -> Response:
    """Signed in, on to the page that was wanted; a form that was sent too late is shown to be sent now."""
    form = await somebody.form()
    wanted = local(form.text("next", "/"))
    kept = {name.removeprefix(KEPT): value for name, value in form.plain().items() if name.startswith(KEPT)}
    async with trying() as again:
        token = await somebody.parts.sessions.sign_in(
            form.text("mail"),
            str(form.data.get("secret.password", "")),
            somebody.address,
            agent=somebody.agent,
            replacing=somebody.token,
        )
    if again.refusal:
        values = ways(somebody) | {"refusal": again.refusal}
        return somebody.page("sign-in.html", 400, next=wanted, kept=kept, **values)
    if not kept:
        return somebody.signed_in(token, wanted)
    back = Guest(somebody.request, somebody.parts, token)
    return back.page("go-on.html", next=wanted, kept=kept)


@router.post("/sign-out")
async def sign_out(somebody: AGuest) -> Response:
    await somebody.form()
    await somebody.parts.sessions.sign_out(somebody.token)
    return somebody.signed_in(new_token(), "/sign-in", "You are signed out.")


@router.get("/links/{token}")
async def link_page(somebody: AGuest, token: str) -> Response:
    facts = await somebody.parts.sessions.link(token)
    return somebody.page("link.html", facts=facts, asks=facts.purpose is not Purpose.SIGN_IN, refusal=None)


@router.post("/links/{token}")
async def use_link(somebody: AGuest, token: str) -> Response:
    """A link works by its button alone, so that a mail program which opens links does not use it up."""
    form = await somebody.form()
    facts = await somebody.parts.sessions.link(token)
    asks = facts.purpose is not Purpose.SIGN_IN
    password, repeated = (str(form.data.get(f"secret.{name}", "")) for name in ("password", "repeated"))
    async with trying() as again:
        if asks and password != repeated:
            raise Invalid("password.differs", "The two passwords differ.", "Type the same twice.", "repeated")
        session = await somebody.parts.sessions.use_link(
            token,
            somebody.address,
            password=password if asks else None,
            agent=somebody.agent,
            replacing=somebody.token,
        )
    if again.refusal:
        return somebody.page("link.html", 400, facts=facts, asks=asks, refusal=again.refusal)
    return somebody.signed_in(session, "/", f"Welcome, {facts.name}.")


@router.get("/forgotten")
async def forgotten_page(somebody: AGuest) -> Response:
    return somebody.page("forgotten.html", asked=False, mails=bool(somebody.parts.settings.smtp_url))


@router.post("/forgotten")
async def forgotten(somebody: AGuest) -> Response:
    """The same answer for every address, so that nobody learns who has access."""
    form = await somebody.form()
    await somebody.parts.sessions.forgotten(form.text("mail"), somebody.address)
    return somebody.page("forgotten.html", asked=True)


@router.get("/sso/begin")
async def begin_single_sign_on(somebody: AGuest, next: str = "/") -> Response:
    if somebody.parts.sso is None:
        raise Invalid("sso.off", "There is no single sign-on here.", "Sign in with your password.")
    begun = await somebody.parts.sso.begin(somebody.base + local(next))
    response = Response(status_code=303, headers={"location": begun.url})
    response.set_cookie(
        BROWSER, begun.browser, max_age=600, path=somebody.base, httponly=True, samesite="lax", secure=somebody.secure
    )
    return response


@router.get("/sso")
async def finish_single_sign_on(somebody: AGuest, state: str = "", code: str = "", error: str = "") -> Response:
    if somebody.parts.sso is None or error or not code:
        said = error[:200] or "it sent no code"
        raise Invalid("sso.refused", f"The provider did not sign you in: {said}.", "Try again, or ask who runs it.")
    finished = await somebody.parts.sso.finish(
        state,
        code,
        somebody.request.cookies.get(BROWSER, ""),
        somebody.address,
        agent=somebody.agent,
        replacing=somebody.request.cookies.get(SESSION),
    )
    return somebody.signed_in(finished.token, finished.back.removeprefix(somebody.base) or "/")


@router.post("/theme")
async def set_theme(somebody: AGuest) -> Response:
    """Light, dark, or as the system has it; kept in a cookie so that pages are drawn right at once."""
    form = await somebody.form()
    response = somebody.go(local(form.text("next", "/")))
    theme = form.text("theme")
    if theme in ("light", "dark", "system"):
        response.set_cookie(
            "tollbridge_theme", theme, max_age=31536000, path=somebody.base, httponly=True, samesite="lax"
        )
    return response
