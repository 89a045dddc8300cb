"""Notifications by real workers to real receivers: signed, tried four times, taken over, and none in another's way."""

from __future__ import annotations

import asyncio
import signal

from tests.e2e.notifying import stage as stage
from tests.e2e.notifying import world as world
from tests.e2e.receivers import Got, receiving
from tests.e2e.stage import Stage, until
from tests.services.notifying_world import SECRET, NotifyingWorld
from tollbridge.services.runs import run_log

SOON = 60.0
"""Seconds: longer than any answer is waited for."""


async def all_ended(world: NotifyingWorld) -> None:
    async def ended() -> bool:
        return set(await world.states()) <= {"delivered", "failed"}

    await until(ended)


async def test_a_message_arrives_signed_and_the_run_log_shows_the_exchange(stage: Stage, world: NotifyingWorld) -> None:
    await stage.start_worker()
    async with receiving(SECRET) as receiver:
        await world.add_webhook(url=receiver.url)
        await world.link()
        [run_id] = await world.fire("acme", billTotal=1500)
        await all_ended(world)
        [got] = receiver.got
    assert (got.id, got.headers["webhook-api-key"]) == (f"msg_{run_id}", "key")
    assert got.payload["new"]["billTotal"] == 1500
    async with world.db.transaction() as tx:
        log = await run_log(tx, "org", run_id)
    [attempt] = log.steps
    assert (attempt.kind, attempt.status, attempt.reply["text"]) == ("attempt", 200, "said the receiver")
    assert attempt.request["text"].encode() == got.body
    assert attempt.request["headers"]["webhook-signature"] == got.headers["webhook-signature"]
    assert "key" not in attempt.request["headers"].values()


async def test_it_is_tried_again_after_two_and_four_seconds_under_the_same_id_and_signed_afresh(
    stage: Stage, world: NotifyingWorld
) -> None:
    await stage.start_worker()

    def busy_twice(got: Got) -> int:
        return 503 if len(receiver.got) < 3 else 200

    async with receiving(SECRET) as receiver:
        receiver.answer = busy_twice
        await world.add_webhook(url=receiver.url)
        await world.link()
        await world.fire()
        await all_ended(world)
        first, second, third = receiver.got
    assert first.id == second.id == third.id
    assert first.body == second.body == third.body
    assert len({got.headers["webhook-signature"] for got in receiver.got}) == 3
    # Never earlier. How much later is a matter of the machine.
    assert second.at - first.at >= 2
    assert third.at - second.at >= 4
    assert await world.states() == ["delivered"]


async def test_what_a_killed_worker_had_taken_is_delivered_by_another(stage: Stage, world: NotifyingWorld) -> None:
    doomed = await stage.start_worker()
    async with receiving(SECRET) as receiver:
        await world.add_webhook(url=receiver.url)
        await world.link()
        run_ids = await world.fire(*["a"] * 300)

        async def some_arrived() -> bool:
            return len(receiver.got) > 20

        await until(some_arrived)
        doomed.signal(signal.SIGKILL)
        await doomed.gone()
        await stage.start_worker()
        await all_ended(world)
        assert set(receiver.ids) == {f"msg_{id}" for id in run_ids}
    assert set(await world.states()) == {"delivered"}


async def test_a_receiver_that_hangs_is_in_nobodys_way(stage: Stage, world: NotifyingWorld) -> None:
    await stage.start_worker()
    async with receiving(SECRET, lambda got: SOON) as hanging, receiving(SECRET) as good:
        await world.add_webhook("hanging", hanging.url)
        await world.add_webhook("good", good.url)
        await world.link(webhook="hanging")
        await world.fire(*["a"] * 500)

        async def hangs() -> bool:
            return len(hanging.got) >= 64

        await until(hangs)
        await world.link(webhook="good")
        made = await world.fire(*["b"] * 20)

        async def arrived() -> bool:
            return len(good.got) == 20

        # The hanging ones are given up after 15 seconds: these arrive while they hang.
        async with asyncio.timeout(10):
            await until(arrived)
        assert len(made) == 40
        assert len(hanging.got) <= 64


async def test_a_receiver_that_is_gone_ends_it_at_once_and_is_asked_no_more_where_that_was_chosen(
    stage: Stage, world: NotifyingWorld
) -> None:
    await stage.start_worker()
    async with receiving(SECRET, lambda got: 410) as receiver:
        await world.add_webhook(url=receiver.url, goneDeactivates=True)
        await world.link()
        [run_id] = await world.fire()
        await all_ended(world)
        run = await world.run(run_id)
        assert (run.state, run.attempt, run.fault_code) == ("failed", 1, "webhook.gone")

        async def inactive() -> bool:
            return not (await world.rows("SELECT active FROM webhooks"))[0]["active"]

        await until(inactive)
        assert len(receiver.got) == 1


async def test_an_address_that_must_not_be_reached_is_not_dialled(stage: Stage, world: NotifyingWorld) -> None:
    await stage.start_worker(TOLLBRIDGE_ALLOW_NETWORKS="")
    async with receiving(SECRET) as receiver:
        await world.add_webhook(url=receiver.url)
        await world.link()
        [run_id] = await world.fire()

        async def tried() -> bool:
            return (await world.run(run_id)).error is not None

        await until(tried)
        assert receiver.got == []
    run = await world.run(run_id)
    assert run.fault_code == "network.forbidden"
    assert "127.0.0.1" in (run.error or "")


async def test_a_worker_that_is_stopped_finishes_what_is_on_its_way(stage: Stage, world: NotifyingWorld) -> None:
    worker = await stage.start_worker()
    async with receiving(SECRET, lambda got: 0.3) as receiver:
        await world.add_webhook(url=receiver.url)
        await world.link()
        await world.fire(*["a"] * 10)

        async def on_its_way() -> bool:
            return len(receiver.got) >= 5

        await until(on_its_way)
        worker.signal(signal.SIGTERM)
        assert await worker.gone() == 0
        begun = set(receiver.ids)
        delivered = {f"msg_{row['id']}" for row in await world.rows("SELECT id FROM runs WHERE state = 'delivered'")}
        assert delivered == begun
