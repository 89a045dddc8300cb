from __future__ import annotations

import asyncio

import pytest

from tollbridge.services.groups import Group


class Flushes:
    """Remembers the batches and lets the test decide when each of them ends."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()

    async def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(list(items))
        await self.gate.wait()
        if 13 in items:
            raise RuntimeError("unlucky")
        return [item * 10 for item in items]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_arrives_during_a_flush_goes_together_into_the_next() -> None:
    flushes = Flushes()
    group = Group(flushes)
    first = asyncio.create_task(group(1))
    await settle()
    later = [asyncio.create_task(group(item)) for item in (2, 3, 4)]
    await settle()
    assert flushes.batches == [[1]]
    flushes.gate.set()
    assert await asyncio.gather(first, *later) == [10, 20, 30, 40]
    assert flushes.batches == [[1], [2, 3, 4]]


async def test_a_flush_holds_at_most_the_limit_and_order_is_kept() -> None:
    flushes = Flushes()
    flushes.gate.set()
    group = Group(flushes, limit=2)
    assert await asyncio.gather(*(group(item) for item in range(5))) == [0, 10, 20, 30, 40]
    assert flushes.batches == [[0, 1], [2, 3], [4]]


async def test_an_error_reaches_everyone_in_its_flush_and_nobody_else() -> None:
    flushes = Flushes()
    group = Group(flushes)
    first = asyncio.create_task(group(1))
    await settle()
    unlucky = [asyncio.create_task(group(item)) for item in (13, 14)]
    await settle()
    flushes.gate.set()
    assert await first == 10
    for waiter in unlucky:
        with pytest.raises(RuntimeError, match="unlucky"):
            await waiter
    assert await group(5) == 50


async def test_a_cancelled_caller_does_not_stop_the_others() -> None:
    flushes = Flushes()
    group = Group(flushes)
    gone, stays = asyncio.create_task(group(1)), asyncio.create_task(group(2))
    await settle()
    gone.cancel()
    await settle()
    flushes.gate.set()
    assert await stays == 20


async def test_an_error_of_one_item_reaches_its_caller_alone() -> None:
    async def flush(items: list[int]) -> list[int | Exception]:
        return [RuntimeError("unlucky") if item == 13 else item for item in items]

    group: Group[int, int] = Group(flush)
    results = await asyncio.gather(*(group(item) for item in (12, 13, 14)), return_exceptions=True)
    assert [results[0], results[2]] == [12, 14]
    assert isinstance(results[1], RuntimeError)


async def test_nobody_is_left_waiting_where_a_flush_answers_for_too_few() -> None:
    async def flush(items: list[int]) -> list[int]:
        return items[:1]

    group = Group(flush)
    results = await asyncio.gather(group(1), group(2), return_exceptions=True)
    assert [type(each) for each in results] == [RuntimeError, RuntimeError]
