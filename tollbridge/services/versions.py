"""What an integration's configuration was before, and who changed it: read from the audit log. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tollbridge.domain.versions import Change, Version, versions
from tollbridge.services.caller import Caller
from tollbridge.store import audit
from tollbridge.store.audit import Wanted
from tollbridge.store.db import Database
from tollbridge.store.records import Record
from tollbridge.store.schema import integrations

MOST = 200
"""Lines of the log that are read, the latest; what was done about an integration without changing it is among them."""


@dataclass(frozen=True, slots=True)
class History:
    """Versions, the present one first. `whole` is false where the log may know of earlier ones."""

    versions: Sequence[Version]
    whole: bool


async def history(db: Database, caller: Caller, record: Record) -> History:
    """What the integration's configuration was; whoever may read it as it is may read that, too."""
    entity = audit.entity_of(integrations)
    async with db.transaction() as tx:
        lines = await audit.page(tx, caller.org_id, Wanted(entity, record.id), size=MOST + 1)
    changes = [
        Change(line.id, line.at, line.principal, line.action, line.before, line.after)
        for line in lines[:MOST]
        # What came in since the record was read is not undone from it.
        if line.at <= record.updated_at
    ]
    present = {"name": record["name"], **record.body}
    return History(list(versions(present, changes)), len(lines) <= MOST)
