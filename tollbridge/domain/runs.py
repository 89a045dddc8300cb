"""The life of a run: its states, what follows from an outcome, and how that is told on the wire."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from tollbridge.domain.changes import Offer
from tollbridge.domain.errors import FAULTS, Fault, FaultKind, Retry
from tollbridge.domain.flows import (
    Checked,
    Delivered,
    Found,
    ManyTenants,
    NeedsChoice,
    Outcome,
    Previewed,
    Skipped,
    Withdrawn,
)
from tollbridge.domain.known_errors import NEEDS_CHOICE, OTHER_TENANT, TOO_LONG
from tollbridge.domain.notifications import Schedule, wait_after
from tollbridge.domain.retry import LONGEST_LIMITED, backoff, limited_wait


class Flow(StrEnum):
    """Which flow of the connector a run drives."""

    DELIVER = "deliver"
    WITHDRAW = "withdraw"
    """Take back what stands of a bill that was deleted."""
    CHECK = "check"
    PREVIEW = "preview"
    ASK = "ask"
    """Ask for things there from which a person chooses."""
    NOTIFY = "notify"
    """Carry a notification to a webhook."""


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    HELD = "held"
    RUNNING = "running"
    WAITING = "waiting"
    DELIVERED = "delivered"
    SKIPPED = "skipped"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        return self in _ENDED


_ENDED = frozenset({RunState.DELIVERED, RunState.SKIPPED, RunState.SUPERSEDED, RunState.CANCELLED, RunState.FAILED})


class HoldReason(StrEnum):
    """Why a run is held until a person acts."""

    DISABLED = "disabled"
    UNAUTHORIZED = "unauthorized"
    DISCONNECTED = "disconnected"
    CHANGED = "changed"
    """The bill changed or was deleted after it was delivered: a person chooses what is done about what stands there."""
    PAUSED = "paused"
    """All sending of the organization is paused."""
    FIRST_SENDS = "first_sends"
    """The first bills of the integration were sent; the others wait for a look at them."""
    VOLUME = "volume"
    """Its month is much larger than the last one."""
    MENDING = "mending"
    """The group of errors to which it belongs is being mended; it goes out in its turn, or when that is begun again."""
    RECOVERING = "recovering"
    """The webhook is being brought back; the notification goes out in its turn, or when that goes on."""


UNTIL_ENABLED = (HoldReason.DISABLED, HoldReason.MENDING)
"""What is sent, or dropped, where a person enables the integration."""


class HeldChoice(StrEnum):
    """What becomes of what was held while an integration was disabled."""

    SEND = "send"
    """In the order in which it came, as fast as the other system takes it."""
    DROP = "drop"
    """Cancelled, with a note; it stays visible and can still be sent by hand."""


class RunStatus(StrEnum):
    """The status of a run, in the words of the wire."""

    WAITING = "WAITING"
    STARTED = "STARTED"
    COMPLETE = "COMPLETE"
    ERROR = "ERROR"
    AWAITING_RETRY = "AWAITING_RETRY"
    AUTH_FAILED = "AUTH_FAILED"
    ACCOUNTING_PERIOD_CLOSED = "ACCOUNTING_PERIOD_CLOSED"
    INVOICE_ALREADY_PAID = "INVOICE_ALREADY_PAID"
    DISABLED = "DISABLED"
    TIMEOUT_LIMIT_EXCEEDED = "TIMEOUT_LIMIT_EXCEEDED"
    RATE_LIMIT_RETRY = "RATE_LIMIT_RETRY"


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How often and how long a run is tried, and after how many errors in succession its integration is disabled:
    `settings.run_attempts`, `settings.run_timeout`, `settings.disable_after`; `settings.probe_after`."""

    attempts: int
    working_time: timedelta
    disable_after: int = 10
    probe_after: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Paused:
    """The run goes on at that moment; not an attempt. `reason` is a sentence for people."""

    until: datetime
    reason: str


