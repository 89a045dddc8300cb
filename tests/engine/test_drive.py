"""The driver against a vendor, a database and a clock in memory."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.engine.world import (
    DAY,
    LONGEST_REQUEST,
    SECRET,
    START,
    Crash,
    Trouble,
    Vendor,
    World,
    dropped,
    lost,
    status,
    status_after_work,
    unreachable,
    write,
)
from tollbridge.connectors.base import Delivery
from tollbridge.domain import json_text
from tollbridge.domain.changes import Choice, Correction, Earlier
from tollbridge.domain.conversation import LedgerRow, LedgerState, LedgerStep, StepDone, StepKind, StepState
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Checked, Delivered, NeedsChoice, Outcome, Pause, Request, Skipped, Step, Written
from tollbridge.domain.flows import Flow as FlowGenerator
from tollbridge.domain.runs import Flow, Paused

PATHS = ["/customers", "/invoices", "/lines"]
LATER = LONGEST_REQUEST + timedelta(seconds=10)


def keeping() -> Vendor:
    return Vendor(honours_keys=True)


def forgetful() -> World:
    """A vendor that knows no idempotency keys."""
    return World(Vendor(honours_keys=False), key_lifetime=None)


def paths(vendor: Vendor) -> list[str]:
    return [path for path, _ in vendor.things]


async def finish(world: World) -> Outcome | Paused | None:
    """Try again as the engine would, until the run comes to an end."""
    for _ in range(20):
        result = await world.attempt(after=LATER)
        if isinstance(result, Paused) or (isinstance(result, Fault) and result.kind is FaultKind.UNAVAILABLE):
            continue
        return result
    raise AssertionError(f"no end: {result}")


def fault(result: Outcome | Paused | None) -> Fault:
    assert isinstance(result, Fault)
    return result


async def test_a_run_delivers_in_order_and_every_record_carries_the_fence() -> None:
    world = World(keeping())
    assert await world.attempt() == Delivered("id2", total=Decimal("10.00"), currency="EUR")
    assert paths(world.vendor) == PATHS
    assert {entry.fence for entry in world.entries} == {1}
    steps = [step for step in world.log.values() if step]
    assert [(step.kind, step.key, step.status) for step in steps] == [
        (StepKind.READ, "settings", 200),
        *((StepKind.WRITE, path, 200) for path in PATHS),
    ]
    assert world.learnt == [Written("Account", "a1", "Customer", "id1")]


async def test_one_commit_covers_the_end_of_a_step_and_the_intent_of_the_next() -> None:
    world = World(keeping())
    await world.attempt()
    shape = [
        (entry.done.key if entry.done else None, entry.intent.step_key if entry.intent else None)
        for entry in world.entries
    ]
    assert shape == [("settings", "/customers"), ("/customers", "/invoices"), ("/invoices", "/lines")]


@pytest.mark.parametrize("boundary", range(14))
@pytest.mark.parametrize("honours_keys", [True, False])
async def test_a_crash_anywhere_leaves_one_effect_of_each_write(boundary: int, honours_keys: bool) -> None:
    world = World(Vendor(honours_keys), key_lifetime=DAY if honours_keys else None, crash_at=boundary)
    with pytest.raises(Crash):
        await world.attempt()
    assert isinstance(await finish(world), Delivered)
    assert paths(world.vendor) == PATHS


@pytest.mark.parametrize("first", range(14))
async def test_two_crashes_in_a_row_leave_one_effect_of_each_write(first: int) -> None:
    for second in range(12):
        world = forgetful()
        for boundary in (first, second):
            world.crash_at = boundary
            with suppress(Crash):
                await finish(world)
        world.crash_at = None
        assert isinstance(await finish(world), Delivered)
        assert paths(world.vendor) == PATHS


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("honours_keys", [True, False])
@pytest.mark.parametrize("trouble", [lost, dropped, unreachable, status(500), status_after_work(500), status(409)])
async def test_trouble_with_any_write_leaves_one_effect_of_it(path: str, honours_keys: bool, trouble: Trouble) -> None:
    world = World(Vendor(honours_keys), key_lifetime=DAY if honours_keys else None)
    world.vendor.troubles[path] = [trouble]
    assert fault(await world.attempt()).kind is FaultKind.UNAVAILABLE
    assert isinstance(await finish(world), Delivered)
    assert paths(world.vendor) == PATHS


async def test_a_resume_repeats_nothing_that_is_recorded() -> None:
    world = World(keeping())
    world.vendor.troubles["/lines"] = [unreachable]
    await world.attempt()
    world.vendor.seen.clear()
    assert isinstance(await world.attempt(), Delivered)
    assert world.vendor.seen == [("POST", "/lines")]


async def test_inside_the_lifetime_of_the_key_a_lost_reply_is_asked_for_with_the_same_key() -> None:
    world = World(keeping())
    world.vendor.troubles["/invoices"] = [lost]
    await world.attempt()
    assert isinstance(await world.attempt(after=timedelta(seconds=2)), Delivered)
    assert world.vendor.keys[1] == world.vendor.keys[2]
    assert ("GET", "/invoices") not in world.vendor.seen


async def test_the_lifetime_counts_from_the_first_send_and_not_from_the_last() -> None:
    world = World(keeping())
    world.vendor.troubles["/invoices"] = [dropped, dropped]
    await world.attempt()
    await world.attempt(after=DAY - timedelta(hours=1))
    assert ("GET", "/invoices") not in world.vendor.seen
    assert isinstance(await world.attempt(after=timedelta(hours=2)), Delivered)
    assert ("GET", "/invoices") in world.vendor.seen
    assert world.vendor.keys[1] == world.vendor.keys[2] != world.vendor.keys[3]
    assert paths(world.vendor) == PATHS


async def test_what_a_look_up_found_is_the_reply_and_stands_in_the_log() -> None:
    world = forgetful()
    world.vendor.troubles["/invoices"] = [lost]
    await world.attempt()
    assert await world.attempt(after=LATER) == Delivered("found", total=Decimal("10.00"), currency="EUR")
    found = [(step.key, step.kind, step.reply is not None) for step in world.log.values() if step]
    assert found[3:5] == [("/invoices?", StepKind.LOOK_UP, False), ("/invoices", StepKind.WRITE, True)]
    invoice = world.state("/invoices")
    assert invoice
    assert invoice.state is StepState.DONE


async def test_absent_counts_only_when_the_write_can_no_longer_take_effect() -> None:
    world = forgetful()
    world.vendor.troubles["/invoices"] = [dropped]
    await world.attempt()
    sent = world.state("/invoices")
    assert sent
    assert sent.last_sent_at
    paused = await world.attempt(after=timedelta(seconds=5))
    assert isinstance(paused, Paused)
    assert paused.until == sent.last_sent_at + LONGEST_REQUEST
    # It did take effect after all, while the run waited.
    world.vendor.things.append(("/invoices", "id1"))
    assert isinstance(await world.attempt(after=LONGEST_REQUEST), Delivered)
    assert paths(world.vendor) == PATHS


async def test_after_an_absence_the_write_is_sent_under_another_key() -> None:
    world = forgetful()
    world.vendor.troubles["/invoices"] = [dropped]
    await world.attempt()
    assert isinstance(await world.attempt(after=LATER), Delivered)
    assert world.vendor.keys[1] != world.vendor.keys[2]
    sent = world.state("/invoices")
    assert sent
    assert sent.epoch == 2


async def test_a_connection_that_was_refused_leaves_no_doubt() -> None:
    world = forgetful()
    world.vendor.troubles["/invoices"] = [unreachable]
    await world.attempt()
    assert isinstance(await world.attempt(), Delivered)
    assert ("GET", "/invoices") not in world.vendor.seen


async def test_a_connection_refused_after_a_lost_reply_leaves_the_doubt() -> None:
    world = World(keeping())
    world.vendor.troubles["/invoices"] = [dropped, unreachable]
    await world.attempt()
    await world.attempt()
    sent = world.state("/invoices")
    assert sent
    assert sent.state is StepState.SENT


async def test_a_failure_that_is_kept_under_the_key_is_looked_up_and_then_sent_under_another() -> None:
    world = World(keeping())
    world.vendor.failing_for_good("/invoices", 500)
    assert fault(await world.attempt()).kind is FaultKind.UNAVAILABLE
    assert isinstance(await world.attempt(after=timedelta(seconds=2)), Delivered)
    assert world.vendor.seen.count(("GET", "/invoices")) == 1
    assert paths(world.vendor) == PATHS


async def test_a_failure_kept_under_the_key_although_the_work_was_done_makes_no_second_effect() -> None:
    world = World(keeping())

    def failing(work: object) -> object:
        world.vendor.things.append(("/invoices", "id1"))
        return world.vendor.keep(world.vendor.keys[-1], world.vendor._last, status(500)(lambda: None))  # type: ignore

    world.vendor.troubles["/invoices"] = [failing]  # type: ignore[list-item]
    await world.attempt()
    assert isinstance(await world.attempt(after=timedelta(seconds=2)), Delivered)
    assert paths(world.vendor) == PATHS


async def test_a_refusal_ends_the_step_and_leaves_nothing_in_doubt() -> None:
    world = World(keeping())
    world.vendor.troubles["/invoices"] = [status(400)]
    assert fault(await world.attempt()).code == "vendor.400"
    refused = world.state("/invoices")
    assert refused
    assert refused.state is StepState.REFUSED


async def test_a_key_that_was_refused_is_used_up_and_the_repaired_request_goes_out_under_another() -> None:
    world = World(keeping())
    world.vendor.failing_for_good("/lines", 400)
    assert fault(await world.attempt()).code == "vendor.400"
    # The cause is repaired, so the request is another one; the vendor would refuse it under the old key.
    world.total = Decimal("11.00")
    assert isinstance(await world.attempt(), Delivered)
    assert paths(world.vendor) == PATHS
    assert ("GET", "/lines") in world.vendor.seen


async def test_a_refusal_of_a_repeated_send_says_nothing_about_the_first() -> None:
    world = World(keeping())
    world.vendor.troubles["/lines"] = [lost]
    await world.attempt()
    # The bill's total was another when the lines were first sent: the vendor refuses the key for another request.
    world.total = Decimal("11.00")
    assert isinstance(await world.attempt(after=LATER), Delivered)
    assert paths(world.vendor) == PATHS
    assert ("GET", "/lines") in world.vendor.seen


async def test_a_refused_repeat_is_not_sent_anew_while_the_first_may_still_take_effect() -> None:
    world = World(keeping())
    world.vendor.troubles["/lines"] = [dropped, status(400)]
    await world.attempt()
    assert fault(await world.attempt(after=timedelta(seconds=2))).code == "vendor.400"
    sent = world.state("/lines")
    assert sent
    assert sent.state is StepState.SENT
    assert paths(world.vendor) == PATHS[:2]


async def test_another_request_than_the_recorded_one_is_looked_up() -> None:
    world = World(keeping())
    await world.attempt()
    world.total = Decimal("11.00")
    world.vendor.seen.clear()
    assert isinstance(await world.attempt(after=LATER), Delivered)
    assert world.vendor.seen == [("GET", "/lines")]
    assert paths(world.vendor) == PATHS


async def test_a_read_that_changed_is_asked_again_with_all_reads_after_it() -> None:
    def reading(first: str) -> FlowGenerator:
        yield Step("First", Request("GET", first), "first")
        yield Step("Second", Request("GET", "/b"), "second")
        yield write("/lines", "x")
        return Skipped("enough")

    world = World(keeping(), deliver=lambda delivery: reading("/a"))
    await world.attempt()
    world.vendor.seen.clear()
    await world.attempt()
    assert world.vendor.seen == []
    world.deliver = lambda delivery: reading("/a2")
    await world.attempt()
    assert world.vendor.seen == [("GET", "/a2"), ("GET", "/b")]


async def test_a_replay_looks_before_every_write() -> None:
    first = World(keeping())
    await first.attempt()
    again = World(first.vendor, look_first=True, ledgers=first.ledgers, time=START + LATER)
    assert isinstance(await again.attempt(), Delivered)
    assert paths(first.vendor) == PATHS
    assert [path for method, path in first.vendor.seen[4:] if method == "GET"] == ["/settings", *PATHS]


async def test_a_replay_without_any_trace_in_the_ledger_still_looks() -> None:
    first = World(Vendor(honours_keys=False))
    await first.attempt()
    again = World(first.vendor, look_first=True, key_lifetime=None)
    assert isinstance(await again.attempt(), Delivered)
    assert paths(first.vendor) == PATHS


async def test_an_earlier_version_in_doubt_is_waited_for_before_the_flow_looks() -> None:
    world = World(keeping(), earlier=Earlier(0))
    sent = LedgerStep(1, StepState.SENT, START, START)
    world.ledgers["Bill", "b1", "invoice"] = LedgerRow(0, LedgerState.SENT, {"/invoices": sent})
    result = await world.attempt()
    assert isinstance(result, Paused)
    assert result.until == START + LONGEST_REQUEST
    assert world.vendor.seen == []
    # The flow has looked at what stands by then, so the new version's own write is not in doubt.
    assert isinstance(await world.attempt(after=LATER), Delivered)
    assert ("GET", "/invoices") not in world.vendor.seen


async def test_what_a_failed_run_of_this_version_left_keeps_no_replay_from_going_on() -> None:
    world = World(keeping(), earlier=Earlier(1), corrects=False)
    assert isinstance(await world.attempt(), Delivered)


async def test_a_connector_that_knows_no_corrections_leaves_an_earlier_version_to_a_person() -> None:
    world = World(keeping(), earlier=Earlier(0), corrects=False)
    asked = await world.attempt()
    assert isinstance(asked, NeedsChoice)
    assert [offer.choice for offer in asked.offers] == [Choice.LEAVE]
    world.correction = Correction(Choice.LEAVE)
    assert isinstance(await world.attempt(), Skipped)
    assert world.vendor.seen == []


async def test_an_outcome_that_cannot_be_found_out_is_left_to_a_person() -> None:
    def blind(delivery: Delivery) -> FlowGenerator:
        yield write("/lines", "x", look_up=None)
        return Skipped("enough")

    world = World(Vendor(honours_keys=False), deliver=blind, key_lifetime=None)
    world.vendor.troubles["/lines"] = [lost]
    await world.attempt()
    assert fault(await world.attempt(after=LATER)).code == "engine.outcome_unknown"
    assert paths(world.vendor) == ["/lines"]


async def test_a_key_that_is_honoured_for_ever_needs_no_look_up() -> None:
    def blind(delivery: Delivery) -> FlowGenerator:
        yield write("/lines", "x", look_up=None)
        return Skipped("sent")

    world = World(keeping(), deliver=blind, key_lifetime=timedelta.max)
    world.vendor.troubles["/lines"] = [lost]
    await world.attempt()
    world.look_first = True
    assert await world.attempt(after=1000 * DAY) == Skipped("sent")
    assert paths(world.vendor) == ["/lines"]


async def test_a_rate_limit_stops_the_run_and_slows_everyone_on_the_credential() -> None:
    world = World(keeping())
    world.vendor.troubles["/invoices"] = [status(429, {"retry-after": "7"})]
    limited = fault(await world.attempt())
    assert (limited.kind, limited.retry_after) == (FaultKind.RATE_LIMITED, timedelta(seconds=7))
    assert world.slowed == [timedelta(seconds=7)]
    turned_away = world.state("/invoices")
    assert turned_away
    assert turned_away.state is StepState.TURNED_AWAY
    assert isinstance(await world.attempt(), Delivered)


async def test_a_blocked_credential_gives_the_run_back_before_anything_is_sent() -> None:
    world = World(keeping(), blocked=timedelta(seconds=30))
    limited = fault(await world.attempt())
    assert (limited.kind, limited.retry_after) == (FaultKind.RATE_LIMITED, timedelta(seconds=30))
    assert world.vendor.seen == []
    assert world.slowed == []


async def test_a_rejected_credential_ends_the_attempt_without_doubt() -> None:
    world = World(keeping())
    world.vendor.troubles["/invoices"] = [status(401)]
    assert fault(await world.attempt()).kind is FaultKind.UNAUTHORIZED
    turned_away = world.state("/invoices")
    assert turned_away
    assert turned_away.state is StepState.TURNED_AWAY


async def test_a_stored_credential_that_does_not_fit_asks_for_another_and_does_not_show_it() -> None:
    world = World(keeping(), secret=17)  # type: ignore[arg-type]
    rejected = fault(await world.attempt())
    assert rejected.kind is FaultKind.UNAUTHORIZED
    assert "token" in rejected.message
    assert "17" not in rejected.message
    assert world.vendor.seen == []


async def test_a_missing_thing_names_the_mapping_that_the_step_relied_on() -> None:
    relied = ("Account", "a1", "Vendor", "Customer")

    def relying(delivery: Delivery) -> FlowGenerator:
        yield write("/lines", "x", relies_on=relied)
        return Skipped("never")

    world = World(keeping(), deliver=relying)
    world.vendor.troubles["/lines"] = [status(404)]
    assert fault(await world.attempt()).missing == relied


async def test_a_status_that_the_step_accepts_is_a_reply() -> None:
    def accepting(delivery: Delivery) -> FlowGenerator:
        reply = yield Step("Read", Request("GET", "/gone"), "gone", accept=frozenset({404}))
        return Skipped(str(reply.status))

    world = World(keeping(), deliver=accepting)
    world.vendor.troubles["/gone"] = [status(404)]
    assert await world.attempt() == Skipped("404")


async def test_a_pause_gives_the_slot_back_and_goes_on_when_its_moment_has_come() -> None:
    def patient(delivery: Delivery) -> FlowGenerator:
        yield write("/invoices", "x")
        yield Pause("until noon", delivery.at + timedelta(hours=1))
        yield write("/lines", "x")
        return Skipped("done")

    world = World(keeping(), deliver=patient)
    paused = await world.attempt()
    assert isinstance(paused, Paused)
    assert paused.until == START + timedelta(hours=1)
    assert await world.attempt(after=timedelta(hours=1)) == Skipped("done")
    assert paths(world.vendor) == ["/invoices", "/lines"]


async def test_a_bug_in_a_flow_ends_the_run_with_an_incident_and_a_traceback_without_secrets() -> None:
    def broken(delivery: Delivery) -> FlowGenerator:
        yield write("/invoices", "x")
        raise KeyError(f"token {SECRET}")

    world = World(keeping(), deliver=broken)
    bug = fault(await world.attempt())
    assert bug.code == "tollbridge.bug"
    assert "incident-1" in bug.message
    last = world.log[max(world.log)]
    assert last
    assert last.kind is StepKind.ERROR
    assert "raise KeyError" in last.fault["traceback"]
    assert SECRET not in repr(world.log) + repr(bug)
    assert world.records["/invoices"].reply["id"] == "id1"


async def test_two_steps_with_one_key_are_a_bug() -> None:
    def twice(delivery: Delivery) -> FlowGenerator:
        yield write("/lines", "x")
        yield write("/lines", "y")
        return Skipped("never")

    assert fault(await World(keeping(), deliver=twice).attempt()).code == "tollbridge.bug"


async def test_a_look_up_that_writes_is_a_bug() -> None:
    def careless(first_sent: object) -> object:
        yield write("/lines", "y")

    def flow(delivery: Delivery) -> FlowGenerator:
        yield write("/invoices", "x", look_up=careless)
        return Skipped("never")

    world = World(keeping(), deliver=flow, look_first=True)
    assert fault(await world.attempt()).code == "tollbridge.bug"
    assert paths(world.vendor) == []


@pytest.mark.parametrize("after", range(3))
async def test_a_lost_lease_stops_the_flow_quietly(after: int) -> None:
    world = World(keeping(), lost_at=after)
    assert await world.attempt() is None
    assert paths(world.vendor) == PATHS[:after]


async def test_a_lease_lost_during_the_commit_keeps_the_write_from_being_sent() -> None:
    world = World(keeping(), lease_holds=False)
    assert await world.attempt() is None
    assert world.vendor.seen == []


async def test_a_run_that_worked_for_too_long_stops_between_two_steps() -> None:
    world = World(keeping(), each_request_takes=timedelta(minutes=16))
    assert fault(await world.attempt()).kind is FaultKind.TOO_LONG
    assert world.worked == timedelta(minutes=32)
    assert paths(world.vendor) == PATHS[:1]


async def test_a_check_reads_and_says_which_tenant_it_opened() -> None:
    world = World(keeping(), flow=Flow.CHECK)
    assert await world.attempt() == Checked("0", "Vendor", True)


async def test_the_log_shows_requests_and_keys_but_no_secrets() -> None:
    def telling(delivery: Delivery) -> FlowGenerator:
        yield write("/lines", {"hidden": "treasure", "note": f"my key is {SECRET}", "amount": Decimal("1.10")})
        return Skipped("done")

    world = World(keeping(), deliver=telling)
    await world.attempt()
    step = world.log[1]
    assert isinstance(step, StepDone)
    assert step.request_shown is not None
    assert json_text.parse(step.request_shown) == {
        "method": "POST",
        "path": "/lines",
        "json": {"hidden": "•••", "note": "my key is •••", "amount": Decimal("1.10")},
        "idempotencyKey": world.vendor.keys[0],
    }
