"""Credentials: their rows beyond what every entity has. Secrets pass through sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import null, select, update

from tollbridge.domain import notifications
from tollbridge.store.db import Connection, Tx
from tollbridge.store.records import Page, Record, read
from tollbridge.store.records import page as page_of
from tollbridge.store.schema import credentials


async def page(tx: Tx, org_id: str, *, system: str | None, size: int, token: str | None) -> Page:
    """One page of credentials, of one system where it is given; those of webhooks belong to them and are left out."""
    conditions = [credentials.c.system != notifications.SYSTEM]
    conditions += [] if system is None else [credentials.c.system == system]
    return await page_of(tx, credentials, org_id, conditions, size=size, token=token)


async def several(tx: Tx, org_id: str, ids: Sequence[str]) -> Mapping[str, Record]:
    """These credentials, by id."""
    query = select(credentials).where(credentials.c.org_id == org_id, credentials.c.id.in_(ids))
    return {row.id: read(credentials, row) for row in await tx.execute(query)}


async def set_candidate(
    tx: Tx, org_id: str, id: str, sealed: bytes | None, *, for_integration: str | None = None
) -> None:
    """Keep a secret that is to be checked before it takes the place of the present one, or forget it; `for_integration`
    is the integration that gets the credential once it works."""
    mine = update(credentials).where(credentials.c.org_id == org_id, credentials.c.id == id)
    await tx.execute(mine.values(candidate=sealed, tenants=null(), for_integration=for_integration))


async def connected_for(connection: Connection) -> list[tuple[str, str, str]]:
    """(organization, credential, integration) where the integration waits for a credential that works by now."""
    found = await connection.fetch(
        "SELECT org_id, id, for_integration FROM credentials"
        " WHERE for_integration IS NOT NULL AND status = 'VALID' AND candidate IS NULL"
    )
    return [tuple(row) for row in found]


async def has_its_integration(tx: Tx, org_id: str, id: str, integration_id: str) -> None:
    """The integration has the credential, or cannot have it."""
    c = credentials.c
    mine = update(credentials).where(c.org_id == org_id, c.id == id, c.for_integration == integration_id)
    await tx.execute(mine.values(for_integration=None))


async def due_for_check(connection: Connection, before: datetime, limit: int) -> list[tuple[str, str, str]]:
    """(organization, id, system) of credentials that were last checked before that moment and are not under check."""
    found = await connection.fetch(
        """
        SELECT org_id, id, system FROM credentials c
        WHERE system <> $3 AND status <> 'WAITING' AND checked_at < $1 AND NOT EXISTS (
            SELECT FROM runs r WHERE r.org_id = c.org_id AND r.entity_type = 'Credential' AND r.entity_id = c.id
              AND r.state IN ('queued', 'waiting', 'running'))
        ORDER BY checked_at LIMIT $2
        """,
        before,
        limit,
        notifications.SYSTEM,
    )
    return [tuple(row) for row in found]


async def statuses(tx: Tx, org_id: str, ids: Sequence[str]) -> Mapping[str, str]:
    """The status of each of the credentials, by id."""
    query = select(credentials.c.id, credentials.c.status).where(
        credentials.c.org_id == org_id, credentials.c.id.in_(ids)
    )
    return {row.id: row.status for row in await tx.execute(query)}
