"""Credentials that a person connects at the vendor by OAuth: redirects, what comes back, and who asks for tokens.

The network is the workers': what comes back from the vendor starts a check that redeems it first, and is waited for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tollbridge.connectors.base import read_credential
from tollbridge.domain import json_text
from tollbridge.domain import oauth as rules
from tollbridge.domain.audit import Action
from tollbridge.domain.choices import Thing
from tollbridge.domain.errors import Conflict, Fault, Forbidden, Invalid
from tollbridge.domain.fields import Shape, did_you_mean, required, shown, text
from tollbridge.domain.integrations import CredentialStatus
from tollbridge.domain.known_errors import OAUTH_DELETED
from tollbridge.domain.oauth import GRANT, OAuth, Token
from tollbridge.services import audit, clock, runs, systems
from tollbridge.services.caller import Caller
from tollbridge.services.entities import load
from tollbridge.services.parts import Parts
from tollbridge.services.runs import Run
from tollbridge.services.sealing import open_fields, seal_fields
from tollbridge.services.systems import Destination
from tollbridge.services.tokens import hash_token, new_token
from tollbridge.services.users import PRINCIPAL as PERSON
from tollbridge.store import credentials as rows
from tollbridge.store import records, tokens
from tollbridge.store.db import Connection, Database, Tx, raw
from tollbridge.store.records import Record
from tollbridge.store.schema import credentials
from tollbridge.store.tokens import Redirect
from tollbridge.vault import Vault

CALLBACK_PATH = "/console/oauth"
"""Where the vendor sends the browser back, below the public address."""
PATIENCE = timedelta(minutes=10)
"""How long a person may take at the vendor; a credential that waits longer for its first connection is removed."""
CHECK_PATIENCE = timedelta(seconds=10)


TENANT = Shape({"tenantId": required(text(least=1, most=500))})
CONNECT = Shape({})
"""The body of a connection has fields of the system alone."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Where to send the person's browser, and until when it must be back."""

    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Finished:
    """The check of what came back, and the integration for which the credential was made."""

    credential: Record
    run: Run
    integration_id: str | None


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was asked of the vendor's token endpoint for a run, and what it said, as the run log shows it."""

    name: str
    started_at: datetime
    completed_at: datetime
    request_shown: str
    status: int | None
    reply_shown: str | None
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class Held:
    """A token that need not be refreshed before `until` (None: not known), and the sealed fields that it is from.
    `exchange` is set where it was got just now."""

    token: Token
    sealed: bytes
    until: datetime | None
    exchange: Exchange | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """No token is to be had, and the sealed fields that say so (empty where they say nothing)."""

    fault: Fault
    sealed: bytes = b""
    exchange: Exchange | None = None


@dataclass(frozen=True, slots=True)
class Leased:
    """The grant is the holder's to exchange, until the lease ends or the grant is replaced."""

    org_id: str
    credential_id: str
    fence: int
    candidate: bool
    fields: Mapping[str, Any]
    grant: Mapping[str, Any]


async def begin(parts: Parts, caller: Caller, id: str, fields: Any = None, integration_id: str | None = None) -> Begun:
    """Begin to connect the credential. With `fields`, such as another client secret, these take the place of the
    present ones once the person is back and they work. Raises Conflict where the system is not connected by OAuth."""
    state, verifier, now = new_token(), new_token(), clock.now()
    async with parts.db.transaction() as tx:
        record = await load(tx, credentials, caller.org_id, id, "credential", lock=True)
        destination = systems.find(record["system"])
        oauth = _declared(destination)
        if fields:
            _check_names(destination, fields)
            systems.check_credential(destination, fields)
        else:
            fields, _ = _split(open_fields(parts.vault, id, record["secrets"]))
        client_id, _ = oauth.client(read_credential(destination.connector, destination.system, fields))
        kept = {"fields": fields, "verifier": verifier}
        redirect = Redirect(
            hash_token(state),
            caller.org_id,
            id,
            # One for which an earlier connection did not come about still waits for it.
            integration_id or record["for_integration"],
            caller.principal,
            parts.vault.seal(json_text.dump(kept).encode(), _row(id)),
            now + PATIENCE,
        )
        await tokens.begin(tx, redirect)
    target = rules.address(oauth.authorize_url, parts.settings.vendor_urls.get(destination.system.key))
    url = rules.authorize_url(oauth, target, client_id, redirect_uri(parts), state, verifier)
    return Begun(url, redirect.expires_at)


