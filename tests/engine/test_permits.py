"""One worker's share, over a database that grants what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from tollbridge.engine.permits import PATIENCE, Share

NOW = timedelta()


class Shared:
    """What all workers share: `tokens` are given once, `slots` is what others leave."""

    def __init__(self, tokens: int, slots: int) -> None:
        self.tokens, self.slots = tokens, slots
        self.wait = NOW
        self.asked: list[tuple[int, int]] = []
        self.trouble: Exception | None = None

    async def lease(self, tokens: int, slots: int) -> tuple[int, int, timedelta]:
        self.asked.append((tokens, slots))
        await asyncio.sleep(0)
        if self.trouble:
            raise self.trouble
        given = min(tokens, self.tokens)
        self.tokens -= given
        return given, min(slots, self.slots), self.wait


async def turn(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.001)


async def use(share: Share, held: list[int], release: asyncio.Event, number: int) -> timedelta:
    async with share.one() as wait:
        held.append(number)
        await release.wait()
    return wait


async def test_many_requests_are_served_by_few_leases_in_order() -> None:
    shared = Shared(tokens=1000, slots=1000)
    share = Share(shared.lease, rate=1000)
    held: list[int] = []
    release = asyncio.Event()
    release.set()
    assert await asyncio.gather(*(use(share, held, release, number) for number in range(300))) == [NOW] * 300
    assert held == list(range(300))
    assert len(shared.asked) <= 6


async def test_never_more_are_in_flight_than_there_are_slots() -> None:
    shared = Shared(tokens=100, slots=3)
    share = Share(shared.lease, rate=1000)
    held: list[int] = []
    release = asyncio.Event()
    users = [asyncio.create_task(use(share, held, release, number)) for number in range(10)]
    await turn(lambda: len(held) == 3)
    await asyncio.sleep(0)
    assert len(held) == 3
    release.set()
    await asyncio.gather(*users)
    assert len(held) == 10


async def test_a_blocked_credential_sends_everyone_away_with_the_wait() -> None:
    shared = Shared(tokens=0, slots=10)
    shared.wait = PATIENCE + timedelta(seconds=1)
    share = Share(shared.lease, rate=10)
    release = asyncio.Event()
    release.set()
    assert await asyncio.gather(*(use(share, [], release, number) for number in range(5))) == [shared.wait] * 5


async def test_trouble_with_the_database_reaches_those_who_wait_and_the_next_tries_again() -> None:
    shared = Shared(tokens=10, slots=10)
    shared.trouble = ConnectionError("gone")
    share = Share(shared.lease, rate=10)
    release = asyncio.Event()
    release.set()
    with pytest.raises(ConnectionError):
        await use(share, [], release, 1)
    shared.trouble = None
    assert await use(share, [], release, 2) == NOW


async def test_a_cancelled_holder_gives_its_slot_back() -> None:
    shared = Shared(tokens=10, slots=1)
    share = Share(shared.lease, rate=100)
    held: list[int] = []
    release = asyncio.Event()
    first = asyncio.create_task(use(share, held, release, 1))
    await turn(lambda: held == [1])
    waiting = asyncio.create_task(use(share, held, release, 2))
    third = asyncio.create_task(use(share, held, release, 3))
    await asyncio.sleep(0)
    waiting.cancel()
    first.cancel()
    await turn(lambda: held == [1, 3])
    release.set()
    assert await third == NOW


async def test_renewing_keeps_what_is_in_use_and_gives_the_rest_back() -> None:
    shared = Shared(tokens=10, slots=10)
    share = Share(shared.lease, rate=100)
    held: list[int] = []
    release = asyncio.Event()
    users = [asyncio.create_task(use(share, held, release, number)) for number in range(4)]
    await turn(lambda: len(held) == 4)
    assert await share.renew()
    assert shared.asked[-1] == (0, 4)
    release.set()
    await asyncio.gather(*users)
    assert not await share.renew()
    assert shared.asked[-1] == (0, 0)


async def test_a_block_voids_what_was_leased() -> None:
    shared = Shared(tokens=10, slots=10)
    share = Share(shared.lease, rate=100)
    release = asyncio.Event()
    release.set()
    await use(share, [], release, 1)
    share.void()
    before = len(shared.asked)
    await use(share, [], release, 2)
    assert len(shared.asked) == before + 1