def status_of(state: RunState, fault_kind: FaultKind | None, hold_reason: HoldReason | None) -> RunStatus:
    """The wire's status of a run, from the one table that there is."""
    match state:
        case RunState.WAITING:
            return RunStatus.RATE_LIMIT_RETRY if fault_kind is FaultKind.RATE_LIMITED else RunStatus.AWAITING_RETRY
        case RunState.HELD:
            if hold_reason is HoldReason.CHANGED and fault_kind is FaultKind.ALREADY_PAID:
                return RunStatus.INVOICE_ALREADY_PAID
            return _STATUS_OF_HELD.get(hold_reason, RunStatus.WAITING)
        case RunState.FAILED:
            return RunStatus(FAULTS[fault_kind].run_status) if fault_kind else RunStatus.ERROR
    return _STATUS[state]


_STATUS = {
    RunState.QUEUED: RunStatus.WAITING,
    RunState.RUNNING: RunStatus.STARTED,
    RunState.DELIVERED: RunStatus.COMPLETE,
    RunState.SKIPPED: RunStatus.COMPLETE,
    RunState.SUPERSEDED: RunStatus.COMPLETE,
    RunState.CANCELLED: RunStatus.ERROR,
}
_STATUS_OF_HELD: dict[HoldReason | None, RunStatus] = {
    HoldReason.DISABLED: RunStatus.DISABLED,
    HoldReason.UNAUTHORIZED: RunStatus.AUTH_FAILED,
}


