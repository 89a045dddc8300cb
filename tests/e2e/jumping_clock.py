"""A worker whose machine's clock jumps an hour ahead when it gets SIGUSR1, and back when it gets SIGUSR2."""

from __future__ import annotations

import signal
from datetime import timedelta

from tollbridge.cli.processes import worker
from tollbridge.services import clock

AN_HOUR = timedelta(hours=1)


def _jumping() -> None:
    real, ahead = clock.now, timedelta()

    def jump(number: int, _: object) -> None:
        nonlocal ahead
        ahead = AN_HOUR if number == signal.SIGUSR1 else timedelta()

    signal.signal(signal.SIGUSR1, jump)
    signal.signal(signal.SIGUSR2, jump)
    clock.now = lambda: real() + ahead


if __name__ == "__main__":
    _jumping()
    worker()
