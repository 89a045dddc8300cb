"""Webhooks from their set-up to a real receiver: what is saved is what a worker sends with."""

from __future__ import annotations

from typing import Any

from standardwebhooks import Webhook

from tests.e2e.notifying import stage as stage
from tests.e2e.notifying import world as world
from tests.e2e.receivers import Receiver, receiving
from tests.e2e.stage import Stage, until
from tests.services.notifying_world import SECRET, NotifyingWorld
from tests.services.world import CALLER
from tollbridge.services import integrations, webhooks
from tollbridge.services.parts import Parts
from tollbridge.store.records import Record

NEWER = "whsec_" + "YW5vdGhlciBzZWNyZXQgb2YgMzIgYnl0"
SIGNED = {"type": "M3TER_SIGNED_REQUEST", "apiKey": "our key", "secret": SECRET}


async def linked(parts: Parts, receiver: Receiver, **config: Any) -> tuple[Record, dict[str, Any]]:
    """A webhook of the receiver to which the rule is linked, and the body with which it was made."""
    body = {"name": "Hook", "description": "d", "url": receiver.url, "credentials": SIGNED}
    hook = (await webhooks.create(parts, CALLER, body)).record
    link = {"entityType": "Notification", "entityId": "rule", "destination": "Webhook", "destinationId": hook.id}
    await integrations.create(parts.db, CALLER, link | {"configData": config})
    return hook, body


async def test_a_webhook_receives_signed_by_both_secrets_while_they_change_and_waits_while_inactive(
    stage: Stage, world: NotifyingWorld
) -> None:
    parts = stage.parts
    await stage.start_worker()
    async with receiving(SECRET) as receiver:
        hook, body = await linked(parts, receiver)

        async def arrived(count: int) -> None:
            async def there() -> bool:
                return len(receiver.got) == count

            await until(there)

        await world.fire()
        await arrived(1)
        await webhooks.update(parts, CALLER, hook.id, body | {"credentials": {**SIGNED, "secret": NEWER}})
        await webhooks.set_active(parts, CALLER, hook.id, False)
        await world.fire()

        async def held() -> bool:
            return sorted(await world.states()) == ["delivered", "held"]

        await until(held)
        await webhooks.set_active(parts, CALLER, hook.id, True)
        await arrived(2)
    first, second = receiver.got
    assert first.headers["webhook-api-key"] == second.headers["webhook-api-key"] == "our key"
    assert len(first.headers["webhook-signature"].split(" ")) == 1
    assert len(second.headers["webhook-signature"].split(" ")) == 2
    Webhook(NEWER).verify(second.body, second.headers)


async def test_a_link_sends_only_for_the_accounts_that_it_names(stage: Stage, world: NotifyingWorld) -> None:
    parts = stage.parts
    async with receiving(SECRET) as receiver:
        await linked(parts, receiver, accountIds=["a", "b"], restrictedAccountIds=["b"])
        await world.fire("a", "b", "c", None)
    assert [row["account_id"] for row in await world.rows("SELECT account_id FROM runs")] == ["a"]
