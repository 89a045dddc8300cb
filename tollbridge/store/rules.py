"""Notification rules: how those are found that an event may fire."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tollbridge.store.db import Connection


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """A rule as firing sees it; without a calculation it fires always."""

    org_id: str
    id: str
    name: str
    code: str
    event_name: str
    calculation: str | None


async def about_errors(connection: Connection, rule_ids: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the (organization, id)s that are rules on error events of integrations."""
    wanted = sorted(set(rule_ids))
    rows = await connection.fetch(
        """
        SELECT org_id, id FROM rules WHERE event_name LIKE 'integration.%'
          AND (org_id, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        """,
        [org_id for org_id, _ in wanted],
        [id for _, id in wanted],
    )
    return {(row["org_id"], row["id"]) for row in rows}


async def matching(connection: Connection, names: Iterable[tuple[str, str]]) -> list[ActiveRule]:
    """The active rules on these (organization, event name)s."""
    wanted = sorted(set(names))
    rows = await connection.fetch(
        """
        SELECT org_id, id, name, code, event_name,
               CASE WHEN (body->>'alwaysFireEvent')::bool THEN NULL ELSE coalesce(body->>'calculation', '') END
        FROM rules WHERE active AND (org_id, event_name) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        ORDER BY created_at, id
        """,
        [org_id for org_id, _ in wanted],
        [name for _, name in wanted],
    )
    return [ActiveRule(*row) for row in rows]
