"""Errors in succession: what counts, who is warned, and that the last of them disables the integration, once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.services.notifying_world import AWAY, NotifyingWorld
from tests.services.world import CALLER, LIMITS, ORG, World
from tollbridge.domain.deliveries import DeliveryState
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Delivered, Outcome, Skipped
from tollbridge.domain.runs import HoldReason, RunState, RunStatus
from tollbridge.services import clock, deliveries, dispatch, integrations, telling, work
from tollbridge.services.work import Settlement
from tollbridge.settings import Settings
from tollbridge.store.db import Database, connected

WRONG = Fault(FaultKind.INVALID, "stripe.bad", "Stripe refused the line.", "Repair the bill.")
BROKEN = Fault(FaultKind.TOO_LONG, "run.too_long", "It took too long.", "See why.")
UNMAPPED = Fault(
    FaultKind.UNMAPPED, "mapping.missing", "No customer.", "Map it.", missing=("Account", "a", "Stripe", "Customer")
)
LIMITED = Fault(FaultKind.RATE_LIMITED, "stripe.429", "Too many.", "Wait.", timedelta(seconds=1))
REFUSED = Fault(FaultKind.UNAUTHORIZED, "stripe.401", "Stripe refused the key.", "Enter another key.")
DONE = Delivered("in_1")


class Bills:
    """Bills that end one after the other as they are told to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.made = 0

    async def end(self, *outcomes: Outcome) -> str:
        """One bill for each outcome; answers the last run."""
        run_id = ""
        for outcome in outcomes:
            self.made += 1
            run_id = await self.world.send(f"bill{self.made}", "ab"[self.made % 2])
            (claimed,) = await self.world.claim(run_id)
            assert await self.world.settle(claimed, outcome)
        return run_id


@pytest.fixture
def bills(world: World) -> Bills:
    return Bills(world)


async def errors(world: World, id: str = "int") -> int:
    (row,) = await world.rows("SELECT errors_in_row FROM integrations WHERE id = $1", id)
    return sum(row["errors_in_row"].values())


async def is_enabled(world: World, id: str = "int") -> bool:
    (row,) = await world.rows("SELECT enabled FROM integrations WHERE id = $1", id)
    return bool(row["enabled"])


async def told(world: World) -> list[tuple[str, str]]:
    """What is to be told, in the order of its writing."""
    rows = await world.rows(
        "SELECT content ->> 'type' AS type, content ->> 'told' AS told FROM outbox WHERE channel = 'notice' ORDER BY id"
    )
    return [(row["type"], row["told"]) for row in rows]


async def open_alerts(world: World | NotifyingWorld) -> dict[str, str]:
    rows = await world.rows("SELECT type, description FROM alerts WHERE state <> 'CLOSED' ORDER BY type")
    return {row["type"]: row["description"] for row in rows}


async def test_the_tenth_error_in_succession_disables_with_one_event_one_alert_and_one_mail(
    world: World, bills: Bills
) -> None:
    await bills.end(*[WRONG] * 7, *[BROKEN] * 2)
    assert await is_enabled(world)
    last = await bills.end(BROKEN)
    (row,) = await world.rows("SELECT enabled, disabled_reason, version, updated_by FROM integrations")
    reason = f"10 successive errors: 7 × stripe.bad, 3 × run.too_long; the last in run {last}."
    assert tuple(row) == (False, reason, 2, "SYSTEM")
    (event,) = await world.rows("SELECT * FROM events WHERE name = 'integration.disabled.error'")
    new = event["body"]["eventData"]["newDto"]
    assert (new["integrationId"], new["runId"], new["action"]) == ("int", last, "Re-enable")
    assert reason in new["message"]
    found = await open_alerts(world)
    assert found["INTEGRATION_DISABLED"] == f"int is disabled: {reason}"
    assert [each for each in await told(world) if each[0] == "INTEGRATION_DISABLED"] == [
        ("INTEGRATION_DISABLED", "opened")
    ]
    (noted,) = await world.rows("SELECT principal, after FROM audit_log WHERE action = 'DISABLE'")
    assert (noted["principal"], noted["after"]) == ("SYSTEM", {"enabled": False, "disabledReason": reason})


async def test_the_run_says_which_error_in_succession_it_was(world: World, bills: Bills) -> None:
    seventh = await bills.end(*[WRONG] * 7)
    tenth = await bills.end(*[WRONG] * 3)
    assert (await world.run(seventh)).note == "7 of 10 successive errors; at 10 the integration is disabled."
    assert (await world.run(tenth)).note == "10 of 10 successive errors: the integration was disabled."


