"""What follows where runs settle: their state, the ledger, events, credentials, the next of their lanes.

The domain decides; one transaction applies the decisions for many runs. Never the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tollbridge.domain import alerts as kinds
from tollbridge.domain import json_text
from tollbridge.domain.conversation import StepDone
from tollbridge.domain.errors import FaultKind
from tollbridge.domain.events import Event, run_failed
from tollbridge.domain.flows import Checked, Found, Outcome, Previewed
from tollbridge.domain.notifications import Schedule
from tollbridge.domain.runs import (
    Change,
    Flow,
    Paused,
    RunFacts,
    RunLimits,
    RunState,
    advance,
    judge_check,
    tenant_key,
)
from tollbridge.services import alerts, clock, safety
from tollbridge.services.alerts import SYSTEM
from tollbridge.services.claiming import DOCUMENT
from tollbridge.services.raising import raise_events
from tollbridge.store import claims, jobs, ledger, previews, standing, tokens
from tollbridge.store import runs as rows
from tollbridge.store.db import Connection
from tollbridge.store.standing import Faring

WORKS = "the credential was checked and works."


@dataclass(frozen=True, slots=True)
class Settlement:
    """How far a run came: its outcome, or the pause it asked for, with the last step where that is not recorded yet.

    `worked` is the working time since the claim. `jitter` lies in [0, 1). `schedule` is the receiver's, for a
    notification. `sealed` are the secrets of the claim.
    """

    run_id: str
    fence: int
    result: Outcome | Paused
    worked: timedelta
    now: datetime
    jitter: float
    done: StepDone | None = None
    schedule: Schedule | None = None
    sealed: bytes = b""


async def apply(
    connection: Connection,
    runs: Mapping[str, Mapping[str, Any]],
    settlements: Sequence[Settlement],
    limits: RunLimits,
    faring: Mapping[claims.Key, Faring],
) -> tuple[dict[str, Change], list[claims.Key]]:
    """Everything that follows from the settlements, in the transaction that locked the runs, and the integrations whose
    marks and counts may change.

    Answers what becomes of each run, and the credentials that were found to work: what was held for them is released
    by itself, since its lanes may not be locked after these.
    """
    now = max(each.now for each in settlements)
    changes = {each.run_id: await _decide(connection, runs[each.run_id], each, limits) for each in settlements}
    sealed = {each.run_id: each.sealed for each in settlements}
    told = [
        run_id
        for run_id, change in changes.items()
        if await _judge_credential(connection, runs[run_id], change, sealed[run_id], now)
        # What belongs to no integration is a check or a test: who asked for it looks at it, but nobody at our own.
        and (runs[run_id]["integration_id"] is not None or runs[run_id]["created_by"] == SYSTEM)
    ]
    tally = safety.count(runs, changes, told, faring, limits.disable_after)
    changes |= tally.returned
    told = [run_id for run_id in told if run_id not in tally.returned]
    changes |= {run_id: replace(changes[run_id], note=note) for run_id, note in tally.notes.items()}
    await rows.settle(
        connection, [_settled(runs[each.run_id], each, changes[each.run_id]) for each in settlements], now
    )
    await ledger.finish(connection, _finished(runs, changes, now))
    shown = [(each.run_id, each.result.shown) for each in settlements if isinstance(each.result, (Previewed, Found))]
    await previews.keep(connection, shown)
    disabled = await safety.keep(connection, tally, faring, limits, now)
    raised = {run_id: _event(runs[run_id], changes[run_id], now) for run_id in told}
    await raise_events(connection, [*raised.values(), *(each.event for each in disabled.values())], now)
    marks = {key: failed for key, failed in _marks(runs, changes).items() if key in faring}
    await standing.mark(connection, marks, now)
    # Notifications have no jobs, lanes or kept replies, and nobody waits for the end of one.
    queued = {run_id: change for run_id, change in changes.items() if runs[run_id]["flow"] != Flow.NOTIFY}
    waiting = [run_id for run_id, change in queued.items() if change.state is RunState.WAITING]
    await jobs.enqueue(
        connection,
        [
            jobs.Job(run_id, runs[run_id]["fence"], changes[run_id].due_at or now, runs[run_id]["flow"] == Flow.CHECK)
            for run_id in waiting
        ],
        now,
    )
    resting = [run_id for run_id in queued if run_id not in waiting]
    await rows.leave(connection, resting, [run_id for run_id in resting if changes[run_id].state.ended], now)
    working = [
        (runs[run_id]["org_id"], runs[run_id]["credential_id"])
        for run_id, change in changes.items()
        if change.checked is not None
    ]
    # Last, since others wait for the alert that they share.
    await alerts.resolve_all(connection, {(org_id, kinds.credential_cause(id)): WORKS for org_id, id in working}, now)
    found = [_alert(runs[run_id], changes[run_id], event.id) for run_id, event in raised.items()]
    more = await safety.tell(connection, tally, faring, disabled, now)
    await alerts.raise_alerts(connection, [*(alert for alert in found if alert is not None), *more], now)
    return changes, working


async def _decide(connection: Connection, run: Mapping[str, Any], settlement: Settlement, limits: RunLimits) -> Change:
    worked = timedelta(seconds=run["worked_seconds"]) + settlement.worked
    facts = RunFacts(Flow(run["flow"]), run["attempt"], worked, run["limited_since"], settlement.schedule)
    result = settlement.result
    if isinstance(result, Checked):
        key = (run["org_id"], run["credential_id"])
        credential = (await claims.credentials(connection, [key])).get(key)
        if credential is not None:
            result = judge_check(result, run["system"], credential.tenant, credential.tenant_name)
    return advance(facts, result, settlement.now, settlement.jitter, limits)


def _settled(run: Mapping[str, Any], settlement: Settlement, change: Change) -> rows.Settled:
    fault, delivered = change.fault, change.delivered
    return rows.Settled(
        id=run["id"],
        state=change.state,
        attempt=change.attempt,
        worked_seconds=run["worked_seconds"] + settlement.worked.total_seconds(),
        hold_reason=change.hold_reason,
        fault_kind=fault.kind if fault else None,
        fault_code=fault.code if fault else None,
        error=fault.message if fault else None,
        hint=fault.hint if fault else None,
        due_at=change.due_at,
        limited_since=change.limited_since,
        completed_at=settlement.now if change.state.ended else None,
        external_id=delivered.external_id if delivered else None,
        url=delivered.url if delivered else None,
        total=delivered.total if delivered else None,
        currency=delivered.currency if delivered else None,
        note=change.note,
        offers=json_text.dump([asdict(offer) for offer in change.offers]) if change.offers else None,
    )


def _marks(runs: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Change]) -> dict[claims.Key, bool]:
    """Whether the latest of each integration's runs that came to an end failed, by the order of settling."""
    return {
        (run["org_id"], run["integration_id"]): change.state is RunState.FAILED
        for run_id, change in changes.items()
        if change.state in (RunState.DELIVERED, RunState.SKIPPED, RunState.FAILED)
        and (run := runs[run_id])["integration_id"] is not None
        and run["flow"] != Flow.PREVIEW
    }


