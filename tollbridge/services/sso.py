"""Single sign-on by OpenID Connect: the authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636).

What the provider is asked goes through the port `Provider`, outside every transaction. A sign-in that is under way can
be finished once, in the browser in which it began.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import urlencode

import jwt

from tollbridge.domain.access import Role
from tollbridge.domain.errors import Conflict, Forbidden, Invalid, Unauthenticated
from tollbridge.domain.people import ROLES, mail_address, role_of
from tollbridge.services import clock, users
from tollbridge.services.caller import Caller
from tollbridge.services.sessions import SSO, Sessions
from tollbridge.services.tokens import hash_token, new_token
from tollbridge.settings import Settings
from tollbridge.store import organizations, records, sign_ins
from tollbridge.store import users as rows
from tollbridge.store.db import Database, Tx
from tollbridge.store.records import Record
from tollbridge.store.schema import users as table

CALLBACK_PATH = "/console/sso"
"""Where the provider sends the browser back, with `state` and `code`."""
PATIENCE = timedelta(minutes=10)
"""How long a person may take at the provider."""
LEEWAY = 60
"""Seconds by which the provider's clock may differ."""

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key that only the provider has."""


class Provider(Protocol):
    """What the provider is asked. Every call raises Unavailable where it does not answer as it must."""

    async def authorize_url(self) -> str:
        """Where people are sent."""

    async def redeem(self, code: str, verifier: str, redirect_uri: str) -> str:
        """The ID token for a code; raises Unauthenticated where the provider takes the code for none of its own."""

    async def keys(self, *, anew: bool = False) -> Sequence[Mapping[str, Any]]:
        """The keys that it signs with, as JSON Web Keys; `anew` asks again though they are known."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Where to send the browser, and what to put into a cookie of it until it is back."""

    url: str
    browser: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The token of the new session, and the page that was wanted."""

    token: str
    back: str


class SingleSignOn:
    """Sign-ins by the provider of the settings."""

    def __init__(self, db: Database, settings: Settings, sessions: Sessions, provider: Provider) -> None:
        """Raises Invalid where a setting names no role."""
        self._db = db
        self._settings = settings
        self._sessions = sessions
        self._provider = provider
        self._roles = {group: _role(group, name) for group, name in settings.sso_roles.items()}

    async def begin(self, back: str = "/console") -> Begun:
        """Begin a sign-in; `back` is a path of ours."""
        state, browser, nonce, verifier = (new_token() for _ in range(4))
        target = await self._provider.authorize_url()
        until = clock.now() + PATIENCE
        local = back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/console"
        async with self._db.transaction() as tx:
            under_way = sign_ins.UnderWay(hash_token(state), hash_token(browser), nonce, verifier, local, until)
            await sign_ins.begin(tx, under_way)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code",
            "client_id": self._settings.sso_client_id,
            "redirect_uri": self._redirect_uri,
            "scope": self._settings.sso_scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return Begun(f"{target}{'&' if '?' in target else '?'}{urlencode(asked)}", browser)

    async def finish(
        self,
        state: str,
        code: str,
        browser: str,
        address: str,
        *,
        agent: str = "",
        replacing: str | None = None,
    ) -> Finished:
        """Take the browser that is back; raises Unauthenticated, or Forbidden where this person has no access here."""
        async with self._db.transaction() as tx:
            begun = await sign_ins.finish(tx, hash_token(state))
        if begun is None or begun.expires_at <= clock.now():
            raise _refused("The sign-in was finished already, was never begun here, or took too long.")
        if not hmac.compare_digest(begun.browser_hash, hash_token(browser)):
            raise _refused("The sign-in was begun in another browser.")
        token = await self._provider.redeem(code, begun.verifier, self._redirect_uri)
        claims = await self._claims(token, begun.nonce)
        async with self._db.transaction() as tx:
            user = await self._user(tx, claims)
            return Finished(await self._sessions.open(tx, user, SSO, address, agent, replacing), begun.back)

    @property
    def _redirect_uri(self) -> str:
        return f"{self._settings.people_url}{CALLBACK_PATH}"

    async def _claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        """What the ID token says, once it is surely the provider's, for us, for this sign-in, and not too old."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                await self._key(token),
                algorithms=_ALGORITHMS,
                audience=self._settings.sso_client_id,
                issuer=self._settings.sso_issuer,
                leeway=LEEWAY,
                options={"require": ["iss", "sub", "aud", "exp", "iat", "nonce"]},
            )
        except jwt.PyJWTError as error:
            raise _refused(f"The provider's ID token is not right: {error}.") from None
        if not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
            raise _refused("The provider's ID token is not right: it is for another sign-in (nonce).")
        party = claims.get("azp", self._settings.sso_client_id if isinstance(claims["aud"], str) else None)
        if party != self._settings.sso_client_id and (isinstance(claims["aud"], str) or len(claims["aud"]) > 1):
            raise _refused("The provider's ID token is not right: it was issued to another client (azp).")
        return claims

    async def _key(self, token: str) -> jwt.PyJWK:
        """The key that signed; the provider is asked anew once for one that is not known yet."""
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in _ALGORITHMS:
            raise jwt.InvalidAlgorithmError(f"alg is {header.get('alg')!r}")
        for anew in (False, True):
            for each in await self._provider.keys(anew=anew):
                if each.get("kid") == header.get("kid") and each.get("use", "sig") == "sig":
                    return jwt.PyJWK(dict(each), header["alg"])
        raise jwt.InvalidKeyError("it is signed by no key of the provider")

    async def _user(self, tx: Tx, claims: Mapping[str, Any]) -> Record:
        """The person, made or changed as the provider says; raises Forbidden where they have no access."""
        subject = f"{claims['iss']}|{claims['sub']}"
        role = role_of(self._groups(claims), self._roles)
        user = await rows.by_subject(tx, subject)
        if user is None:
            user = await self._link_or_make(tx, claims, subject, role)
        if self._roles and role is None:
            raise self._no_access("None of your groups has a role here.")
        if users.ended(user["end_access"], clock.now()):
            raise self._no_access("Your access has ended.")
        if role is not None and role != user["role"]:
            body = {**user.body, "role": role.value}
            user = user.changed(clock.now(), SSO_PRINCIPAL, body=body, role=role.value)
            await records.save(tx, table, user)
        return user

    async def _link_or_make(self, tx: Tx, claims: Mapping[str, Any], subject: str, role: Role | None) -> Record:
        verified = claims.get("email_verified")
        try:
            mail = mail_address().check(claims.get("email"), "email")
        except Invalid as error:
            raise self._no_access(f"The provider gives no mail address: {error.message}") from None
        known = await rows.by_mail(tx, mail, lock=True)
        if known is None:
            if role is None:
                raise self._no_access(f"Nobody was invited with the mail address {mail}.")
            if verified is False:
                raise self._no_access(f"The provider did not verify the mail address {mail}.")
            caller = Caller(await self._organization(tx), SSO_PRINCIPAL)
            body = {"email": mail, **_names(claims, mail), "role": role.value}
            return await users.add(tx, caller, body, subject=subject, accepted_at=clock.now())
        # Whoever can make an account at the provider could otherwise take over ours.
        if verified is not True:
            raise self._no_access(f"The provider did not verify the mail address {mail}, which is a user's here.")
        if known["subject"] is not None:
            raise self._no_access(f"The mail address {mail} belongs to another person of the provider.")
        now = clock.now()
        linked = known.changed(now, SSO_PRINCIPAL, subject=subject, accepted_at=known["accepted_at"] or now)
        await records.save(tx, table, linked)
        return linked

    async def _organization(self, tx: Tx) -> str:
        known = await organizations.ids(tx)
        wanted = self._settings.sso_organization
        if wanted in known:
            return wanted
        if wanted or len(known) != 1:
            raise Conflict(
                "sso.organization",
                f"TOLLBRIDGE_SSO_ORGANIZATION is {wanted!r}, which is none of the {len(known)} organizations here.",
                "Set it to the id of the organization into which people come.",
                "TOLLBRIDGE_SSO_ORGANIZATION",
            )
        return known[0]

    def _groups(self, claims: Mapping[str, Any]) -> list[str]:
        found = claims.get(self._settings.sso_groups_claim, [])
        return [found] if isinstance(found, str) else [each for each in found if isinstance(each, str)]

    def _no_access(self, why: str) -> Forbidden:
        return Forbidden("sso.no_access", why, "Ask an administrator for an invitation, or for a group with a role.")


SSO_PRINCIPAL = "SSO"
"""As whom the provider's word changes a user."""


def _role(group: str, name: str) -> Role:
    if name not in ROLES:
        raise Invalid(
            "sso.role",
            f"TOLLBRIDGE_SSO_ROLES gives {group} the role {name!r}, which there is not.",
            f"Roles of people are {', '.join(ROLES)}.",
            "TOLLBRIDGE_SSO_ROLES",
        )
    return Role(name)


def _names(claims: Mapping[str, Any], mail: str) -> dict[str, str]:
    whole = str(claims.get("name") or mail.partition("@")[0])
    first, _, last = whole.partition(" ")
    first, last = str(claims.get("given_name") or first), str(claims.get("family_name") or last or first)
    return {"firstName": first[:100], "lastName": last[:100]}


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated("sso.refused", why, "Sign in again.")