@pytest.mark.parametrize("success", [DONE, Skipped("Nothing is due.")])
async def test_a_success_sets_the_count_back(world: World, bills: Bills, success: Outcome) -> None:
    await bills.end(*[WRONG] * 9, success, *[WRONG] * 9)
    assert await is_enabled(world)
    assert await errors(world) == 9


async def test_people_are_warned_once_and_told_when_it_is_over(world: World, bills: Bills) -> None:
    await bills.end(*[WRONG] * 4)
    assert "INTEGRATION_FAILING" not in await open_alerts(world)
    for errors_before, more in ((5, 1), (7, 2), (9, 2)):
        await bills.end(*[WRONG] * more)
        text = (await open_alerts(world))["INTEGRATION_FAILING"]
        assert text.startswith(f"int has {errors_before} of the 10 successive errors after which it is disabled.")
    assert await told(world) == [("RUN_FAILED", "opened"), ("INTEGRATION_FAILING", "opened")]
    await bills.end(DONE)
    assert "INTEGRATION_FAILING" not in await open_alerts(world)
    assert (await told(world))[-1] == ("INTEGRATION_FAILING", "closed")


async def test_the_alert_of_the_disabled_integration_takes_the_place_of_the_warning(world: World, bills: Bills) -> None:
    await bills.end(*[WRONG] * 10)
    assert set(await open_alerts(world)) == {"INTEGRATION_DISABLED", "RUN_FAILED"}
    assert await told(world) == [
        ("RUN_FAILED", "opened"),
        ("INTEGRATION_FAILING", "opened"),
        ("INTEGRATION_DISABLED", "opened"),
    ]


async def test_waiting_for_a_rate_limit_and_for_another_attempt_never_count(world: World, bills: Bills) -> None:
    await bills.end(*[WRONG] * 9)
    await bills.end(LIMITED, Fault(FaultKind.UNAVAILABLE, "http.503", "It is away.", "Wait."))
    assert await is_enabled(world)
    assert await errors(world) == 9


async def test_an_unavailable_vendor_counts_when_the_run_is_given_up(world: World) -> None:
    run_id = await world.send("one", "a")
    for attempt in range(LIMITS.attempts):
        assert await errors(world) == 0, attempt
        (claimed,) = await world.claim(run_id)
        await world.settle(claimed, Fault(FaultKind.UNAVAILABLE, "http.503", "It is away.", "Wait."))
        world.later(minutes=30)
    assert (await world.run(run_id)).state is RunState.FAILED
    assert await errors(world) == 1


async def test_an_integration_may_count_only_what_all_accounts_share(world: World, bills: Bills) -> None:
    await world.change(
        "integrations",
        "int",
        body={"destination": "Stripe", "configData": {"countErrors": "SHARED", "disableAfter": 3}},
    )
    await bills.end(*[UNMAPPED] * 5, *[WRONG] * 5)
    assert await errors(world) == 0
    product = replace(UNMAPPED, missing=("Product", "p", "Stripe", "Price"))
    await bills.end(product, UNMAPPED, BROKEN, WRONG, BROKEN)
    assert not await is_enabled(world)


@pytest.mark.parametrize(("after", "failures", "enabled"), [(0, 12, True), (1, 1, False), (2, 1, True)])
async def test_an_integration_may_be_disabled_sooner_or_never(
    world: World, bills: Bills, after: int, failures: int, enabled: bool
) -> None:
    await world.change("integrations", "int", body={"configData": {"disableAfter": after}})
    await bills.end(*[WRONG] * failures)
    assert await is_enabled(world) is enabled


async def test_each_integration_counts_for_itself(world: World) -> None:
    await world.add_integration("other", disableAfter=1, accountIds=["a"])
    decisions = await world.dispatch(await world.add_bill("one", "a"))
    runs = {each.integration_id: each.run_id for each in decisions}
    (claimed,) = await world.claim(str(runs["other"]))
    await world.settle(claimed, WRONG)
    assert (await is_enabled(world, "other"), await is_enabled(world)) == (False, True)


async def test_a_refused_credential_counts_once(world: World) -> None:
    one, two = await world.send("one", "a"), await world.send("two", "b")
    for claimed in await world.claim(one, two):
        await world.settle(claimed, REFUSED)
    assert await errors(world) == 1


async def test_the_order_of_settling_decides_also_within_one_transaction(world: World, bills: Bills) -> None:
    await bills.end(*[WRONG] * 9)
    one, two = await world.send("one", "a"), await world.send("two", "b")
    claimed = {each.run_id: each for each in await world.claim(one, two)}
    settlements = [
        Settlement(id, claimed[id].fence, outcome, timedelta(seconds=1), world.now, 0.5)
        for id, outcome in ((one, DONE), (two, WRONG))
    ]
    await work.settle(world.db, world.vault, settlements, LIMITS)
    assert await is_enabled(world)
    assert await errors(world) == 1


