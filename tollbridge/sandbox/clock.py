"""The stand-in's own clock: real time that an administrator can move forward, so that no test has to wait.

It must never go back: ages of idempotency keys and of search entries are counted with it.
"""

from __future__ import annotations

import asyncio
import time


class Clock:
    """Unix time plus what it was moved forward."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._offset

    def forward(self, seconds: float) -> None:
        """Move the clock; whoever sleeps past the new moment wakes up."""
        if seconds < 0:
            raise ValueError("seconds must not be negative: the clock only moves forward")
        self._offset += seconds
        self._moved.set()
        self._moved = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Wait that long by this clock."""
        until = self.now() + seconds
        while (left := until - self.now()) > 0:
            try:
                await asyncio.wait_for(self._moved.wait(), timeout=left)
            except TimeoutError:
                continue
