"""Access tokens of credentials that are connected by OAuth: one exchange at a time over all workers.

A vendor that rotates refresh tokens takes a second use of one for theft. So whoever finds a token due takes a lease in
a short transaction, asks the vendor outside of it, and stores what came before anybody uses it; the others wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from tollbridge.connectors.base import connector_of, read_credential
from tollbridge.domain import oauth as rules
from tollbridge.domain.choices import Thing
from tollbridge.domain.errors import Fault
from tollbridge.domain.flows import Reply
from tollbridge.domain.known_errors import OAUTH_BUSY
from tollbridge.domain.oauth import Token
from tollbridge.domain.runs import Flow
from tollbridge.engine.redact import Redactor
from tollbridge.outbound.http import Http, Policy
from tollbridge.services import clock, oauth
from tollbridge.services.oauth import Exchange, Held, Leased, Refused
from tollbridge.services.work import Claimed
from tollbridge.settings import Settings
from tollbridge.store.db import Database
from tollbridge.vault import Vault

LONGEST_EXCHANGE = timedelta(seconds=15)
LEASE = timedelta(seconds=20)
"""Longer than an exchange: only a worker that died, or stood still, loses it."""
PATIENCE = timedelta(seconds=30)
"""How long others wait for the holder; longer than a lease, so that they outlive a dead one."""
TRUST = timedelta(seconds=1)
"""How long a worker goes by what it read last; what was replaced since is refused, and read again."""
_HIDDEN = frozenset({"code", "code_verifier", "client_secret", "access_token", "refresh_token", "id_token"})
"""What the run log must not show of an exchange (RFC 6749 §4.1, §5.1, §6; OpenID Connect Core §3.1.3.3)."""
LOOK = 0.1
"""Seconds between two looks at whether the holder is done."""


class Tokens:
    """The tokens as this worker knows them."""

    def __init__(self, db: Database, vault: Vault, http: Http, settings: Settings) -> None:
        self._db = db
        self._vault = vault
        self._http = http
        self._settings = settings
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}
        self._known: dict[tuple[str, str], tuple[Held, datetime]] = {}

    async def get(self, run: Claimed, instead_of: Token | None) -> Held | Refused:
        """See `engine.drive.Port`."""
        key = run.org_id, run.credential_id
        # One question per worker and credential; the database sees to the other workers.
        async with self._locks.setdefault(key, asyncio.Lock()):
            if run.flow is Flow.CHECK:
                return await self._ask(run, instead_of)
            held, until = self._known.get(key, (None, clock.now()))
            if held is not None and _is_another(held.token, instead_of) and clock.now() < until:
                return held
            found = await self._ask(run, instead_of)
            self._known.pop(key, None)
            if isinstance(found, Held):
                trusted = clock.now() + TRUST
                # What was asked for belongs into the log of the run that asked alone.
                self._known[key] = replace(found, exchange=None), min(trusted, found.until or trusted)
            return found

    async def take_tenant(self, run: Claimed, tenants: Sequence[Thing]) -> bool:
        """See `engine.drive.Port`."""
        return await oauth.take_tenant(self._db, self._vault, (run.org_id, run.credential_id), tenants)

    async def _ask(self, run: Claimed, instead_of: Token | None) -> Held | Refused:
        key = run.org_id, run.credential_id
        until = clock.now() + PATIENCE
        exchange: Exchange | None = None
        while clock.now() < until:
            found = await oauth.lease(
                self._db, self._vault, key, run.flow is Flow.CHECK, instead_of, clock.now(), LEASE
            )
            if isinstance(found, Leased):
                found, exchange = await self._exchange(run, found)
            if found is not None:
                return replace(found, exchange=exchange)
            await asyncio.sleep(LOOK)
        return Refused(OAUTH_BUSY.fault("Another worker is at the token of this credential."))

    async def _exchange(self, run: Claimed, leased: Leased) -> tuple[Held | Refused | None, Exchange | None]:
        """Ask the vendor, and keep what it says before anybody uses it, with what the run log shows of that; None where
        the lease was lost meanwhile, or nothing was asked."""
        connector = connector_of(run.system)
        assert connector is not None
        assert connector.oauth is not None
        declared, system = connector.oauth, connector.system(run.system)
        client = declared.client(read_credential(connector, system, leased.fields))
        request = rules.token_request(declared, leased.grant, client)
        if isinstance(request, Fault):
            return await self._refuse(leased, request), None
        url = rules.address(declared.token_url, self._settings.vendor_urls.get(system.key))
        sent_at = clock.now()
        answer = await self._http.perform(url, request, Policy(LONGEST_EXCHANGE))
        result = rules.read_reply(declared, system.title, leased.grant, answer, sent_at)
        # The vendor may repeat what it was given.
        given = [*client, *(value for value in leased.grant.values() if isinstance(value, str))]
        if not isinstance(result, Fault):
            given += [token for name in ("accessToken", "refreshToken") if (token := result[0][name])]
        redactor = Redactor(connector.redact | _HIDDEN, given, self._settings.longest_body)
        if isinstance(result, Fault):
            result = replace(result, message=redactor.text(result.message))
        replied = answer if isinstance(answer, Reply) else None
        exchange = Exchange(
            "Redeem the code" if "code" in leased.grant else "Refresh the token",
            sent_at,
            clock.now(),
            redactor.request_text(replace(request, path=urlsplit(url).path), None),
            replied.status if replied else None,
            redactor.reply_text(replied) if replied else None,
            result if isinstance(result, Fault) else None,
        )
        if isinstance(result, Fault):
            return await self._refuse(leased, result), exchange
        grant, expires_at = result
        sealed = await oauth.keep(self._db, self._vault, leased, grant, expires_at)
        if sealed is None:
            return None, exchange
        return Held(Token(grant["accessToken"], grant["extra"]), sealed, rules.refresh_at(grant)), exchange

    async def _refuse(self, leased: Leased, fault: Fault) -> Refused | None:
        if fault.code not in rules.FINAL:
            await oauth.give_back(self._db, leased)
            return Refused(fault)
        # Kept, so that nobody else asks again: what is refused once stays refused.
        sealed = await oauth.keep(self._db, self._vault, leased, rules.refused_grant(fault), None)
        return Refused(fault, sealed) if sealed is not None else None


def _is_another(token: Token, instead_of: Token | None) -> bool:
    return instead_of is None or token.access != instead_of.access