def _finished(runs: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Change], now: datetime) -> list[ledger.Done]:
    return [
        ledger.Done(
            ledger.Place(run["org_id"], run["tenant"], run["entity_type"], run["entity_id"], DOCUMENT),
            run["revision"],
            run["id"],
            run["integration_id"],
            change.delivered.external_id,
            change.delivered.url,
            change.delivered.total,
            change.delivered.currency,
            now,
        )
        for run_id, change in changes.items()
        if change.delivered is not None and (run := runs[run_id])["flow"] != Flow.NOTIFY
    ]


async def _judge_credential(
    connection: Connection, run: Mapping[str, Any], change: Change, sealed: bytes, now: datetime
) -> bool:
    """Note what the run found out about its credential. Answers whether the run's event is to be raised: that a
    credential no longer works is told once, not for every run on it, and not where its secrets were replaced."""
    key = (run["org_id"], run["credential_id"])
    if change.checked is not None:
        await _accept(connection, run, key, change.checked, now)
    if change.credential_error is None:
        return change.event is not None
    turned = await claims.reject_credential(
        connection,
        key,
        change.credential_error,
        checked=run["flow"] == Flow.CHECK,
        invalid=change.credential_invalid,
        used=None if run["flow"] == Flow.CHECK else sealed,
        now=now,
    )
    return turned and (change.event is not None or run["flow"] == Flow.CHECK)


async def _accept(
    connection: Connection, run: Mapping[str, Any], key: tuple[str, str], checked: Checked, now: datetime
) -> None:
    credential = (await claims.credentials(connection, [key])).get(key)
    if credential is None:
        return
    secrets = credential.candidate or credential.secrets
    if credential.candidate:
        await tokens.void(connection, *key)
    tenant = tenant_key(run["system"], checked.tenant_id)
    await claims.accept_credential(connection, key, tenant, checked.tenant_name, secrets, now)


def _event(run: Mapping[str, Any], change: Change, now: datetime) -> Event:
    fault = change.event_fault
    if fault is None:
        # A check of our own, which found that the credential does not work any more.
        assert change.fault is not None
        fault = replace(change.fault, kind=FaultKind.UNAUTHORIZED)
    return run_failed(
        clock.new_id(),
        str(change.event or fault.rule.event),
        fault,
        now,
        org_id=run["org_id"],
        run_id=run["id"],
        integration_id=run["integration_id"],
        account_id=run["account_id"],
        entity_id=run["entity_id"],
    )


def _alert(run: Mapping[str, Any], change: Change, event_id: str) -> kinds.Alert | None:
    """What a run whose event is raised makes an alert of: a credential that turned invalid, or a run that failed; what
    is held for a person's choice is none."""
    org_id, integration_id = run["org_id"], run["integration_id"]
    behind = {"run_id": run["id"], "event_id": event_id}
    if change.credential_error is not None:
        credential_id, error = run["credential_id"], change.credential_error
        return kinds.credential_invalid(org_id, credential_id, error, integration_id=integration_id, **behind)
    if change.state is not RunState.FAILED or change.fault is None:
        return None
    if run["flow"] != Flow.NOTIFY:
        return kinds.run_failed(org_id, integration_id, change.fault, **behind)
    return kinds.integration_failed(org_id, integration_id, change.fault.message, **behind)
