"""Access keys: the hash of each secret and whether the key may be used. Never a secret itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from tollbridge.store.db import Tx
from tollbridge.store.schema import access_keys, service_users


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key of a service user. `secret_hash` is the SHA-256 of the secret, which is random and needs no slow hash."""

    id: str
    org_id: str
    service_user_id: str
    secret_hash: bytes
    active: bool
    created_at: datetime


async def add(tx: Tx, key: AccessKey) -> None:
    await tx.execute(insert(access_keys).values(asdict(key)))


async def find(tx: Tx, id: str) -> AccessKey | None:
    """The key, in whatever organization it is."""
    row = (await tx.execute(select(access_keys).where(access_keys.c.id == id))).first()
    return AccessKey(**row._mapping) if row else None


async def find_with_role(tx: Tx, id: str) -> tuple[AccessKey, str] | None:
    """The key and the role of its service user, in whatever organization they are."""
    users = service_users.c
    query = (
        select(access_keys, users.role)
        .join(service_users, (users.org_id == access_keys.c.org_id) & (users.id == access_keys.c.service_user_id))
        .where(access_keys.c.id == id)
    )
    row = (await tx.execute(query)).first()
    if row is None:
        return None
    values = dict(row._mapping)
    role: str = values.pop("role")
    return AccessKey(**values), role


async def of_service_user(tx: Tx, org_id: str, service_user_id: str) -> Sequence[AccessKey]:
    """All keys of the service user, newest first."""
    query = (
        select(access_keys)
        .where(access_keys.c.org_id == org_id, access_keys.c.service_user_id == service_user_id)
        .order_by(access_keys.c.created_at.desc(), access_keys.c.id.desc())
    )
    return [AccessKey(**row._mapping) for row in await tx.execute(query)]


async def set_active(tx: Tx, id: str, active: bool) -> None:
    await tx.execute(update(access_keys).where(access_keys.c.id == id).values(active=active))


async def remove(tx: Tx, id: str) -> None:
    await tx.execute(delete(access_keys).where(access_keys.c.id == id))
