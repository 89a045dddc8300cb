"""Bills that change or are deleted after they were sent, through real workers, up to the books of Stripe's stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, set_up, until
from tollbridge.services import bills, changes, previews


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
