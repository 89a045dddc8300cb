"""A group of errors is mended by real workers, one of which is killed on the way."""

from __future__ import annotations

import signal

from tests.e2e.stage import Stage, until
from tests.e2e.test_delivery import stage as stage
from tollbridge.domain.event_types import Category
from tollbridge.services import events, integrations, mending
from tollbridge.services.mending import State
from tollbridge.store.events import Filters

BILLS = 6


async def test_mending_goes_on_where_a_killed_worker_left_it(stage: Stage) -> None:
    first = await stage.start_worker(TOLLBRIDGE_LEASE="4")
    await stage.connect(accounts=BILLS, missingCustomer="refuse")
    for number in range(BILLS):
        await stage.bill(f"b{number}", f"a{number}", "12.34")
    assert {run["state"] for run in await stage.ended(BILLS)} == {"failed"}
    db, caller = stage.parts.db, stage.caller
    found = await events.groups(db, caller, Filters(type=Category.INTEGRATION), 10, None)
    (group,) = [each for each in found.data if each.group.count == BILLS]
    (record,) = (await integrations.page(db, caller, None, 10, None))[0].data
    body = {
        **record.body,
        "name": record["name"],
        "configData": {**record.body["configData"], "missingCustomer": "create"},
    }
    await integrations.update(db, caller, record.id, body)
    stage.fault(kind="latency", method="POST", path="/v1/invoices", seconds=1, times=BILLS)
    begun = await mending.start(db, caller, group.group.latest_id)
    assert begun.mending.total == BILLS
    await stage.struck(1)
    first.signal(signal.SIGKILL)
    await first.gone()
    await stage.start_worker(TOLLBRIDGE_LEASE="4")

    async def over() -> bool:
        return (await mending.progress(db, caller, begun.mending.id)).mending.state == State.DONE

    await until(over)
    told = await mending.progress(db, caller, begun.mending.id)
    assert (told.delivered, told.failed, told.left) == (BILLS, 0, 0)
    assert told.mending.note == f"{BILLS} delivered, 0 still failing."
    assert len(stage.invoices()) == BILLS