async def test_eight_workers_that_settle_at_once_disable_exactly_once_by_the_tenth_error(world: World) -> None:
    accounts = [f"acc{number}" for number in range(40)]
    await add_accounts(world, accounts)
    run_ids = [await world.send(f"bill of {account}", account) for account in accounts]
    claimed = await world.claim(*run_ids)
    assert len(claimed) == 40

    async def settle_some(mine: list[Any]) -> None:
        async with connected(world.db.dsn) as db:
            for each in mine:
                settlement = Settlement(each.run_id, each.fence, WRONG, timedelta(seconds=1), world.now, 0.5)
                (change,) = await work.settle(db, world.vault, [settlement], LIMITS)
                assert change is not None

    await asyncio.gather(*(settle_some(claimed[number::8]) for number in range(8)))
    assert not await is_enabled(world)
    # What was under way ended as it did; nothing after the tenth counted.
    assert await errors(world) == 10
    rows = await world.rows("SELECT note, count(*) AS n FROM runs WHERE note IS NOT NULL GROUP BY note")
    assert {row["note"]: row["n"] for row in rows} == {
        f"{number} of 10 successive errors; at 10 the integration is disabled.": 1 for number in range(1, 10)
    } | {"10 of 10 successive errors: the integration was disabled.": 1}
    assert len(await world.rows("SELECT FROM events WHERE name = 'integration.disabled.error'")) == 1
    assert (await told(world)).count(("INTEGRATION_DISABLED", "opened")) == 1
    assert len(await world.rows("SELECT FROM audit_log WHERE action = 'DISABLE'")) == 1


async def test_what_waits_and_what_arrives_is_held_and_names_the_errors(world: World, bills: Bills) -> None:
    waiting = await world.send("waiting", "a")
    await world.change("integrations", "int", body={"configData": {"disableAfter": 1}})
    run_id = await world.send("bad", "b")
    (claimed,) = await world.claim(run_id)
    await world.settle(claimed, WRONG)
    assert await world.claim(waiting) == []
    arrived = await world.send("arrived", "b")
    for id in (waiting, arrived):
        run = await world.run(id)
        assert (run.state, run.hold_reason, run.status) == (RunState.HELD, HoldReason.DISABLED, RunStatus.DISABLED)
        assert run.note == (
            f"The integration is disabled: 1 error: 1 × stripe.bad; the last in run {run_id}."
            " It is sent when that is enabled."
        )


async def test_users_who_are_chosen_are_mailed_when_it_is_disabled(world: World, bills: Bills) -> None:
    await world.change(
        "integrations",
        "int",
        body={"configData": {"disableAfter": 1, "notifyUsers": ["kim", "gone"], "notifyEmails": ["KIM@example.org"]}},
    )
    for id, ended in (("kim", None), ("lee", None), ("gone", world.now)):
        await world.db.pool.execute(
            "INSERT INTO users (org_id, id, version, created_at, created_by, updated_at, updated_by, body, mail, role,"
            " end_access) VALUES ($1, $2, 1, $3, '', $3, '', '{}', $2 || '@example.org', 'finance', $4)",
            ORG,
            id,
            world.now,
            ended,
        )
    await bills.end(WRONG)
    await telling.address(world.db, Settings(smtp_url="smtp://mail.example.org:25"))
    rows = await world.rows(
        "SELECT recipient FROM outbox WHERE channel = 'mail' AND content ->> 'type' = 'INTEGRATION_DISABLED'"
    )
    assert [row["recipient"].lower() for row in rows] == ["kim@example.org"]


@pytest.fixture
async def hooks(db: Database) -> NotifyingWorld:
    world = NotifyingWorld(db)
    await world.begin()
    await world.add_webhook()
    await world.add_rule()
    await world.link(disableAfter=3)
    return world


async def test_a_notification_with_four_attempts_counts_once(hooks: NotifyingWorld) -> None:
    await hooks.fire("a")
    await hooks.fail(attempts=3)
    (row,) = await hooks.rows("SELECT errors_in_row FROM integrations")
    assert row["errors_in_row"] == {}
    await hooks.fail(attempts=1)
    (row,) = await hooks.rows("SELECT errors_in_row FROM integrations")
    assert row["errors_in_row"] == {AWAY.code: 1}


