"""Permits: one worker's share in the rate limit and the slots of each credential, leased from the database in blocks.

The limits belong to the credential, whoever uses it; the database shares them out among all workers.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeAlias

Lease: TypeAlias = Callable[[int, int], Awaitable[tuple[int, int, timedelta]]]
"""Given the requests and the slots (altogether) that are wanted: those that are granted, and the wait for more."""

PATIENCE = timedelta(seconds=5)
"""Who would have to wait longer is sent away, so that a blocked credential does not fill the worker."""
PERIOD = 0.1
"""The shortest time between two leases when requests are short, in seconds."""
BLOCK = 2 * PERIOD
"""Seconds' worth of requests that are leased at once: more than a period's, since a lease takes its own time and what
gathers meanwhile is to be used."""
TOKEN_LIFE = 1.0
"""Seconds after which leased requests that were not sent are void: hoarded ones would be a burst."""
SLOT_PATIENCE = 0.5
"""Seconds after which slots are asked for again: another worker may have given some back."""


class Share:
    """One credential's limits as this worker sees them."""

    def __init__(self, lease: Lease, rate: float) -> None:
        self._lease = lease
        self._block = math.ceil(rate * BLOCK)
        self._tokens = 0
        self._tokens_until = 0.0
        self._slots = 0
        self._in_use = 0
        self._waiting: deque[asyncio.Future[timedelta]] = deque()
        self._served = asyncio.Event()
        self._server: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def one(self) -> AsyncIterator[timedelta]:
        """One request's worth: waits for it and holds a slot. Gives zero, or the wait where that is too long."""
        wait = await self._enter()
        try:
            yield wait
        finally:
            if not wait:
                self._in_use -= 1
                self._grant()

    async def renew(self) -> bool:
        """Renew the lease of the slots that are needed and give the others back; False where none is needed."""
        needed = self._in_use + len(self._waiting)
        if self._slots or needed:
            _, self._slots, _ = await self._lease(0, needed)
        return needed > 0

    def void(self) -> None:
        """Send nothing more on what was leased."""
        self._tokens = 0

    async def _enter(self) -> timedelta:
        if not self._waiting and self._in_use < self._slots and self._left():
            self._tokens -= 1
            self._in_use += 1
            return timedelta()
        ticket: asyncio.Future[timedelta] = asyncio.get_running_loop().create_future()
        self._waiting.append(ticket)
        self._grant()
        if not ticket.done() and self._server is None:
            self._server = asyncio.create_task(self._serve())
        try:
            return await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled():
                self._in_use -= 1
            raise

    def _grant(self) -> None:
        """Serve those who wait from what is leased."""
        while self._waiting and self._left() and self._in_use < self._slots:
            ticket = self._waiting.popleft()
            if not ticket.done():
                self._tokens -= 1
                self._in_use += 1
                ticket.set_result(timedelta())
        if not (self._waiting and self._left()):
            self._served.set()

    def _left(self) -> int:
        return self._tokens if time.monotonic() < self._tokens_until else 0

    async def _serve(self) -> None:
        """Lease until nobody waits. What goes wrong reaches those who wait."""
        try:
            while self._waiting:
                wanted = 0 if self._left() else min(len(self._waiting), self._block)
                tokens, self._slots, wait = await self._lease(wanted, self._in_use + len(self._waiting))
                if wait > PATIENCE:
                    return self._dismiss(wait)
                if tokens:
                    self._tokens, self._tokens_until = tokens, time.monotonic() + TOKEN_LIFE
                self._served.clear()
                self._grant()
                if self._waiting:
                    await self._until_worth_asking(wait)
        except Exception as error:
            while self._waiting:
                ticket = self._waiting.popleft()
                if not ticket.done():
                    ticket.set_exception(error)
        finally:
            self._server = None

    async def _until_worth_asking(self, wait: timedelta) -> None:
        if not self._left():
            await asyncio.sleep(max(wait.total_seconds(), PERIOD))
            return
        # Short of slots only: those in use serve the next one as they come back.
        try:
            await asyncio.wait_for(self._served.wait(), SLOT_PATIENCE)
        except TimeoutError:
            return

    def _dismiss(self, wait: timedelta) -> None:
        while self._waiting:
            ticket = self._waiting.popleft()
            if not ticket.done():
                ticket.set_result(wait)
