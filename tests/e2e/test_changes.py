"""Bills that change or are deleted after they were sent, through real workers, up to the books of Stripe's stand-in."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.stage import Stage, set_up, until
from tollbridge.services import bills, changes, previews, runs


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with set_up(database_url, tmp_path) as stage:
        yield stage


def owed(stage: Stage) -> int:
    """What stands in Stripe's books in cents: final invoices less their credit notes."""
    books = stage.vendor.stand_in.books({})
    final: dict[str, int] = {
        each["id"]: each["total"] for each in books["invoices"] if each["status"] not in ("draft", "void")
    }
    credited: int = sum(each["total"] for each in books["credit_notes"] if each["invoice"] in final)
    return sum(final.values()) - credited


async def preview(stage: Stage, policy: str) -> tuple[str, list[str]]:
    """The outcome that the bill would have under the policy, and its writes."""
    [integration] = {str(run["integration_id"]) for run in await stage.runs()}
    config = {"finish": "finalise", "onChange": policy}
    shown = await previews.preview(stage.parts, stage.caller, integration, {"billId": "b1", "configData": config})
    assert shown.found is not None
    writes = [each["name"] for each in shown.found["steps"] if each["kind"] == "write"]
    return shown.found["outcome"]["kind"], ["Void" if each.startswith("Void") else each for each in writes]


async def decide(stage: Stage, choice: str) -> None:
    [run] = [each for each in await stage.runs() if each["state"] == "held"]
    await changes.decide(stage.parts.db, stage.caller, run["id"], {"choice": choice})


async def all_ended(stage: Stage) -> None:
    async def over() -> bool:
        return all(run["state"] in ("delivered", "skipped", "superseded") for run in await stage.runs())

    await until(over)


async def test_a_bill_that_changes_and_is_deleted_stands_right_in_the_books(stage: Stage) -> None:
    await stage.start_worker()
    await stage.connect()
    await stage.bill("b1", "a0", "100.00")
    await stage.ended(1)
    await stage.bill("b1", "a0", "100.00", "20.01")
    await stage.reaches("held")
    assert owed(stage) == 10000
    assert await preview(stage, "hold") == ("needs_choice", [])
    assert await preview(stage, "void_and_reissue") == (
        "delivered",
        ["Create the draft invoice", "Add lines 1 to 2", "Void", "Finalise the invoice"],
    )
    assert owed(stage) == 10000
    await decide(stage, "delta")
    await all_ended(stage)
    assert owed(stage) == 12001
    await stage.bill("b1", "a0", "33.33")
    await stage.reaches("held")
    # The reply to the voiding is lost, and another one fails: the books must not show it.
    stage.fault(kind="reply_lost", method="POST", path="/v1/invoices/*/void", times=1)
    stage.fault(kind="error_after_commit", method="POST", path="/v1/invoices/*/finalize", times=1)
    await decide(stage, "void_and_reissue")
    await all_ended(stage)
    assert owed(stage) == 3333
    await bills.delete(stage.parts.db, stage.caller, "b1")
    await stage.reaches("held")
    await decide(stage, "credit_and_reissue")
    await all_ended(stage)
    assert owed(stage) == 0
    await stage.bill("b1", "a0", "5.00")
    await all_ended(stage)
    assert owed(stage) == 500


async def changed_after_paid(stage: Stage, *, at_stripe: bool) -> str:
    """A run of a bill that was paid and then changed, held for a choice; a run that meets trouble fails at once."""
    await stage.start_worker(TOLLBRIDGE_RUN_ATTEMPTS="1")
    await stage.connect()
    await stage.bill("b1", "a0", "100.00")
    await stage.ended(1)
    [invoice] = stage.invoices()
    if at_stripe:
        stage.vendor.stand_in.pay({"invoice": invoice["id"]})
    else:
        async with aiohttp.ClientSession() as session:
            headers = {"Authorization": f"Bearer {stage.vendor.key}"}
            url = f"{stage.vendor.url}/v1/invoices/{invoice['id']}/pay"
            async with session.post(url, data={"paid_out_of_band": "true"}, headers=headers) as reply:
                assert reply.status == 200
    await stage.bill("b1", "a0", "60.50")
    await stage.reaches("held")
    [held] = [run for run in await stage.runs() if run["state"] == "held"]
    return str(held["id"])


REFUND = {"choice": "credit_and_reissue", "money": "refund"}


async def test_what_was_paid_is_refunded_once_as_a_person_decided_although_the_run_failed(stage: Stage) -> None:
    held = await changed_after_paid(stage, at_stripe=True)
    # The money is back when the run fails for another cause.
    stage.fault(kind="lock_timeout", method="POST", path="/v1/invoices/*/finalize", times=1)
    await changes.decide(stage.parts.db, stage.caller, held, REFUND)
    await stage.reaches("failed")
    assert [each["amount"] for each in stage.vendor.stand_in.books({})["refunds"]] == [10000]
    again = await runs.replay(stage.parts.db, stage.caller, held)
    assert again.decision["decidedIn"] == held
    # The finalising may still take effect until two minutes are over.
    [worker] = stage.processes
    worker.signal(signal.SIGTERM)
    assert await worker.gone() == 0
    async with stage.parts.db.hot() as connection:
        # The queue counts its delays with the database's clock; the sweep makes the job anew.
        await connection.execute("DELETE FROM queue.pgqueuer")
    await stage.start_worker(timedelta(minutes=2))
    await until(lambda: _is(stage, again.id, "delivered"))
    books = stage.vendor.stand_in.books({})
    assert [each["amount"] for each in books["refunds"]] == [10000]
    assert [each["total"] for each in books["credit_notes"]] == [10000]
    assert owed(stage) == 6050


async def test_a_refund_that_is_not_possible_is_decided_otherwise_when_the_replay_asks_again(stage: Stage) -> None:
    held = await changed_after_paid(stage, at_stripe=False)
    await changes.decide(stage.parts.db, stage.caller, held, REFUND)
    await stage.reaches("failed")
    again = await runs.replay(stage.parts.db, stage.caller, held, {"askAgain": True})
    await until(lambda: _is(stage, again.id, "held"))
    await changes.decide(stage.parts.db, stage.caller, again.id, {**REFUND, "money": "balance"})
    await until(lambda: _is(stage, again.id, "delivered"))
    books = stage.vendor.stand_in.books({})
    assert [each["total"] for each in books["credit_notes"]] == [10000]
    # The credit pays the new invoice; what is left of it stays.
    assert [each["invoice_credit_balance"] for each in books["customers"]] == [{"eur": -3950}]
    assert owed(stage) == 6050


async def _is(stage: Stage, run_id: str, state: str) -> bool:
    return any(run["id"] == run_id and run["state"] == state for run in await stage.runs())


async def test_a_draft_that_was_left_half_way_is_replaced_without_asking(stage: Stage) -> None:
    await stage.start_worker()
    await stage.connect(tax="rates", taxRates={"*": ["txr_none"]})
    await stage.bill("b1", "a0", "100.00")
    await stage.reaches("failed")
    assert [each["status"] for each in stage.invoices()] == ["draft"]
    async with stage.parts.db.hot() as connection:
        await connection.execute(
            """UPDATE integrations SET body = jsonb_set(body, '{configData}', '{"finish": "finalise"}')"""
        )
    await stage.bill("b1", "a0", "100.00", "0.01")
    await until(lambda: _delivered(stage))
    assert [(each["status"], each["total"]) for each in stage.invoices()] == [("open", 10001)]


async def _delivered(stage: Stage) -> bool:
    return any(run["state"] == "delivered" for run in await stage.runs())
