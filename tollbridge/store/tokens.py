"""Leases by which one worker alone exchanges a credential's grant for a token, and redirects that are under way.

A lease has a growing fence: what its holder wants kept is refused once another has taken it over, or the grant was
replaced meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, insert

from tollbridge.domain import json_text
from tollbridge.store.db import Connection, Tx
from tollbridge.store.schema import oauth_redirects


@dataclass(frozen=True, slots=True)
class Standing:
    """A credential's sealed values, locked, and until when its lease is taken."""

    system: str
    secrets: bytes
    candidate: bytes | None
    tenant: str | None
    until: datetime | None

    @property
    def tenant_id(self) -> str | None:
        """The vendor's id of the tenant that it opened until now."""
        return self.tenant.partition(":")[2] if self.tenant else None


@dataclass(frozen=True, slots=True)
class Redirect:
    """A person was sent to the vendor and is not back yet. `integration_id` is what the credential is made for;
    `sealed` has the verifier and the fields that are to be taken over."""

    state_hash: bytes
    org_id: str
    credential_id: str
    integration_id: str | None
    begun_by: str
    sealed: bytes
    expires_at: datetime


async def lock(connection: Connection, org_id: str, id: str) -> Standing | None:
    row = await connection.fetchrow(
        "SELECT system, secrets, candidate, tenant,"
        " (SELECT until FROM token_leases WHERE org_id = $1 AND credential_id = $2)"
        " FROM credentials WHERE org_id = $1 AND id = $2 FOR UPDATE",
        org_id,
        id,
    )
    return Standing(*row) if row else None


async def take(connection: Connection, org_id: str, id: str, until: datetime) -> int:
    """Take the lease of a locked credential; answers the fence."""
    fence: int = await connection.fetchval(
        "INSERT INTO token_leases AS l (org_id, credential_id, fence, until) VALUES ($1, $2, 1, $3)"
        " ON CONFLICT (org_id, credential_id) DO UPDATE SET fence = l.fence + 1, until = excluded.until"
        " RETURNING fence",
        org_id,
        id,
        until,
    )
    return fence


async def give_back(connection: Connection, org_id: str, id: str, fence: int) -> bool:
    """End the lease; False where it is no longer the holder's."""
    return bool(
        await connection.fetchval(
            "UPDATE token_leases SET until = NULL WHERE org_id = $1 AND credential_id = $2 AND fence = $3"
            " RETURNING true",
            org_id,
            id,
            fence,
        )
    )


async def keep(
    connection: Connection, org_id: str, id: str, sealed: bytes, expires_at: datetime | None, *, candidate: bool
) -> None:
    """Store the fields with the new grant, in the candidate or as the secrets."""
    column, expiry = ("candidate", "candidate_expires_at") if candidate else ("secrets", "expires_at")
    await connection.execute(
        f"UPDATE credentials SET {column} = $3, {expiry} = $4 WHERE org_id = $1 AND id = $2",  # noqa: S608 fixed names
        org_id,
        id,
        sealed,
        expires_at,
    )


async def replace_sealed(connection: Connection, org_id: str, id: str, sealed: bytes, *, candidate: bool) -> None:
    """Store the fields, in the candidate or as the secrets; when they expire stays."""
    column = "candidate" if candidate else "secrets"
    await connection.execute(
        f"UPDATE credentials SET {column} = $3, tenants = NULL WHERE org_id = $1 AND id = $2",  # noqa: S608 fixed names
        org_id,
        id,
        sealed,
    )


async def offer_tenants(connection: Connection, org_id: str, id: str, tenants: Sequence[Mapping[str, str]]) -> None:
    """Keep what a person chooses from."""
    await connection.execute(
        "UPDATE credentials SET tenants = $3::text::jsonb WHERE org_id = $1 AND id = $2",
        org_id,
        id,
        json_text.dump(list(tenants)),
    )


async def void(connection: Connection, org_id: str, id: str) -> None:
    """The grant is replaced: what an exchange that is under way brings is not kept."""
    await connection.execute(
        "UPDATE token_leases SET fence = fence + 1, until = NULL WHERE org_id = $1 AND credential_id = $2", org_id, id
    )


async def begin(tx: Tx, redirect: Redirect) -> None:
    """Keep the redirect in place of an earlier one of the credential."""
    c = oauth_redirects.c
    await tx.execute(
        delete(oauth_redirects).where(c.org_id == redirect.org_id, c.credential_id == redirect.credential_id)
    )
    await tx.execute(insert(oauth_redirects).values(asdict(redirect)))


async def finish(tx: Tx, org_id: str, state_hash: bytes) -> Redirect | None:
    """Take what is under way, once."""
    c = oauth_redirects.c
    query = delete(oauth_redirects).where(c.state_hash == state_hash, c.org_id == org_id).returning(oauth_redirects)
    row = (await tx.execute(query)).first()
    return Redirect(**row._mapping) if row else None


async def forget(connection: Connection, now: datetime, before: datetime) -> list[tuple[str, str]]:
    """Forget redirects that were not finished in time, and answer the credentials that wait for one in vain since
    before that moment: one that was just made has no redirect yet."""
    await connection.execute("DELETE FROM oauth_redirects WHERE expires_at <= $1", now)
    rows = await connection.fetch(
        """
        SELECT org_id, id FROM credentials c WHERE status = 'WAITING' AND updated_at <= $1 AND tenants IS NULL
        AND NOT EXISTS (SELECT FROM oauth_redirects r WHERE (r.org_id, r.credential_id) = (c.org_id, c.id))
        AND NOT EXISTS (SELECT FROM integrations i WHERE (i.org_id, i.credential_id) = (c.org_id, c.id))
        AND NOT EXISTS (
            SELECT FROM runs r WHERE r.org_id = c.org_id AND r.entity_type = 'Credential' AND r.entity_id = c.id
              AND r.state IN ('queued', 'waiting', 'running'))
        """,
        before,
    )
    return [(row["org_id"], row["id"]) for row in rows]
