"""POST /oauth/token: an access key and its secret, by HTTP Basic, become an access token (RFC 6749 §4.4)."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request

from tollbridge.api.errors import refusal
from tollbridge.api.wire import Json, TheParts, body_of, described, read_bytes
from tollbridge.domain.errors import Invalid, Unauthenticated
from tollbridge.domain.fields import Shape, one_of, printable, required, text

router = APIRouter(tags=["Authentication"])

MAX_BODY = 10_000
BODY = Shape({"grant_type": required(one_of(["client_credentials"])), "scope": text(most=1000)})


@router.post("/oauth/token", openapi_extra=described(BODY))
async def token(request: Request, parts: TheParts) -> Json:
    try:
        body = BODY.check(await _read(request, parts))
        key, secret = _basic(request.headers.get("authorization", ""))
        issued = await parts.gate.issue(key, secret)
    except Unauthenticated as error:
        refused = refusal(error, error="invalid_client")
        refused.headers["www-authenticate"] = 'Basic realm="tollbridge"'
        return refused
    except Invalid as error:
        return refusal(error, error="unsupported_grant_type" if error.field == "grant_type" else "invalid_request")
    answer = {"access_token": issued.text, "token_type": "Bearer", "expires_in": issued.expires_in}
    scope = {"scope": body["scope"]} if "scope" in body else {}
    return Json(answer | scope, headers={"cache-control": "no-store"})


async def _read(request: Request, parts: TheParts) -> Any:
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raw = await read_bytes(request, MAX_BODY)
        try:
            return dict(parse_qsl(raw.decode(), keep_blank_values=True))
        except ValueError:
            raise Invalid("body.form", "The body is not a form in UTF-8.") from None
    return await body_of(request, parts)


def _basic(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError("another scheme")
        key, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        printable(key, "Authorization")
    except (ValueError, binascii.Error, Invalid):
        raise Unauthenticated(
            "access.basic",
            "The request carries no access key.",
            "Send HTTP Basic with the access key as user and its secret as password.",
        ) from None
    return key, secret
