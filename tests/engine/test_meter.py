"""What a worker counts of its runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tollbridge.domain.conversation import StepDone, StepKind
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.runs import Change, Flow, RunState
from tollbridge.engine.meter import Meter

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def step(seconds: float, kind: StepKind = StepKind.WRITE, shown: bool = True) -> StepDone:
    ended = NOW + timedelta(seconds=seconds)
    return StepDone(1, "k", "Create", kind, 1, NOW, ended, "hash", '{"method":"POST"}' if shown else None)


@pytest.mark.parametrize(("seconds", "bucket"), [(0.01, "0.05"), (0.05, "0.05"), (0.2, "0.25"), (61, "+Inf")])
def test_a_request_falls_into_the_first_bucket_that_is_not_too_small(seconds: float, bucket: str) -> None:
    meter = Meter()
    meter.step("STRIPE", step(seconds))
    counts = meter.take()
    assert counts["steps", ("STRIPE", "write", bucket)] == 1
    assert counts["step_seconds", ("STRIPE", "write")] == pytest.approx(seconds)


def test_a_step_without_a_request_is_not_counted() -> None:
    meter = Meter()
    meter.step("STRIPE", step(0, shown=False))
    meter.step("STRIPE", step(0, StepKind.ERROR))
    assert not meter.take()


def test_only_a_run_that_waits_because_of_a_fault_is_a_retry() -> None:
    meter = Meter()
    down = Fault(FaultKind.UNAVAILABLE, "x", "Down.", "Wait.")
    meter.settled("STRIPE", Flow.DELIVER, Change(RunState.WAITING, 1, fault=down))
    meter.settled("STRIPE", Flow.DELIVER, Change(RunState.WAITING, 1))
    meter.settled("STRIPE", Flow.DELIVER, Change(RunState.FAILED, 1, fault=down))
    assert meter.take() == {
        ("runs_settled", ("STRIPE", "deliver", "waiting")): 2,
        ("run_retries", ("STRIPE", "UNAVAILABLE")): 1,
        ("runs_settled", ("STRIPE", "deliver", "failed")): 1,
    }


def test_what_could_not_be_added_to_the_sums_is_counted_again() -> None:
    meter = Meter()
    meter.limited("STRIPE")
    taken = meter.take()
    meter.limited("STRIPE")
    meter.give_back(taken)
    assert meter.take() == {("rate_limited_replies", ("STRIPE",)): 2}
