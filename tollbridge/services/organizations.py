"""Organizations: made on this machine by whoever may reach the database, never over the API."""

from __future__ import annotations

from dataclasses import dataclass

from tollbridge.domain.access import Role
from tollbridge.domain.errors import Conflict
from tollbridge.domain.fields import identifier, trimmed
from tollbridge.services import clock, service_users
from tollbridge.services.caller import Caller
from tollbridge.store import organizations
from tollbridge.store.db import Database


@dataclass(frozen=True, slots=True)
class NewOrganization:
    """An organization with its first access key; the secret is shown once and stored nowhere."""

    org_id: str
    name: str
    service_user_id: str
    key_id: str
    secret: str


async def create(db: Database, name: str, org_id: str | None = None) -> NewOrganization:
    """Make an organization, a service user and an access key; raises Conflict where the id is taken."""
    trimmed(least=1, most=200).check(name, "name")
    if org_id is not None:
        identifier().check(org_id, "id")
    org_id = org_id or clock.new_id()
    caller = Caller(org_id, "SYSTEM")
    async with db.transaction() as tx:
        if await organizations.name_of(tx, org_id) is not None:
            raise Conflict(
                "organization.exists", f"There is an organization {org_id} already.", "Choose another id.", "id"
            )
        await organizations.add(tx, org_id, name, clock.now())
        user = await service_users.add(tx, caller, {"name": "Administrator", "role": Role.ADMINISTRATOR.value})
        key = await service_users.add_key(tx, caller, user.id)
    return NewOrganization(org_id, name, user.id, key.id, key.secret)
