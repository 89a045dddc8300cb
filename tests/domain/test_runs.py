"""How a run goes on after each outcome, and how each of its states is told on the wire."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbridge.domain.changes import Choice, Offer
from tollbridge.domain.errors import FAULTS, Fault, FaultKind, Retry
from tollbridge.domain.flows import Checked, Delivered, NeedsChoice, Skipped, Withdrawn
from tollbridge.domain.retry import LONGEST, backoff, limited_wait
from tollbridge.domain.runs import (
    Change,
    Flow,
    HoldReason,
    Paused,
    RunFacts,
    RunLimits,
    RunState,
    RunStatus,
    advance,
    judge_check,
    status_of,
    statuses,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LIMITS = RunLimits(attempts=3, working_time=timedelta(minutes=30))
RUN = RunFacts(Flow.DELIVER, attempt=1, worked=timedelta(seconds=5))


def fault(kind: FaultKind, retry_after: timedelta | None = None) -> Fault:
    return Fault(kind, "code", "It failed.", "Repair it.", retry_after)


def after(run: RunFacts, kind: FaultKind, retry_after: timedelta | None = None, jitter: float = 0.5) -> Change:
    return advance(run, fault(kind, retry_after), NOW, jitter, LIMITS)


WIRE = {
    (RunState.QUEUED, "*", "*"): "WAITING",
    (RunState.RUNNING, "*", "*"): "STARTED",
    (RunState.DELIVERED, "*", "*"): "COMPLETE",
    (RunState.SKIPPED, "*", "*"): "COMPLETE",
    (RunState.SUPERSEDED, "*", "*"): "COMPLETE",
    (RunState.CANCELLED, "*", "*"): "ERROR",
    (RunState.WAITING, FaultKind.RATE_LIMITED, "*"): "RATE_LIMIT_RETRY",
    (RunState.WAITING, "*", "*"): "AWAITING_RETRY",
    (RunState.HELD, "*", HoldReason.DISABLED): "DISABLED",
    (RunState.HELD, "*", HoldReason.UNAUTHORIZED): "AUTH_FAILED",
    (RunState.HELD, FaultKind.ALREADY_PAID, HoldReason.CHANGED): "INVOICE_ALREADY_PAID",
    (RunState.HELD, "*", "*"): "WAITING",
    (RunState.FAILED, FaultKind.UNAUTHORIZED, "*"): "AUTH_FAILED",
    (RunState.FAILED, FaultKind.TOO_LONG, "*"): "TIMEOUT_LIMIT_EXCEEDED",
    (RunState.FAILED, FaultKind.PERIOD_CLOSED, "*"): "ACCOUNTING_PERIOD_CLOSED",
    (RunState.FAILED, FaultKind.ALREADY_PAID, "*"): "INVOICE_ALREADY_PAID",
    (RunState.FAILED, FaultKind.DISABLED, "*"): "DISABLED",
    (RunState.FAILED, FaultKind.RATE_LIMITED, "*"): "RATE_LIMIT_RETRY",
    (RunState.FAILED, "*", "*"): "ERROR",
}
COMBINATIONS = list(product(RunState, (None, *FaultKind), (None, *HoldReason)))


@pytest.mark.parametrize(("state", "kind", "reason"), COMBINATIONS)
def test_every_combination_has_its_status_on_the_wire(
    state: RunState, kind: FaultKind | None, reason: HoldReason | None
) -> None:
    for pattern, told in WIRE.items():
        if pattern[0] is state and pattern[1] in (kind, "*") and pattern[2] in (reason, "*"):
            assert status_of(state, kind, reason) == told
            return
    pytest.fail("the combination stands in no row")


def test_all_eleven_statuses_are_told_and_a_filter_by_status_is_the_same_table() -> None:
    assert {status_of(*each) for each in COMBINATIONS} == set(RunStatus)
    assert sum(len(statuses(status)) for status in RunStatus) == len(COMBINATIONS)


def test_outcomes_end_a_run() -> None:
    delivered = advance(RUN, Delivered("in_1", note="Split."), NOW, 0, LIMITS)
    assert (delivered.state, delivered.note, delivered.event) == (RunState.DELIVERED, "Split.", None)
    skipped = advance(RUN, Skipped("The total is zero."), NOW, 0, LIMITS)
    assert (skipped.state, skipped.note) == (RunState.SKIPPED, "The total is zero.")
    checked = advance(RUN, Checked("acct_1", "Acme", True), NOW, 0, LIMITS)
    assert (checked.state, checked.note) == (RunState.DELIVERED, "Opens Acme (acct_1).")


def test_a_pause_waits_until_its_moment_and_is_no_attempt() -> None:
    change = advance(RUN, Paused(NOW + timedelta(hours=1), "Stripe works on it."), NOW, 0, LIMITS)
    assert (change.state, change.due_at, change.attempt) == (RunState.WAITING, NOW + timedelta(hours=1), 1)


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if FAULTS[kind].retry is Retry.NEVER])
def test_a_fault_for_good_fails_the_run_and_raises_its_event(kind: FaultKind) -> None:
    change = after(RUN, kind)
    assert (change.state, change.event, change.due_at) == (RunState.FAILED, FAULTS[kind].event, None)


def test_a_refused_credential_holds_the_run_and_is_invalid() -> None:
    change = after(RUN, FaultKind.UNAUTHORIZED)
    assert (change.state, change.hold_reason) == (RunState.HELD, HoldReason.UNAUTHORIZED)
    assert (change.credential_error, change.credential_invalid) == ("It failed.", True)
    assert change.event == "integration.authentication.error"


def test_an_outage_is_tried_again_quietly_and_given_up_with_an_event() -> None:
    change = after(RUN, FaultKind.UNAVAILABLE)
    assert (change.state, change.attempt, change.event) == (RunState.WAITING, 2, None)
    assert change.due_at == NOW + timedelta(seconds=1)
    given_up = after(replace(RUN, attempt=3), FaultKind.UNAVAILABLE)
    assert (given_up.state, given_up.event) == (RunState.FAILED, "integration.perform.error")


def test_retry_after_lengthens_the_wait_of_an_outage_and_never_shortens_it() -> None:
    assert after(RUN, FaultKind.UNAVAILABLE, timedelta(minutes=2)).due_at == NOW + timedelta(minutes=2)
    assert after(RUN, FaultKind.UNAVAILABLE, timedelta(milliseconds=1)).due_at == NOW + timedelta(seconds=1)


def test_a_rate_limit_is_no_attempt_and_waits_as_asked() -> None:
    change = after(replace(RUN, attempt=3), FaultKind.RATE_LIMITED, timedelta(seconds=30), jitter=0)
    assert (change.state, change.attempt, change.limited_since) == (RunState.WAITING, 3, NOW)
    assert change.due_at == NOW + timedelta(seconds=30)
    assert change.event is None


def test_a_rate_limit_is_waited_for_a_day_and_no_longer() -> None:
    still = replace(RUN, limited_since=NOW - timedelta(hours=23))
    assert after(still, FaultKind.RATE_LIMITED).state is RunState.WAITING
    over = after(replace(RUN, limited_since=NOW - timedelta(hours=24)), FaultKind.RATE_LIMITED)
    assert (over.state, over.event) == (RunState.FAILED, "integration.perform.error")
    assert after(RUN, FaultKind.RATE_LIMITED, timedelta(hours=25)).state is RunState.FAILED
    assert over.fault is not None
    assert status_of(over.state, over.fault.kind, over.hold_reason) is RunStatus.ERROR


@pytest.mark.parametrize("kind", [FaultKind.UNAVAILABLE, FaultKind.RATE_LIMITED])
def test_a_run_that_has_worked_too_long_is_not_tried_again(kind: FaultKind) -> None:
    change = after(replace(RUN, worked=timedelta(minutes=30)), kind)
    assert change.state is RunState.FAILED
    assert change.fault is not None
    assert change.fault.kind is FaultKind.TOO_LONG
    assert "It failed." in change.fault.message


@pytest.mark.parametrize("kind", FaultKind)
def test_a_check_is_never_tried_again_and_raises_no_event(kind: FaultKind) -> None:
    change = after(replace(RUN, flow=Flow.CHECK), kind)
    assert (change.state, change.event) == (RunState.FAILED, None)
    assert change.credential_invalid == (kind in (FaultKind.UNAUTHORIZED, FaultKind.INVALID))


def test_a_credential_may_not_move_to_another_tenant_nor_from_test_to_live() -> None:
    checked = Checked("acct_1", "Acme", True)
    assert judge_check(checked, "STRIPE", None, None) == checked
    assert judge_check(checked, "STRIPE", "STRIPE:acct_1", "Acme") == checked
    moved = judge_check(checked, "STRIPE", "STRIPE:acct_2", "Globex")
    assert isinstance(moved, Fault)
    assert "Acme (acct_1)" in moved.message
    assert "Globex (acct_2)" in moved.message
    assert isinstance(judge_check(checked, "STRIPE", "STRIPE_TEST:acct_1", "Acme"), Fault)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_grows_to_a_ceiling(attempt: int, jitter: float) -> None:
    wait = backoff(attempt, jitter)
    assert timedelta(0) <= wait <= min(LONGEST, timedelta(seconds=2 ** min(attempt, 20)))


def test_without_word_from_the_other_side_the_wait_for_a_rate_limit_doubles() -> None:
    limited, waits = timedelta(0), []
    for _ in range(5):
        waits.append(limited_wait(limited, 0).total_seconds())
        limited += timedelta(seconds=waits[-1])
    assert waits == [2, 2, 4, 8, 16]
    assert limited_wait(timedelta(days=1), 0) == LONGEST


def test_a_run_that_needs_a_choice_is_held_with_what_there_is_to_choose() -> None:
    offers = (Offer(Choice.LEAVE, "Leave it."),)
    change = advance(RUN, NeedsChoice("It changed.", offers), NOW, 0.5, LIMITS)
    assert (change.state, change.hold_reason, change.note) == (RunState.HELD, HoldReason.CHANGED, "It changed.")
    assert (change.offers, change.event, change.fault) == (offers, "integration.validation.error", None)
    paid = advance(RUN, NeedsChoice("It is paid.", offers, fault(FaultKind.ALREADY_PAID)), NOW, 0.5, LIMITS)
    assert (paid.state, paid.event) == (RunState.HELD, "integration.perform.error")


def test_a_run_that_took_a_deleted_bill_back_is_done() -> None:
    change = advance(RUN, Withdrawn("Voided in_1."), NOW, 0.5, LIMITS)
    assert (change.state, change.note, change.delivered) == (RunState.DELIVERED, "Voided in_1.", None)
