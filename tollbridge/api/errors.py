"""The one mapper from refusals to HTTP, and the last handler, which catches what is a bug of ours."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tollbridge.api.wire import Json
from tollbridge.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Refusal,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from tollbridge.services import health
from tollbridge.store.audit import coming_from

_log = structlog.get_logger(__name__)

# The first class that fits counts.
_STATUS: Mapping[type[Refusal], int] = {
    TooLarge: 413,
    Invalid: 400,
    NotFound: 404,
    Conflict: 409,
    Forbidden: 403,
    Unauthenticated: 401,
    TooMany: 429,
    Unavailable: 503,
    Refusal: 400,
}

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:+/=-]{1,100}")
_CONTROLS = frozenset(range(32)) | {127}


def install(app: FastAPI) -> None:
    """Make the app answer every error as `{"message": …}`."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _bad_parameter)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_middleware(_Edge)


def refusal(error: Refusal, /, **extra: str) -> Json:
    """A refusal on the wire, with our keys `code`, `hint` and `field` beside the wire's `message`."""
    body = {"message": error.message, "code": error.code, "hint": error.hint, "field": error.field, **extra}
    status = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
    # The wire's clients repeat a 409 by themselves, which cannot help.
    headers = {"x-should-retry": "false"} if status == 409 else {}
    return Json({name: value for name, value in body.items() if value is not None}, status, headers)


async def _refused(request: Request, error: Exception) -> Json:
    assert isinstance(error, Refusal)
    return refusal(error)


async def _bad_parameter(request: Request, error: Exception) -> Json:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    given = f" is {str(first['input'])[:80]!r}" if first["type"] != "missing" else ""
    return refusal(Invalid("parameter.invalid", f"The parameter {name}{given}: {first['msg']}.", None, name))


async def _no_route(request: Request, error: Exception) -> Json:
    assert isinstance(error, HTTPException)
    words = {
        404: f"There is nothing at {request.url.path[:200]}.",
        405: f"{request.method} is not possible at {request.url.path[:200]}.",
    }
    message = words.get(error.status_code, error.detail)
    body = {"message": message, "code": "route", "hint": "The addresses that exist are listed at /openapi.json."}
    return Json(body, error.status_code, error.headers)


def _unreadable(scope: Scope) -> Invalid | None:
    """Why the address cannot be taken: two ids must never become one by what decoding leaves out."""
    for part in (scope.get("raw_path") or b"", scope["query_string"]):
        decoded = unquote_to_bytes(part)
        if not _CONTROLS.isdisjoint(decoded):
            return Invalid("address.unprintable", "The address contains a control character.", "Remove it (%00 …).")
        try:
            decoded.decode()
        except UnicodeDecodeError:
            return Invalid("address.encoding", "The address is not UTF-8.", "Percent-encode its UTF-8 bytes.")
    return None


def _request_id(scope: Scope) -> str:
    """The id that the client, or a proxy before us, gave the request; else a new one."""
    given: bytes = dict(scope["headers"]).get(b"x-request-id", b"")
    return given.decode() if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())


class _Edge:
    """Gives each request an id, which the audit log keeps; refuses addresses that are no text; answers 500 with an
    incident id where a bug of ours came up."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        unreadable = _unreadable(scope)
        if unreadable is not None:
            await refusal(unreadable)(scope, receive, send)
            return
        started = False
        request_id = _request_id(scope)

        async def watched(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        client = scope.get("client")
        try:
            with coming_from(request_id, client[0] if client else None):
                await self._app(scope, receive, watched)
        except ClientDisconnect:
            _log.info("the client left before its request was read", method=scope["method"], path=scope["path"])
        except Exception as error:
            trouble = health.trouble_of(error)
            if trouble is not None and not started:
                _log.error("database refused", code=trouble.code, error=repr(error), path=scope["path"])
                await refusal(trouble)(scope, receive, watched)
                return
            incident = str(uuid.uuid4())
            _log.exception("incident", incident=incident, method=scope["method"], path=scope["path"])
            if started:
                raise
            body = {
                "message": f"Something went wrong on our side. The incident is {incident}.",
                "code": "incident",
                "hint": "The log of the server has the details under this incident id.",
            }
            await Json(body, 500)(scope, receive, send)
