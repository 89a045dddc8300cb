"""Grouping: what arrives while a flush is running goes into the next one, as one statement and one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class _Batch(Generic[T, R]):
    items: list[T] = field(default_factory=list)
    results: asyncio.Task[Sequence[R | Exception]] | None = None


class Group(Generic[T, R]):
    """Turns single calls into list calls, one flush at a time and at most `limit` items in each.

    `flush` answers one result per item, in order; an exception among them is raised to its own caller, one that it
    raises itself reaches everyone in that flush. A caller that is cancelled does not stop the flush for the others.
    """

    def __init__(self, flush: Callable[[list[T]], Awaitable[Sequence[R | Exception]]], limit: int = 250) -> None:
        self._flush = flush
        self._limit = limit
        self._turn = asyncio.Lock()
        self._open: _Batch[T, R] | None = None

    async def __call__(self, item: T) -> R:
        """Take part in the next flush and return this item's result."""
        batch = self._open
        if batch is None or len(batch.items) >= self._limit:
            batch = self._open = _Batch()
            batch.results = asyncio.create_task(self._run(batch))
        index = len(batch.items)
        batch.items.append(item)
        assert batch.results is not None
        result = (await asyncio.shield(batch.results))[index]
        if isinstance(result, Exception):
            raise result
        return result

    async def _run(self, batch: _Batch[T, R]) -> Sequence[R | Exception]:
        async with self._turn:
            if self._open is batch:
                self._open = None
            return await self._flush(batch.items)
