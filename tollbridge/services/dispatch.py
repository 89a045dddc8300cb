"""Which bills go to which integrations: decided when a bill or an integration changes, in the same transaction.

Never the network; the worker starts the runs that are made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tollbridge.domain.audit import Action
from tollbridge.domain.errors import NotFound
from tollbridge.domain.events import Event, run_failed
from tollbridge.domain.integrations import (
    BillFacts,
    Cause,
    CredentialStatus,
    Verdict,
    decide,
    scope_of,
    unapproved,
)
from tollbridge.domain.known_errors import ACCOUNT_FILTER
from tollbridge.domain.runs import Flow, HoldReason, RunState
from tollbridge.domain.safety import told_disabled
from tollbridge.services import audit, clock
from tollbridge.services.caller import Caller
from tollbridge.services.filtering import filtered
from tollbridge.services.raising import raise_events
from tollbridge.store import dispatching, lanes, ledger
from tollbridge.store import runs as rows
from tollbridge.store.db import Connection, Database, Tx, raw
from tollbridge.store.dispatching import Standing, Target

BILL = "Bill"
BATCH = 500


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for one bill and one integration; `reason` is a sentence for people."""

    bill_id: str
    integration_id: str
    verdict: Verdict
    run_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class InScope:
    """How many bills an integration would send now: those in its scope that no run carries yet, with sums.

    `undecided` is the number of accounts for which its account filter comes to nothing; their bills are not counted.
    """

    count: int
    sums: Mapping[str, Decimal]
    undecided: int


async def dispatch_bills(
    tx: Tx, org_id: str, bills: Sequence[BillFacts], cause: Cause, now: datetime, *, integration_id: str | None = None
) -> list[Decision]:
    """Make the runs that follow from the change of these bills, and supersede or cancel those not started yet.

    Where an integration is named, runs are made for that one alone.
    The caller holds the locks of the bills, so that of two changes of one bill the later is dispatched later.
    """
    if not bills:
        return []
    connection = await raw(tx)
    if cause is Cause.DELETED:
        return await _cancel(connection, org_id, bills, now)
    targets = await dispatching.targets(connection, org_id, integration_id=integration_id, entity_type=BILL)
    if cause is Cause.WITHDRAWN:
        return await _withdraw(connection, org_id, targets, bills, now)
    scopes = await filtered(
        connection, org_id, [scope_of(target.config) for target in targets], {bill.account_id for bill in bills}
    )
    verdicts = [
        (target, bill, *decide(scope, bill)) for target, scope in zip(targets, scopes, strict=True) for bill in bills
    ]
    to_send = {target.lane(bill.account_id) for target, bill, verdict, _ in verdicts if verdict is Verdict.SEND}
    standing = await _lock(connection, org_id, bills, to_send)
    await _supersede(connection, standing, bills, now)
    known = {(run.integration_id, run.bill_id, run.revision): run for run in standing}
    decisions: list[Decision] = []
    fresh: list[rows.NewRun] = []
    for target, bill, verdict, reason in verdicts:
        run_id = None
        earlier = known.get((target.id, bill.id, bill.revision))
        if verdict is Verdict.SEND and earlier is not None:
            verdict, run_id, reason = Verdict.ALREADY, earlier.id, f"Run {earlier.id} carries this version of it."
        elif verdict is Verdict.SEND:
            run = new_delivery(org_id, target, bill.id, bill.revision, bill.account_id, by="SYSTEM")
            fresh.append(run)
            run_id, reason = run.id, _told(run)
        decisions.append(Decision(bill.id, target.id, verdict, run_id, reason))
    await rows.add(connection, fresh, now)
    unclear = [verdict for verdict in verdicts if verdict[2] is Verdict.UNDECIDED]
    told = [_undecided(org_id, target, bill, why, now) for target, bill, _, why in unclear]
    await raise_events(connection, told, now)
    return decisions


