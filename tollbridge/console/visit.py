"""One request of a person: who asks, what they may do, the form they sent, and the answers that pages give.

A route declares with one of the May… types what its visitor must be permitted; a form is only read with its token.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote, unquote

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BeforeValidator
from starlette.datastructures import FormData, UploadFile

from tollbridge.console import drawing, set_up
from tollbridge.console.rail import rail
from tollbridge.console.reader import Reader
from tollbridge.domain.access import GRANTS, Permission, demand
from tollbridge.domain.errors import Refusal, TooLarge, Unauthenticated
from tollbridge.services import overview
from tollbridge.services.caller import Caller
from tollbridge.services.overview import Standing
from tollbridge.services.parts import Parts
from tollbridge.services.sessions import Visitor
from tollbridge.services.tokens import new_token
from tollbridge.store.audit import known_as

SESSION = "tollbridge_session"
"""The cookie with the session's token; before somebody signs in it holds a token that is no session yet."""
SAID = "tollbridge_said"
"""The cookie with the sentence that the next page shows once."""
SECRET = "secret."  # noqa: S105
"""Names of fields that must never be written into a page begin so."""
WATCHING = "tollbridge-watching"
"""The header with which an open page fetches itself: nobody did anything."""
WHOLE = re.compile(r"[0-9]{1,15}")
LONGEST_SAID = 1000
MOST_FIELDS = 2000
LONGEST_FIELD = 8 * 1024 * 1024
"""Bytes of one field: more than what may be pasted into one, whose own limit is told in better words."""


class SignedOut(Exception):
    """The page needs somebody who is signed in."""


def local(path: str) -> str:
    """A page of ours, whatever was asked for."""
    fits = path.startswith("/") and not path.startswith(("//", "/\\", "/sign-in", "/links")) and path.isprintable()
    return quote(path, safe="/?&=:,;@!$'()*+~.-_%#") if fits else "/"


@dataclass(frozen=True, slots=True)
class Form:
    """What a form sent: texts by name, and files."""

    data: FormData

    def text(self, name: str, default: str = "") -> str:
        """The field without white space around it; the last one where it was sent several times."""
        value = self.data.getlist(name)[-1:] or [default]
        return value[0].strip() if isinstance(value[0], str) else default

    def all(self, name: str) -> list[str]:
        """Every text that was sent under the name."""
        return [value for value in self.data.getlist(name) if isinstance(value, str)]

    def on(self, name: str) -> bool:
        """Whether the box was ticked."""
        return bool(self.text(name))

    async def file(self, name: str, limit: int) -> str:
        """The text of a file; empty where none was chosen. Raises TooLarge."""
        found = self.data.get(name)
        if not isinstance(found, UploadFile):
            return ""
        content = await found.read(limit + 1)
        if len(content) > limit:
            raise TooLarge("file.too_large", f"The file has more than {limit} bytes.", "Split it.", name)
        return content.decode("utf-8-sig", "replace")

    def version(self) -> dict[str, int]:
        """The version that the form was drawn with, as a field of the body, where it has one; what is no number is 0,
        which nothing has."""
        text = self.text("version")
        return {"version": int(text) if WHOLE.fullmatch(text) else 0} if text else {}

    def plain(self) -> dict[str, str]:
        """All texts but secrets, to show the form again."""
        return {
            name: value
            for name, value in self.data.multi_items()
            if isinstance(value, str) and not name.startswith(SECRET) and name != "csrf"
        }


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody who may not be signed in. `token` is that of the session, or a fresh one."""

    request: Request
    parts: Parts
    token: str
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The address of the Console, without a slash at its end."""
        return str(self.request.scope.get("root_path", ""))

    @property
    def address(self) -> str:
        """Where the browser is."""
        client = self.request.client
        return client.host if client else ""

    @property
    def agent(self) -> str:
        return self.request.headers.get("user-agent", "")

    @property
    def reader(self) -> Reader:
        """How the person has moments and numbers written."""
        return Reader.of(self.request)

    def page(self, template: str, status: int = 200, /, **values: Any) -> Response:
        """The page drawn with these values; what the page before it wanted to say is said once."""
        said = self.request.cookies.get(SAID)
        context = {
            **self.values,
            "base": self.base,
            "here": self.here,
            "csrf": self.parts.sessions.csrf(self.token),
            "read": self.reader,
            "said": unquote(said) if said else None,
            "theme": self.request.cookies.get("tollbridge_theme", "system"),
            **values,
        }
        response = HTMLResponse(drawing.draw(template, context), status)
        if said:
            response.delete_cookie(SAID, path=self.base)
        return self._keep(response)

    @property
    def here(self) -> str:
        """The page as it was asked for, as links inside the Console name it."""
        url = self.request.url
        path = url.path.removeprefix(self.base)
        return f"{path}?{url.query}" if url.query else path

    def go(self, path: str, said: str | None = None) -> Response:
        """On to another page of the Console, which says the sentence."""
        response = RedirectResponse(self.base + path, 303)
        if said:
            text = said if len(said) <= LONGEST_SAID else said[: LONGEST_SAID - 1] + "…"
            response.set_cookie(
                SAID, quote(text), max_age=60, path=self.base, httponly=True, samesite="lax", secure=self.secure
            )
        return self._keep(response)

    def signed_in(self, token: str, path: str, said: str | None = None) -> Response:
        """On to another page, as the person of the session."""
        response = Guest(self.request, self.parts, token).go(path, said)
        self._set(response, token)
        return response

    @property
    def secure(self) -> bool:
        """Whether cookies are for https alone."""
        return self.parts.settings.people_url.startswith("https://")

    def _keep(self, response: Response) -> Response:
        if self.request.cookies.get(SESSION) != self.token and SESSION not in response.headers.get("set-cookie", ""):
            self._set(response, self.token)
        return response

    def _set(self, response: Response, token: str) -> None:
        lifetime = int(self.parts.settings.session_lifetime / timedelta(seconds=1))
        response.set_cookie(
            SESSION, token, max_age=lifetime, path=self.base, httponly=True, samesite="lax", secure=self.secure
        )

    async def form(self) -> Form:
        """The form; raises Forbidden where it was not made for this session."""
        sent = Form(await self.request.form(max_fields=MOST_FIELDS, max_part_size=LONGEST_FIELD))
        self.parts.sessions.check_csrf(self.token, sent.text("csrf"))
        return sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit(Guest):
    """Somebody who is signed in and has the permission that the page needs."""

    visitor: Visitor
    standing: Standing

    @property
    def caller(self) -> Caller:
        return self.visitor.caller

    async def look_at_set_up(self) -> None:
        """Say on the page how far the first set-up is; again where the request itself took it further."""
        steps: Sequence[set_up.Step] = ()
        if not self.standing.settled:
            steps = set_up.steps_of(await overview.set_up(self.parts.db, self.caller))
        self.values.update(steps=steps, next_step=set_up.next_of(steps))

    def may(self, permission: str) -> bool:
        """Whether a button that needs the permission is shown."""
        return Permission(permission) in GRANTS[self.caller.role]


