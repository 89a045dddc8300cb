"""Half-open: where errors disabled an integration, one held run is tried after a while. Never the network.

The run starts as any other, though its integration is disabled; what follows from its end is in `services.safety`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tollbridge.store import lanes, notifying, standing
from tollbridge.store import runs as rows
from tollbridge.store.db import Database

LONGEST_WAIT = timedelta(days=1)


async def step(db: Database, now: datetime) -> bool:
    """Let one held run of an integration whose time has come be tried; answers whether there was one."""
    async with db.hot() as connection:
        probe = await standing.next_probe(connection, now)
        if probe is None:
            return False
        laned = [probe.lane] if probe.lane and not probe.notification else []
        await lanes.lock(connection, laned)
        await standing.note_probe(connection, probe, LONGEST_WAIT, now)
        webhook_id = await rows.release_one(connection, probe.run_id, now)
        if probe.notification and webhook_id:
            await notifying.tell(connection, {webhook_id})
        await lanes.fill(connection, laned, now)
        return True
