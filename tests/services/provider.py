"""A stand-in for an OpenID Connect provider: real HTTP, its own keys, codes that work once, PKCE checked.

What a test wants to go wrong it sets on the value before the code is redeemed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID, CLIENT_SECRET = "tollbridge", "hush:hush"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class StandInProvider:
    """`claims` go into every ID token over the right ones; `key` signs, `published` is what the world is shown."""

    issuer: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    key: Any = field(default_factory=new_key)
    kid: str = "1"
    algorithm: str = "RS256"
    published: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked_for_keys: int = 0

    def __post_init__(self) -> None:
        self.published[self.kid] = self.key

    def consent(self, url: str) -> tuple[str, str]:
        """What the browser of somebody who signed in at the provider comes back with: (state, code)."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert asked["client_id"] == CLIENT_ID
        assert asked["code_challenge_method"] == "S256"
        code = f"code {uuid4()}"
        self.codes[code] = asked
        return asked["state"], code

    async def discovery(self, request: web.Request) -> web.Response:
        addresses = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "keys"}
        return web.json_response(
            {"issuer": self.issuer, **{name: f"{self.issuer}/{path}" for name, path in addresses.items()}}
        )

    async def keys(self, request: web.Request) -> web.Response:
        self.asked_for_keys += 1
        algorithm = jwt.algorithms.RSAAlgorithm
        found = [json.loads(algorithm.to_jwk(key.public_key())) | {"kid": kid} for kid, key in self.published.items()]
        return web.json_response({"keys": [*found, {"kty": "oct", "k": "AAAA", "kid": "other", "use": "enc"}]})

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self.codes.pop(str(form["code"]), None)
        basic = base64.b64encode(b"tollbridge:hush%3Ahush").decode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(str(form["code_verifier"]).encode()).digest())
        if (
            asked is None
            or request.headers.get("Authorization") != f"Basic {basic}"
            or asked["code_challenge"] != challenge.decode().rstrip("=")
            or asked["redirect_uri"] != form["redirect_uri"]
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "jane-1",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "email": "jane@acme.example",
            "email_verified": True,
            "name": "Jane Roe",
            **self.claims,
        }
        told = {name: value for name, value in claims.items() if value is not None}
        signed = jwt.encode(told, self.key, self.algorithm, headers={"kid": self.kid})
        return web.json_response({"access_token": "x", "token_type": "Bearer", "id_token": signed})


@asynccontextmanager
async def running_provider() -> AsyncIterator[StandInProvider]:
    """The provider on a port of its own."""
    provider = StandInProvider()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.discovery)
    app.router.add_get("/keys", provider.keys)
    app.router.add_post("/token", provider.token)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()