async def _lock(connection: Connection, org_id: str, bills: Sequence[BillFacts], more: Iterable[str]) -> list[Standing]:
    """Lock the lanes of the bills' runs that have not started, and more; answer the runs as they stand then.

    A run that came into being meanwhile in a lane that is not locked is left out: nobody may touch it.
    """
    ids = [bill.id for bill in bills]
    before = await dispatching.standing_runs(connection, org_id, ids)
    locked = {*more, *(run.lane for run in before if _unstarted(run))}
    await lanes.lock(connection, locked)
    after = await dispatching.standing_runs(connection, org_id, ids)
    return [run for run in after if run.lane in locked or not _unstarted(run)]


def _unstarted(run: Standing) -> bool:
    return run.state in (RunState.QUEUED, RunState.HELD)


async def _cancel(connection: Connection, org_id: str, bills: Sequence[BillFacts], now: datetime) -> list[Decision]:
    """Cancel what has not started, and make a run that takes back what stands there, or is about to."""
    targets = {each.id: each for each in await dispatching.targets(connection, org_id, entity_type=BILL)}
    lanes_of_bills = {target.lane(bill.account_id) for target in targets.values() for bill in bills}
    standing = await _lock(connection, org_id, bills, lanes_of_bills)
    cancelled = await _end(connection, standing, "The bill was deleted.", now)
    sent = {(run.bill_id, run.integration_id) for run in standing if run.state in (RunState.RUNNING, RunState.WAITING)}
    for bill_id, tenant, integration_id in await ledger.touched(connection, org_id, BILL, [bill.id for bill in bills]):
        same = [each.id for each in targets.values() if each.tenant == tenant]
        if same:
            sent.add((bill_id, integration_id if integration_id in same else same[0]))
    fresh = [
        new_delivery(
            org_id, targets[integration], bill.id, bill.revision, bill.account_id, by="SYSTEM", flow=Flow.WITHDRAW
        )
        for bill in bills
        for bill_id, integration in sorted(sent)
        if bill_id == bill.id and integration in targets
    ]
    await rows.add(connection, fresh, now)
    reason = "What stands there of the deleted bill is taken back."
    return cancelled + [
        Decision(run.entity_id, run.integration_id or "", Verdict.SEND, run.id, reason) for run in fresh
    ]


async def _withdraw(
    connection: Connection, org_id: str, targets: Sequence[Target], bills: Sequence[BillFacts], now: datetime
) -> list[Decision]:
    """Cancel what has not started of the integrations that send these bills only when they are approved."""
    waits = {
        (target.id, bill.id)
        for target, scope in ((target, scope_of(target.config)) for target in targets)
        for bill in bills
        if unapproved(scope, bill)
    }
    standing = await _lock(connection, org_id, bills, ())
    concerned = [run for run in standing if (run.integration_id, run.bill_id) in waits]
    return await _end(connection, concerned, "The approval of the bill was taken back.", now)


async def _end(connection: Connection, standing: Sequence[Standing], reason: str, now: datetime) -> list[Decision]:
    unstarted = {run.id: run for run in standing if _unstarted(run)}
    ended = await rows.end_unstarted(connection, list(unstarted), RunState.CANCELLED, reason, now)
    return [
        Decision(unstarted[id].bill_id, unstarted[id].integration_id, Verdict.CANCELLED, id, reason) for id in ended
    ]


async def _supersede(
    connection: Connection, standing: Sequence[Standing], bills: Sequence[BillFacts], now: datetime
) -> None:
    """End the runs of older versions that have not started, whatever becomes of the new version."""
    newest = {bill.id: bill.revision for bill in bills}
    older = [run.id for run in standing if _unstarted(run) and run.revision < newest[run.bill_id]]
    await rows.end_unstarted(connection, older, RunState.SUPERSEDED, "A newer version of the bill came in.", now)


