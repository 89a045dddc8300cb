"""Guards before a person had a look: asked when runs are claimed, set when an integration is saved, and let go by
`continue`. `domain.guards` decides. Never the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from tollbridge.domain import guards
from tollbridge.domain.audit import Action
from tollbridge.domain.errors import Conflict
from tollbridge.domain.guards import Asking, FirstSends, Guard, Volume
from tollbridge.domain.integrations import BillOptions, read_layer
from tollbridge.domain.runs import Flow, HoldReason, RunState
from tollbridge.services import clock
from tollbridge.services.caller import Caller
from tollbridge.services.entities import load
from tollbridge.store import guards as rows
from tollbridge.store import integrations as integration_rows
from tollbridge.store import records
from tollbridge.store import runs as run_rows
from tollbridge.store.claims import Key
from tollbridge.store.db import Connection, Database, Tx, raw
from tollbridge.store.guards import HeldBy, Sent, Standing
from tollbridge.store.integrations import Held
from tollbridge.store.records import Record
from tollbridge.store.runs import Resting
from tollbridge.store.schema import integrations

NOUN = "integration configuration"
REASONS = (HoldReason.FIRST_SENDS, HoldReason.VOLUME)
SENT_SHOWN = 100
"""Bills that were sent and are shown before it goes on, the latest."""
OFF: Mapping[str, Any] = {"first_round": 0, "first_waiting": False, "volumes": None}


@dataclass(frozen=True, slots=True)
class Month:
    """A month that is stopped, with the one that it was compared with."""

    period: str
    volume: Volume
    last_period: str | None
    last: Volume | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for somebody to continue the integration, and what there is to look at before: the bills that were
    sent, the latest `SENT_SHOWN`, with the number of all and the sums of the delivered.

    `first` is how many are sent first, None where that is over or off.
    """

    first: int | None
    months: Sequence[Month]
    sent: Sequence[Sent]
    sent_count: int
    delivered_count: int
    totals: Mapping[str, Decimal]
    held: Held

    @property
    def any(self) -> bool:
        """Whether there is anything to continue."""
        return self.first is not None or bool(self.months)


async def hold_back(
    connection: Connection,
    standing: Mapping[Key, Standing],
    starting: Sequence[Mapping[str, Any]],
    resting: list[Resting],
) -> set[str]:
    """Ask the guards of the integrations, which are locked, about the runs that would start; answers those that do
    not, and why goes to `resting`."""
    held: set[str] = set()
    for key, each in standing.items():
        mine = [run for run in starting if (run["org_id"], run["integration_id"]) == key]
        mine = [run for run in mine if run["flow"] == Flow.DELIVER and run["started_at"] is None]
        if not mine:
            continue
        bill_ids = [run["entity_id"] for run in mine]
        figures = await rows.figures(connection, key[0], bill_ids)
        asking = [Asking(run["id"], run["entity_id"], *figures[run["entity_id"]]) for run in mine]
        judged = guards.judge(await _guard(connection, key, each, bill_ids), asking)
        await rows.let_through(connection, judged.let_through, each.round)
        if each.volumes is not None:
            await rows.keep_volumes(connection, key, guards.write(judged.volumes))
        resting.extend(Resting(id, RunState.HELD, *why) for id, why in judged.held.items())
        held |= judged.held.keys()
    return held


async def _guard(connection: Connection, key: Key, standing: Standing, bill_ids: Sequence[str]) -> Guard:
    first = None
    if standing.waiting:
        most = read_layer(BillOptions, standing.config).first_sends
        first = FirstSends(most, await rows.sent_first(connection, key[1], standing.round))
    volumes = guards.read(standing.volumes)
    known = await rows.known(connection, *key, bill_ids) if volumes is not None else frozenset[str]()
    return Guard(first, volumes, known)


async def columns_of(
    tx: Tx, org_id: str, id: str, config: Mapping[str, Any], earlier: Record | None
) -> Mapping[str, Any]:
    """How the guards stand after an integration was saved with these options, in place of those of the earlier one."""
    options = read_layer(BillOptions, config)
    before = read_layer(BillOptions, earlier.body.get("configData", {})) if earlier else BillOptions()
    found = dict(OFF) if earlier is None else {name: earlier[name] for name in OFF}
    if not options.first_sends:
        found["first_waiting"] = False
    elif options.first_sends != before.first_sends and not found["first_waiting"]:
        found |= {"first_round": found["first_round"] + 1, "first_waiting": True}
    if not options.volume_guard:
        found["volumes"] = None
    elif found["volumes"] is None:
        found["volumes"] = await _until_now(await raw(tx), org_id, id) if earlier else {}
    return found


