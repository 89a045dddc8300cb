"""Where time and new ids come in, so that decisions below can take them as arguments."""

from __future__ import annotations

import os
import threading
import uuid
from datetime import UTC, datetime

_lock = threading.Lock()
_last = 0


def now() -> datetime:
    """The current moment, aware UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """A UUIDv7 (RFC 9562) as text; ids made by one process grow, also within one millisecond."""
    global _last
    with _lock:
        # 48 bits of milliseconds and 12 bits of their fraction, never standing still.
        ticks = int(datetime.now(UTC).timestamp() * 1000 * 4096)
        _last = max(ticks, _last + 1)
        ticks = _last
    return _id(ticks, int.from_bytes(os.urandom(8), "big"))


def first_id(moment: datetime) -> str:
    """The lowest id that `new_id` may have made from that moment on."""
    return _id(int(moment.timestamp() * 1000 * 4096), 0)


def _id(ticks: int, noise: int) -> str:
    milliseconds, fraction = divmod(ticks, 4096)
    tail = noise & ((1 << 62) - 1)
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | tail))
