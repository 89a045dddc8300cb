"""How long to wait before the next try. Randomness comes in as an argument."""

from __future__ import annotations

from datetime import timedelta

FIRST = timedelta(seconds=2)
LONGEST = timedelta(minutes=15)
LONGEST_LIMITED = timedelta(hours=24)
"""How long a run lets itself be put off by a rate limit before it fails."""


def backoff(attempt: int, jitter: float, asked: timedelta | None = None) -> timedelta:
    """The wait after the failed attempt (1 is the first): exponential with full jitter (`jitter` in [0, 1)), and never
    less than the other side asked for."""
    ceiling = min(FIRST * (1 << min(attempt - 1, 20)), LONGEST)
    return max(ceiling * jitter, asked or timedelta(0))


def limited_wait(limited_for: timedelta, jitter: float, asked: timedelta | None = None) -> timedelta:
    """The wait after a rate limit: what the other side asked for, else as long again as it has lasted already, which
    doubles each time; up to as much jitter again."""
    if asked is not None:
        return asked + FIRST * jitter
    return min(max(limited_for, FIRST), LONGEST) * (1 + jitter)
