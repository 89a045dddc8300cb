"""Integration configurations: which entities go to which system, with what options and which credential."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollbridge.domain import safety
from tollbridge.domain.alerts import disabled_cause, failing_cause, integration_disabled
from tollbridge.domain.audit import Action
from tollbridge.domain.errors import Invalid
from tollbridge.domain.fields import (
    Shape,
    anything,
    boolean,
    integer,
    map_of,
    object_of,
    one_of,
    required,
    shown,
    text,
    trimmed,
)
from tollbridge.domain.integrations import CredentialStatus, GlobalOptions, IntegrationStatus, read_layer
from tollbridge.domain.runs import HeldChoice, HoldReason
from tollbridge.domain.safety import Rule, Streak
from tollbridge.services import alerts, audit, clock, dispatch, guarding, links, runs, systems
from tollbridge.services.caller import Caller
from tollbridge.services.dispatch import InScope
from tollbridge.services.entities import check_version, load, missing
from tollbridge.services.runs import Run
from tollbridge.settings import Settings
from tollbridge.store import credentials as credential_rows
from tollbridge.store import events, records, users
from tollbridge.store import integrations as rows
from tollbridge.store.db import Database, Tx, raw
from tollbridge.store.events import Stored
from tollbridge.store.integrations import Held
from tollbridge.store.records import Page, Record
from tollbridge.store.schema import credentials, integrations

NOUN = "integration configuration"
NOTIFICATION = "Notification"

_CREDENTIALS = Shape(
    {
        "type": required(text(least=1, most=200)),
        "destination": text(most=200),
        "empty": boolean(),
        "name": text(most=200),
        "version": integer(least=0),
    }
)

BODY = Shape(
    {
        "destination": required(text(least=1, most=200)),
        "entityType": required(text(least=1, most=200)),
        "configData": map_of(anything()),
        "credentials": object_of(_CREDENTIALS),
        "destinationId": trimmed(most=200),
        "entityId": trimmed(most=200),
        "integrationCredentialsId": text(most=200),
        "name": trimmed(most=200),
        "version": integer(least=0),
    }
)

DISABLE = Shape({"reason": text(most=1000)})
ENABLE = Shape({"held": one_of(HeldChoice)})
NO_PROBE: Mapping[str, None] = dict.fromkeys(("probe_at", "probe_seconds", "probe_run_id"))
ERRORS_SHOWN = 10
"""Error events that an integration is shown with, the latest."""

_KEPT = ("destination", "entityType", "configData", "destinationId", "entityId", "integrationCredentialsId")


@dataclass(frozen=True, slots=True)
class Standing:
    """What a configuration does not say itself: whether its credential is usable, and its state for people."""

    authorized: bool
    status: IntegrationStatus


@dataclass(frozen=True, slots=True)
class Trouble:
    """What there is to look at before an integration is enabled: error events that nobody marked as actioned, how many
    and the latest, and what is held since it is disabled."""

    errors: int
    latest: Sequence[Stored]
    held: Held


@dataclass(frozen=True, slots=True)
class Integration:
    """A configuration with its standing; where asked for, its latest run and its trouble, or what it would send now."""

    record: Record
    standing: Standing
    latest: Run | None = None
    in_scope: InScope | None = None
    trouble: Trouble | None = None


def rule_of(record: Record, settings: Settings) -> Rule:
    """After how many errors in succession it is disabled, and which count."""
    return safety.rule_of(read_layer(GlobalOptions, record.body.get("configData", {})), settings.disable_after)


def errors_in_row(record: Record) -> int:
    """Its errors in succession since the last success."""
    return Streak(record["errors_in_row"]).count


async def create(db: Database, caller: Caller, body: Any) -> Integration:
    """Make a configuration; raises Invalid that names the option that is not right."""
    kept, columns = _read(body)
    columns |= {"enabled": True, "disabled_reason": None, "failed_at": None, "errors_in_row": {}, **NO_PROBE}
    record = records.fresh(caller.org_id, clock.new_id(), clock.now(), caller.principal, kept, **columns)
    async with db.transaction() as tx:
        record = await _connected(tx, record)
        await _check_users(tx, record)
        record = record.with_columns(
            **await guarding.columns_of(tx, caller.org_id, record.id, kept["configData"], None)
        )
        await records.add(tx, integrations, record)
        return await _saved(tx, record)


async def update(db: Database, caller: Caller, id: str, body: Any) -> Integration:
    """Replace the configuration. Runs under way go on with what they began with."""
    kept, columns = _read(body)
    async with db.transaction() as tx:
        record = await load(tx, integrations, caller.org_id, id, NOUN, lock=True)
        check_version(record, body)
        changed = record.changed(clock.now(), caller.principal, body=kept, **columns)
        changed = await _connected(tx, changed)
        await _check_users(tx, changed)
        guard = await guarding.columns_of(tx, caller.org_id, id, kept["configData"], record)
        changed = changed.with_columns(**guard)
        await records.save(tx, integrations, changed)
        if guarding.differ(record.body["configData"], kept["configData"]):
            await guarding.release(await raw(tx), caller.org_id, id, clock.now())
        return await _saved(tx, changed)


async def retrieve(db: Database, caller: Caller, id: str) -> Integration:
    async with db.transaction() as tx:
        return await _with_latest(tx, await load(tx, integrations, caller.org_id, id, NOUN))


async def by_entity(
    db: Database,
    caller: Caller,
    entity_type: str,
    *,
    destination: str | None,
    destination_id: str | None,
    entity_id: str | None,
) -> Integration:
    """The newest enabled configuration for the entity type; raises NotFound."""
    system = systems.find(destination).system.key if destination else None
    async with db.transaction() as tx:
        record = await rows.by_entity(
            tx, caller.org_id, entity_type, system=system, destination_id=destination_id, entity_id=entity_id
        )
        if record is None:
            raise missing(f"{NOUN} for", entity_type)
        return await _with_latest(tx, record)


async def page(
    db: Database, caller: Caller, destination_id: str | None, size: int, token: str | None
) -> tuple[Page, Mapping[str, Standing]]:
    """One page of configurations, and the standing of each by its id."""
    async with db.transaction() as tx:
        found = await rows.page(tx, caller.org_id, destination_id=destination_id, size=size, token=token)
        return found, await standings(tx, caller.org_id, found.data)


async def delete(db: Database, caller: Caller, id: str) -> Integration:
    """Delete the configuration and cancel what it has not started; what runs finishes."""
    async with db.transaction() as tx:
        record = await load(tx, integrations, caller.org_id, id, NOUN, lock=True)
        deleted = Integration(record, await _standing(tx, record))
        await runs.cancel_for_integration(tx, caller.org_id, id, clock.now())
        await records.remove(tx, integrations, caller.org_id, id)
        return deleted


async def enable(db: Database, caller: Caller, id: str, body: Any = None) -> Integration:
    """Let it send again. What was held meanwhile is sent first, or dropped where that is chosen; errors are counted
    anew."""
    choice = HeldChoice(ENABLE.check(body or {}).get("held", HeldChoice.SEND))
    async with db.transaction() as tx:
        changed = await let_send(tx, caller, id)
        if choice is HeldChoice.DROP:
            dropped = await runs.drop_for_integration(
                tx, caller.org_id, id, f"Dropped by {caller.principal}, who enabled the integration.", clock.now()
            )
            await audit.note(tx, caller, Action.DROP, "Integration", id, after={"runs": dropped})
        await runs.release_for_integration(tx, caller.org_id, id, clock.now(), HoldReason.MENDING)
        return await _with_latest(tx, changed)


async def let_send(tx: Tx, caller: Caller, id: str) -> Record:
    """Enable it, count its errors anew, and say so to whoever was told of them; what is held stays held."""
    changed = await _set_enabled(
        tx, caller, id, Action.ENABLE, enabled=True, disabled_reason=None, errors_in_row={}, **NO_PROBE
    )
    causes = [(caller.org_id, cause) for cause in (disabled_cause(id), failing_cause(id))]
    why = f"{caller.principal} enabled it."
    await alerts.resolve_all(await raw(tx), dict.fromkeys(causes, why), clock.now())
    return changed


async def disable(db: Database, caller: Caller, id: str, body: Any) -> Integration:
    """Hold what is not under way, and whatever arrives, until it is enabled again."""
    reason = DISABLE.check(body).get("reason") or f"Disabled by {caller.principal}."
    async with db.transaction() as tx:
        changed = await _set_enabled(tx, caller, id, Action.DISABLE, enabled=False, disabled_reason=reason, **NO_PROBE)
        alert = integration_disabled(caller.org_id, id, changed["name"], reason, by_itself=False)
        await alerts.raise_alerts(await raw(tx), [alert], clock.now())
        return await _with_latest(tx, changed)


async def standings(tx: Tx, org_id: str, found: Sequence[Record]) -> Mapping[str, Standing]:
    """The standing of each of the configurations, by id."""
    used = [record["credential_id"] for record in found if record["credential_id"]]
    states = await credential_rows.statuses(tx, org_id, used)
    return {record.id: _judge(record, states.get(record["credential_id"])) for record in found}


def _judge(record: Record, credential: str | None) -> Standing:
    authorized = credential == CredentialStatus.VALID
    if not record["enabled"]:
        return Standing(authorized, IntegrationStatus.DISABLED)
    if not authorized:
        return Standing(authorized, IntegrationStatus.DISCONNECTED)
    failed = record["failed_at"] is not None
    return Standing(authorized, IntegrationStatus.FAILED if failed else IntegrationStatus.CONNECTED)


async def _standing(tx: Tx, record: Record) -> Standing:
    return (await standings(tx, record.org_id, [record]))[record.id]


async def _with_latest(tx: Tx, record: Record) -> Integration:
    latest = await runs.list_runs(tx, record.org_id, integration_id=record.id, size=1)
    errors = await events.open_errors(tx, record.org_id, record.id, ERRORS_SHOWN)
    trouble = Trouble(*errors, await rows.held(await raw(tx), record.org_id, record.id))
    return Integration(record, await _standing(tx, record), next(iter(latest.data), None), trouble=trouble)


async def _saved(tx: Tx, record: Record) -> Integration:
    """What a save answers; runs that waited for a credential go on where there is a valid one now."""
    standing = await _standing(tx, record)
    if standing.authorized and record["enabled"]:
        await runs.release_for_integration(tx, record.org_id, record.id, clock.now())
    in_scope = await dispatch.count_in_scope(tx, record.org_id, record.id) if record["entity_type"] == "Bill" else None
    return Integration(record, standing, in_scope=in_scope)


async def _set_enabled(tx: Tx, caller: Caller, id: str, action: Action, **columns: Any) -> Record:
    record = await load(tx, integrations, caller.org_id, id, NOUN, lock=True)
    changed = record.changed(clock.now(), caller.principal, **columns)
    await records.save(tx, integrations, changed, action)
    return changed


def _read(body: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The body as it is kept, and the columns that follow from it."""
    kept = BODY.check(body)
    destination = systems.find(kept["destination"])
    entity_type = systems.find_entity_type(destination, kept["entityType"])
    systems.check_config(destination, entity_type, kept.get("configData", {}))
    columns = {
        "name": kept.get("name") or f"{destination.system.title} {entity_type}",
        "entity_type": entity_type,
        "entity_id": kept.get("entityId") or None,
        "system": destination.system.key,
        "destination_id": kept.get("destinationId") or None,
        "credential_id": kept.get("integrationCredentialsId") or None,
    }
    body_kept = {name: kept[name] for name in _KEPT if kept.get(name) not in (None, "")}
    return {"configData": {}, **body_kept}, columns


