"""What every route needs: the parts, the caller, the parsed body, the page asked for; answers in the wire's form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AfterValidator

from tollbridge.domain import json_text
from tollbridge.domain.access import Permission
from tollbridge.domain.errors import Forbidden, Invalid, TooLarge
from tollbridge.domain.fields import Shape, read_instant
from tollbridge.domain.search import Search
from tollbridge.services.caller import Caller
from tollbridge.services.parts import Parts
from tollbridge.services.wire_form import entity as entity
from tollbridge.services.wire_form import timestamp as timestamp
from tollbridge.store.audit import known_as
from tollbridge.store.records import Page, Record

ORG = "/organizations/{orgId}"
_DRAINED = 4
"""A body that is too long is read and thrown away up to this multiple of the limit, so that the answer arrives."""


class Json(Response):
    """JSON with exact numbers."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json_text.dump(content).encode()


def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


TheParts = Annotated[Parts, Depends(parts_of)]

_bearer = HTTPBearer(auto_error=False, description="The access_token of POST /oauth/token.")


@dataclass(frozen=True, slots=True)
class Needs:
    """The dependency by which a route declares what its caller must be permitted; its value is the caller."""

    permission: Permission

    async def __call__(
        self,
        parts: TheParts,
        orgId: str,
        token: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Caller:
        """Who asks, in the organization of the path; raises Forbidden."""
        if token is None:
            raise Forbidden(
                "access.missing",
                "The request carries no access token.",
                "Send Authorization: Bearer with the access_token of POST /oauth/token.",
            )
        caller = await parts.gate.admit(token.credentials, orgId, self.permission)
        known_as(caller.principal)
        return caller


MayReadBilling = Annotated[Caller, Depends(Needs(Permission.READ_BILLING))]
MayWriteBilling = Annotated[Caller, Depends(Needs(Permission.WRITE_BILLING))]
MayApprove = Annotated[Caller, Depends(Needs(Permission.APPROVE))]
MayRead = Annotated[Caller, Depends(Needs(Permission.READ))]
MayMap = Annotated[Caller, Depends(Needs(Permission.MAP))]
MayDeliver = Annotated[Caller, Depends(Needs(Permission.DELIVER))]
MayConfigure = Annotated[Caller, Depends(Needs(Permission.CONFIGURE))]
MayUseCredentials = Annotated[Caller, Depends(Needs(Permission.CREDENTIALS))]
MayAdminister = Annotated[Caller, Depends(Needs(Permission.ADMINISTER))]
"""The caller of a route, who has the permission named. Every route of an organization has one of them."""


async def read_bytes(request: Request, limit: int) -> bytes:
    """The body; raises TooLarge where it has more bytes than the limit."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _DRAINED * limit:
            break
        if size <= limit:
            chunks.append(chunk)
    if size > limit:
        raise TooLarge(
            "body.too_large",
            f"The body has more than {limit} bytes.",
            "Send less at once; bulk imports have their own address and no such limit.",
        )
    return b"".join(chunks)


async def body_of(request: Request, parts: TheParts) -> Any:
    """The body as JSON with exact numbers; no body at all is an empty object, as clients send actions so."""
    raw = await read_bytes(request, parts.settings.max_body)
    if not raw.strip():
        return {}
    try:
        return json_text.parse(raw)
    except ValueError as error:
        raise Invalid("body.json", f"The body is not JSON: {error}.", "Send one JSON object in UTF-8.") from None


Body = Annotated[Any, Depends(body_of)]


@dataclass(frozen=True, slots=True)
class Paging:
    """The page asked for."""

    size: int
    token: str | None


Words = Annotated[str, Query(max_length=200, description="Words to look for. An extension.")]

NextToken = Annotated[str | None, Query(alias="nextToken")]


def _paging100(size: Annotated[int, Query(alias="pageSize", ge=1, le=100)] = 100, token: NextToken = None) -> Paging:
    return Paging(size, token or None)


def _paging200(size: Annotated[int, Query(alias="pageSize", ge=1, le=200)] = 100, token: NextToken = None) -> Paging:
    return Paging(size, token or None)


Paging100 = Annotated[Paging, Depends(_paging100)]
Paging200 = Annotated[Paging, Depends(_paging200)]
"""The page asked for, of at most 100 or 200 entries; the wire has a limit for each list."""


def _split(values: list[str]) -> list[str]:
    return [part for value in values for part in value.split(",") if part]


class Order(StrEnum):
    """By when they were made: oldest or newest first."""

    ASC = "ASC"
    DESC = "DESC"


Many = Annotated[list[str], Query(), AfterValidator(_split)]
"""A query parameter with several values: `ids=a,b`, `ids=a&ids=b`, or both. Give the parameter's name as alias where
it is no Python name, and `[]` as default."""


def _search(
    searchQuery: Annotated[
        str, Query(max_length=10_000, description="Conditions joined by $, as in name~Acme$currency:EUR.")
    ] = "",
    operator: Literal["AND", "OR"] = "AND",
    sortBy: str | None = None,
    sortOrder: Literal["ASC", "DESC"] = "ASC",
    fromDocument: Annotated[int, Query(ge=0, le=10**9, description="How many to leave out at the front.")] = 0,
    pageSize: Annotated[int, Query(ge=1, le=100)] = 10,
) -> Search:
    return Search(searchQuery, operator == "OR", sortBy or None, sortOrder == "DESC", fromDocument, pageSize)


TheSearch = Annotated[Search, Depends(_search)]
"""What a search of the wire asks for."""


def instant_of(value: str | None, name: str) -> datetime | None:
    """A query parameter that is a moment, or a day, which then means its midnight in UTC."""
    if value is None:
        return None
    # A plus sign that the client did not encode arrives as a space.
    text = value.replace(" ", "+")
    moment = read_instant(text) or read_instant(f"{text}T00:00:00Z")
    if moment is None:
        raise Invalid(
            "field.invalid",
            f"{name} is {value[:80]!r}, but must be a moment as 2026-01-31T12:00:00Z or a day as 2026-01-31.",
            None,
            name,
        )
    return moment


def page(found: Page, to_wire: Callable[[Record], dict[str, Any]] = entity) -> Json:
    """A page on the wire."""
    return listed([to_wire(record) for record in found.data], found.next_token)


def found(data: Sequence[dict[str, Any]], next_start: int | None) -> Json:
    """What a search found; where more follows, its token is the `fromDocument` that goes on."""
    return listed(data, None if next_start is None else str(next_start))


def listed(data: Sequence[Any], next_token: str | None = None) -> Json:
    """A page of what is no record; without token where nothing follows."""
    return Json({"data": list(data), **({"nextToken": next_token} if next_token else {})})


def described(body: Shape | None = None, *, extension: bool = False, optional: bool = False) -> dict[str, Any]:
    """What FastAPI cannot see of a route, for our OpenAPI document: its body, and whether the operation is our own."""
    extra: dict[str, Any] = {"x-extension": True} if extension else {}
    if body is not None:
        extra["requestBody"] = {"required": not optional, "content": {"application/json": {"schema": body.schema}}}
    return extra
