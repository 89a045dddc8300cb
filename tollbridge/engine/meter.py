"""What one worker counts of its runs, until it is added to the sums of all in the database. Opens nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from time import monotonic

from tollbridge.domain.conversation import StepDone, StepKind
from tollbridge.domain.runs import Change, Flow, RunState
from tollbridge.services.metrics import BUCKETS, Counted, Counts

_ENDS = [float(end) for end in BUCKETS]
_REQUESTS = (StepKind.READ, StepKind.WRITE, StepKind.LOOK_UP, StepKind.ATTEMPT)


class Meter:
    """Counts since it was last emptied."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, tuple[str, ...]], float] = defaultdict(float)

    def take(self) -> Counts:
        """What was counted; the count begins anew."""
        taken, self._counts = self._counts, defaultdict(float)
        return taken

    def give_back(self, counts: Counts) -> None:
        """Count again what could not be added to the sums."""
        for key, value in counts.items():
            self._add(Counted(key[0]), *key[1], value=value)

    def step(self, system: str, done: StepDone) -> None:
        """A step ended; one that made no request is not counted."""
        if done.kind in _REQUESTS and done.request_shown is not None:
            seconds = (done.completed_at - done.started_at).total_seconds()
            self._add(Counted.STEP, system, done.kind, BUCKETS[bisect_left(_ENDS, seconds)])
            self._add(Counted.STEP_SECONDS, system, done.kind, value=seconds)

    def settled(self, system: str, flow: Flow, change: Change) -> None:
        """A run was settled."""
        self._add(Counted.SETTLED, system, flow, change.state)
        if change.state is RunState.WAITING and change.fault:
            self._add(Counted.RETRIES, system, change.fault.kind)

    def limited(self, system: str) -> None:
        """The other side asked for a wait."""
        self._add(Counted.LIMITED, system)

    @asynccontextmanager
    async def permitted(self, system: str, permit: AbstractAsyncContextManager[timedelta]) -> AsyncIterator[timedelta]:
        """Enter the permit and count how long that took."""
        began = monotonic()
        async with permit as blocked:
            self._add(Counted.PERMIT_WAIT, system, value=monotonic() - began)
            if not blocked:
                self._add(Counted.PERMITS, system)
            yield blocked

    def _add(self, what: Counted, *labels: str, value: float = 1) -> None:
        self._counts[what.value, tuple(map(str, labels))] += value
