"""A mark of what a page shows, which changes when the page would: what is live in the Console asks for it."""

from __future__ import annotations

from tollbridge.services.caller import Caller
from tollbridge.store import pulse
from tollbridge.store.db import Database


async def of_one(db: Database, caller: Caller, noun: str, id: str) -> str:
    """Of a `run`, an `integration`, a `bill` or a `mending`."""
    async with db.hot() as connection:
        return "/".join(await pulse.OF_ONE[noun](connection, caller.org_id, id))


async def of_runs(db: Database, caller: Caller) -> str:
    async with db.hot() as connection:
        return "/".join(await pulse.of_runs(connection, caller.org_id))
