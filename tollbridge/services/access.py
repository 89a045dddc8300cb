"""Who may come in: access keys are exchanged for tokens, and a token names the caller.

Tokens are signed, so that issuing one writes nothing and any process that has the vault's key can check it; whether the
key behind a token is still active, and its role, are asked of the database, at most every few seconds.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import jwt

from tollbridge.domain.access import Permission, Role, demand
from tollbridge.domain.errors import Forbidden, Unauthenticated
from tollbridge.services import clock
from tollbridge.services.caller import Caller
from tollbridge.services.tokens import hash_token
from tollbridge.store import access_keys
from tollbridge.store.access_keys import AccessKey
from tollbridge.store.db import Database

RECHECK = 3.0
"""Seconds for which a key may still be used as it was found after it was made inactive or got another role."""

_ALGORITHM = "HS256"
_ASK_AGAIN = "Ask for a new token at POST /oauth/token with the access key and its secret."


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and its lifetime in seconds."""

    text: str
    expires_in: int


class Gate:
    """Issues tokens for access keys and tells who is behind a token."""

    def __init__(
        self,
        db: Database,
        key: bytes,
        lifetime: timedelta,
        monotonic: Callable[[], float] = time.monotonic,
        older_keys: Sequence[bytes] = (),
    ) -> None:
        self._db = db
        self._key = key
        self._older_keys = older_keys
        self._lifetime = lifetime
        self._monotonic = monotonic
        self._seen: dict[str, tuple[float, Role]] = {}

    async def issue(self, key_id: str, secret: str) -> Token:
        """A token for the key; raises Unauthenticated where the pair is wrong or the key inactive."""
        found = await self._find(key_id)
        key = found[0] if found else None
        # Compared also where there is no such key, so that the time taken does not tell.
        matches = hmac.compare_digest(hash_token(secret), key.secret_hash if key else b"\x00" * 32)
        if key is None or not matches or not key.active:
            raise Unauthenticated(
                "access.key",
                "The access key and secret do not match, or the key is not active.",
                "Check both; the secret was shown once when the key was made. A new key can be made at any time.",
            )
        issued = int(clock.now().timestamp())
        seconds = int(self._lifetime.total_seconds())
        claims = {
            "sub": key.service_user_id,
            "org": key.org_id,
            "key": key.id,
            "iat": issued,
            "exp": issued + seconds,
        }
        return Token(jwt.encode(claims, self._key, _ALGORITHM), seconds)

    async def admit(self, token: str, org_id: str, permission: Permission) -> Caller:
        """The caller with this token, in this organization; raises Forbidden, also where the role may not do this."""
        claims = self._claims(token)
        if claims["org"] != org_id:
            raise Forbidden(
                "access.organization",
                f"This access key does not belong to the organization {org_id!r}.",
                "Use the organization id that was shown with the key.",
                "orgId",
            )
        role = await self._role(claims["key"])
        demand(role, permission)
        return Caller(org_id, f"SERVICE_USER_{claims['sub']}", role)

    def _claims(self, token: str) -> dict[str, str]:
        for key in (self._key, *self._older_keys):
            try:
                claims: dict[str, str] = jwt.decode(
                    token, key, [_ALGORITHM], options={"require": ["exp", "sub", "org", "key"]}
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError:
                raise Forbidden("access.expired", "The access token has expired.", _ASK_AGAIN) from None
            except jwt.InvalidTokenError:
                break
            return claims
        raise Forbidden("access.token", "The access token is not one of ours.", _ASK_AGAIN)

    async def _role(self, key_id: str) -> Role:
        seen, role = self._seen.get(key_id, (float("-inf"), Role.VIEWER))
        if self._monotonic() - seen < RECHECK:
            return role
        found = await self._find(key_id)
        if found is None or not found[0].active:
            self._seen.pop(key_id, None)
            raise Forbidden(
                "access.inactive",
                "The access key behind this token was made inactive or deleted.",
                "Use another access key, or have this one activated.",
            )
        role = Role(found[1])
        self._seen[key_id] = (self._monotonic(), role)
        return role

    async def _find(self, key_id: str) -> tuple[AccessKey, str] | None:
        async with self._db.transaction() as tx:
            return await access_keys.find_with_role(tx, key_id)
