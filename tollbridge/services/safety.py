"""Errors in succession: counted as runs settle, told before it is too late, and the integration disabled at the last.

`domain.safety` decides. All is done inside the transaction that settles the runs and has locked their integrations, so
that whatever number of workers settle at once, one of them counts the last error and disables. Never the network.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tollbridge.domain import alerts as kinds
from tollbridge.domain import safety
from tollbridge.domain.audit import Action
from tollbridge.domain.events import Event, run_failed
from tollbridge.domain.integrations import GlobalOptions, read_layer
from tollbridge.domain.known_errors import DISABLED
from tollbridge.domain.runs import Change, Flow, RunLimits, RunState
from tollbridge.domain.safety import Streak
from tollbridge.services import alerts, audit, clock
from tollbridge.services.alerts import SYSTEM
from tollbridge.services.caller import Caller
from tollbridge.store import standing
from tollbridge.store.claims import Key
from tollbridge.store.db import Connection
from tollbridge.store.standing import Disabling, Faring

CALM = "the integration has no errors in succession any more."


@dataclass(frozen=True, slots=True)
class Disabled:
    """An integration that was disabled now, why, and the event that tells it."""

    reason: str
    event: Event


@dataclass(slots=True)
class Tally:
    """What came of counting: the streaks that changed, what runs say of it, who is warned of what, and what is
    disabled, by the run that met the last error; what a probe brought back, and probes that are held as before."""

    streaks: dict[Key, Streak] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    warnings: dict[Key, kinds.Alert] = field(default_factory=dict)
    disabled: dict[Key, str] = field(default_factory=dict)
    revived: list[Key] = field(default_factory=list)
    returned: dict[str, Change] = field(default_factory=dict)


def count(
    runs: Mapping[str, Mapping[str, Any]],
    changes: Mapping[str, Change],
    told: Collection[str],
    faring: Mapping[Key, Faring],
    disable_after: int,
) -> Tally:
    """Go through what settled, in the order of settling. `told` are the runs of which an event is raised, `faring` the
    integrations that may change; of one that is disabled nothing is counted."""
    tally = Tally()
    for run_id, change in changes.items():
        run = runs[run_id]
        key, flow = (run["org_id"], run["integration_id"]), Flow(run["flow"])
        if key not in faring or key in tally.disabled:
            continue
        if not faring[key].enabled:
            if run_id == faring[key].probe_run_id:
                _judge_probe(tally, key, run_id, flow, change)
            continue
        streak = tally.streaks.get(key, Streak(faring[key].errors))
        if safety.succeeded(flow, change):
            if streak.count:
                tally.streaks[key] = Streak()
                tally.warnings.pop(key, None)
        elif run_id in told:
            _count_error(tally, key, faring[key], streak, run_id, flow, change, disable_after)
    return tally


def _judge_probe(tally: Tally, key: Key, run_id: str, flow: Flow, change: Change) -> None:
    """A probe that is delivered brings its integration back; a notification that is not taken is held as before."""
    if change.state is RunState.DELIVERED:
        tally.revived.append(key)
    elif (returned := safety.put_back(flow, change)) is not None:
        tally.returned[run_id] = returned


def _count_error(
    tally: Tally,
    key: Key,
    faring: Faring,
    streak: Streak,
    run_id: str,
    flow: Flow,
    change: Change,
    disable_after: int,
) -> None:
    rule = safety.rule_of(read_layer(GlobalOptions, faring.config), disable_after)
    fault = change.event_fault
    if fault is None or not safety.counts(flow, change, rule):
        return
    streak = tally.streaks[key] = streak.and_one(fault.code)
    tally.notes[run_id] = safety.so_far(streak.count, rule)
    if streak.count >= rule.after:
        tally.disabled[key] = run_id
        tally.warnings.pop(key, None)
    elif streak.count in rule.stages:
        tally.warnings[key] = kinds.integration_failing(
            *key, faring.name, streak.count, rule.after, fault.message, run_id
        )


async def keep(
    connection: Connection, tally: Tally, faring: Mapping[Key, Faring], limits: RunLimits, now: datetime
) -> dict[Key, Disabled]:
    """Write the counts, enable what a probe brought back, and disable what is to be; answers what was disabled."""
    await standing.count(connection, {key: streak.codes for key, streak in tally.streaks.items()})
    reasons = {key: safety.reason(tally.streaks[key], run_id) for key, run_id in tally.disabled.items()}
    wanted = {key: Disabling(reason, _probe_after(faring[key], limits)) for key, reason in reasons.items()}
    done = await standing.disable(connection, wanted, SYSTEM, now)
    await standing.enable(connection, tally.revived, SYSTEM, now)
    for org_id, id in tally.revived:
        await audit.note_raw(connection, Caller(org_id, SYSTEM), Action.ENABLE, "Integration", id, {"enabled": True})
    for org_id, id in sorted(done):
        after = {"enabled": False, "disabledReason": reasons[org_id, id]}
        await audit.note_raw(connection, Caller(org_id, SYSTEM), Action.DISABLE, "Integration", id, after)
    return {key: Disabled(reasons[key], _event(key, tally.disabled[key], reasons[key], now)) for key in sorted(done)}


def _probe_after(faring: Faring, limits: RunLimits) -> timedelta | None:
    options = read_layer(GlobalOptions, faring.config)
    return limits.probe_after if safety.probes(options, faring.system) else None


def _event(key: Key, run_id: str, reason: str, now: datetime) -> Event:
    org_id, id = key
    fault = DISABLED.fault(f"The integration is disabled: {reason}")
    return run_failed(
        clock.new_id(),
        str(fault.rule.event),
        fault,
        now,
        org_id=org_id,
        run_id=run_id,
        integration_id=id,
        account_id=None,
        entity_id=id,
    )


async def tell(
    connection: Connection,
    tally: Tally,
    faring: Mapping[Key, Faring],
    disabled: Mapping[Key, Disabled],
    now: datetime,
) -> list[kinds.Alert]:
    """Close the warnings of integrations that have no errors any more, or are disabled now: of these one alert tells.
    Answers the alerts to be raised, after everything else that is locked."""
    calm = {(key[0], kinds.failing_cause(key[1])): CALM for key, each in tally.streaks.items() if not each.count}
    revived = {
        (org_id, kinds.disabled_cause(id)): "a held run that was tried was delivered." for org_id, id in tally.revived
    }
    await alerts.resolve_all(connection, calm | revived, now)
    over = {(org_id, kinds.failing_cause(id)): "it was disabled." for org_id, id in disabled}
    await alerts.resolve_all(connection, over, now, told=False)
    found = [
        kinds.integration_disabled(
            *key,
            faring[key].name,
            each.reason,
            by_itself=True,
            event_id=each.event.id,
            run_id=each.event.run_id,
        )
        for key, each in disabled.items()
    ]
    return [*tally.warnings.values(), *found]
