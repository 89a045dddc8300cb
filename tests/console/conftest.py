"""A person in a browser without script, on the real app and the real database."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Mount

from tests.api.conftest import app as app
from tests.api.conftest import organization as organization
from tests.api.conftest import parts as parts
from tests.api.conftest import settings as settings
from tollbridge.console.app import PATH
from tollbridge.domain.access import Role
from tollbridge.domain.people import Purpose
from tollbridge.services import users
from tollbridge.services.caller import Caller
from tollbridge.services.organizations import NewOrganization
from tollbridge.services.parts import Parts


class _Reader(HTMLParser):
    """The words, links, forms and headings of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: dict[str, str] = {}
        self.forms: list[Form] = []
        self.title = ""
        self._path: list[str] = []
        self._link: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in ("input", "meta", "link", "path", "circle", "rect", "br", "img"):
            self._path.append(tag)
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), given.get("method", "get"), {}, ""))
        if tag == "a":
            self._link = given.get("href")
        if self.forms and tag in ("input", "select", "textarea", "button", "option"):
            self.forms[-1].take(tag, given)

    def handle_endtag(self, tag: str) -> None:
        while self._path and self._path.pop() != tag:
            pass
        if tag == "a":
            self._link = None

    def handle_data(self, data: str) -> None:
        inside = self._path[-1] if self._path else ""
        if inside in ("script", "style"):
            return
        if inside == "title" and "svg" not in self._path:
            self.title += data
            return
        text = " ".join(data.split())
        if not text:
            return
        self.words.append(text)
        if self._link is not None:
            self.links.setdefault(text, self._link)
        if inside == "button" and self.forms:
            self.forms[-1].button += text
        if inside == "textarea" and self.forms:
            self.forms[-1].fill(data)


@dataclass
class Form:
    """A form of a page, with what stands in its fields."""

    action: str
    method: str
    fields: dict[str, str]
    button: str
    _last: str = ""

    def take(self, tag: str, given: Mapping[str, str]) -> None:
        name = given.get("name", "")
        if tag == "option":
            if "selected" in given or self.fields.get(self._last) is None:
                self.fields[self._last] = given.get("value", "")
            return
        self._last = name
        if not name or tag == "button":
            return
        if tag == "select":
            self.fields.pop(name, None)
        elif tag == "textarea":
            self.fields[name] = ""
        elif given.get("type") in ("checkbox", "radio"):
            if "checked" in given:
                self.fields[name] = given.get("value", "on")
        else:
            self.fields[name] = given.get("value", "")

    def fill(self, text: str) -> None:
        self.fields[self._last] = text


@dataclass
class Page:
    """A page as a person reads it."""

    status: int
    url: str
    html: str

    def __post_init__(self) -> None:
        reader = _Reader()
        reader.feed(self.html)
        self.text = " ".join(reader.words)
        self.links, self.forms, self.title = reader.links, reader.forms, reader.title.strip()
        self.h1 = [
            " ".join(re.sub("<[^>]+>", "", found).split())
            for found in re.findall("<h1[^>]*>(.*?)</h1>", self.html, re.S)
        ]

    def form(self, button: str) -> Form:
        """The form whose button has these words."""
        for form in self.forms:
            if button in form.button:
                return form
        raise AssertionError(
            f"no form with the button {button!r} on {self.url}: {[form.button for form in self.forms]}"
        )


class Browser:
    """Opens pages and sends forms, as a browser without script does."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def open(self, path: str) -> Page:
        url = path if path.startswith("/console") else f"/console{path}"
        return self._page(await self.client.get(url, follow_redirects=True))

    async def send(self, page: Page, button: str, **fields: Any) -> Page:
        """Press the button of a form, with these fields filled in (`__` stands for a dot)."""
        form = page.form(button)
        data = {**form.fields, **{name.replace("__", "."): value for name, value in fields.items()}}
        action = urljoin(page.url, form.action or page.url)
        assert form.method == "post"
        return self._page(await self.client.post(action, data=data, follow_redirects=True))

    def _page(self, answer: httpx.Response) -> Page:
        return Page(answer.status_code, str(answer.url), answer.text)


def console_of(app: FastAPI) -> FastAPI:
    """The Console that is mounted in the app."""
    [console] = [route.app for route in app.routes if isinstance(route, Mount) and route.path == PATH]
    assert isinstance(console, FastAPI)
    return console


SignIn = Callable[[Role], Awaitable[Browser]]


@pytest.fixture
async def somebody(app: FastAPI, parts: Parts) -> AsyncIterator[Browser]:
    """A browser of somebody who is not signed in."""
    console_of(app).state.parts = parts
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console") as client:
        yield Browser(client)


@pytest.fixture
def sign_in(somebody: Browser, parts: Parts, organization: NewOrganization) -> SignIn:
    """Sign in as somebody new who has the role."""

    async def work(role: Role) -> Browser:
        body = {"email": f"{role}@example.org", "firstName": "Ada", "lastName": "Bill", "role": role.value}
        caller = Caller(organization.org_id, "SYSTEM")
        user = await users.create(parts.db, caller, body)
        made = await users.make_link(parts.db, parts.settings, caller, user.id, Purpose.SIGN_IN)
        page = await somebody.open("/links/" + made.url.rpartition("/")[2])
        page = await somebody.send(page, "Sign in")
        assert page.h1 == ["Overview"], page.text
        return somebody

    return work


@pytest.fixture
async def browser(sign_in: SignIn) -> Browser:
    """A browser in which an administrator is signed in."""
    return await sign_in(Role.ADMINISTRATOR)
