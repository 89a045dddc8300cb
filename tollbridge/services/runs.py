"""Runs as people and the API see them: read, replay, check a credential, wait for the end.

Never the network: what needs the world starts a run and waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tollbridge.domain import json_text
from tollbridge.domain.audit import Action
from tollbridge.domain.conversation import StepKind
from tollbridge.domain.deliveries import HELD
from tollbridge.domain.errors import Conflict, FaultKind, NotFound, Unavailable
from tollbridge.domain.fields import Shape, boolean
from tollbridge.domain.runs import UNTIL_ENABLED, Flow, HoldReason, RunFilter, RunState, RunStatus, status_of
from tollbridge.services import audit, clock
from tollbridge.services.caller import Caller
from tollbridge.services.dispatch import new_delivery, target_of
from tollbridge.store import dispatching, lanes, ledger, notifying, run_reader, workers
from tollbridge.store import runs as rows
from tollbridge.store.db import Connection, Database, Tx, connect, raw

REPLAY = Shape({"askAgain": boolean()})
SILENCE = timedelta(seconds=30)
"""A worker that gave no sign of life for so long counts as gone."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run, with its state in our words and its status in the wire's.

    `offers` are the choices that a person has about a bill that changed after it was sent, `decision` what was decided;
    `holds` are the times for which it was held before it went on: reason, since, until, note.
    """

    id: str
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    integration_id: str | None
    credential_id: str | None
    flow: Flow
    system: str
    destination: str
    destination_id: str | None
    entity_type: str
    entity_id: str
    revision: int
    account_id: str | None
    state: RunState
    status: RunStatus
    hold_reason: HoldReason | None
    fault_kind: str | None
    fault_code: str | None
    error: str | None
    hint: str | None
    attempt: int
    due_at: datetime
    parent_id: str | None
    replay_of: str | None
    external_id: str | None
    url: str | None
    total: Decimal | None
    currency: str | None
    note: str | None
    offers: Sequence[Any] | None
    decision: Any
    holds: Sequence[Any] | None
    started_at: datetime | None
    completed_at: datetime | None
    event_id: str | None
    message_id: str | None


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs and the token that continues after them, if there are more."""

    data: Sequence[Run]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class LoggedStep:
    """One step of a run's log, as it may be shown: request and reply are redacted."""

    seq: int
    key: str
    name: str
    kind: str
    attempt: int
    epoch: int | None
    started_at: datetime
    completed_at: datetime | None
    status: int | None
    request: Any
    reply: Any
    fault: Any


@dataclass(frozen=True, slots=True)
class RunLog:
    """A run with everything that is kept of it: the configuration, mappings and account as they were, and its steps."""

    run: Run
    config: Any
    mappings: Any
    account: Any
    steps: Sequence[LoggedStep]


async def start_check(tx: Tx, caller: Caller, credential_id: str, system: str, now: datetime) -> str:
    """Make a run that checks the credential (its candidate where it has one) and answer the run's id.

    An earlier check of the same credential is cut off: its finding would be about another secret.
    """
    connection = await raw(tx)
    await rows.cut_off_checks(connection, caller.org_id, credential_id, "A newer check took its place.", now)
    run = new_check(caller.org_id, caller.principal, credential_id, system)
    await rows.add(connection, [run], now)
    return run.id


def new_check(org_id: str, by: str, credential_id: str, system: str) -> rows.NewRun:
    """A run that checks the credential."""
    return rows.NewRun(
        id=clock.new_id(),
        org_id=org_id,
        created_by=by,
        integration_id=None,
        credential_id=credential_id,
        system=system,
        destination=system,
        destination_id=None,
        entity_type="Credential",
        entity_id=credential_id,
        revision=1,
        account_id=None,
        flow=Flow.CHECK,
    )


async def wait_settled(db: Database, org_id: str, run_id: str, timeout: timedelta) -> Run:
    """Wait until the run has ended or is held, at most that long, and answer it as it stands then."""
    listener = await connect(db.dsn)
    settled = asyncio.Event()

    def heard(_connection: object, _pid: object, _channel: object, payload: object) -> None:
        if payload == run_id:
            settled.set()

    try:
        await listener.add_listener(rows.SETTLED_CHANNEL, heard)
        # Read only now that we listen: it may have settled before.
        run = await _read(db, org_id, run_id)
        if run.state.ended or run.state is RunState.HELD:
            return run
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(settled.wait(), timeout.total_seconds())
    finally:
        await listener.close()
    return await _read(db, org_id, run_id)


