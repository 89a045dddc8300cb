"""Whether something changed since somebody looked: one cheap number for what a page shows. Only reads."""

from __future__ import annotations

from tollbridge.store.db import Connection


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
