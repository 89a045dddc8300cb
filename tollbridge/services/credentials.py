"""Credentials: kept sealed, checked when they are saved, never given back.

What needs the vendor runs as a check in a worker; here the check is started and waited for, outside any transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tollbridge.domain.audit import Action
from tollbridge.domain.errors import Conflict, FaultKind, Invalid, Unavailable
from tollbridge.domain.fields import (
    Shape,
    boolean,
    did_you_mean,
    instant,
    integer,
    read_instant,
    required,
    shown,
    text,
    trimmed,
)
from tollbridge.domain.integrations import CredentialStatus
from tollbridge.domain.notifications import SYSTEM as WEBHOOK
from tollbridge.domain.runs import RunState
from tollbridge.services import clock, oauth, runs, systems
from tollbridge.services.alerts import SYSTEM
from tollbridge.services.caller import Caller
from tollbridge.services.entities import check_version, load
from tollbridge.services.oauth import Begun
from tollbridge.services.parts import Parts
from tollbridge.services.runs import Run
from tollbridge.services.sealing import seal_fields
from tollbridge.services.systems import Destination
from tollbridge.store import chores, integrations, records
from tollbridge.store import credentials as rows
from tollbridge.store import runs as run_rows
from tollbridge.store.db import Database
from tollbridge.store.records import Page, Record
from tollbridge.store.schema import credentials

NOUN = "credential"
CHECK_PATIENCE = timedelta(seconds=10)
CHECK_EVERY = timedelta(days=1)
"""Whatever it was used for in between: a key may lose rights that its checks need."""
LOOK_EVERY = timedelta(minutes=5)
CHECKS_AT_ONCE = 100
"""Checks that one look starts."""

BODY = Shape(
    {
        "destination": required(text(least=1, most=200)),
        "type": text(least=1, most=200),
        "name": required(trimmed(least=1, most=200)),
        "destinationId": text(least=1, most=200),
        "empty": boolean(),
        "dtExpiry": instant(),
        "version": integer(least=0),
    }
)
"""The fields beside those of the system, which `services.systems.credential_fields` names."""

_KEPT = ("name", "destinationId", "dtExpiry")

_ANSWERED = (
    "id dtCreated createdBy dtLastModified lastModifiedBy status error dtChecked tenantId tenantName checkRunId tenants"
).split()
"""Fields of our answers, which come back when a client changes what it has read; ignored."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A credential as it stands after a save, and the run that checked it, if the save caused a check. One that a
    person connects at the vendor says where to go instead."""

    record: Record
    check_run_id: str | None
    begun: Begun | None = None


async def create(parts: Parts, caller: Caller, body: Any) -> Saved:
    """Keep a credential and check it; its status says how the check ended. One that is connected by OAuth waits for a
    person to go where the answer says.

    Raises Invalid for bad fields, Unavailable where no worker could check it.
    """
    kept = BODY.check(body)
    destination = systems.find(kept["destination"])
    _not_a_webhooks(destination.system.key)
    secrets = _secrets(destination, kept, body)
    systems.check_credential(destination, secrets)
    by_redirect = destination.connector.oauth is not None
    id, now = clock.new_id(), clock.now()
    record = records.fresh(
        caller.org_id,
        id,
        now,
        caller.principal,
        {name: kept[name] for name in _KEPT if name in kept},
        name=kept["name"],
        type=destination.connector.credential_type,
        system=destination.system.key,
        status=CredentialStatus.WAITING if by_redirect else CredentialStatus.UNCHECKED,
        secrets=seal_fields(parts.vault, id, secrets),
        expires_at=read_instant(kept.get("dtExpiry")),
    )
    if by_redirect:
        async with parts.db.transaction() as tx:
            await records.add(tx, credentials, record)
        return Saved(await retrieve(parts, caller, id), None, await oauth.begin(parts, caller, id))
    async with parts.db.transaction() as tx:
        await runs.need_worker(tx)
        await records.add(tx, credentials, record)
        run_id = await runs.start_check(tx, caller, id, destination.system.key, now)
    await runs.wait_settled(parts.db, caller.org_id, run_id, CHECK_PATIENCE)
    return Saved(await retrieve(parts, caller, id), run_id)


async def update(parts: Parts, caller: Caller, id: str, body: Any) -> Saved:
    """Rename a credential, or replace its secret once the new one was checked.

    Without any field of the system the secret stays. Raises Conflict where the new secret does not work or opens
    another tenant, Unavailable where that was not found out in time: then nothing is changed.
    """
    kept = BODY.check(body)
    run_id = None
    async with parts.db.transaction() as tx:
        record = await load(tx, credentials, caller.org_id, id, NOUN, lock=True)
        _not_a_webhooks(record["system"])
        check_version(record, body)
        destination = systems.find(kept["destination"])
        if destination.system.key != record["system"]:
            raise Conflict(
                "credential.destination",
                f"destination is {shown(kept['destination'])}, but this credential is for {record['system']}.",
                "Make another credential for the other system.",
                "destination",
            )
        secrets = _secrets(destination, kept, body)
        if secrets and destination.connector.oauth:
            raise Conflict(
                "credential.by_redirect",
                f"A credential for {destination.system.title} is connected there; its fields are replaced with that.",
                "Give the fields with POST …/integrationcredentials/{id}/connect.",
                next(iter(secrets)),
            )
        if secrets:
            systems.check_credential(destination, secrets)
            await runs.need_worker(tx)
            await rows.set_candidate(tx, caller.org_id, id, seal_fields(parts.vault, id, secrets))
            run_id = await runs.start_check(tx, caller, id, record["system"], clock.now())
    if run_id is not None:
        await runs.wait_settled(parts.db, caller.org_id, run_id, CHECK_PATIENCE)
        _must_work(await _end_check(parts, caller, id, run_id))
    async with parts.db.transaction() as tx:
        record = await load(tx, credentials, caller.org_id, id, NOUN, lock=True)
        named = {name: kept[name] for name in _KEPT if name in kept}
        expiry = read_instant(kept.get("dtExpiry"))
        if expiry is None and destination.connector.oauth:
            expiry = record["expires_at"]
        changed = record.changed(clock.now(), caller.principal, body=named, name=kept["name"], expires_at=expiry)
        await records.save(tx, credentials, changed, Action.REPLACE_SECRET if run_id else Action.UPDATE)
    return Saved(changed, run_id)


async def _end_check(parts: Parts, caller: Caller, id: str, run_id: str) -> Run:
    """The check as it ended; one that has not is cut off, and the secret that it was to try is forgotten."""
    async with parts.db.transaction() as tx:
        await load(tx, credentials, caller.org_id, id, NOUN, lock=True)
        run = await runs.get_run(tx, caller.org_id, run_id)
        if not run.state.ended:
            await runs.cancel_checks(tx, caller.org_id, id, clock.now(), "It did not end in time.")
            await rows.set_candidate(tx, caller.org_id, id, None)
    return run


async def check(parts: Parts, caller: Caller, id: str) -> Saved:
    """Check the credential again, as it is."""
    async with parts.db.transaction() as tx:
        record = await load(tx, credentials, caller.org_id, id, NOUN)
        _not_a_webhooks(record["system"])
        if record["status"] == CredentialStatus.WAITING:
            raise Conflict("credential.waiting", "Nobody has connected the credential yet.", "Connect it first.")
        await runs.need_worker(tx)
        run_id = await runs.start_check(tx, caller, id, record["system"], clock.now())
    await runs.wait_settled(parts.db, caller.org_id, run_id, CHECK_PATIENCE)
    return Saved(await retrieve(parts, caller, id), run_id)


async def check_due(db: Database, now: datetime) -> int:
    """Start a check of each credential that was not checked or refused for a day; answers how many. One process looks
    for all. One that is refused is checked too: it may work again since somebody repaired it in the other system."""
    async with db.hot() as connection:
        if not await chores.take(connection, "credentials", now, LOOK_EVERY):
            return 0
        due = await rows.due_for_check(connection, now - CHECK_EVERY, CHECKS_AT_ONCE)
        checks = [runs.new_check(org_id, SYSTEM, id, system) for org_id, id, system in due]
        await run_rows.add(connection, checks, now)
        return len(checks)


async def retrieve(parts: Parts, caller: Caller, id: str) -> Record:
    async with parts.db.transaction() as tx:
        return await load(tx, credentials, caller.org_id, id, NOUN)


async def page(parts: Parts, caller: Caller, destination: str | None, size: int, token: str | None) -> Page:
    """One page, of one system where it is given."""
    system = systems.find(destination).system.key if destination else None
    async with parts.db.transaction() as tx:
        return await rows.page(tx, caller.org_id, system=system, size=size, token=token)


async def delete(parts: Parts, caller: Caller, id: str) -> Record:
    """Delete the credential; raises Conflict that names the integrations which still use it."""
    async with parts.db.transaction() as tx:
        record = await load(tx, credentials, caller.org_id, id, NOUN, lock=True)
        _not_a_webhooks(record["system"])
        users = [each.name for each in await integrations.using(tx, caller.org_id, id)]
        if users:
            raise Conflict(
                "credential.used",
                f"The credential {record['name']} is used by {len(users)} integrations: {', '.join(users[:5])}.",
                "Give them another credential, or delete them, then delete this one.",
            )
        await runs.cancel_checks(tx, caller.org_id, id, clock.now())
        await records.remove(tx, credentials, caller.org_id, id)
    return record


def _not_a_webhooks(system: str) -> None:
    """Raises Conflict where the credential is a webhook's: it is made, changed and deleted with it."""
    if system == WEBHOOK:
        raise Conflict(
            "credential.webhook",
            "The credential of a webhook belongs to it: it is made, changed and deleted with the webhook.",
            "Give the API key and the secret at integrationdestinations/webhooks, in its credentials.",
            "destination",
        )


