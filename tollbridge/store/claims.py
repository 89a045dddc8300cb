"""What a claimed run is given: integration, credential, bill, account, mappings; each loaded for many runs at once.

Keys are (organization, id). The snapshot keeps for the run log what the run was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from tollbridge.domain import json_text
from tollbridge.store.db import Connection

Key: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Integration:
    """What a run needs of its integration; `paused` says why all sending is paused, where it is,
    `probe_run_id` the run that is tried though it is disabled."""

    enabled: bool
    disabled_reason: str | None
    probe_run_id: str | None
    paused: str | None
    credential_id: str | None
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Credential:
    """What a run needs of a credential; secrets and candidate are sealed."""

    status: str
    tenant: str | None
    tenant_name: str | None
    secrets: bytes
    candidate: bytes | None


@dataclass(frozen=True, slots=True)
class StoredMapping:
    """An external mapping; bound to an integration, to a tenant, to both or to neither."""

    org_id: str
    entity: str
    entity_id: str
    system: str
    table: str
    external_id: str
    integration_id: str | None
    tenant: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a run was given."""

    run_id: str
    config: Mapping[str, Any]
    mappings: Sequence[Mapping[str, Any]]
    account: Mapping[str, Any]


async def integrations(connection: Connection, keys: Iterable[Key]) -> dict[Key, Integration]:
    rows = await connection.fetch(
        """
        SELECT i.org_id, i.id, i.enabled, i.disabled_reason, i.probe_run_id, o.paused_reason, i.credential_id,
               coalesce(i.body->'configData', '{}') AS config
        FROM integrations i JOIN organizations o ON o.id = i.org_id
        WHERE (i.org_id, i.id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        """,
        *_columns(keys),
    )
    return {(row["org_id"], row["id"]): Integration(*list(row)[2:]) for row in rows}


async def credentials(connection: Connection, keys: Iterable[Key]) -> dict[Key, Credential]:
    rows = await connection.fetch(
        """
        SELECT org_id, id, status, tenant, tenant_name, secrets, candidate
        FROM credentials WHERE (org_id, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        """,
        *_columns(keys),
    )
    return {(row["org_id"], row["id"]): Credential(*list(row)[2:]) for row in rows}


async def lock_credentials_of(connection: Connection, run_ids: Sequence[str]) -> None:
    """Lock the credentials of the runs, before their lanes: whoever replaces a secret takes the locks in this order."""
    await connection.fetch(
        "SELECT FROM credentials WHERE (org_id, id) IN"
        " (SELECT org_id, credential_id FROM runs WHERE id = ANY($1::text[])) ORDER BY org_id, id FOR UPDATE",
        run_ids,
    )


async def accept_credential(
    connection: Connection, key: Key, tenant: str, tenant_name: str, secrets: bytes, now: datetime
) -> None:
    """The credential was checked with these secrets, and opens the tenant."""
    await connection.execute(
        "UPDATE credentials SET status = 'VALID', error = NULL, checked_at = $6, tenant = $3, tenant_name = $4,"
        " secrets = $5, candidate = NULL, tenants = NULL, candidate_expires_at = NULL,"
        # A new connection has an end of its own, or none that is known; before the first one a person may know it.
        " expires_at = CASE WHEN candidate IS NULL OR tenant IS NULL THEN coalesce(candidate_expires_at, expires_at)"
        " ELSE candidate_expires_at END WHERE org_id = $1 AND id = $2",
        *key,
        tenant,
        tenant_name,
        secrets,
        now,
    )


async def reject_credential(
    connection: Connection,
    key: Key,
    error: str,
    *,
    checked: bool,
    invalid: bool,
    used: bytes | None = None,
    now: datetime,
) -> bool:
    """The other side did not accept the credential, or, where it was checked, its candidate: that one is dropped and
    leaves status and error as they were. `invalid` says that it never will. Nothing changes where other sealed secrets
    than those `used` have come in since: the refusal says nothing about these.

    Answers whether a credential that worked until now does no longer.
    """
    turned = await connection.fetchval(
        """
        UPDATE credentials c SET checked_at = $6,
            error = CASE WHEN $4 AND c.candidate IS NOT NULL THEN c.error ELSE $3 END,
            candidate = CASE WHEN $4 THEN NULL ELSE c.candidate END,
            status = CASE WHEN $5 AND NOT ($4 AND c.candidate IS NOT NULL) THEN 'INVALID' ELSE c.status END
        FROM (SELECT status FROM credentials WHERE org_id = $1 AND id = $2 FOR UPDATE) old
        WHERE c.org_id = $1 AND c.id = $2 AND ($7::bytea IS NULL OR c.secrets = $7)
        RETURNING old.status <> 'INVALID' AND c.status = 'INVALID'
        """,
        *key,
        error,
        checked,
        invalid,
        now,
        used,
    )
    return bool(turned)


