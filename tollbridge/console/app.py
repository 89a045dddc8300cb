"""The Console as an app of its own, mounted beside the API: its pages, static files and what every answer says."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tollbridge.console import (
    accounts,
    alerts,
    audit,
    bills,
    choices,
    configurations,
    credentials,
    documents,
    events,
    find,
    gallery,
    imports,
    integrations,
    keys,
    live,
    mappings,
    me,
    mending,
    overview,
    rules,
    runs,
    sign_in,
    support,
    users,
    versions,
    webhooks,
)
from tollbridge.console.drawing import static_files
from tollbridge.console.visit import Needs, SignedOut, guest, visit_of
from tollbridge.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Refusal,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from tollbridge.services import health

_log = structlog.get_logger(__name__)

PATH = "/console"
ROUTERS = (
    sign_in.router,
    overview.router,
    find.router,
    integrations.router,
    configurations.router,
    choices.router,
    versions.router,
    credentials.router,
    runs.router,
    rules.router,
    webhooks.router,
    accounts.router,
    imports.router,
    bills.router,
    mappings.router,
    events.router,
    mending.router,
    alerts.router,
    users.router,
    keys.router,
    me.router,
    audit.router,
    support.router,
    documents.router,
    gallery.router,
    live.router,
)
OPEN = frozenset(
    {"/static/{mark}/{name}", "/sign-in", "/sign-out", "/links/{token}", "/forgotten", "/sso/begin", "/sso", "/theme"}
)
"""Pages that somebody sees who is not signed in."""
_FOR_EVER = "public, max-age=31536000, immutable"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
}
# The first class that fits counts.
_STATUS: dict[type[Refusal], tuple[int, str]] = {
    NotFound: (404, "Not found"),
    Forbidden: (403, "Not permitted"),
    Unauthenticated: (401, "Signed out"),
    TooMany: (429, "Too many attempts"),
    Unavailable: (503, "Not available"),
    Conflict: (409, "Not possible now"),
    Invalid: (400, "Not right"),
    Refusal: (400, "Refused"),
}


def create_console() -> FastAPI:
    """The Console; whoever mounts it puts the connected parts into `state.parts` before the first request."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.get("/static/{mark}/{name}")(static)
    for router in ROUTERS:
        app.include_router(router)
    _check_permissions(app)
    app.add_exception_handler(SignedOut, _signed_out)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _bad_address)
    app.add_exception_handler(HTTPException, _no_page)
    app.add_middleware(_Edge)
    return app


def status_of(refusal: Refusal) -> int:
    """The HTTP status of a page that shows the refusal."""
    return _kind(refusal)[0]


async def to_console(request: Request) -> Response:
    """Whoever opens the bare address in a browser means the Console."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}{PATH}/")


async def static(name: str) -> Response:
    found = static_files().get(name)
    if found is None:
        raise HTTPException(404)
    return Response(found.content, media_type=found.type, headers={"cache-control": _FOR_EVER})


def _kind(refusal: Refusal) -> tuple[int, str]:
    return next(kind for each, kind in _STATUS.items() if isinstance(refusal, each))


def _check_permissions(app: FastAPI) -> None:
    """Raises where a page declares no permission and is not open to all."""
    for route in app.routes:
        if isinstance(route, APIRoute) and route.path not in OPEN and not any(_needs(route.dependant)):
            raise LookupError(f"{route.path} declares no permission: give it one of the May… types of visit.py.")


def _needs(dependant: Dependant) -> Iterator[Needs]:
    for inner in dependant.dependencies:
        if isinstance(inner.call, Needs):
            yield inner.call
        yield from _needs(inner)


async def _signed_out(request: Request, error: Exception) -> Response:
    """Sign in first; what a form held is kept on the page, but for secrets, and sent when the person is back."""
    somebody = await guest(request)
    if request.method == "GET":
        return somebody.go(f"/sign-in?next={quote(somebody.here)}")
    try:
        kept = (await somebody.form()).plain()
    except Forbidden:
        # It was made elsewhere: another site must not have its form sent by whoever signs in.
        return somebody.go("/sign-in")
    return somebody.page("sign-in.html", 401, next=somebody.here, kept=kept, **sign_in.ways(somebody))


async def _error_page(request: Request, code: int, **values: object) -> Response:
    try:
        return (await visit_of(request)).page("error.html", code, **values)
    except SignedOut:
        return (await guest(request)).page("error.html", code, **values)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    code, title = _kind(error)
    return await _error_page(request, code, title=title, message=error.message, hint=error.hint)


async def _bad_address(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    given = str(first.get("input"))[:80]
    message = f"{name} is {given!r}: {first['msg']}."
    return await _error_page(request, 400, title="Not right", message=message, hint="Correct the address.")


async def _no_page(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = {404: "There is no such page.", 405: "This page takes no such form."}.get(error.status_code, error.detail)
    hint = "Go on from one of the pages beside."
    return await _error_page(request, error.status_code, title="Not found", message=message, hint=hint)


class _Edge:
    """Gives every answer the headers that keep a browser safe; shows a page with an incident id for a bug of ours."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                present = {name.lower() for name, _ in message["headers"]}
                added = [pair for pair in _HEADERS.items() if pair[0] not in present]
                if b"cache-control" not in present:
                    added.append((b"cache-control", b"no-store"))
                message["headers"] = [*message["headers"], *added]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            raise
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            trouble = health.trouble_of(error)
            if trouble is not None:
                _log.error("database refused", code=trouble.code, error=repr(error), path=scope["path"])
                page = (await guest(Request(scope))).page(
                    "error.html", 503, title="Not at this moment", message=trouble.message, hint=trouble.hint
                )
                await page(scope, receive, watched)
                return
            incident = str(uuid.uuid4())
            _log.exception("incident", incident=incident, method=scope["method"], path=scope["path"])
            page = (await guest(Request(scope))).page(
                "error.html",
                500,
                title="Something went wrong on our side",
                message=f"The incident is {incident}.",
                hint="The log of the server has the details under this incident id. Nothing that you sent was kept.",
            )
            await page(scope, receive, watched)
