"""Notifications on their way to webhooks: claimed in batches, each with all that its delivery needs. Never the network.

How they come into being is in `services.firing`, what follows from a delivery in `services.settling`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tollbridge.domain.errors import Refusal
from tollbridge.domain.notifications import Notification, Receiver, receiver_of, sends_left
from tollbridge.domain.runs import HoldReason, RunState
from tollbridge.domain.safety import told_disabled, told_paused
from tollbridge.services.sealing import open_fields
from tollbridge.store import claims, notifying, records
from tollbridge.store import runs as rows
from tollbridge.store.claims import Credential, Integration
from tollbridge.store.db import Connection, Database
from tollbridge.store.notifying import Taken, Waiting
from tollbridge.store.runs import Resting
from tollbridge.store.schema import webhooks
from tollbridge.vault import Vault

SYSTEM = "SYSTEM"
AT_ONCE = 500
"""Notifications that one claim takes of a webhook at most."""


@dataclass(frozen=True, slots=True)
class Outlet:
    """A webhook as its deliveries see it."""

    org_id: str
    webhook_id: str
    receiver: Receiver
    secrets: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A notification leased to one worker; `fence` must come back with its settlement."""

    run_id: str
    fence: int
    attempt: int
    outlet: Outlet
    notification: Notification


async def claim(
    db: Database,
    vault: Vault,
    worker_id: str,
    room: Callable[[str, Receiver], int],
    now: datetime,
    lease: timedelta,
    only: Sequence[str] | None = None,
) -> list[Claimed]:
    """Lease due notifications of these webhooks, or of all, oldest first; first attempts before retries.

    `room` says how many the worker takes of a webhook now. What must not be sent now is held.
    """
    async with db.hot() as connection:
        found = {each.id: each for each in await notifying.waiting(connection, now, only)}
        receivers = {id: receiver_of(each.body) for id, each in found.items()}
        rooms = {id: room(id, receiver) for id, receiver in receivers.items()}
        left = await _rates(connection, receivers, rooms, now)
        ids = await _oldest(connection, found, rooms, now)
        taken = await notifying.start(connection, ids, worker_id, now, now + lease) if ids else []
        await _spend(connection, taken, left, now)
        return await _with_outlets(connection, vault, taken, found, receivers, now)


async def take_over(db: Database, now: datetime) -> int:
    """Make due again what was claimed by workers that are gone; answers how many."""
    async with db.hot() as connection:
        return await notifying.take_over(connection, now)


async def deactivate(db: Database, outlet: Outlet, now: datetime) -> None:
    """Make the webhook inactive, since its receiver is gone: what follows is held."""
    async with db.transaction() as tx:
        webhook = await records.get(tx, webhooks, outlet.org_id, outlet.webhook_id, lock=True)
        if webhook is not None and webhook["active"]:
            body = {**webhook.body, "active": False}
            await records.save(tx, webhooks, webhook.changed(now, SYSTEM, body=body, active=False))


async def _rates(
    connection: Connection, receivers: Mapping[str, Receiver], rooms: dict[str, int], now: datetime
) -> dict[str, float]:
    """Cut the rooms down to what the rates allow; answers what is left of each rate before this claim."""
    limited = {id: each.per_second for id, each in receivers.items() if each.per_second is not None and rooms[id] > 0}
    if not limited:
        return {}
    held = await notifying.lock_rates(connection, sorted(limited))
    left = {id: sends_left(limited[id], *held[id], now) for id in held}
    for id in limited:
        rooms[id] = min(rooms[id], int(left.get(id, 0)))
    return left


async def _spend(connection: Connection, taken: Sequence[Taken], left: Mapping[str, float], now: datetime) -> None:
    spent = {id: sum(each.webhook_id == id for each in taken) for id in left}
    await notifying.spend(connection, [(id, left[id] - times) for id, times in spent.items() if times], now)


async def _oldest(
    connection: Connection, found: Mapping[str, Waiting], rooms: Mapping[str, int], now: datetime
) -> list[str]:
    ids: list[str] = []
    used = dict.fromkeys(rooms, 0)

    def left() -> list[tuple[str, int]]:
        return [(id, min(room - used[id], AT_ONCE)) for id, room in rooms.items() if room > used[id]]

    for state in (RunState.QUEUED, RunState.WAITING):
        for id, webhook_id in await notifying.oldest(connection, state, left(), now):
            used[webhook_id] += 1
            ids.append(id)
    for webhook_id, room in left():
        if found[webhook_id].laned:
            ids += await notifying.heads(connection, webhook_id, room, now)
    return ids


async def _with_outlets(
    connection: Connection,
    vault: Vault,
    taken: Sequence[Taken],
    found: Mapping[str, Waiting],
    receivers: Mapping[str, Receiver],
    now: datetime,
) -> list[Claimed]:
    """The runs with what they need; those that must not be sent now are held."""
    if not taken:
        return []
    integrations = await claims.integrations(
        connection, {(each.org_id, each.integration_id) for each in taken if each.integration_id}
    )
    credentials = await claims.credentials(connection, {(each.org_id, each.credential_id) for each in taken})
    outlets: dict[tuple[str, str], Outlet | str] = {}
    resting: list[Resting] = []
    claimed: list[Claimed] = []
    for run in taken:
        webhook = found[run.webhook_id]
        key = (run.webhook_id, run.credential_id)
        if key not in outlets:
            credential = credentials.get((run.org_id, run.credential_id))
            outlets[key] = _outlet(vault, run, webhook, receivers[webhook.id], credential)
        outlet = outlets[key]
        reason = _reason_to_rest(run, webhook, integrations.get((run.org_id, run.integration_id or "")))
        if reason is not None or isinstance(outlet, str):
            resting.append(Resting(run.id, *(reason or (RunState.HELD, HoldReason.DISCONNECTED, str(outlet)))))
            continue
        notification = Notification(run.message_id, webhook.url, run.body.encode())
        claimed.append(Claimed(run.id, run.fence, run.attempt, outlet, notification))
    await rows.put_to_rest(connection, resting, now)
    return claimed


def _reason_to_rest(
    run: Taken, webhook: Waiting, integration: Integration | None
) -> tuple[RunState, HoldReason | None, str] | None:
    if run.integration_id is None:
        # A test, which is sent whatever stands.
        return None
    if integration is None:
        return RunState.CANCELLED, None, "The rule is no longer linked to the webhook."
    if not integration.enabled and run.id != integration.probe_run_id:
        return RunState.HELD, HoldReason.DISABLED, told_disabled(integration.disabled_reason)
    if integration.paused is not None:
        return RunState.HELD, HoldReason.PAUSED, told_paused(integration.paused)
    if not webhook.active:
        return RunState.HELD, HoldReason.DISABLED, "The webhook is not active."
    return None


def _outlet(
    vault: Vault, run: Taken, webhook: Waiting, receiver: Receiver, credential: Credential | None
) -> Outlet | str:
    if credential is None:
        return "The webhook has no credential."
    try:
        secrets = open_fields(vault, run.credential_id, credential.secrets)
        return Outlet(run.org_id, webhook.id, receiver, secrets)
    except Refusal as refusal:
        return f"{refusal.message} {refusal.hint}"