async def integrations_of(connection: Connection, credential: Key) -> list[Key]:
    """The enabled integrations that use the credential."""
    rows = await connection.fetch(
        "SELECT org_id, id FROM integrations WHERE org_id = $1 AND credential_id = $2 AND enabled", *credential
    )
    return [(row["org_id"], row["id"]) for row in rows]


async def wrongly_held(connection: Connection) -> list[Key]:
    """Integrations that are enabled and have a valid credential, and may send, but for which runs are held as if it
    were not so; and those that were deleted while a run of theirs was under way that is held now."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT r.org_id, r.integration_id
        FROM runs r JOIN organizations o ON o.id = r.org_id
        LEFT JOIN integrations i ON (i.org_id, i.id) = (r.org_id, r.integration_id)
        LEFT JOIN credentials c ON (c.org_id, c.id) = (i.org_id, i.credential_id)
        WHERE r.state = 'held' AND r.hold_reason IN ('disabled', 'unauthorized', 'disconnected', 'paused')
          AND r.integration_id IS NOT NULL AND r.flow <> 'notify'
          AND (i.id IS NULL OR (i.enabled AND c.status = 'VALID' AND o.paused_at IS NULL))
        """
    )
    return [(row["org_id"], row["integration_id"]) for row in rows]


async def bills(
    connection: Connection, keys: Iterable[tuple[str, str, int]]
) -> dict[tuple[str, str, int], tuple[Any, Any, datetime]]:
    """Body and lines of the revisions, as the caller sent them, and when they came in."""
    wanted = sorted(set(keys))
    rows = await connection.fetch(
        """
        SELECT org_id, bill_id, revision, body, lines, created_at FROM bill_revisions
        WHERE (org_id, bill_id, revision) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]))
        """,
        [key[0] for key in wanted],
        [key[1] for key in wanted],
        [key[2] for key in wanted],
    )
    return {
        (row["org_id"], row["bill_id"], row["revision"]): (row["body"], row["lines"], row["created_at"]) for row in rows
    }


async def bill_revisions(connection: Connection, keys: Iterable[Key]) -> dict[Key, int]:
    """The present revisions of the bills; those that were deleted are missing."""
    rows = await connection.fetch(
        "SELECT org_id, id, revision FROM bills WHERE (org_id, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))",
        *_columns(keys),
    )
    return {(row["org_id"], row["id"]): row["revision"] for row in rows}


async def accounts(connection: Connection, keys: Iterable[Key]) -> dict[Key, Any]:
    """The bodies of the accounts."""
    rows = await connection.fetch(
        "SELECT org_id, id, body FROM accounts WHERE (org_id, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))",
        *_columns(keys),
    )
    return {(row["org_id"], row["id"]): row["body"] for row in rows}


async def mappings(connection: Connection, keys: Iterable[Key]) -> list[StoredMapping]:
    """All mappings of these (organization, id of ours)."""
    rows = await connection.fetch(
        """
        SELECT org_id, m3ter_entity, m3ter_id, external_system, external_table, external_id, integration_id, tenant
        FROM external_mappings WHERE (org_id, m3ter_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        """,
        *_columns(keys),
    )
    return [StoredMapping(*row) for row in rows]


async def keep_snapshots(connection: Connection, snapshots: Sequence[Snapshot]) -> None:
    """Write what the runs are given; a later claim overwrites."""
    await connection.execute(
        """
        INSERT INTO run_snapshots (run_id, config, mappings, account)
        SELECT a, b::jsonb, c::jsonb, d::jsonb
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS s(a, b, c, d)
        ON CONFLICT (run_id) DO UPDATE SET
            config = excluded.config, mappings = excluded.mappings, account = excluded.account
        """,
        [snapshot.run_id for snapshot in snapshots],
        [json_text.dump(snapshot.config) for snapshot in snapshots],
        [json_text.dump(snapshot.mappings) for snapshot in snapshots],
        [json_text.dump(snapshot.account) for snapshot in snapshots],
    )


def _columns(keys: Iterable[Key]) -> tuple[list[str], list[str]]:
    wanted = sorted(set(keys))
    return [key[0] for key in wanted], [key[1] for key in wanted]