async def finish(parts: Parts, caller: Caller, came: Mapping[str, str]) -> Finished:
    """Take what the browser brought back: the code is redeemed and tried by a worker, and replaces what the credential
    had only where it works. Raises Invalid for a state that is not under way, Forbidden where another person began."""
    async with parts.db.transaction() as tx:
        redirect = await tokens.finish(tx, caller.org_id, hash_token(came.get("state", "")))
        if redirect is None or redirect.expires_at <= clock.now():
            raise Invalid(
                "oauth.state",
                "This connection was finished already, was never begun here, or took longer than "
                f"{PATIENCE.total_seconds() / 60:.0f} minutes.",
                "Open the credential and connect it again.",
                "state",
            )
        id = redirect.credential_id
        if redirect.begun_by.startswith(PERSON) and redirect.begun_by != caller.principal:
            raise Forbidden("oauth.person", "Another person began this connection.", "Connect the credential yourself.")
        record = await load(tx, credentials, caller.org_id, id, "credential", lock=True)
        destination = systems.find(record["system"])
        oauth = _declared(destination)
        code = came.get("code")
        if not code:
            words = came.get("error_description") or came.get("error") or "it sent no code"
            raise Conflict(
                "oauth.refused",
                f"{destination.system.title} did not let Tollbridge in: {words[:300]}.",
                "Connect it again, and approve there.",
            )
        missing = [name for name in oauth.callback if not came.get(name)]
        if missing:
            raise Conflict(
                "oauth.callback",
                f"{destination.system.title} came back without {', '.join(missing)}.",
                "Connect it again.",
            )
        await runs.need_worker(tx)
        kept = json_text.parse(parts.vault.open(redirect.sealed, _row(id)))
        extra = {name: came[name] for name in oauth.callback}
        grant = rules.code_grant(code, kept["verifier"], redirect_uri(parts), extra)
        sealed = seal_fields(parts.vault, id, {**kept["fields"], GRANT: grant})
        await rows.set_candidate(tx, caller.org_id, id, sealed, for_integration=redirect.integration_id)
        await tokens.void(await raw(tx), caller.org_id, id)
        run_id = await runs.start_check(tx, caller, id, record["system"], clock.now())
        await audit.note(tx, caller, Action.REPLACE_SECRET, "Credential", id, after=_told(run_id, redirect))
    run = await runs.wait_settled(parts.db, caller.org_id, run_id, CHECK_PATIENCE)
    async with parts.db.transaction() as tx:
        record = await load(tx, credentials, caller.org_id, id, "credential")
    return Finished(record, run, redirect.integration_id)


async def choose_tenant(parts: Parts, caller: Caller, id: str, body: Any) -> Finished:
    """Take one of the tenants that the consent opens; the credential is checked for it and then works.

    Raises Conflict where there is nothing to choose, Invalid for a tenant that is not among them.
    """
    chosen = TENANT.check(body)["tenantId"]
    async with parts.db.transaction() as tx:
        record = await load(tx, credentials, caller.org_id, id, "credential", lock=True)
        offered = record["tenants"] or []
        if not offered or record["candidate"] is None:
            raise Conflict(
                "oauth.no_choice",
                f"{record['name']} waits for no choice of a tenant.",
                "Connect it; where the consent opens several, you choose then.",
            )
        if chosen not in [each["id"] for each in offered]:
            known = ", ".join(f"{each['id']} ({each['label']})" for each in offered)
            raise Invalid(
                "oauth.tenant",
                f"tenantId is {shown(chosen)}, which it does not open.",
                f"It opens {known}.",
                "tenantId",
            )
        await runs.need_worker(tx)
        fields, grant = _split(open_fields(parts.vault, id, record["candidate"]))
        sealed = seal_fields(parts.vault, id, {**fields, GRANT: rules.with_tenant(grant or {}, chosen)})
        await rows.set_candidate(tx, caller.org_id, id, sealed, for_integration=record["for_integration"])
        await tokens.void(await raw(tx), caller.org_id, id)
        run_id = await runs.start_check(tx, caller, id, record["system"], clock.now())
        after = {"tenantId": chosen, "checkRunId": run_id}
        await audit.note(tx, caller, Action.UPDATE, "Credential", id, after=after)
    run = await runs.wait_settled(parts.db, caller.org_id, run_id, CHECK_PATIENCE)
    async with parts.db.transaction() as tx:
        return Finished(await load(tx, credentials, caller.org_id, id, "credential"), run, record["for_integration"])


async def take_tenant(db: Database, vault: Vault, key: tuple[str, str], tenants: Sequence[Thing]) -> bool:
    """Keep the tenant that needs no choice beside the token of the credential, or else what there is to choose from;
    answers whether one was taken."""
    org_id, id = key
    async with db.hot() as connection:
        standing = await tokens.lock(connection, org_id, id)
        if standing is None:
            return False
        sealed = standing.candidate or standing.secrets
        fields, grant = _split(open_fields(vault, id, sealed))
        taken = rules.only_tenant(tenants, standing.tenant_id)
        if taken is None:
            await tokens.offer_tenants(
                connection, org_id, id, [{"id": each.id, "label": each.label} for each in tenants]
            )
            return False
        sealed = seal_fields(vault, id, {**fields, GRANT: rules.with_tenant(grant or {}, taken.id)})
        await tokens.replace_sealed(connection, org_id, id, sealed, candidate=standing.candidate is not None)
        return True


