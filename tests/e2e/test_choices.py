"""Choices from a live system through a real worker, and a group that is mended by what they suggest."""

from __future__ import annotations

from typing import Any

import aiohttp

from tests.e2e.stage import Stage, until
from tests.e2e.test_delivery import stage as stage
from tollbridge.domain import json_text
from tollbridge.domain.event_types import Category
from tollbridge.services import choices, events, mending, runs, suggestions, systems
from tollbridge.services.mending import State
from tollbridge.store.events import Filters


async def there(stage: Stage, kind: str, **given: str) -> str:
    """Something that Stripe holds already."""
    headers = {"Authorization": f"Bearer {stage.vendor.key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{stage.vendor.url}/v1/{kind}", data=given, headers=headers) as answer,
    ):
        made: dict[str, Any] = await answer.json()
        return str(made["id"])


async def test_what_a_system_holds_is_asked_live_and_logged_without_the_key(stage: Stage) -> None:
    await stage.start_worker()
    await stage.connect()
    acme = await there(stage, "customers", name="Acme Ltd", email="ap@acme.example")
    vat = await there(stage, "tax_rates", display_name="VAT", percentage="19", inclusive="false")
    test = systems.find("STRIPE_TEST")
    answer = await choices.look(stage.parts, stage.caller, test, "Customer", "acme")
    assert answer.found is not None
    assert [each.id for each in answer.found.things] == [acme]
    rates = await choices.look(stage.parts, stage.caller, test, "TaxRate")
    assert rates.found is not None
    assert [(each.id, each.label) for each in rates.found.things] == [(vat, "VAT 19%")]
    async with stage.parts.db.transaction() as tx:
        log = await runs.run_log(tx, "o1", answer.run.id)
    (step,) = log.steps
    assert (step.name, step.status) == ("Search customers", 200)
    assert stage.vendor.key not in json_text.dump([step.request, step.reply, log.config])
    assert await stage.runs() == []


async def test_accounts_without_a_customer_are_mended_by_accepting_what_is_suggested(stage: Stage) -> None:
    await stage.start_worker()
    await stage.connect(accounts=3, missingCustomer="refuse")
    same_address = await there(stage, "customers", name="Somebody", email="A0@example.com")
    same_name = await there(stage, "customers", name="account 1")
    for _ in range(2):
        await there(stage, "customers", name="Account 2")
    for number in range(3):
        await stage.bill(f"b{number}", f"a{number}", "12.34")
    assert {run["state"] for run in await stage.ended(3)} == {"failed"}
    db, caller = stage.parts.db, stage.caller
    (group,) = (await events.groups(db, caller, Filters(type=Category.INTEGRATION), 10, None)).data
    found = await suggestions.look(stage.parts, caller, group.group.latest_id)
    assert found.found is not None
    accepted = {each.ours.id: each.thing.id for each in found.found}
    assert accepted == {"a0": same_address, "a1": same_name}
    given = [{"m3terId": id, "externalId": external_id} for id, external_id in accepted.items()]
    begun = await mending.start(db, caller, group.group.latest_id, {"mappings": given})

    async def over() -> bool:
        return (await mending.progress(db, caller, begun.mending.id)).mending.state == State.DONE

    await until(over)
    assert {each["customer"] for each in stage.invoices()} == set(accepted.values())
    assert (await mending.progress(db, caller, begun.mending.id)).failed == 1
