"""The rate limiter: a bucket of one second's requests per account and mode, in real time."""

from __future__ import annotations

import time

TEST_RATE, LIVE_RATE = 25.0, 100.0


class Limiter:
    """`requests_per_second` for every account; None takes Stripe's own 25 (test) and 100 (live), 0 admits all."""

    def __init__(self, requests_per_second: float | None) -> None:
        if requests_per_second is not None and requests_per_second < 0:
            raise ValueError("requests_per_second must not be negative; 0 means no limit")
        self.requests_per_second = requests_per_second
        self._buckets: dict[tuple[str, bool], tuple[float, float]] = {}

    def admits(self, account: str, *, live: bool) -> bool:
        """Whether one more request may pass now."""
        default = LIVE_RATE if live else TEST_RATE
        rate = default if self.requests_per_second is None else self.requests_per_second
        if rate == 0:
            return True
        now = time.monotonic()
        left, then = self._buckets.get((account, live), (max(1.0, rate), now))
        left = min(max(1.0, rate), left + (now - then) * rate)
        admitted = left >= 1
        self._buckets[account, live] = (left - 1 if admitted else left, now)
        return admitted
