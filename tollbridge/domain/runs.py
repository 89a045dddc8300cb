"""The life of a run: its states, what follows from an outcome, and how that is told on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Flow(StrEnum):
    """Which flow of the connector a run drives."""

    DELIVER = "deliver"
    CHECK = "check"


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    HELD = "held"
    RUNNING = "running"
    WAITING = "waiting"
    DELIVERED = "delivered"
    SKIPPED = "skipped"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        return self in _ENDED


_ENDED = frozenset({RunState.DELIVERED, RunState.SKIPPED, RunState.SUPERSEDED, RunState.CANCELLED, RunState.FAILED})


class HoldReason(StrEnum):
    """Why a run is held until a person acts."""

    DISABLED = "disabled"
    UNAUTHORIZED = "unauthorized"
    DISCONNECTED = "disconnected"
    CHANGED = "changed"
    """An earlier version of the bill was delivered, or may have been."""


class RunStatus(StrEnum):
    """The status of a run, in the words of the wire."""

    WAITING = "WAITING"
    STARTED = "STARTED"
    COMPLETE = "COMPLETE"
    ERROR = "ERROR"
    AWAITING_RETRY = "AWAITING_RETRY"
    AUTH_FAILED = "AUTH_FAILED"
    ACCOUNTING_PERIOD_CLOSED = "ACCOUNTING_PERIOD_CLOSED"
    INVOICE_ALREADY_PAID = "INVOICE_ALREADY_PAID"
    DISABLED = "DISABLED"
    TIMEOUT_LIMIT_EXCEEDED = "TIMEOUT_LIMIT_EXCEEDED"
    RATE_LIMIT_RETRY = "RATE_LIMIT_RETRY"


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How often and how long a run is tried: `settings.run_attempts` and `settings.run_timeout`."""

    attempts: int
    working_time: timedelta


@dataclass(frozen=True, slots=True)
class Paused:
    """The run goes on at that moment; not an attempt. `reason` is a sentence for people."""

    until: datetime
    reason: str
