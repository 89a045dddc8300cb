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
    waiting: list[asyncio.Future[R]] = field(default_factory=list)


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
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, item: T) -> R:
        """Take part in the next flush and return this item's result."""
        batch = self._open
        if batch is None or len(batch.items) >= self._limit:
            batch = self._open = _Batch()
            task = asyncio.create_task(self._run(batch))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        batch.items.append(item)
        batch.waiting.append(result)
        return await result

    async def _run(self, batch: _Batch[T, R]) -> None:
        try:
            async with self._turn:
                self._close(batch)
                results = await self._flush(batch.items)
            if len(results) != len(batch.items):
                raise RuntimeError(f"{len(results)} results came of {len(batch.items)} items")
        except BaseException as error:
            # Whatever it is, nobody may be left waiting.
            self._close(batch)
            for waiting in batch.waiting:
                _hand(waiting, error)
            if not isinstance(error, Exception):
                raise
            return
        for waiting, result in zip(batch.waiting, results, strict=True):
            _hand(waiting, result)

    def _close(self, batch: _Batch[T, R]) -> None:
        """Take no more items into the batch."""
        if self._open is batch:
            self._open = None


def _hand(waiting: asyncio.Future[R], result: R | BaseException) -> None:
    """Give a caller what came of its item, unless it was cancelled."""
    if waiting.done():
        return
    if isinstance(result, asyncio.CancelledError):
        waiting.cancel()
    elif isinstance(result, BaseException):
        waiting.set_exception(result)
    else:
        waiting.set_result(result)
