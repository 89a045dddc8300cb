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

PERSON, PROGRAM = users.PRINCIPAL, "SERVICE_USER_"
"""How the principals of users and of service users begin."""


async def of_integrations(db: Database, caller: Caller, ids: Iterable[str | None]) -> Mapping[str, Record]:
    """Those of the integrations that are still there, by id."""
    async with db.transaction() as tx:
        return await records.by_ids(tx, integrations, caller.org_id, sorted({id for id in ids if id}))


async def of_principals(db: Database, caller: Caller, principals: Iterable[str | None]) -> Mapping[str, str]:
    """Names of users and service users, by principal."""
    wanted = {each for each in principals if each}
    persons = [each.removeprefix(PERSON) for each in wanted if each.startswith(PERSON)]
    programs = [each.removeprefix(PROGRAM) for each in wanted if each.startswith(PROGRAM)]
    async with db.transaction() as tx:
        found = await records.by_ids(tx, people, caller.org_id, persons)
        running = await records.by_ids(tx, service_users, caller.org_id, programs)
    return {f"{PERSON}{id}": users.full_name(each) or each["mail"] for id, each in found.items()} | {
        f"{PROGRAM}{id}": each["name"] for id, each in running.items()
    }
