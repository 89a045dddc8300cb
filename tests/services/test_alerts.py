"""Alerts: one for each cause, however often it shows and whoever raises it; told once for each change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.services.world import CALLER, NOW, ORG, World
from tollbridge.domain.alerts import Alert, AlertState, AlertType, Severity
from tollbridge.domain.errors import Conflict, Fault, FaultKind, NotFound
from tollbridge.domain.flows import Checked, Delivered
from tollbridge.services import alerts, integrations, runs
from tollbridge.services.caller import Caller
from tollbridge.store.alerts import NOTES_KEPT, Row
from tollbridge.store.db import Database, connected

WRONG = Fault(FaultKind.INVALID, "stripe.bad", "Stripe refused the line.", "Repair the bill.")
REFUSED = Fault(FaultKind.UNAUTHORIZED, "stripe.401", "Stripe refused the key.", "Enter another key.")
UNMAPPED = Fault(
    FaultKind.UNMAPPED,
    "mapping.missing",
    "a has no customer.",
    "Map it.",
    missing=("Account", "a", "Stripe", "Customer"),
)
ALERT = Alert(ORG, AlertType.RUN_FAILED, "cause", Severity.ERROR, "It failed.", "Mend it.")


async def raised(db: Database, *found: Alert) -> None:
    async with db.hot() as connection:
        await alerts.raise_alerts(connection, found, NOW)


async def resolved(db: Database, cause: str = "cause") -> None:
    async with db.hot() as connection:
        await alerts.resolve(connection, ORG, cause, NOW, "it is well.")


async def all_of(db: Database, **filters: Any) -> Sequence[Row]:
    given: dict[str, Any] = dict.fromkeys(("severity", "type", "integration_id", "token"))
    given |= {"size": 100, "states": list(AlertState)} | filters
    return (await alerts.page(db, CALLER, **given))[0]


async def told(world: World) -> list[str]:
    """What is to be told, in the order of its writing."""
    rows = await world.rows("SELECT content ->> 'told' AS told FROM outbox WHERE channel = 'notice' ORDER BY id")
    return [row["told"] for row in rows]


async def fail(world: World, bill: str, fault: Fault, account: str = "a") -> str:
    run_id = await world.send(bill, account)
    (claimed,) = await world.claim(run_id)
    assert await world.settle(claimed, fault)
    return run_id


async def test_failed_runs_of_one_cause_are_one_alert_that_is_told_once(world: World) -> None:
    for bill in ("one", "two", "three"):
        latest = await fail(world, bill, WRONG)
    (alert,) = await all_of(world.db)
    assert (alert.type, alert.severity, alert.state) == (AlertType.RUN_FAILED, Severity.ERROR, AlertState.NEW)
    assert (alert.count, alert.run_id, alert.integration_id) == (3, latest, "int")
    assert (alert.description, alert.remedy) == (WRONG.message, WRONG.hint)
    (event,) = await world.rows("SELECT run_id FROM events WHERE id = $1", alert.event_id)
    assert event["run_id"] == latest
    assert await told(world) == ["opened"]


async def test_another_cause_is_another_alert(world: World) -> None:
    await fail(world, "one", WRONG)
    await fail(world, "two", UNMAPPED, "b")
    assert {alert.code for alert in await all_of(world.db)} == {"stripe.bad", "mapping.missing"}


async def test_runs_that_settle_together_are_counted_each(world: World) -> None:
    await raised(world.db, ALERT, ALERT, replace(ALERT, description="The last."))
    (alert,) = await all_of(world.db)
    assert (alert.count, alert.description) == (3, "The last.")


async def test_a_run_that_is_tried_again_is_no_alert(world: World) -> None:
    await fail(world, "one", Fault(FaultKind.UNAVAILABLE, "http.503", "Stripe answered 503.", "Wait."))
    assert await all_of(world.db) == []


async def test_a_credential_that_turns_invalid_is_one_alert_until_it_works(world: World) -> None:
    one, two = await world.send("one", "a"), await world.send("two", "b")
    claimed = await world.claim(one, two)
    for each in claimed:
        assert await world.settle(each, REFUSED)
    (alert,) = await all_of(world.db)
    assert (alert.type, alert.credential_id, alert.count) == (AlertType.CREDENTIAL_INVALID, "cred", 1)
    async with world.db.transaction() as tx:
        check = await runs.start_check(tx, CALLER, "cred", "STRIPE_TEST", world.now)
    (checking,) = await world.claim(check)
    assert await world.settle(checking, Checked("acct_1", "Tenant one", live=False))
    (closed,) = await all_of(world.db)
    assert closed.state is AlertState.CLOSED
    assert await told(world) == ["opened", "closed"]


async def test_an_open_alert_keeps_its_state_and_its_assignee(world: World) -> None:
    await raised(world.db, ALERT)
    (alert,) = await all_of(world.db)
    await alerts.change(world.db, CALLER, alert.id, {"state": "IN_PROGRESS", "assignee": "Kim"})
    await raised(world.db, ALERT)
    (again,) = await all_of(world.db)
    assert (again.id, again.state, again.assignee, again.count) == (alert.id, AlertState.IN_PROGRESS, "Kim", 2)
    assert await told(world) == ["opened"]


async def test_a_closed_alert_that_shows_again_is_opened_anew_and_says_so(world: World) -> None:
    await raised(world.db, replace(ALERT, count=7))
    await resolved(world.db)
    await resolved(world.db)
    await raised(world.db, ALERT)
    (alert,) = await all_of(world.db)
    assert (alert.state, alert.count, alert.closed_at, alert.assignee) == (AlertState.NEW, 1, None, None)
    notes = (await alerts.retrieve(world.db, CALLER, alert.id)).notes
    assert [note.text for note in notes] == ["Closed by itself: it is well.", "It shows again."]
    assert await told(world) == ["opened", "closed", "reopened"]


async def test_what_a_person_closes_is_not_told(world: World) -> None:
    await raised(world.db, ALERT)
    (alert,) = await all_of(world.db)
    done = await alerts.change(world.db, CALLER, alert.id, {"state": "CLOSED", "note": "Mended by hand."})
    assert done.alert.closed_at is not None
    assert [(note.by, note.text) for note in done.notes] == [
        (CALLER.principal, "NEW → CLOSED"),
        (CALLER.principal, "Mended by hand."),
    ]
    assert await told(world) == ["opened"]


async def test_what_is_only_worth_knowing_is_told_nobody_until_it_grows_worse(world: World) -> None:
    await raised(world.db, replace(ALERT, severity=Severity.INFO))
    assert await told(world) == []
    await raised(world.db, replace(ALERT, severity=Severity.WARN))
    await raised(world.db, replace(ALERT, severity=Severity.WARN))
    assert await told(world) == ["worse"]


async def test_whatever_fails_with_the_transaction_leaves_no_alert_and_no_letter(world: World) -> None:
    async def begin_and_fail() -> None:
        async with world.db.hot() as connection:
            await alerts.raise_alerts(connection, [ALERT], NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await begin_and_fail()
    assert await all_of(world.db) == []
    assert await told(world) == []


async def test_eight_who_raise_at_once_make_one_alert_and_one_letter(world: World) -> None:
    async def keep_failing(number: int) -> None:
        async with connected(world.db.dsn) as db:
            causes = [replace(ALERT, cause=f"cause {n}") for n in ((0, 1, 2), (2, 0, 1), (1, 2, 0))[number % 3]]
            for _ in range(10):
                await raised(db, *causes)

    await asyncio.gather(*(keep_failing(number) for number in range(8)))
    assert sorted((alert.cause, alert.count) for alert in await all_of(world.db)) == [
        (f"cause {n}", 80) for n in range(3)
    ]
    assert await told(world) == ["opened"] * 3


async def test_long_words_are_cut_and_nul_is_replaced(world: World) -> None:
    await raised(world.db, replace(ALERT, description="a\x00" + "x" * alerts.LONGEST_TEXT))
    (alert,) = await all_of(world.db)
    assert len(alert.description) == alerts.LONGEST_TEXT
    assert alert.description.startswith("a\ufffdx")
    assert alert.description.endswith("…")


async def test_the_oldest_notes_of_an_alert_with_too_many_are_forgotten(world: World) -> None:
    await raised(world.db, ALERT)
    (alert,) = await all_of(world.db)
    for number in range(NOTES_KEPT + 1):
        done = await alerts.change(world.db, CALLER, alert.id, {"note": f"note {number}"})
    assert len(done.notes) == NOTES_KEPT
    assert (done.notes[0].text, done.notes[-1].text) == ("note 1", f"note {NOTES_KEPT}")


async def test_whoever_takes_an_alert_that_is_nobodys_is_its_assignee(world: World) -> None:
    await raised(world.db, ALERT)
    (alert,) = await all_of(world.db)
    taken = await alerts.change(world.db, CALLER, alert.id, {"state": "IN_PROGRESS"})
    assert taken.alert.assignee == CALLER.principal
    given_back = await alerts.change(world.db, CALLER, alert.id, {"state": "NEW", "assignee": ""})
    assert given_back.alert.assignee is None


async def test_a_change_of_an_old_version_is_refused(world: World) -> None:
    await raised(world.db, ALERT)
    (alert,) = await all_of(world.db)
    await alerts.change(world.db, CALLER, alert.id, {"note": "x", "version": 1})
    with pytest.raises(Conflict, match="version is 1"):
        await alerts.change(world.db, CALLER, alert.id, {"note": "y", "version": 1})


async def test_alerts_are_listed_page_by_page_by_state_severity_and_type(world: World) -> None:
    for n in range(5):
        await raised(world.db, replace(ALERT, cause=f"{n}", integration_id="int" if n else None))
    await raised(world.db, replace(ALERT, cause="warn", severity=Severity.WARN, type=AlertType.SOURCE_SILENT))
    await resolved(world.db, "0")
    given: dict[str, Any] = dict.fromkeys(("severity", "type", "integration_id")) | {"states": list(AlertState)}
    first, token = await alerts.page(world.db, CALLER, **given, size=4, token=None)
    rest, end = await alerts.page(world.db, CALLER, **given, size=4, token=token)
    assert [alert.cause for alert in [*first, *rest]] == ["warn", "4", "3", "2", "1", "0"]
    assert end is None
    assert [alert.cause for alert in await all_of(world.db, states=[AlertState.CLOSED])] == ["0"]
    assert [alert.cause for alert in await all_of(world.db, severity=Severity.WARN)] == ["warn"]
    assert [alert.cause for alert in await all_of(world.db, type=AlertType.SOURCE_SILENT)] == ["warn"]
    assert len(await all_of(world.db, integration_id="int")) == 4


async def test_an_alert_of_another_organization_is_not_there(world: World) -> None:
    await raised(world.db, ALERT)
    (alert,) = await all_of(world.db)
    with pytest.raises(NotFound):
        await alerts.retrieve(world.db, Caller("other", "x"), alert.id)
    with pytest.raises(NotFound):
        await alerts.change(world.db, Caller("other", "x"), alert.id, {"state": "CLOSED"})


async def test_an_integration_that_a_person_disables_is_an_alert_until_it_is_enabled(world: World) -> None:
    await integrations.disable(world.db, CALLER, "int", {"reason": "Month end."})
    (alert,) = await all_of(world.db)
    assert (alert.type, alert.severity) == (AlertType.INTEGRATION_DISABLED, Severity.WARN)
    assert alert.description == "int is disabled: Month end."
    await integrations.enable(world.db, CALLER, "int")
    (closed,) = await all_of(world.db)
    assert closed.state is AlertState.CLOSED


async def test_a_delivered_bill_is_no_alert(world: World) -> None:
    run_id = await world.send("one", "a")
    (claimed,) = await world.claim(run_id)
    assert await world.settle(claimed, Delivered("in_1"))
    assert await all_of(world.db) == []


async def test_each_step_of_an_alert_is_an_event_and_its_counting_is_none(world: World) -> None:
    for _ in range(3):
        await raised(world.db, ALERT)
    (alert,) = await all_of(world.db)
    await alerts.change(world.db, CALLER, alert.id, {"state": "IN_PROGRESS"})
    await alerts.change(world.db, CALLER, alert.id, {"note": "Asked."})
    await resolved(world.db)
    await raised(world.db, ALERT)
    found = await world.rows(
        "SELECT name, resource_id, body FROM events WHERE name LIKE 'configuration.alert.%' ORDER BY id"
    )
    assert [row["name"].rpartition(".")[2] for row in found] == ["created", "updated", "updated", "updated"]
    assert {row["resource_id"] for row in found} == {alert.id}
    sides = [row["body"]["eventData"] for row in found]
    assert [side["newDto"]["status"] for side in sides] == ["NEW", "IN_PROGRESS", "CLOSED", "NEW"]
    assert ["oldDto" in side for side in sides] == [False, True, True, True]
    assert sides[1]["oldDto"]["status"] == "NEW"
