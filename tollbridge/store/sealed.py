"""Every sealed value of the database, by the key that sealed it: what a change of keys reads and writes.

A sealed value begins with its key's fingerprint; that is all that is known of it here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tollbridge.store.db import Connection


@dataclass(frozen=True, slots=True)
class SealedSecrets:
    """A credential's secrets and those that are being checked."""

    org_id: str
    id: str
    secrets: bytes
    candidate: bytes | None


@dataclass(frozen=True, slots=True)
class SealedReply:
    """The kept reply of a step."""

    run_id: str
    key: str
    reply: bytes


async def counts(connection: Connection, length: int) -> dict[bytes, int]:
    """How many values each key sealed, by fingerprint; `length` is a fingerprint's, in bytes."""
    rows = await connection.fetch(
        """
        SELECT substring(sealed FOR $1) AS key, count(*)::int AS values FROM (
            SELECT secrets AS sealed FROM credentials
            UNION ALL SELECT candidate FROM credentials WHERE candidate IS NOT NULL
            UNION ALL SELECT reply FROM run_records) s
        GROUP BY 1
        """,
        length,
    )
    return {row["key"]: row["values"] for row in rows}


async def all_secrets(connection: Connection) -> list[SealedSecrets]:
    """Of all credentials."""
    rows = await connection.fetch("SELECT org_id, id, secrets, candidate FROM credentials ORDER BY org_id, id")
    return [SealedSecrets(*row) for row in rows]


async def lock_secrets(connection: Connection, current: bytes, limit: int) -> list[SealedSecrets]:
    """Secrets that another key than this one sealed, locked."""
    rows = await connection.fetch(
        """
        SELECT org_id, id, secrets, candidate FROM credentials
        WHERE substring(secrets FOR length($1::bytea)) <> $1::bytea
           OR substring(candidate FOR length($1::bytea)) <> $1::bytea
        ORDER BY org_id, id LIMIT $2 FOR UPDATE
        """,
        current,
        limit,
    )
    return [SealedSecrets(*row) for row in rows]


async def lock_replies(connection: Connection, current: bytes, limit: int) -> list[SealedReply]:
    """Kept replies that another key than this one sealed, locked."""
    rows = await connection.fetch(
        "SELECT run_id, key, reply FROM run_records WHERE substring(reply FOR length($1::bytea)) <> $1::bytea"
        " ORDER BY run_id, key LIMIT $2 FOR UPDATE",
        current,
        limit,
    )
    return [SealedReply(*row) for row in rows]


async def save_secrets(connection: Connection, values: Sequence[SealedSecrets]) -> None:
    await connection.executemany(
        "UPDATE credentials SET secrets = $3, candidate = $4 WHERE org_id = $1 AND id = $2",
        [(each.org_id, each.id, each.secrets, each.candidate) for each in values],
    )


async def save_replies(connection: Connection, values: Sequence[SealedReply]) -> None:
    await connection.executemany(
        "UPDATE run_records SET reply = $3 WHERE run_id = $1 AND key = $2",
        [(each.run_id, each.key, each.reply) for each in values],
    )
