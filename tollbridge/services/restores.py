"""What must be known after a restore: the database may have forgotten what was sent since its backup was made."""

from __future__ import annotations

from datetime import datetime, timedelta

from tollbridge.services import clock
from tollbridge.store import restores
from tollbridge.store.db import Database


async def note(db: Database, span: timedelta) -> datetime:
    """From now on, for that span, every delivery looks first what stands at the other side; answers until when."""
    now = clock.now()
    async with db.hot() as connection:
        await restores.add(connection, now, now + span)
    return now + span