def _secrets(destination: Destination, kept: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the system among those of the body; any other is refused, as it may be a misspelt one."""
    expected_type = destination.connector.credential_type
    if kept.get("type", expected_type) != expected_type:
        raise Invalid(
            "credential.type",
            f"type is {shown(kept['type'])}, but a credential for {destination.system.title} has {expected_type}.",
            f"Set type to {expected_type}, or leave it out.",
            "type",
        )
    names = systems.credential_fields(destination)
    for name in body:
        if name not in names and name not in BODY.fields and name not in _ANSWERED:
            raise Invalid(
                "credential.unknown",
                f"{name} is no field of a credential for {destination.system.title}.",
                did_you_mean(name, names) or f"Its fields are {', '.join(names)}.",
                name,
            )
    return {name: body[name] for name in names if body.get(name) is not None}


def _must_work(run: Run) -> None:
    if not run.state.ended:
        raise Unavailable(
            "credential.unchecked",
            f"The new secret was not taken over: its check (run {run.id}) did not end within "
            f"{CHECK_PATIENCE.total_seconds():.0f} s. Nothing was changed.",
            "Repeat the change when the workers have less to do, or the other system answers faster.",
        )
    if run.state is RunState.CANCELLED:
        raise Conflict(
            "credential.overtaken",
            "The new secret was not taken over: another change of the credential came in between.",
            "Read the credential again and repeat the change.",
        )
    if run.state is RunState.FAILED:
        # Where the other side was away nothing is known of the secret: the same call may work in a moment.
        kind = Unavailable if run.fault_kind == FaultKind.UNAVAILABLE else Conflict
        raise kind(
            run.fault_code or "credential.rejected",
            f"The new secret was not taken over: {run.error}",
            "Repeat the call; the credential keeps its present secret."
            if kind is Unavailable
            else run.hint or "The credential keeps its present secret.",
        )
