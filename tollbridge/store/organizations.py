"""Organizations: an id and a name each."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, select

from tollbridge.store.db import Tx
from tollbridge.store.schema import organizations


async def add(tx: Tx, id: str, name: str, at: datetime) -> None:
    await tx.execute(insert(organizations).values(id=id, name=name, created_at=at))


async def ids(tx: Tx) -> list[str]:
    """Of all organizations."""
    return list((await tx.execute(select(organizations.c.id).order_by(organizations.c.id))).scalars())


async def created_at(tx: Tx, id: str) -> datetime | None:
    """When it was made, or None where there is no such organization."""
    query = select(organizations.c.created_at).where(organizations.c.id == id)
    return (await tx.execute(query)).scalar_one_or_none()


async def name_of(tx: Tx, id: str) -> str | None:
    """The organization's name, or None where there is no such organization."""
    return (await tx.execute(select(organizations.c.name).where(organizations.c.id == id))).scalar_one_or_none()
