"""Organizations: an id and a name each, and whether their sending is paused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update

from tollbridge.store.db import Connection, Tx
from tollbridge.store.schema import organizations


@dataclass(frozen=True, slots=True)
class Pause:
    """That all sending of an organization is paused: why, by whom, since when."""

    reason: str
    by: str
    at: datetime


async def paused(tx: Tx, id: str, *, lock: bool = False) -> Pause | None:
    """The organization's pause; locked where asked, so that of two who change it the later sees what the first did."""
    c = organizations.c
    query = select(c.paused_reason, c.paused_by, c.paused_at).where(c.id == id)
    row = (await tx.execute(query.with_for_update(key_share=True) if lock else query)).first()
    return Pause(*row) if row and row.paused_at is not None else None


async def set_pause(tx: Tx, id: str, pause: Pause | None) -> None:
    """Pause the organization's sending, or end that."""
    reason, by, at = (pause.reason, pause.by, pause.at) if pause else (None, None, None)
    values = {"paused_reason": reason, "paused_by": by, "paused_at": at}
    await tx.execute(update(organizations).where(organizations.c.id == id).values(**values))


async def integrations_of(connection: Connection, id: str) -> list[tuple[str, str]]:
    """(organization, integration) of all its integrations."""
    rows = await connection.fetch("SELECT org_id, id FROM integrations WHERE org_id = $1", id)
    return [(row["org_id"], row["id"]) for row in rows]


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
