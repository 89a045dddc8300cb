"""A stand-in for Strongbox: real HTTP, PKCE checked, every code and refresh token good for one use.

A refresh token that comes twice is theft: everything that was ever given to that company is revoked.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from aiohttp import web

CLIENT_ID, CLIENT_SECRET = "app 1", "hush:hush"


@dataclass
class Strongbox:
    """`lifetime` is an access token's, in seconds; `grace` lets a used refresh token fetch what it fetched before.
    `at_refresh` is called once the tokens are rotated, before the reply leaves."""

    lifetime: float = 3600
    grace: bool = False
    url: str = ""
    at_refresh: Callable[[], None] = lambda: None
    companies: list[dict[str, str]] = field(default_factory=lambda: [{"id": "co_1", "name": "Acme Books"}])
    """What a consent opens; without a Tenant requests are about the first."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    access: dict[str, float] = field(default_factory=dict)
    refresh: set[str] = field(default_factory=set)
    used: Counter[str] = field(default_factory=Counter)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    invoices: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: int = 0
    thefts: int = 0

    def consent(self, url: str) -> dict[str, str]:
        """What the browser of somebody who said yes comes back with."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert url.startswith(f"{self.url}/authorize?")
        assert (asked["client_id"], asked["code_challenge_method"]) == (CLIENT_ID, "S256")
        code = f"code-{uuid4()}"
        self.codes[code] = asked
        return {"state": asked["state"], "code": code, "realmId": "realm 7"}

    def revoke(self) -> None:
        """End everything that was given."""
        self.access.clear()
        self.refresh.clear()
        self.answers.clear()

    async def token(self, request: web.Request) -> web.Response:
        form = dict(await request.post())
        if request.headers["Authorization"] != f"Basic {base64.b64encode(b'app%201:hush%3Ahush').decode()}":
            return _no("invalid_client", 401)
        if form["grant_type"] == "authorization_code":
            asked = self.codes.pop(str(form["code"]), None)
            digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
            proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            if asked is None or asked["code_challenge"] != proof or asked["redirect_uri"] != form["redirect_uri"]:
                return _no("invalid_grant")
            return web.json_response(self._new())
        given = str(form["refresh_token"])
        self.used[given] += 1
        if given not in self.refresh:
            if self.grace and given in self.answers:
                return web.json_response(self.answers[given])
            self.thefts += self.used[given] > 1
            self.revoke()
            return _no("invalid_grant")
        self.refresh.remove(given)
        self.answers[given] = answer = self._new()
        self.at_refresh()
        return web.json_response(answer)

    async def read_company(self, request: web.Request) -> web.Response:
        if not self._known(request):
            return _no("token", 401)
        id = request.headers.get("Tenant", self.companies[0]["id"])
        return web.json_response(next(each for each in self.companies if each["id"] == id))

    async def list_companies(self, request: web.Request) -> web.Response:
        return web.json_response(self.companies) if self._known(request) else _no("token", 401)

    async def read_invoice(self, request: web.Request) -> web.Response:
        return web.json_response({}) if self._known(request) else _no("token", 401)

    async def create(self, request: web.Request) -> web.Response:
        if not self._known(request):
            return _no("token", 401)
        made = {"id": f"inv_{len(self.invoices)}", **(await request.json())}
        return web.json_response(self.invoices.setdefault(request.headers["Idempotency-Key"], made))

    def _new(self) -> dict[str, Any]:
        access, refresh = f"at-{uuid4()}", f"rt-{uuid4()}"
        self.access[access] = time.monotonic() + self.lifetime
        self.refresh.add(refresh)
        return {"access_token": access, "refresh_token": refresh, "expires_in": self.lifetime, "token_type": "Bearer"}

    def _known(self, request: web.Request) -> bool:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        known = time.monotonic() < self.access.get(token, 0) and request.headers.get("Realm") == "realm 7"
        self.refused += not known
        return known


@asynccontextmanager
async def strongbox(**settings: Any) -> AsyncIterator[Strongbox]:
    vendor = Strongbox(**settings)
    app = web.Application()
    app.router.add_post("/token", vendor.token)
    app.router.add_get("/company", vendor.read_company)
    app.router.add_get("/connections", vendor.list_companies)
    app.router.add_post("/invoices", vendor.create)
    app.router.add_get("/invoices/{id}", vendor.read_invoice)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    vendor.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield vendor
    finally:
        await runner.cleanup()


def _no(error: str, status: int = 400) -> web.Response:
    return web.json_response({"error": error}, status=status)
