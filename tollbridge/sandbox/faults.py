"""Faults that an administrator switches on: which requests they strike, how often, and what they are.

This module only picks; what a fault does to a request is the stand-in's business, because it depends on where in its
work the vendor would have failed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

KINDS = {
    "latency": "waits `seconds` while the request is being worked on",
    "rate_limited": "429 of the rate limiter; `retry_after` and `reason` become headers",
    "lock_timeout": "429 lock_timeout: the work began and gave up",
    "error_before_commit": "500, nothing happened",
    "error_after_commit": "500, although the work was done",
    "reply_lost": "the work is done and the connection closed without a reply",
    "dropped": "the connection is closed before any work",
    "late_commit": "the connection is closed at once, the work is done `seconds` later",
    "key_revoked": "401, the key has expired",
}


@dataclass(slots=True)
class Fault:
    """One fault: its kind, the requests it strikes and how often.

    `path` is a shell pattern (`/v1/invoices/*/finalize`), `key` a bearer key; the first `skip` matching requests pass,
    `times` (None: no end) are struck, each with `probability` drawn from `seed`.
    """

    kind: str
    method: str = "*"
    path: str = "*"
    key: str | None = None
    skip: int = 0
    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    seconds: float = 1.0
    retry_after: int | None = None
    reason: str | None = None
    struck: int = 0
    _dice: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r} is unknown; one of {', '.join(KINDS)}")
        self._dice = random.Random(self.seed)  # noqa: S311 repeatable on purpose

    def strikes(self, method: str, path: str, key: str) -> bool:
        """Whether this request is struck; counts it."""
        if self.times is not None and self.struck >= self.times:
            return False
        if self.method not in ("*", method) or self.key not in (None, key) or not fnmatchcase(path, self.path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self._dice.random() >= self.probability:
            return False
        self.struck += 1
        return True


class Faults:
    """The faults that are switched on, oldest first."""

    def __init__(self) -> None:
        self._active: list[Fault] = []

    def add(self, given: Mapping[str, Any]) -> Fault:
        """Switch one on; raises ValueError or TypeError for fields that are not a fault's."""
        fault = Fault(**given)
        self._active.append(fault)
        return fault

    def clear(self) -> None:
        """Switch all off."""
        self._active.clear()

    def active(self) -> list[dict[str, Any]]:
        """What is switched on, and how often each struck."""
        names = [name for name in Fault.__dataclass_fields__ if not name.startswith("_")]
        return [{name: getattr(fault, name) for name in names} for fault in self._active]

    def strike(self, method: str, path: str, key: str) -> Struck:
        """Every latency that strikes this request, and the first other fault that does."""
        seconds, other = 0.0, None
        for fault in self._active:
            if fault.kind != "latency" and other is not None:
                continue
            if not fault.strikes(method, path, key):
                continue
            if fault.kind == "latency":
                seconds += fault.seconds
            else:
                other = fault
        return Struck(seconds, other)


@dataclass(frozen=True, slots=True)
class Struck:
    """What happens to one request: seconds of latency and at most one other fault."""

    latency: float
    fault: Fault | None

    def has(self, kind: str) -> bool:
        """Whether the fault is of that kind."""
        return self.fault is not None and self.fault.kind == kind
