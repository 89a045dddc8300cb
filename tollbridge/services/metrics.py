"""What is told to those who watch from outside: sums that workers counted, and how things stand at this moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tollbridge.services.runs import SILENCE
from tollbridge.store import alerts, metrics, outbox, workers
from tollbridge.store.db import Database
from tollbridge.store.metrics import Active, Counts

__all__ = ["BUCKETS", "LABELS", "Active", "Counted", "Counts", "Standing", "add", "standing"]


class Counted(StrEnum):
    """What workers count; `LABELS` has the labels of each."""

    SETTLED = "runs_settled"
    """Runs that came to an end, to a rest or to a wait."""
    RETRIES = "run_retries"
    """Runs that met a fault and will be tried again."""
    LIMITED = "rate_limited_replies"
    """Replies with which the other side asked for a wait."""
    PERMITS = "permits"
    """Requests that were let through to the other side."""
    PERMIT_WAIT = "permit_wait_seconds"
    """Seconds that requests waited for the limits of their credential."""
    STEP = "steps"
    """Requests by the bucket of their duration; the last label is the bucket's upper end."""
    STEP_SECONDS = "step_seconds"
    """Their durations added up."""


LABELS: Mapping[Counted, tuple[str, ...]] = {
    Counted.SETTLED: ("system", "flow", "state"),
    Counted.RETRIES: ("system", "fault"),
    Counted.LIMITED: ("system",),
    Counted.PERMITS: ("system",),
    Counted.PERMIT_WAIT: ("system",),
    Counted.STEP: ("system", "kind", "le"),
    Counted.STEP_SECONDS: ("system", "kind"),
}
BUCKETS = ("0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "60.0", "+Inf")
"""Upper ends of the buckets of durations, in seconds."""

REFUSALS_TOLD = timedelta(days=1)
"""How long it is told that a letter was refused."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand at the moment `at`: runs that have not ended, workers by version, leased slots by system, all
    that was counted, open alerts by severity and state, and what the outbox holds."""

    at: datetime
    active: Sequence[Active]
    workers: Mapping[str, int]
    slots: Mapping[str, int]
    counts: Counts
    alerts: Mapping[tuple[str, str], int]
    outbox: outbox.Standing

    @property
    def due(self) -> int:
        """Runs that may start now and have not."""
        return sum(each.due for each in self.active)

    @property
    def queue_age(self) -> float:
        """Seconds since the oldest of them may start."""
        return self._age([each.due_since for each in self.active])

    @property
    def bill_age(self) -> float:
        """Seconds since the oldest run was made that is to deliver a bill and has not ended."""
        return self._age([each.oldest_bill for each in self.active])

    @property
    def letter_age(self) -> float:
        """Seconds since the oldest letter was written that nobody has taken yet."""
        return self._age([self.outbox.waiting_since])

    def _age(self, moments: Sequence[datetime | None]) -> float:
        known = [moment for moment in moments if moment is not None]
        return max(0.0, (self.at - min(known)).total_seconds()) if known else 0.0


async def add(db: Database, counts: Counts) -> None:
    """Add what a worker counted to the sums of all."""
    async with db.hot() as connection:
        await metrics.add_counts(connection, counts)


async def standing(db: Database, now: datetime) -> Standing:
    """How things stand; a few short statements, whatever the number of ended runs."""
    async with db.hot() as connection:
        return Standing(
            now,
            await metrics.active_runs(connection, now),
            await workers.versions_since(connection, now - SILENCE),
            await metrics.leased_slots(connection, now),
            await metrics.counts(connection),
            await alerts.counts(connection),
            await outbox.standing(connection, now - REFUSALS_TOLD),
        )
