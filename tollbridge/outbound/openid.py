"""Asks an OpenID Connect provider: its discovery document, its keys, and the ID token for a code.

What a token says, and whether it is to be believed, others decide.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from tollbridge.domain.errors import Unauthenticated, Unavailable
from tollbridge.domain.flows import NoReply, Reply, Request
from tollbridge.outbound.http import Http, Policy
from tollbridge.settings import Settings

_POLICY = Policy(timedelta(seconds=10))
KNOWN_FOR = 3600.0
"""Seconds for which the discovery document and the keys are taken as known."""
KEYS_AT_MOST_EVERY = 30.0
"""Seconds between two questions for keys that are not known: anyone can send us a token."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class OpenIdProvider:
    """The provider `issuer`, at which we are the client named."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._issuer = settings.sso_issuer
        self._client = settings.sso_client_id, settings.sso_client_secret
        self._document: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, Sequence[Mapping[str, Any]]] | None = None

    async def authorize_url(self) -> str:
        return self._url(await self._discover(), "authorization_endpoint")

    async def redeem(self, code: str, verifier: str, redirect_uri: str) -> str:
        document = await self._discover()
        id, secret = self._client
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers = [("Accept", "application/json")]
        known = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if not secret or "client_secret_basic" not in known:
            form |= {"client_id": id} | ({"client_secret": secret} if secret else {})
        else:
            headers.append(("Authorization", _basic(id, secret)))
        reply = await self._ask(
            self._url(document, "token_endpoint"),
            Request("POST", "", headers=tuple(headers), form=tuple(form.items())),
        )
        body = reply.json
        if 400 <= reply.status < 500:
            told = body.get("error") if isinstance(body, Mapping) else reply.status
            raise Unauthenticated(
                "sso.code", f"The provider did not take the code: {str(told)[:100]}.", "Sign in again."
            )
        token = body.get("id_token") if isinstance(body, Mapping) else None
        if reply.status != 200 or not isinstance(token, str):
            raise _unusable(f"it answered {reply.status} without an ID token")
        return token

    async def keys(self, *, anew: bool = False) -> Sequence[Mapping[str, Any]]:
        age = time.monotonic() - self._keys[0] if self._keys else float("inf")
        if self._keys is None or age > KNOWN_FOR or (anew and age > KEYS_AT_MOST_EVERY):
            body = await self._get(self._url(await self._discover(), "jwks_uri"))
            found = body.get("keys")
            if not isinstance(found, list):
                raise _unusable("its keys are none")
            self._keys = time.monotonic(), [each for each in found if isinstance(each, Mapping)]
        return self._keys[1]

    async def _discover(self) -> Mapping[str, Any]:
        if self._document is None or time.monotonic() - self._document[0] > KNOWN_FOR:
            body = await self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            if body.get("issuer") != self._issuer:
                raise _unusable(f"it calls itself {str(body.get('issuer'))[:200]!r}, not {self._issuer!r}")
            self._document = time.monotonic(), body
        return self._document[1]

    def _url(self, document: Mapping[str, Any], name: str) -> str:
        url = document.get(name)
        if not isinstance(url, str):
            raise _unusable(f"its discovery document has no {name}")
        return url

    async def _get(self, url: str) -> Mapping[str, Any]:
        reply = await self._ask(url, Request("GET", "", headers=(("Accept", "application/json"),)))
        body = reply.json
        if reply.status != 200 or not isinstance(body, Mapping):
            raise _unusable(f"{url} answered {reply.status}")
        return body

    async def _ask(self, url: str, request: Request) -> Reply:
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise _unusable(f"{url} is no https address")
        origin = f"{parts.scheme}://{parts.netloc}"
        async with Http(self._settings) as http:
            reply = await http.perform(origin, replace(request, path=url.removeprefix(origin)), _POLICY)
        if isinstance(reply, NoReply):
            raise _unusable(reply.reason)
        return reply


def _basic(id: str, secret: str) -> str:
    # RFC 6749 §2.3.1: both are form-encoded first.
    return "Basic " + b64encode(f"{quote(id, safe='')}:{quote(secret, safe='')}".encode()).decode()


def _unusable(why: str) -> Unavailable:
    return Unavailable(
        "sso.provider",
        f"The provider of single sign-on cannot be used: {why}.",
        "Check TOLLBRIDGE_SSO_ISSUER and that the provider is up.",
        "TOLLBRIDGE_SSO_ISSUER",
    )
