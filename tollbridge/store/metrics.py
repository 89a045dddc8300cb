"""What /metrics and `doctor` are made of: sums that workers add up, and what the tables say at this moment.

Nothing here is told by organization, so that the number of series does not grow with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from tollbridge.store.db import Connection

Counts: TypeAlias = Mapping[tuple[str, tuple[str, ...]], float]
"""Sums by name and values of labels."""


@dataclass(frozen=True, slots=True)
class Active:
    """Runs of one system that have not ended, in one state; `due` of them may start now, the oldest since
    `due_since`. `oldest_bill` is when the oldest of those that deliver was made."""

    system: str
    state: str
    runs: int
    due: int
    due_since: datetime | None
    oldest_bill: datetime | None


async def add_counts(connection: Connection, counts: Counts) -> None:
    """Add to the sums, in one order, so that workers do not wait for each other in a circle."""
    ordered = sorted(counts)
    for name, labels in ordered:
        await connection.execute(
            """
            INSERT INTO counters AS c (name, labels, value) VALUES ($1, $2, $3)
            ON CONFLICT (name, labels) DO UPDATE SET value = c.value + excluded.value
            """,
            name,
            list(labels),
            counts[name, labels],
        )


async def counts(connection: Connection) -> dict[tuple[str, tuple[str, ...]], float]:
    """All sums."""
    rows = await connection.fetch("SELECT name, labels, value FROM counters")
    return {(row["name"], tuple(row["labels"])): row["value"] for row in rows}


async def active_runs(connection: Connection, now: datetime) -> Sequence[Active]:
    """Runs that have not ended, by system and state; reads only these, however many have ended."""
    rows = await connection.fetch(
        """
        SELECT system, state, count(*), count(*) FILTER (WHERE state IN ('queued', 'waiting') AND due_at <= $1),
               min(due_at) FILTER (WHERE state IN ('queued', 'waiting') AND due_at <= $1),
               min(created_at) FILTER (WHERE flow = 'deliver')
        FROM runs WHERE state IN ('queued', 'waiting', 'running', 'held') GROUP BY system, state
        """,
        now,
    )
    return [Active(*row) for row in rows]


async def leased_slots(connection: Connection, now: datetime) -> dict[str, int]:
    """Requests that workers may have under way at once, by system."""
    rows = await connection.fetch(
        "SELECT c.system, sum(s.slots)::int AS slots FROM slot_leases s JOIN credentials c ON c.id = s.credential_id"
        " WHERE s.until > $1 GROUP BY c.system",
        now,
    )
    return {row["system"]: row["slots"] for row in rows}
