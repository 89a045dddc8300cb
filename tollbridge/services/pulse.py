"""A mark of what a page shows, which changes when the page would: what is live in the Console asks for it."""

from __future__ import annotations

from tollbridge.services.caller import Caller
from tollbridge.store import pulse
from tollbridge.store.db import Database


async def of_run(db: Database, caller: Caller, run_id: str) -> str:
    async with db.hot() as connection:
        return "/".join(await pulse.of_run(connection, caller.org_id, run_id))


async def of_runs(db: Database, caller: Caller) -> str:
    async with db.hot() as connection:
        return "/".join(await pulse.of_runs(connection, caller.org_id))
