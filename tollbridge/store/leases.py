"""When a lease counts as over, as all statements say it."""

from __future__ import annotations


def lapsed(lease: str, now: str) -> str:
    """The condition that a lease is over; `lease` is the column with its end, `now` the parameter with the moment.

    One that ends much later than any lease lasts (at most five minutes, see `settings`) is of a clock that ran ahead.
    """
    return f"({lease} <= {now} OR {lease} > {now} + interval '10 minutes')"