async def _read(db: Database, org_id: str, run_id: str) -> Run:
    async with db.transaction() as tx:
        return await get_run(tx, org_id, run_id)


async def any_worker_alive(tx: Tx, now: datetime) -> bool:
    """Whether a worker gave a sign of life lately."""
    return await workers.seen_since(await raw(tx), now - SILENCE)


async def need_worker(tx: Tx) -> None:
    """Raises Unavailable where nobody could check a credential."""
    if not await any_worker_alive(tx, clock.now()):
        raise Unavailable(
            "worker.none",
            "The credential cannot be checked, because no worker is running; nothing was kept.",
            "Start one with: tollbridge worker",
        )


async def replay(db: Database, caller: Caller, run_id: str, body: Any = None) -> Run:
    """Deliver again what the run was to deliver; looks first whether it already took effect.

    What a person decided for the run holds for the new one, unless it is to ask again. Raises NotFound, and Conflict
    where the run is still under way, another run carries the bill, the bill changed since or was deleted, or the
    document was delivered at this revision.
    """
    given = REPLAY.check(body or {})
    async with db.transaction() as tx:
        return await replay_in(tx, caller, run_id, ask_again=bool(given.get("askAgain")))


async def replay_in(tx: Tx, caller: Caller, run_id: str, *, ask_again: bool = False) -> Run:
    """See `replay`; in the transaction of somebody else."""
    run = await get_run(tx, caller.org_id, run_id)
    connection = await raw(tx)
    if run.flow is Flow.NOTIFY:
        raise Conflict(
            "run.notification",
            f"Run {run_id} carries a notification, which is sent again as it is.",
            "Send it with POST …/integrationruns/{id}/resend.",
        )
    if run.flow is Flow.CHECK or run.integration_id is None or run.account_id is None:
        raise Conflict(
            "run.not_a_delivery",
            f"Run {run_id} asked another system something; there is nothing to deliver again.",
            "Ask again instead: check the credential, preview the bill, or search.",
        )
    target = await target_of(connection, caller.org_id, run.integration_id)
    await lanes.lock(connection, [target.lane(run.account_id)])
    await _refuse_replay(connection, caller.org_id, run)
    again = new_delivery(
        caller.org_id,
        target,
        run.entity_id,
        run.revision,
        run.account_id,
        by=caller.principal,
        replay_of=run.id,
        flow=run.flow,
        decision=None if ask_again else _carried(run),
    )
    await rows.add(connection, [again], clock.now())
    await audit.note(tx, caller, Action.REPLAY, "Run", run.id, after={"runId": again.id})
    return await get_run(tx, caller.org_id, again.id)


def _carried(run: Run) -> str | None:
    """What was decided for the run as JSON, with the run for which a person decided it."""
    return None if run.decision is None else json_text.dump({"decidedIn": run.id, **run.decision})


async def _refuse_replay(connection: Connection, org_id: str, run: Run) -> None:
    """Raise Conflict where delivering again would be wrong."""
    standing = await dispatching.standing_runs(connection, org_id, [run.entity_id])
    for other in standing:
        if other.integration_id == run.integration_id and not other.state.ended:
            raise Conflict(
                "run.under_way",
                f"Run {other.id} is {other.state} and carries {run.entity_type} {run.entity_id} already.",
                "Wait for its end, or repair what it is held for.",
            )
    revision = await dispatching.bill_revision(connection, org_id, run.entity_id)
    if run.flow is Flow.WITHDRAW and revision is None:
        return
    if revision != run.revision:
        now = "was deleted" if revision is None else f"is at version {revision} by now"
        raise Conflict(
            "run.outdated",
            f"Run {run.id} was for version {run.revision} of {run.entity_type} {run.entity_id}, which {now}.",
            "Replay the newest run of the bill."
            if revision is not None
            else "Replay the run that takes it back, if any.",
        )
    row = await ledger.delivered(connection, org_id, run.integration_id or "", run.entity_type, run.entity_id)
    if row is not None and row.version == run.revision:
        raise Conflict(
            "run.delivered",
            f"{run.entity_type} {run.entity_id} was delivered as {row.external_id} by run {row.run_id}.",
            "Look it up in the other system; nothing needs to be sent.",
        )


async def release_for_integration(tx: Tx, org_id: str, integration_id: str, now: datetime, *more: HoldReason) -> int:
    """Queue the runs that were held while the integration was disabled or had no valid credential, or for more
    reasons."""
    connection, mine = await raw(tx), [(org_id, integration_id)]
    reasons = (HoldReason.DISABLED, HoldReason.UNAUTHORIZED, HoldReason.DISCONNECTED, *more)
    released = await rows.release_held(connection, mine, reasons, now)
    return released + await notifying.release_held(connection, mine, now)


