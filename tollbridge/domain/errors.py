"""The two kinds of expected trouble.

A `Refusal` is raised when the *caller* asked for what we will not do. A `Fault` is a value, never raised across a
layer: the *outside world* failed during a run. Anything else is a bug and is not caught here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Refusal(Exception):
    """What the caller asked for will not be done; nothing was changed.

    `code` is stable and for programs; `message` says what and to what; `hint` says what to do now; `field` is the path
    of the offending field as the caller wrote it (`lineItems[3].subtotal`), if there is one.
    """

    def __init__(self, code: str, message: str, hint: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.field = field


class Invalid(Refusal):
    """The input itself is wrong."""


class TooLarge(Invalid):
    """The input is longer than we take."""


class NotFound(Refusal):
    """The thing named does not exist in this organization."""


class Conflict(Refusal):
    """The thing is in a state, or at a version, that does not allow it."""


class Forbidden(Refusal):
    """The caller is known but may not do this."""


class Unauthenticated(Refusal):
    """The caller is not known."""


class TooMany(Refusal):
    """A limit of ours is reached; trying again later helps."""


class Unavailable(Refusal):
    """A part of our own that is needed is not running (no worker, no database)."""


class FaultKind(StrEnum):
    """What kind of trouble the outside world made; indexes `FAULTS`."""

    INVALID = "INVALID"
    UNMAPPED = "UNMAPPED"
    UNAUTHORIZED = "UNAUTHORIZED"
    RATE_LIMITED = "RATE_LIMITED"
    UNAVAILABLE = "UNAVAILABLE"
    TOO_LONG = "TOO_LONG"
    PERIOD_CLOSED = "PERIOD_CLOSED"
    ALREADY_PAID = "ALREADY_PAID"
    DISABLED = "DISABLED"


class Retry(StrEnum):
    """When a run that met a fault is tried again."""

    NEVER = "never"
    BACKOFF = "backoff"
    """After a growing wait, a limited number of times; then the run fails."""
    RETRY_AFTER = "retry-after"
    """When the other side says so; not counted as an attempt."""
    REPAIRED = "repaired"
    """Held until a person repaired the cause."""


@dataclass(frozen=True, slots=True)
class FaultRule:
    """What follows from a kind of fault; read by engine, API and docs alike."""

    run_status: str
    """The wire status of a run that rests on this fault."""
    retry: Retry
    event: str | None
    """The error event raised when the run will not go on by itself."""
    action: str | None
    """The one thing a person does about it."""
    counts: bool
    """Whether it counts towards disabling the integration."""


FAULTS: dict[FaultKind, FaultRule] = {
    FaultKind.INVALID: FaultRule("ERROR", Retry.NEVER, "integration.validation.error", "Go to run", True),
    FaultKind.UNMAPPED: FaultRule(
        "ERROR", Retry.NEVER, "integration.missingaccountmapping.error", "Create mapping", True
    ),
    FaultKind.UNAUTHORIZED: FaultRule(
        "AUTH_FAILED", Retry.REPAIRED, "integration.authentication.error", "Configure credential", True
    ),
    FaultKind.RATE_LIMITED: FaultRule("RATE_LIMIT_RETRY", Retry.RETRY_AFTER, None, None, False),
    FaultKind.UNAVAILABLE: FaultRule("ERROR", Retry.BACKOFF, "integration.perform.error", "Go to run", True),
    FaultKind.TOO_LONG: FaultRule(
        "TIMEOUT_LIMIT_EXCEEDED", Retry.NEVER, "integration.perform.error", "Go to run", True
    ),
    FaultKind.PERIOD_CLOSED: FaultRule(
        "ACCOUNTING_PERIOD_CLOSED", Retry.NEVER, "integration.perform.error", "Go to run", True
    ),
    FaultKind.ALREADY_PAID: FaultRule(
        "INVOICE_ALREADY_PAID", Retry.NEVER, "integration.perform.error", "Go to run", True
    ),
    FaultKind.DISABLED: FaultRule("DISABLED", Retry.REPAIRED, "integration.disabled.error", "Re-enable", False),
}

ACTIONS: dict[str, str] = {rule.event: rule.action for rule in FAULTS.values() if rule.event and rule.action}
"""By the name of each error event, the one thing that a person does about it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The outside world failed: what kind, in whose words, and what to do.

    `code` is the vendor's own code or ours (`stripe.resource_missing`); `message` names what happened to what;
    `hint` is one sentence with the way out; `retry_after` is the wait that the other side asked for;
    `missing` names the mapping that is missing, as `(entity, id, system, table)`.
    """

    kind: FaultKind
    code: str
    message: str
    hint: str
    retry_after: timedelta | None = None
    missing: tuple[str, str, str, str] | None = None

    @property
    def rule(self) -> FaultRule:
        return FAULTS[self.kind]