def new_delivery(
    org_id: str,
    target: Target,
    bill_id: str,
    revision: int,
    account_id: str,
    *,
    by: str,
    replay_of: str | None = None,
    flow: Flow = Flow.DELIVER,
    decision: str | None = None,
) -> rows.NewRun:
    """A run that delivers the bill, or takes it back; held where the integration cannot send now."""
    return rows.NewRun(
        id=clock.new_id(),
        org_id=org_id,
        created_by=by,
        integration_id=target.id,
        credential_id=target.credential_id,
        system=target.system,
        destination=target.destination,
        destination_id=target.destination_id,
        entity_type=BILL,
        entity_id=bill_id,
        revision=revision,
        account_id=account_id,
        flow=flow,
        hold_reason=_hold_reason(target),
        note=told_disabled(target.disabled_reason) if not target.enabled else None,
        replay_of=replay_of,
        decision=decision,
    )


def _undecided(org_id: str, target: Target, bill: BillFacts, reason: str, now: datetime) -> Event:
    """Tells people of a bill of which nobody knows whether it is to be sent; its state is `held` meanwhile."""
    fault = ACCOUNT_FILTER.fault(reason)
    return run_failed(
        clock.new_id(),
        str(fault.rule.event),
        fault,
        now,
        org_id=org_id,
        run_id=None,
        integration_id=target.id,
        account_id=bill.account_id,
        entity_id=bill.id,
    )


def _hold_reason(target: Target) -> HoldReason | None:
    if not target.enabled:
        return HoldReason.DISABLED
    if target.credential_status == CredentialStatus.INVALID:
        return HoldReason.UNAUTHORIZED
    if target.credential_status != CredentialStatus.VALID:
        return HoldReason.DISCONNECTED
    return None


_TOLD = {
    None: "It is sent.",
    HoldReason.DISABLED: "It is held until the integration is enabled.",
    HoldReason.UNAUTHORIZED: "It is held until the integration's credential works again.",
    HoldReason.DISCONNECTED: "It is held until the integration has a valid credential.",
}


def _told(run: rows.NewRun) -> str:
    return _TOLD[run.hold_reason]


async def count_in_scope(tx: Tx, org_id: str, integration_id: str) -> InScope:
    """What `send_existing` would send now; raises NotFound."""
    connection = await raw(tx)
    target = await target_of(connection, org_id, integration_id)
    (scope,) = await filtered(connection, org_id, [scope_of(target.config)])
    count, sums = await dispatching.sums_in_scope(connection, org_id, integration_id, scope)
    return InScope(count, sums, len(scope.by_filter.undecided))


async def send_existing(db: Database, caller: Caller, integration_id: str) -> int:
    """Make a run for every bill in scope that was never delivered and has none under way; answers how many.

    One transaction for each batch; raises NotFound.
    """
    sent, after = 0, ""
    while True:
        async with db.hot() as connection:
            target = await target_of(connection, caller.org_id, integration_id)
            (scope,) = await filtered(connection, caller.org_id, [scope_of(target.config)])
            bills = await dispatching.bills_in_scope(connection, caller.org_id, integration_id, scope, after, BATCH)
            if not bills:
                return sent
            after = bills[-1].id
            standing = await _lock(connection, caller.org_id, bills, {target.lane(bill.account_id) for bill in bills})
            # A run that came into being while we waited for the lanes is as good.
            carried = {
                run.bill_id
                for run in standing
                if run.integration_id == integration_id and run.state is not RunState.FAILED
            }
            fresh = [
                new_delivery(caller.org_id, target, bill.id, bill.revision, bill.account_id, by=caller.principal)
                for bill in bills
                if bill.id not in carried
            ]
            await rows.add(connection, fresh, clock.now())
            await audit.note_raw(connection, caller, Action.SEND, "Integration", integration_id, {"runs": len(fresh)})
            sent += len(fresh)


async def target_of(connection: Connection, org_id: str, integration_id: str) -> Target:
    """The integration; raises NotFound."""
    found = await dispatching.targets(connection, org_id, integration_id=integration_id)
    if not found:
        raise NotFound(
            "integration.unknown",
            f"There is no integration {integration_id}.",
            "List the integrations to see which there are.",
        )
    return found[0]
