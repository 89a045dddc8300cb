"""Integrations get the credential that a person connected for them as soon as it works, also where its check took long.

Never the network.
"""

from __future__ import annotations

from contextlib import suppress

from tollbridge.domain.errors import Refusal
from tollbridge.services import integrations
from tollbridge.services.alerts import SYSTEM
from tollbridge.services.caller import Caller
from tollbridge.store import credentials as rows
from tollbridge.store.db import Database


async def give(db: Database, caller: Caller, integration_id: str, credential_id: str) -> None:
    """Give the integration that credential; raises what `integrations.update` raises."""
    record = (await integrations.retrieve(db, caller, integration_id)).record
    body = {**record.body, "name": record["name"], "integrationCredentialsId": credential_id}
    await integrations.update(db, caller, integration_id, body)


async def go_on(db: Database) -> int:
    """Give every integration that waits for a credential which works by now that credential; answers how many."""
    async with db.hot() as connection:
        waiting = await rows.connected_for(connection)
    for org_id, credential_id, integration_id in waiting:
        caller = Caller(org_id, SYSTEM)
        # Where it was deleted, or changed so that it cannot have it, whoever did that knows.
        with suppress(Refusal):
            await give(db, caller, integration_id, credential_id)
        async with db.transaction() as tx:
            await rows.has_its_integration(tx, org_id, credential_id, integration_id)
    return len(waiting)
