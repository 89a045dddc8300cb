"""The lines of one worker's notifications, between a database and receivers that answer as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tests.services.notifying_world import SECRET
from tollbridge.domain.flows import Reply, Request
from tollbridge.domain.notifications import Notification, Receiver
from tollbridge.domain.runs import Change
from tollbridge.engine.meter import Meter
from tollbridge.engine.notifier import UNRECORDED, Notifier
from tollbridge.services.notifying import Claimed, Outlet
from tollbridge.services.settling import Settlement

WIDTH = 2
OUTLET = Outlet("org", "hook", Receiver(concurrency=WIDTH), {"apiKey": "key", "secret": SECRET})


class Surroundings:
    """So many notifications are due; they are recorded once `database` is set."""

    def __init__(self, due: int) -> None:
        self.due = due
        self.database = asyncio.Event()
        self.posted: list[str] = []
        self.recorded: list[str] = []
        self.held: set[str] = set()

    async def claim(self, room: Callable[[str, Receiver], int], only: Sequence[str] | None) -> list[Claimed]:
        count = max(min(room("hook", OUTLET.receiver), self.due), 0)
        self.due -= count
        ids = [f"run-{self.due + number}" for number in range(count)]
        return [Claimed(id, 1, 1, OUTLET, Notification(f"msg_{id}", "https://a.example/", b"{}")) for id in ids]

    async def send(self, request: Request) -> Reply:
        self.posted.append(dict(request.headers)["webhook-id"])
        await asyncio.sleep(0)
        return Reply(200)

    async def settle(self, settlement: Settlement) -> Change | None:
        await self.database.wait()
        self.recorded.append(f"msg_{settlement.run_id}")
        return None

    async def deactivate(self, outlet: Outlet) -> None:
        raise AssertionError(outlet)

    def notifier(self) -> Notifier:
        return Notifier(
            self.claim,
            self.settle,
            self.send,
            Meter(),
            lambda run_id, fence: self.held.add(run_id),
            self.held.discard,
            lambda run_id, fence: run_id in self.held,
            self.deactivate,
        )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.001)


async def test_a_database_that_is_slow_lets_no_more_be_posted_than_is_soon_recorded() -> None:
    due, most = 200, (UNRECORDED + 1) * WIDTH
    around, stop = Surroundings(due), asyncio.Event()
    notifier = around.notifier()
    work = asyncio.create_task(notifier.run(stop))
    await until(lambda: len(around.posted) >= UNRECORDED * WIDTH)
    # Long enough for the notifier to look several times for more.
    for _ in range(20):
        notifier.tell("hook")
        await asyncio.sleep(0.01)
    assert len(around.posted) <= most
    around.database.set()
    await until(lambda: len(around.recorded) == due)
    stop.set()
    await work
    assert sorted(around.recorded) == sorted(around.posted)
    assert len(set(around.posted)) == due
    assert not around.held
