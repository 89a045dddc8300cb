"""Webhooks from their set-up to a real receiver: what is saved is what a worker sends with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.e2e.receivers import receiving
from tests.e2e.stage import Stage, set_up, until
from tests.services.notifying_world import SECRET, NotifyingWorld
from tests.services.world import CALLER
from tollbridge.services import clock, integrations, webhooks

NEWER = "whsec_" + "YW5vdGhlciBzZWNyZXQgb2YgMzIgYnl0"
SIGNED = {"type": "M3TER_SIGNED_REQUEST", "apiKey": "our key", "secret": SECRET}


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    allowed = {"TOLLBRIDGE_ALLOW_NETWORKS": "127.0.0.0/8", "TOLLBRIDGE_ALLOW_HTTP": "true", "TOLLBRIDGE_LEASE": "3"}
    async with set_up(database_url, tmp_path, **allowed) as it:
        yield it


@pytest.fixture
async def world(stage: Stage) -> NotifyingWorld:
    """An organization with a rule that fires always."""
    world = NotifyingWorld(stage.parts.db, stage.parts.vault, clock.now())
    await world.begin()
    await world.add_rule()
    return world


async def test_a_webhook_receives_signed_by_both_secrets_while_they_change_and_waits_while_inactive(
    stage: Stage, world: NotifyingWorld
) -> None:
    parts = stage.parts
    await stage.start_worker()
    async with receiving(SECRET) as receiver:
        body = {"name": "Hook", "description": "d", "url": receiver.url, "credentials": SIGNED}
        hook = await webhooks.create(parts, CALLER, body)
        link = {
            "entityType": "Notification",
            "entityId": "rule",
            "destination": "Webhook",
            "destinationId": hook.record.id,
        }
        await integrations.create(parts.db, CALLER, link)

        async def arrived(count: int) -> None:
            async def there() -> bool:
                return len(receiver.got) == count

            await until(there)

        await world.fire()
        await arrived(1)
        await webhooks.update(parts, CALLER, hook.record.id, body | {"credentials": {**SIGNED, "secret": NEWER}})
        await webhooks.set_active(parts, CALLER, hook.record.id, False)
        await world.fire()

        async def held() -> bool:
            return sorted(await world.states()) == ["delivered", "held"]

        await until(held)
        await webhooks.set_active(parts, CALLER, hook.record.id, True)
        await arrived(2)
    first, second = receiver.got
    assert first.headers["webhook-api-key"] == second.headers["webhook-api-key"] == "our key"
    assert len(first.headers["webhook-signature"].split(" ")) == 1
    assert len(second.headers["webhook-signature"].split(" ")) == 2
    Webhook(NEWER).verify(second.body, second.headers)


async def test_a_link_sends_only_for_the_accounts_that_it_names(stage: Stage, world: NotifyingWorld) -> None:
    parts = stage.parts
    async with receiving(SECRET) as receiver:
        body = {"name": "Hook", "description": "d", "url": receiver.url, "credentials": SIGNED}
        hook = await webhooks.create(parts, CALLER, body)
        link = {
            "entityType": "Notification",
            "entityId": "rule",
            "destination": "Webhook",
            "destinationId": hook.record.id,
            "configData": {"accountIds": ["a", "b"], "restrictedAccountIds": ["b"]},
        }
        await integrations.create(parts.db, CALLER, link)
        await world.fire("a", "b", "c", None)
    assert [row["account_id"] for row in await world.rows("SELECT account_id FROM runs")] == ["a"]