def statuses(status: RunStatus) -> list[tuple[str, str, str]]:
    """Every (state, kind of fault, reason of the hold) that is told as this status; empty text for none."""
    return [
        (state, kind or "", reason or "")
        for state in RunState
        for kind in (None, *FaultKind)
        for reason in (None, *HoldReason)
        if status_of(state, kind, reason) is status
    ]


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are wanted; every part that is given must hold. `started_after` is exclusive, `started_until` not."""

    entity_type: str | None = None
    entity_id: str | None = None
    destination: str | None = None
    destination_id: str | None = None
    integration_id: str | None = None
    credential_id: str | None = None
    event_id: str | None = None
    status: RunStatus | None = None
    started_after: datetime | None = None
    started_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What decides how a run goes on. `worked` is all its working time so far, `attempt` counts from 1; `schedule` is
    set where the receiver chose when it is tried again."""

    flow: Flow
    attempt: int
    worked: timedelta
    limited_since: datetime | None = None
    schedule: Schedule | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a run.

    `due_at` is when it goes on by itself, None where it does not. `fault` is why it is not delivered, `note` a sentence
    besides. `event` names the error event to raise, `event_fault` what it tells. `credential_error` says why its
    credential no longer works. `offers` are the choices that a person has.
    """

    state: RunState
    attempt: int
    due_at: datetime | None = None
    hold_reason: HoldReason | None = None
    limited_since: datetime | None = None
    fault: Fault | None = None
    note: str | None = None
    delivered: Delivered | None = None
    checked: Checked | None = None
    event: str | None = None
    event_fault: Fault | None = None
    credential_error: str | None = None
    credential_invalid: bool = False
    offers: tuple[Offer, ...] = ()


_NAMED = 5
"""Tenants that a note names."""


def advance(run: RunFacts, result: Outcome | Paused, now: datetime, jitter: float, limits: RunLimits) -> Change:
    """What follows from the outcome of a run. `jitter` lies in [0, 1)."""
    match result:
        case Delivered():
            return Change(RunState.DELIVERED, run.attempt, delivered=result, note=result.note)
        case Checked():
            note = f"Opens {result.tenant_name} ({result.tenant_id})."
            return Change(RunState.DELIVERED, run.attempt, checked=result, note=note)
        case Skipped():
            return Change(RunState.SKIPPED, run.attempt, note=result.reason)
        case Withdrawn():
            return Change(RunState.DELIVERED, run.attempt, note=result.note)
        case NeedsChoice():
            told = result.fault or _asks(result)
            return Change(
                RunState.HELD,
                run.attempt,
                hold_reason=HoldReason.CHANGED,
                fault=result.fault,
                note=result.reason,
                event=told.rule.event,
                event_fault=told,
                offers=result.offers,
            )
        case Previewed():
            return Change(RunState.DELIVERED, run.attempt, note="Nothing was written: this was a preview.")
        case Found():
            found = f"{len(result.things)}{' and more' if result.more else ''} found."
            return Change(RunState.DELIVERED, run.attempt, note=found)
        case ManyTenants():
            named = ", ".join(each.label for each in result.tenants[:_NAMED])
            note = f"It opens {len(result.tenants)}: {named}. Choose one at the credential."
            return Change(RunState.SKIPPED, run.attempt, note=note)
        case Paused():
            return Change(RunState.WAITING, run.attempt, due_at=result.until, note=result.reason)
    return _after_fault(run, result, now, jitter, limits)


def _asks(result: NeedsChoice) -> Fault:
    """What people are told where a run waits for their choice: nothing failed, but the bill cannot go out as it is."""
    choices = ", ".join(offer.choice.value for offer in result.offers)
    return NEEDS_CHOICE.fault(result.reason, f"Go to the run and choose one of: {choices}.")


def _after_fault(run: RunFacts, fault: Fault, now: datetime, jitter: float, limits: RunLimits) -> Change:
    if run.flow is Flow.CHECK:
        # A person waits for the answer, and may ask again.
        refused = fault.kind in (FaultKind.UNAUTHORIZED, FaultKind.INVALID)
        return Change(
            RunState.FAILED,
            run.attempt,
            fault=_final(fault),
            credential_error=fault.message,
            credential_invalid=refused,
        )
    if run.flow in (Flow.PREVIEW, Flow.ASK):
        return Change(RunState.FAILED, run.attempt, fault=_final(fault))
    retry = fault.rule.retry
    if run.schedule is not None and retry is Retry.BACKOFF:
        wait = wait_after(run.schedule, run.attempt, jitter, fault.retry_after)
        return _fail(run, fault) if wait is None else Change(RunState.WAITING, run.attempt + 1, now + wait, fault=fault)
    if retry is Retry.REPAIRED:
        return _hold(run, fault)
    if retry is Retry.NEVER:
        return _fail(run, fault)
    if run.worked >= limits.working_time:
        return _fail(run, _too_long(fault, limits))
    if retry is Retry.RETRY_AFTER:
        since = run.limited_since or now
        due_at = now + limited_wait(now - since, jitter, fault.retry_after)
        if due_at - since > LONGEST_LIMITED:
            return _fail(run, fault)
        return Change(RunState.WAITING, run.attempt, due_at, limited_since=since, fault=fault)
    if run.attempt >= limits.attempts:
        return _fail(run, fault)
    due_at = now + backoff(run.attempt, jitter, fault.retry_after)
    return Change(RunState.WAITING, run.attempt + 1, due_at, fault=fault)


def _hold(run: RunFacts, fault: Fault) -> Change:
    rejected = fault.kind is FaultKind.UNAUTHORIZED
    return Change(
        RunState.HELD,
        run.attempt,
        hold_reason=HoldReason.UNAUTHORIZED if rejected else HoldReason.DISABLED,
        fault=fault,
        event=fault.rule.event,
        event_fault=fault,
        credential_error=fault.message if rejected else None,
        credential_invalid=rejected,
    )


def _fail(run: RunFacts, fault: Fault) -> Change:
    fault = _final(fault)
    return Change(RunState.FAILED, run.attempt, fault=fault, event=fault.rule.event, event_fault=fault)


def _final(fault: Fault) -> Fault:
    """A rate limit that is not waited for any longer counts as a vendor that is not available."""
    return replace(fault, kind=FaultKind.UNAVAILABLE) if fault.kind is FaultKind.RATE_LIMITED else fault


def _too_long(fault: Fault, limits: RunLimits) -> Fault:
    spent = f"{limits.working_time.total_seconds():.0f} s"
    return TOO_LONG.fault(f"The run has worked for its {spent}; its last trouble: {fault.message}")


def judge_check(checked: Checked, system: str, tenant: str | None, tenant_name: str | None) -> Checked | Fault:
    """What a check found, held against the tenant that the credential has opened until now."""
    if tenant is None or tenant == tenant_key(system, checked.tenant_id):
        return checked
    return OTHER_TENANT.fault(
        f"The new secret opens {checked.tenant_name} ({checked.tenant_id}), but this credential belongs to "
        f"{tenant_name} ({tenant.partition(':')[2]})."
    )


def tenant_key(system: str, tenant_id: str) -> str:
    """How a tenant is told apart from all others: test and live of one account are two tenants."""
    return f"{system}:{tenant_id}"