async def drop_for_integration(tx: Tx, org_id: str, integration_id: str, note: str, now: datetime) -> int:
    """Cancel the runs that are held until the integration is enabled; the note says why. Answers how many.

    The integration must be locked, so that nobody releases them meanwhile.
    """
    connection = await raw(tx)
    held = await rows.held_of(connection, org_id, integration_id, UNTIL_ENABLED)
    await lanes.lock(connection, [lane for _, lane in held if lane is not None])
    ended = await rows.end_unstarted(connection, [id for id, _ in held], RunState.CANCELLED, note, now)
    return len(ended)


async def cancel_for_integration(tx: Tx, org_id: str, integration_id: str, now: datetime) -> int:
    """Cancel the runs of an integration that have not started, because it is deleted; running ones finish."""
    connection = await raw(tx)
    unstarted = await rows.unstarted_of(connection, org_id, integration_id)
    await lanes.lock(connection, [lane for _, lane in unstarted if lane is not None])
    ended = await rows.end_unstarted(
        connection, [id for id, _ in unstarted], RunState.CANCELLED, "The integration was deleted.", now
    )
    return len(ended)


async def cancel_checks(
    tx: Tx, org_id: str, credential_id: str, now: datetime, note: str = "The credential was deleted."
) -> None:
    """Cut off the checks of a credential; the note says why."""
    await rows.cut_off_checks(await raw(tx), org_id, credential_id, note, now)


async def get_run(tx: Tx, org_id: str, run_id: str) -> Run:
    """The run; raises NotFound."""
    row = await run_reader.get(tx, org_id, run_id)
    if row is None:
        raise NotFound("run.unknown", f"There is no run {run_id}.", "List the runs of the bill to see which there are.")
    return _run(row)


async def list_runs(
    tx: Tx,
    org_id: str,
    *,
    entity_type: str | None = None,
    entity_id: str | None = None,
    destination: str | None = None,
    destination_id: str | None = None,
    integration_id: str | None = None,
    credential_id: str | None = None,
    event_id: str | None = None,
    status: RunStatus | None = None,
    started_after: datetime | None = None,
    started_until: datetime | None = None,
    ascending: bool = False,
    size: int = 50,
    token: str | None = None,
) -> RunPage:
    """One page of runs, newest first unless asked otherwise; every filter that is given must hold."""
    wanted = RunFilter(
        entity_type,
        entity_id,
        destination,
        destination_id,
        integration_id,
        credential_id,
        event_id,
        status,
        started_after,
        started_until,
    )
    found, next_token = await run_reader.page(tx, org_id, wanted, ascending=ascending, size=size, token=token)
    return RunPage([_run(row) for row in found], next_token)


async def latest_runs(tx: Tx, org_id: str, entity_type: str, entity_ids: Sequence[str]) -> dict[str, Run]:
    """The newest run of each of the entities, by entity id; those without a run are missing."""
    return {row.entity_id: _run(row) for row in await run_reader.latest(tx, org_id, entity_type, entity_ids)}


async def run_log(tx: Tx, org_id: str, run_id: str) -> RunLog:
    """Everything that is kept of the run; raises NotFound."""
    run = await get_run(tx, org_id, run_id)
    snapshot, steps, payload = await run_reader.log(tx, run_id)
    return RunLog(
        run,
        snapshot.config if snapshot else None,
        snapshot.mappings if snapshot else None,
        snapshot.account if snapshot else None,
        [_step(step, payload) for step in steps],
    )


def _step(row: Any, payload: str | None) -> LoggedStep:
    """A step; the body of a notification is kept once for all attempts."""
    step = LoggedStep(**{name: row._mapping[name] for name in _STEP})
    if step.kind != StepKind.ATTEMPT or payload is None or step.request is None:
        return step
    return replace(step, request={**step.request, "text": payload})


_STEP = [each.name for each in fields(LoggedStep)]
_PLAIN = [each.name for each in fields(Run) if each.name not in ("flow", "state", "status", "hold_reason")]


def _run(row: Any) -> Run:
    state = RunState(row.state)
    reason = HoldReason(row.hold_reason) if row.hold_reason else None
    kind = FaultKind(row.fault_kind) if row.fault_kind else None
    plain = {name: row._mapping[name] for name in _PLAIN}
    if reason and not row.error:
        plain["note"] = row.note or HELD[reason]
    return Run(**plain, flow=Flow(row.flow), state=state, status=status_of(state, kind, reason), hold_reason=reason)
