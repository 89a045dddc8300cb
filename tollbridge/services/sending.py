"""Sending as a whole: paused and resumed for an organization, with a reason. Never the network.

Workers see the pause when they claim: what is under way ends, everything else is held until sending is resumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tollbridge.domain.audit import Action
from tollbridge.domain.errors import Conflict
from tollbridge.domain.fields import Shape, required, text
from tollbridge.domain.runs import HoldReason
from tollbridge.services import audit, clock
from tollbridge.services.caller import Caller
from tollbridge.store import notifying, organizations
from tollbridge.store import runs as rows
from tollbridge.store.db import Connection, Database, Tx, raw
from tollbridge.store.organizations import Pause

PAUSE = Shape({"reason": required(text(least=1, most=1000))})
NOUN = "Organization"


async def retrieve(db: Database, caller: Caller) -> tuple[Pause | None, int]:
    """The pause, where sending is paused, and how many runs are held by it."""
    async with db.transaction() as tx:
        return await _standing(tx, caller)


async def pause(db: Database, caller: Caller, body: Any) -> tuple[Pause | None, int]:
    """Send nothing more of this organization; raises Conflict where that is so already."""
    reason = PAUSE.check(body)["reason"]
    async with db.transaction() as tx:
        earlier = await organizations.paused(tx, caller.org_id, lock=True)
        if earlier is not None:
            raise Conflict(
                "sending.paused",
                f"Sending is paused already, by {earlier.by}: {earlier.reason}",
                "Resume it first: tollbridge resume",
            )
        await organizations.set_pause(tx, caller.org_id, Pause(reason, caller.principal, clock.now()))
        await _note(tx, caller, Action.PAUSE, {"reason": reason})
        return await _standing(tx, caller)


async def resume(db: Database, caller: Caller) -> tuple[Pause | None, int]:
    """Send again, beginning with what was held meanwhile; raises Conflict where sending is not paused."""
    async with db.transaction() as tx:
        if await organizations.paused(tx, caller.org_id, lock=True) is None:
            raise Conflict("sending.not_paused", "Sending is not paused.", "There is nothing to resume.")
        await organizations.set_pause(tx, caller.org_id, None)
        released = await _release(await raw(tx), caller.org_id, clock.now())
        await _note(tx, caller, Action.RESUME, {"runs": released})
        return await _standing(tx, caller)


async def _release(connection: Connection, org_id: str, now: datetime) -> int:
    mine = await organizations.integrations_of(connection, org_id)
    released = await rows.release_held(connection, mine, [HoldReason.PAUSED], now)
    return released + await notifying.release_held(connection, mine, now)


async def _note(tx: Tx, caller: Caller, action: Action, after: Mapping[str, Any]) -> None:
    await audit.note(tx, caller, action, NOUN, caller.org_id, after=after)


async def _standing(tx: Tx, caller: Caller) -> tuple[Pause | None, int]:
    held = await rows.count_held(await raw(tx), caller.org_id, HoldReason.PAUSED)
    return await organizations.paused(tx, caller.org_id), held
