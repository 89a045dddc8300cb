"""What a look at the whole installation reads, whatever the organization: the server, its clock, all credentials."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tollbridge.store.db import Connection


@dataclass(frozen=True, slots=True)
class CredentialStanding:
    """A credential and what its last check, or last use, found out."""

    org_id: str
    id: str
    name: str
    system: str
    status: str
    error: str | None
    checked_at: datetime | None


@dataclass(frozen=True, slots=True)
class DisabledIntegration:
    """An integration that is disabled, why, and how many runs it holds."""

    org_id: str
    id: str
    name: str
    reason: str | None
    held: int


async def disabled(connection: Connection) -> list[DisabledIntegration]:
    """All integrations that are disabled."""
    rows = await connection.fetch(
        """
        SELECT org_id, id, name, disabled_reason, (
            SELECT count(*) FROM runs r
            WHERE r.integration_id = i.id AND r.state = 'held' AND r.hold_reason = 'disabled') AS held
        FROM integrations i WHERE NOT enabled ORDER BY org_id, name, id
        """
    )
    return [DisabledIntegration(*row) for row in rows]


async def server(connection: Connection) -> tuple[str, datetime]:
    """The server's version, and its clock at this very moment."""
    row = await connection.fetchrow("SELECT current_setting('server_version'), clock_timestamp()")
    return row[0], row[1]


async def credentials(connection: Connection) -> list[CredentialStanding]:
    """All credentials."""
    rows = await connection.fetch(
        "SELECT org_id, id, name, system, status, error, checked_at FROM credentials ORDER BY org_id, name, id"
    )
    return [CredentialStanding(*row) for row in rows]


async def versions(connection: Connection) -> tuple[str, str]:
    """The version of the database, and the revision of our schema in it."""
    row = await connection.fetchrow(
        "SELECT current_setting('server_version') AS server, (SELECT version_num FROM alembic_version) AS revision"
    )
    return row["server"], row["revision"]
