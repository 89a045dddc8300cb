"""A worker that answers questions for things in another system, and does nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.services.world import World
from tollbridge.domain.choices import Asked
from tollbridge.domain.errors import Fault
from tollbridge.domain.flows import Found
from tollbridge.services import clock, work


@asynccontextmanager
async def answering(world: World, answer: Callable[[Asked], Found | Fault]) -> AsyncIterator[list[Asked]]:
    """Answer every question so, until the end; gives what was asked."""
    asked: list[Asked] = []
    await work.register_worker(world.db, "w1", "host", 1, "1", clock.now())
    task = asyncio.create_task(_answer(world, answer, asked))
    try:
        yield asked
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _answer(world: World, answer: Callable[[Asked], Found | Fault], asked: list[Asked]) -> None:
    while True:
        world.now = clock.now()
        due = [row["id"] for row in await world.rows("SELECT id FROM runs WHERE flow = 'ask' AND state = 'queued'")]
        for claimed in await world.claim(*due):
            asked.append(Asked.read(claimed.config))
            assert await world.settle(claimed, answer(asked[-1]))
        await asyncio.sleep(0.01)
