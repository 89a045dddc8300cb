"""Which notifications follow from events: rules are tried in the transaction in which the events are kept.

Never the network: the runs that are made here are delivered by workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tollbridge.domain.events import Event
from tollbridge.store.db import Connection


async def fire(connection: Connection, events: Sequence[Event], now: datetime) -> None:
    """Try the rules on these events, which were just kept for the first time; for now there are none to try."""
