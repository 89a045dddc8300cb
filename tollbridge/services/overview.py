"""What the frame and the first page of the Console tell: only reads, each time anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from tollbridge.domain.alerts import AlertState
from tollbridge.services import clock
from tollbridge.services.caller import Caller
from tollbridge.services.runs import SILENCE
from tollbridge.store import alerts, overview
from tollbridge.store.alerts import Row as Alert
from tollbridge.store.db import Database
from tollbridge.store.overview import MOST_EVENTS as MOST_EVENTS

DAY = timedelta(days=1)
NEEDS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """What every page says: the organization, how many error events nobody saw to (`MOST_EVENTS` where they are so many
    or more), how many alerts are open, how many workers are alive, and whether the first set-up is over."""

    organization: str
    events: int
    alerts: int
    workers: int
    settled: bool


@dataclass(frozen=True, slots=True)
class SetUp:
    """What there is of a first set-up: the latest credential, the system that it opens, the first integration for bills
    and whether it waits for a look at what it sent first. `approvable`: there are bills that it sends once approved."""

    credential_id: str | None
    system: str | None
    integration_id: str | None
    waiting: bool
    approvable: bool
    bills: bool
    mappings: bool
    previewed: bool
    sent: bool
    delivered: bool


@dataclass(frozen=True, slots=True)
class HeldGroup:
    """Runs of an integration that are held for one reason, and their sum."""

    integration_id: str
    integration_name: str
    reason: str
    count: int
    sums: Mapping[str, Decimal]
    since: datetime


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page. `counted_all` is false where more runs were made today than are counted."""

    states: Mapping[str, int]
    counted_all: bool
    oldest_waiting: datetime | None
    alerts: Sequence[Alert]
    held: Sequence[HeldGroup]


async def standing(db: Database, caller: Caller) -> Standing:
    async with db.hot() as connection:
        found = await overview.standing(connection, caller.org_id, clock.now() - SILENCE)
    name = found["name"] or caller.org_id
    return Standing(name, found["events"], found["alerts"], found["workers"], found["settled"])


async def set_up(db: Database, caller: Caller) -> SetUp:
    """How far the first set-up is."""
    async with db.hot() as connection:
        found = await overview.set_up(connection, caller.org_id)
    return SetUp(**{**found, "approvable": bool(found["approvable"])})


async def overview_of(db: Database, caller: Caller) -> Overview:
    """The state of the organization as a whole."""
    async with db.hot() as connection:
        states = await overview.runs_since(connection, caller.org_id, clock.now() - DAY)
        oldest = await overview.oldest_waiting(connection, caller.org_id)
        open_states = [AlertState.NEW, AlertState.IN_PROGRESS]
        found, _ = await alerts.page(
            connection,
            caller.org_id,
            states=open_states,
            severity=None,
            type=None,
            integration_id=None,
            size=NEEDS_SHOWN,
            token=None,
        )
        held = await overview.held(connection, caller.org_id)
    counted_all = sum(states.values()) < overview.MOST_COUNTED
    return Overview(states, counted_all, oldest, found, _grouped(held))


async def held_of(db: Database, caller: Caller, integration_ids: Sequence[str]) -> Sequence[HeldGroup]:
    """What is held in these integrations."""
    async with db.hot() as connection:
        return _grouped(await overview.held(connection, caller.org_id, integration_ids))


def _grouped(rows: Sequence[Mapping[str, object]]) -> list[HeldGroup]:
    groups: dict[tuple[object, object], HeldGroup] = {}
    for row in rows:
        key = (row["integration_id"], row["hold_reason"])
        before = groups.get(key)
        sums = dict(before.sums) if before else {}
        if row["currency"] and row["total"] is not None:
            sums[str(row["currency"])] = row["total"]  # type: ignore[assignment]
        groups[key] = HeldGroup(
            str(row["integration_id"]),
            str(row["name"]),
            str(row["hold_reason"]),
            (before.count if before else 0) + int(str(row["count"])),
            sums,
            before.since if before else row["since"],  # type: ignore[arg-type]
        )
    return list(groups.values())