async def guest(request: Request) -> Guest:
    """Whoever asks."""
    return Guest(request, request.app.state.parts, request.cookies.get(SESSION) or new_token())


async def visit_of(request: Request, *, acts: bool = True) -> Visit:
    """Who is signed in; raises SignedOut. `acts` is false where only a page is open."""
    somebody = await guest(request)
    try:
        visitor = await somebody.parts.sessions.visitor(somebody.token, acts=acts and WATCHING not in request.headers)
    except Unauthenticated:
        raise SignedOut from None
    known_as(visitor.caller.principal)
    standing = await overview.standing(somebody.parts.db, visitor.caller)
    visit = Visit(request, somebody.parts, somebody.token, visitor=visitor, standing=standing)
    visit.values.update(visitor=visitor, standing=standing, most_events=overview.MOST_EVENTS)
    visit.values.update(may=visit.may, rail=rail(visit.may))
    await visit.look_at_set_up()
    return visit


@dataclass(frozen=True, slots=True)
class Needs:
    """The dependency by which a page declares what its visitor must be permitted."""

    permission: Permission | None
    acts: bool = True

    async def __call__(self, request: Request) -> Visit:
        visit = await visit_of(request, acts=self.acts)
        if self.permission is not None:
            demand(visit.caller.role, self.permission)
        return visit


AGuest = Annotated[Guest, Depends(guest)]
Anybody = Annotated[Visit, Depends(Needs(None))]
MayReadBilling = Annotated[Visit, Depends(Needs(Permission.READ_BILLING))]
MayWriteBilling = Annotated[Visit, Depends(Needs(Permission.WRITE_BILLING))]
MayApprove = Annotated[Visit, Depends(Needs(Permission.APPROVE))]
MayRead = Annotated[Visit, Depends(Needs(Permission.READ))]
MayWatch = Annotated[Visit, Depends(Needs(Permission.READ, acts=False))]
MayMap = Annotated[Visit, Depends(Needs(Permission.MAP))]
MayDeliver = Annotated[Visit, Depends(Needs(Permission.DELIVER))]
MayConfigure = Annotated[Visit, Depends(Needs(Permission.CONFIGURE))]
MayUseCredentials = Annotated[Visit, Depends(Needs(Permission.CREDENTIALS))]
MayAdminister = Annotated[Visit, Depends(Needs(Permission.ADMINISTER))]
"""The visitor of a page, who has the permission named."""


Unset = BeforeValidator(lambda value: value or None)
"""A filter that a form left at All comes as an empty text, which is none."""


class Again:
    """What came of an action whose form is shown again where it is refused."""

    refusal: Refusal | None = None

    def __bool__(self) -> bool:
        return self.refusal is not None


@asynccontextmanager
async def trying() -> AsyncIterator[Again]:
    """Catch the refusal of an action: `if again:` shows the form anew with `again.refusal`."""
    again = Again()
    try:
        yield again
    except Refusal as refusal:
        again.refusal = refusal
