"""A rate limit as a token bucket: how many requests may be sent now, and when the next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

LONGEST_SKEW = timedelta(seconds=10)
"""Between the clocks of two workers, as long as nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """`tokens` at the moment `refilled_at`; none are given before `blocked_until`."""

    tokens: float
    refilled_at: datetime
    blocked_until: datetime | None = None

    def take(self, wanted: int, rate: float, burst: int, now: datetime) -> Taken:
        """Take up to that many tokens at `rate` per second, of which at most `burst` gather."""
        # Clocks differ a little; one that ran far ahead must not keep the bucket from filling until it is met again.
        refilled_at = now if self.refilled_at > now + LONGEST_SKEW else self.refilled_at
        elapsed = max((now - refilled_at).total_seconds(), 0.0)
        full = min(self.tokens + elapsed * rate, float(burst))
        since = max(now, refilled_at)
        if self.blocked_until is not None and self.blocked_until > now:
            # Nothing gathers during a block, so that its end is not a burst.
            return Taken(0, Bucket(min(full, 1.0), since, self.blocked_until), self.blocked_until - now)
        given = min(wanted, int(full))
        left = full - given
        wait = timedelta(0) if given else timedelta(seconds=(1.0 - left) / rate)
        return Taken(given, Bucket(left, since), wait if wanted else timedelta(0))


@dataclass(frozen=True, slots=True)
class Taken:
    """Tokens that were given, the bucket afterwards, and the wait until the next where none was."""

    tokens: int
    bucket: Bucket
    wait: timedelta


def fair_slots(wanted: int, concurrency: int, others: list[int]) -> int:
    """How many of the slots one worker gets: no more than its share among all who want some, and than are free."""
    share = max(concurrency // (len(others) + 1), 1)
    return max(min(wanted, share, concurrency - sum(others)), 0)