def _told(run_id: str, redirect: Redirect) -> dict[str, str]:
    return {"checkRunId": run_id} | ({"integrationId": redirect.integration_id} if redirect.integration_id else {})


def redirect_uri(parts: Parts) -> str:
    """What is to be entered at the vendor as the address to come back to."""
    return parts.settings.people_url + CALLBACK_PATH


async def lease(
    db: Database,
    vault: Vault,
    key: tuple[str, str],
    check: bool,
    instead_of: Token | None,
    now: datetime,
    lasts: timedelta,
) -> Held | Refused | Leased | None:
    """The token of a credential as it is stored; where it is due, or is `instead_of`, the lease to exchange the grant;
    None while another worker holds that one. A check tries the candidate where there is one."""
    org_id, id = key
    async with db.hot() as connection:
        standing = await tokens.lock(connection, org_id, id)
        if standing is None:
            return Refused(_deleted())
        candidate = check and standing.candidate is not None
        sealed = standing.candidate if candidate and standing.candidate else standing.secrets
        fields, grant = _split(open_fields(vault, id, sealed))
        fault = rules.refusal_of(grant)
        if fault is not None or grant is None:
            return Refused(fault or _deleted(), sealed)
        token = rules.usable(grant, now)
        if token is not None and (instead_of is None or token.access != instead_of.access):
            return Held(token, sealed, rules.refresh_at(grant))
        if standing.until is not None and standing.until > now:
            return None
        fence = await tokens.take(connection, org_id, id, now + lasts)
        return Leased(org_id, id, fence, candidate, fields, grant)


async def keep(
    db: Database, vault: Vault, leased: Leased, grant: Mapping[str, Any], expires_at: datetime | None
) -> bytes | None:
    """Store what the exchange brought, and end the lease; None where it is no longer the holder's: nothing is kept."""
    async with db.hot() as connection:
        if not await _give_back(connection, leased):
            return None
        sealed = seal_fields(vault, leased.credential_id, {**leased.fields, GRANT: dict(grant)})
        await tokens.keep(
            connection, leased.org_id, leased.credential_id, sealed, expires_at, candidate=leased.candidate
        )
        return sealed


async def give_back(db: Database, leased: Leased) -> None:
    """End the lease; the grant stays as it is."""
    async with db.hot() as connection:
        await _give_back(connection, leased)


async def forget(db: Database, now: datetime) -> int:
    """Remove what a person did not finish in time: redirects, and credentials that were never connected, unless an
    integration uses them; answers how many credentials."""
    async with db.hot() as connection:
        unfinished = await tokens.forget(connection, now, now - PATIENCE)
    for org_id, id in unfinished:
        async with db.transaction() as tx:
            await _remove(tx, org_id, id)
    return len(unfinished)


async def _remove(tx: Tx, org_id: str, id: str) -> None:
    record = await records.get(tx, credentials, org_id, id, lock=True)
    if record is not None and record["status"] == CredentialStatus.WAITING:
        await records.remove(tx, credentials, org_id, id)


async def _give_back(connection: Connection, leased: Leased) -> bool:
    # In the order in which everybody locks: the credential, then the lease.
    await tokens.lock(connection, leased.org_id, leased.credential_id)
    return await tokens.give_back(connection, leased.org_id, leased.credential_id, leased.fence)


def _declared(destination: Destination) -> OAuth:
    oauth = destination.connector.oauth
    if oauth is None:
        raise Conflict(
            "credential.no_oauth",
            f"A credential for {destination.system.title} is not connected by a redirect.",
            "Change its fields instead.",
        )
    return oauth


def _check_names(destination: Destination, fields: Mapping[str, Any]) -> None:
    names = systems.credential_fields(destination)
    for name in fields:
        if name not in names:
            raise Invalid(
                "credential.unknown",
                f"{name} is no field of a credential for {destination.system.title}.",
                did_you_mean(name, names) or f"Its fields are {', '.join(names)}.",
                name,
            )


def _split(fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """A person's fields, and the grant."""
    return {name: value for name, value in fields.items() if name != GRANT}, fields.get(GRANT)


def _row(credential_id: str) -> str:
    return f"oauth_redirects/{credential_id}"


def _deleted() -> Fault:
    return OAUTH_DELETED.fault("The credential was deleted.")
