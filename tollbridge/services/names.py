"""What people call those whom ids and principals name; what is gone is not among the answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tollbridge.services import users
from tollbridge.services.caller import Caller
from tollbridge.store import records
from tollbridge.store.db import Database
from tollbridge.store.records import Record
from tollbridge.store.schema import integrations, service_users
from tollbridge.store.schema import users as people

PERSON, PROGRAM, INTEGRATION = users.PRINCIPAL, "SERVICE_USER_", "INTEGRATION_"
"""How the principals of users, service users and integrations begin."""


async def of_integrations(db: Database, caller: Caller, ids: Iterable[str | None]) -> Mapping[str, Record]:
    """Those of the integrations that are still there, by id."""
    async with db.transaction() as tx:
        return await records.by_ids(tx, integrations, caller.org_id, sorted({id for id in ids if id}))


async def of_principals(db: Database, caller: Caller, principals: Iterable[str | None]) -> Mapping[str, str]:
    """Names of users, service users and integrations, by principal."""
    wanted = sorted({each for each in principals if each})
    named: dict[str, str] = {}
    async with db.transaction() as tx:
        for prefix, table in ((PERSON, people), (PROGRAM, service_users), (INTEGRATION, integrations)):
            ids = [each.removeprefix(prefix) for each in wanted if each.startswith(prefix)]
            found = await records.by_ids(tx, table, caller.org_id, ids) if ids else {}
            named |= {f"{prefix}{id}": _name(each) for id, each in found.items()}
    return named


def _name(record: Record) -> str:
    return users.full_name(record) or str(record.columns.get("name") or record.columns.get("mail"))