async def test_notifications_to_a_disabled_integration_are_held_and_name_the_errors(hooks: NotifyingWorld) -> None:
    await hooks.fire("a", "b", "c")
    await hooks.fail()
    (row,) = await hooks.rows("SELECT enabled, disabled_reason FROM integrations")
    assert not row["enabled"]
    (held,) = await hooks.fire("d")
    run = await hooks.run(held)
    assert (run.state, run.hold_reason) == (RunState.HELD, HoldReason.DISABLED)
    assert run.note == f"The integration is disabled: {row['disabled_reason']} It is sent when that is enabled."
    assert "3 × webhook.http_503" in run.note


async def test_an_integration_that_tells_of_its_own_end_holds_that_notification(db: Database) -> None:
    world = NotifyingWorld(db)
    await world.begin()
    await world.add_webhook()
    await world.add_rule("end", event="integration.disabled.error")
    await world.add_rule()
    await world.link("end")
    await world.link(disableAfter=1)
    await world.fire("a")
    await world.fail()
    rows = await world.rows("SELECT integration_id, state FROM runs ORDER BY id")
    assert [tuple(row) for row in rows] == [("rule-hook", "failed"), ("end-hook", "queued")]


async def test_the_alert_closes_when_the_integration_is_enabled(world: World, bills: Bills) -> None:
    await bills.end(*[WRONG] * 10)
    await integrations.enable(world.db, CALLER, "int")
    assert "INTEGRATION_DISABLED" not in await open_alerts(world)
    assert await errors(world) == 0


async def test_what_was_held_is_sent_in_order_when_it_is_enabled(world: World) -> None:
    await world.change("integrations", "int", enabled=False)
    one, two = await world.send("one", "a"), await world.send("two", "a")
    await integrations.enable(world.db, CALLER, "int", {"held": "send"})
    assert [(await world.run(id)).state for id in (one, two)] == [RunState.QUEUED, RunState.QUEUED]
    assert (await world.run(one)).note is None
    world.now = clock.now()
    # Of one account the earlier first, and the later only when that has ended.
    assert await world.claim(two) == []
    await world.deliver(one)
    await world.deliver(two, "in_2")


async def test_what_was_held_is_dropped_with_a_record_and_can_still_be_sent(world: World) -> None:
    await world.change("integrations", "int", enabled=False)
    held = await world.send("one", "a")
    await integrations.enable(world.db, CALLER, "int", {"held": "drop"})
    run = await world.run(held)
    assert (run.state, run.note) == (
        RunState.CANCELLED,
        f"Dropped by {CALLER.principal}, who enabled the integration.",
    )
    (noted,) = await world.rows("SELECT principal, after FROM audit_log WHERE action = 'DROP'")
    assert (noted["principal"], noted["after"]) == (CALLER.principal, {"runs": 1})
    (pair,) = await deliveries.of_bill(world.db, CALLER, "one")
    assert pair.state is DeliveryState.HELD
    assert await dispatch.send_existing(world.db, CALLER, "int") == 1


async def test_what_is_held_for_another_reason_is_not_dropped(world: World) -> None:
    await world.change("credentials", "cred", status="INVALID")
    unauthorized = await world.send("one", "a")
    await world.change("integrations", "int", enabled=False)
    await integrations.enable(world.db, CALLER, "int", {"held": "drop"})
    world.now = clock.now()
    assert await world.claim(unauthorized) == []
    assert (await world.run(unauthorized)).hold_reason is HoldReason.UNAUTHORIZED


async def test_notifications_are_dropped_too(hooks: NotifyingWorld) -> None:
    await hooks.change("integrations", "rule-hook", enabled=False)
    (held,) = await hooks.fire("a")
    await integrations.enable(hooks.db, CALLER, "rule-hook", {"held": "drop"})
    assert (await hooks.run(held)).state is RunState.CANCELLED
    assert await hooks.claim() == []


async def test_errors_and_what_is_held_are_shown_before_it_is_enabled(world: World, bills: Bills) -> None:
    last = await bills.end(*[WRONG] * 10)
    await world.db.pool.execute(
        "UPDATE events SET actioned_at = now() WHERE run_id = (SELECT min(run_id) FROM events WHERE type = $1)",
        "IntegrationEvent",
    )
    await world.send("held", "a")
    trouble = (await integrations.retrieve(world.db, CALLER, "int")).trouble
    assert trouble is not None
    assert (trouble.errors, len(trouble.latest)) == (10, integrations.ERRORS_SHOWN)
    assert trouble.latest[0].event.run_id == last


async def add_accounts(world: World, ids: list[str]) -> None:
    await world.db.pool.executemany(
        "INSERT INTO accounts (org_id, id, version, created_at, created_by, updated_at, updated_by, body, code, name)"
        " VALUES ($1, $2, 1, $3, 'test', $3, 'test', '{}', $2, $2)",
        [(ORG, id, world.now) for id in ids],
    )
