"""A preview through a real worker: what it shows is what is sent afterwards, and it writes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stage import Stage, set_up
from tollbridge.domain.errors import Invalid, NotFound, Unavailable
from tollbridge.services import dispatch, previews, runs


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with set_up(database_url, tmp_path) as stage:
        yield stage


async def integration(stage: Stage) -> str:
    async with stage.parts.db.hot() as connection:
        return str(await connection.fetchval("SELECT id FROM integrations"))


async def state_of_tables(stage: Stage) -> dict[str, Any]:
    """What a preview must leave alone."""
    async with stage.parts.db.hot() as connection:
        return {
            table: [tuple(row) for row in await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")]
            for table in ("ledger", "external_mappings", "lanes", "events", "integrations", "credentials")
        }


def with_real_ids(value: Any, ids: dict[str, str]) -> Any:
    match value:
        case str():
            for imagined, real in ids.items():
                value = value.replace(imagined, real)
            return value
        case dict():
            return {name: with_real_ids(inner, ids) for name, inner in value.items()}
        case list():
            return [with_real_ids(inner, ids) for inner in value]
    return value


async def test_a_preview_shows_what_is_sent_afterwards_and_writes_nothing(stage: Stage) -> None:
    await stage.start_worker()
    await stage.connect()
    id = await integration(stage)
    # Locked in by a cut-over, the bill is not sent by itself.
    await change(stage, id, {"finish": "finalise", "sendFrom": "2099-01-01"})
    await stage.bill("b1", "a0", "10.10", "0.015", "0.015", "-0.13")
    before, books = await state_of_tables(stage), stage.vendor.stand_in.books({})
    shown = await previews.preview(
        stage.parts,
        stage.caller,
        id,
        {
            "billId": "b1",
            "configData": {"finish": "finalise", "memo": "For {accountName}", "accountFilter": "currency == USD"},
        },
    )
    assert await state_of_tables(stage) == before
    assert {**stage.vendor.stand_in.books({}), "now": None} == {**books, "now": None}
    found = shown.found
    assert found is not None
    assert (found["calls"], found["writes"]) == (5, 4)
    assert (str(found["outcome"]["total"]), found["outcome"]["currency"]) == ("10.00", "EUR")
    assert any("before cut over" in each for each in found["warnings"])
    assert any("With these options" in each and "currency == USD" in each for each in found["warnings"])
    assert any("mapped to no customer" in each for each in found["warnings"])
    assert [step["sent"] for step in found["steps"]] == [True, False, False, False, False]
    sources = {field["name"]: field["sources"] for step in found["steps"] for field in step["fields"]}
    assert sources["description"] == ["option.memo", "bill", "account"]
    assert sources["lines[0][amount]"] == ["line.subtotal", "bill.total"]

    await change(stage, id, {"finish": "finalise", "memo": "For {accountName}"})
    async with stage.parts.db.transaction() as tx:
        assert (await runs.latest_runs(tx, "o1", "Bill", ["b1"])) == {}
    assert await dispatch.send_existing(stage.parts.db, stage.caller, id) == 1
    [run] = await stage.ended(1)
    assert run["state"] == "delivered"
    async with stage.parts.db.transaction() as tx:
        sent = (await runs.run_log(tx, "o1", run["id"])).steps
    (customer,) = stage.vendor.stand_in.books({})["customers"]
    ids = {"cus_preview": customer["id"], "in_preview_1": run["external_id"]}
    plain = [{name: value for name, value in step.request.items() if name != "idempotencyKey"} for step in sent]
    assert with_real_ids([step["request"] for step in found["steps"]], ids) == plain
    assert [step["key"] for step in found["steps"]] == [step.key for step in sent]


async def test_a_preview_says_how_a_delivery_would_fail_and_refuses_what_makes_no_sense(stage: Stage) -> None:
    worker = await stage.start_worker()
    await stage.connect()
    id = await integration(stage)
    await change(stage, id, {"sendFrom": "2099-01-01"})
    await stage.bill("b1", "a0", "-5")

    async def preview(**given: Any) -> Any:
        body = {"billId": "b1", "configData": {}, **given}
        return (await previews.preview(stage.parts, stage.caller, id, body)).found

    found = await preview()
    assert (found["outcome"]["kind"], found["outcome"]["code"]) == ("failed", "stripe.negative_total")
    stage.fault(kind="error_before_commit", path="/v1/customers/search", times=1)
    assert (await preview(configData={"negativeTotal": "send"}))["outcome"]["kind"] == "failed"
    with pytest.raises(Invalid, match="finnish"):
        await preview(configData={"finnish": "draft"})
    with pytest.raises(NotFound):
        await preview(billId="nothing")
    async with stage.parts.db.hot() as connection:
        assert await connection.fetchval("SELECT count(*) FROM events WHERE type = 'IntegrationEvent'") == 0
        await connection.execute("DELETE FROM workers")
    worker.signal(9)
    await worker.gone()
    with pytest.raises(Unavailable, match="no worker"):
        await preview()


async def change(stage: Stage, id: str, config: dict[str, Any]) -> None:
    async with stage.parts.db.hot() as connection:
        await connection.execute(
            "UPDATE integrations SET body = body || jsonb_build_object('configData', $2::jsonb) WHERE id = $1",
            id,
            config,
        )