async def _connected(tx: Tx, record: Record) -> Record:
    """The configuration with the credential that it uses; raises Invalid where what it names is not there."""
    if record["entity_type"] == NOTIFICATION:
        return await links.connect(tx, record)
    await _check_credential(tx, record)
    return record


async def _check_users(tx: Tx, record: Record) -> None:
    """Raises Invalid where somebody is to be told who is no user of the organization."""
    ids = read_layer(GlobalOptions, record.body["configData"]).notify_users
    known = await users.known(tx, record.org_id, ids) if ids else set()
    for index, id in enumerate(ids):
        if id not in known:
            raise Invalid(
                "integration.notify_users",
                f"configData.notifyUsers[{index}] is {shown(id)}, but there is no such user.",
                "Name users by their ids; `tollbridge users list` shows them.",
                f"configData.notifyUsers[{index}]",
            )


async def _check_credential(tx: Tx, record: Record) -> None:
    """Raises Invalid where the credential is not there or is for another system."""
    id = record["credential_id"]
    if id is None:
        return
    credential = await records.get(tx, credentials, record.org_id, id, lock=True)
    field = "integrationCredentialsId"
    if credential is None:
        raise Invalid(
            "integration.credential",
            f"{field} is {shown(id)}, but there is no such credential.",
            "Make the credential first, at integrationcredentials.",
            field,
        )
    if credential["system"] != record["system"]:
        raise Invalid(
            "integration.credential",
            f"{field} is the credential {credential['name']}, which is for {credential['system']}, "
            f"but the integration is for {record['system']}.",
            f"Use a credential for {record['system']}.",
            field,
        )
