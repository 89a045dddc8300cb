"""Whether something changed since somebody looked: one cheap number for what a page shows. Only reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from tollbridge.store.db import Connection

MOST_HELD = 1000
"""Held runs of an integration that are counted, at most."""


async def of_run(connection: Connection, org_id: str, run_id: str) -> tuple[str, ...]:
    """Changes whenever the run or its log does; empty where there is no such run."""
    row = await connection.fetchrow(
        """
        SELECT version, state, updated_at, (SELECT count(*) FROM run_steps WHERE run_id = runs.id) AS steps,
          (SELECT count(*) FROM run_steps WHERE run_id = runs.id AND completed_at IS NOT NULL) AS ended
        FROM runs WHERE org_id = $1 AND id = $2
        """,
        org_id,
        run_id,
    )
    return tuple(str(value) for value in row.values()) if row else ()


async def of_integration(connection: Connection, org_id: str, integration_id: str) -> tuple[str, ...]:
    """Changes when the integration does, when a run of it is made or ends, and while few are held."""
    row = await connection.fetchrow(
        """
        SELECT version, (SELECT max(completed_at) FROM runs WHERE integration_id = i.id) AS ended,
          (SELECT id FROM runs WHERE org_id = $1 AND integration_id = i.id
            ORDER BY created_at DESC, id DESC LIMIT 1) AS latest,
          (SELECT count(*) FROM (SELECT FROM runs WHERE integration_id = i.id AND state = 'held' LIMIT $3) h) AS held
        FROM integrations i WHERE org_id = $1 AND id = $2
        """,
        org_id,
        integration_id,
        MOST_HELD,
    )
    return tuple(str(value) for value in row.values()) if row else ()


async def of_bill(connection: Connection, org_id: str, bill_id: str) -> tuple[str, ...]:
    """Changes whenever a run of the bill is made or changes."""
    row = await connection.fetchrow(
        "SELECT count(*), sum(version) FROM runs WHERE org_id = $1 AND entity_type = 'Bill' AND entity_id = $2",
        org_id,
        bill_id,
    )
    return tuple(str(value) for value in row.values()) if row else ()


async def of_mending(connection: Connection, org_id: str, mending_id: str) -> tuple[str, ...]:
    """Changes whenever the mending goes on."""
    row = await connection.fetchrow(
        "SELECT state, updated_at FROM mendings WHERE org_id = $1 AND id = $2", org_id, mending_id
    )
    return tuple(str(value) for value in row.values()) if row else ()


async def of_runs(connection: Connection, org_id: str) -> tuple[str, ...]:
    """Changes when a run is made, when an alert is raised or changes, and while errors are mended or a webhook is
    brought back."""
    row = await connection.fetchrow(
        """
        SELECT (SELECT id FROM runs WHERE org_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1) AS run,
          (SELECT max(updated_at) FROM alerts WHERE org_id = $1 AND state <> 'CLOSED') AS alert,
          (SELECT max(updated_at) FROM mendings WHERE org_id = $1) AS mending,
          (SELECT max(updated_at) FROM bring_backs WHERE org_id = $1) AS brought_back
        """,
        org_id,
    )
    assert row is not None
    return tuple(str(value) for value in row.values())


OF_ONE: Mapping[str, Callable[[Connection, str, str], Awaitable[tuple[str, ...]]]] = {
    "run": of_run,
    "integration": of_integration,
    "bill": of_bill,
    "mending": of_mending,
}
"""By what a page is about."""