def differ(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two sets of options set the guards differently."""
    old, new = read_layer(BillOptions, before), read_layer(BillOptions, after)
    return (old.first_sends, old.volume_guard) != (new.first_sends, new.volume_guard)


async def _until_now(connection: Connection, org_id: str, id: str) -> dict[str, Any] | None:
    volumes: dict[str, Volume] = {}
    for month, currency, (bills, total) in await rows.volumes_until_now(connection, org_id, id):
        before = volumes.get(guards.period_of(month), Volume())
        after = Volume(before.bills + bills, {**before.sums, currency: total})
        volumes[guards.period_of(month)] = after
    return guards.write(volumes)


async def release(connection: Connection, org_id: str, id: str, now: datetime) -> int:
    """Queue what the guards hold of an integration; what they still do not let through is held again."""
    return await run_rows.release_held(connection, [(org_id, id)], REASONS, now)


async def sweep(connection: Connection, now: datetime) -> None:
    """Queue what is held by guards that would let it through now."""
    free = [each.key for each in await rows.held_by(connection) if _lets_one_through(each)]
    await run_rows.release_held(connection, free, REASONS, now)


def _lets_one_through(held: HeldBy) -> bool:
    standing = held.standing
    if held.first and (not standing.waiting or _first_sends(standing.config) > held.sent):
        return True
    return held.volume and standing.volumes is None


def _first_sends(config: Mapping[str, Any]) -> int:
    """As many as the options say; none where they are no longer valid, which a run of theirs then says."""
    try:
        return read_layer(BillOptions, config).first_sends
    except ValidationError:
        return 0


async def waiting(db: Database, caller: Caller, id: str) -> Waiting:
    """What waits to be continued; raises NotFound."""
    async with db.transaction() as tx:
        return await _waiting(tx, await load(tx, integrations, caller.org_id, id, NOUN))


async def go_on(db: Database, caller: Caller, id: str) -> tuple[Waiting, int]:
    """Continue the integration: first sends are over, and months that are stopped go on. Answers what was looked at,
    and how many runs were released; raises NotFound, and Conflict where nothing waits."""
    async with db.transaction() as tx:
        record = await load(tx, integrations, caller.org_id, id, NOUN, lock=True)
        found = await _waiting(tx, record)
        if not found.any:
            raise Conflict(
                "integration.not_waiting",
                f"The integration {record['name']} does not wait to be continued.",
                "There is nothing to do: its bills go out by themselves.",
            )
        volumes = guards.write(guards.set_free(guards.read(record["volumes"])))
        changed = record.changed(clock.now(), caller.principal, first_waiting=False, volumes=volumes)
        await records.save(tx, integrations, changed, Action.CONTINUE)
        return found, await release(await raw(tx), caller.org_id, id, clock.now())


async def _waiting(tx: Tx, record: Record) -> Waiting:
    connection = await raw(tx)
    volumes = guards.read(record["volumes"]) or {}
    months = []
    for period in sorted(period for period, volume in volumes.items() if volume.stopped):
        last = guards.last_before(volumes, period)
        months.append(Month(period, volumes[period], last, volumes[last] if last else None))
    first = None
    if record["first_waiting"]:
        first = read_layer(BillOptions, record.body.get("configData", {})).first_sends
    wanted = (record["first_round"] if first is not None else None, [month.period for month in months])
    sent: Sequence[Sent] = ()
    counts: tuple[int, int, Mapping[str, Decimal]] = (0, 0, {})
    if first is not None or months:
        sent = await rows.sent(connection, record.org_id, record.id, *wanted, SENT_SHOWN)
        counts = await rows.sent_totals(connection, record.org_id, record.id, *wanted)
    held = await integration_rows.held(connection, record.org_id, record.id, REASONS)
    return Waiting(first, months, sent, *counts, held)
