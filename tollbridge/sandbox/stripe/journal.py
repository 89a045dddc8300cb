"""What happened in one account: its events, each with its object as it was at that moment, kept as long as Stripe does.

It knows no endpoint. Objects are kept compressed against the first one of the same type of event: there are tens of
thousands of them, and they differ in little.
"""

from __future__ import annotations

import json
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
LIFETIME = 30 * 86_400
MOST = 100_000
"""The most events that are kept, for the sake of memory; the oldest go first. Stripe has no such bound."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `created` in seconds since 1970; `packed` is its object, which `Journal.object_of` reads."""

    id: str
    type: str
    created: int
    packed: bytes


class Journal:
    """The events of one account and mode, at most `most`."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        # Not a plain dict: that one gets slow at its front after many were taken from there.
        self._events: OrderedDict[str, Event] = OrderedDict()
        self._specimens: dict[str, bytes] = {}

    def add(self, id: str, type: str, record: Record, now: int) -> None:
        """Note what happened to a record, which is given as it looks after that."""
        text = json.dumps(record, separators=(",", ":")).encode()
        packer = zlib.compressobj(1, zdict=self._specimens.setdefault(type, text))
        self._events[id] = Event(id, type, now, packer.compress(text) + packer.flush())
        self._prune(now)

    def kept(self, now: int) -> OrderedDict[str, Event]:
        """The events that are not too old, oldest first, by id."""
        self._prune(now)
        return self._events

    def object_of(self, event: Event) -> Record:
        """The record as it was when the event happened."""
        unpacker = zlib.decompressobj(zdict=self._specimens[event.type])
        record: Record = json.loads(unpacker.decompress(event.packed) + unpacker.flush())
        return record

    def _prune(self, now: int) -> None:
        while self._events:
            oldest = next(iter(self._events.values()))
            if oldest.created + LIFETIME > now and len(self._events) <= self._most:
                return
            del self._events[oldest.id]
