"""Organizations: an id and a name each."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, select

from tollbridge.store.db import Tx
from tollbridge.store.schema import organizations


async def add(tx: Tx, id: str, name: str, at: datetime) -> None:
    await tx.execute(insert(organizations).values(id=id, name=name, created_at=at))


async def name_of(tx: Tx, id: str) -> str | None:
    """The organization's name, or None where there is no such organization."""
    return (await tx.execute(select(organizations.c.name).where(organizations.c.id == id))).scalar_one_or_none()
