"""Alerts: what is wrong now, one for each cause however often it shows, and what is told of it.

Decides what becomes of an alert that shows again; knows nobody who is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tollbridge.domain.errors import Fault


class Severity(StrEnum):
    """How bad it is; from WARN on somebody is told."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class AlertState(StrEnum):
    """Where an alert stands: nobody took it yet, somebody is at it, its cause is gone or somebody said so."""

    NEW = "NEW"
    IN_PROGRESS = "IN_PROGRESS"
    CLOSED = "CLOSED"


class AlertType(StrEnum):
    """What kind of thing is wrong."""

    RUN_FAILED = "RUN_FAILED"
    INTEGRATION_DISABLED = "INTEGRATION_DISABLED"
    INTEGRATION_FAILING = "INTEGRATION_FAILING"
    """It has errors in succession, and is disabled after some more."""
    INTEGRATION_FAILED = "INTEGRATION_FAILED"
    """A webhook did not take a notification in any of its attempts."""
    CREDENTIAL_INVALID = "CREDENTIAL_INVALID"
    CREDENTIAL_EXPIRING = "CREDENTIAL_EXPIRING"
    QUEUE_STUCK = "QUEUE_STUCK"
    DATABASE_LAG = "DATABASE_LAG"
    BILL_UNDELIVERED = "BILL_UNDELIVERED"
    SOURCE_SILENT = "SOURCE_SILENT"


EVERYWHERE = frozenset({AlertType.QUEUE_STUCK, AlertType.DATABASE_LAG})
"""Types that are about the installation: every organization concerned has the alert, the operators are told once."""


class Told(StrEnum):
    """The changes of an alert that somebody is told of."""

    OPENED = "opened"
    REOPENED = "reopened"
    WORSE = "worse"
    """Its severity rose."""
    CLOSED = "closed"
    """By itself, since its cause is gone; what a person closes is not told."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that is wrong, as whoever finds it says it.

    `cause` groups: alerts of one organization with the same cause are one. `count` is how many more times it shows, or,
    where it is a `standing` condition, of how many things it tells now. `code` is the fault's, for failed runs. The ids
    name the latest of what is behind it.
    """

    org_id: str
    type: AlertType
    cause: str
    severity: Severity
    description: str
    remedy: str
    count: int = 1
    standing: bool = False
    code: str | None = None
    integration_id: str | None = None
    credential_id: str | None = None
    run_id: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Recurred:
    """What becomes of an alert that shows again; `told` is None where nobody is told."""

    state: AlertState
    severity: Severity
    count: int
    opened: bool
    told: Told | None


def recur(state: AlertState, severity: Severity, count: int, again: Alert) -> Recurred:
    """An open alert counts on and keeps its state; a closed one is opened anew and counts from the start.

    An open alert never becomes less severe by itself: it was told as it was at its worst.
    """
    if state is AlertState.CLOSED:
        return Recurred(AlertState.NEW, again.severity, again.count, True, _worth(Told.REOPENED, again.severity))
    worse = again.severity.rank > severity.rank
    return Recurred(
        state,
        again.severity if worse else severity,
        again.count if again.standing else count + again.count,
        False,
        _worth(Told.WORSE, again.severity) if worse else None,
    )


def worth_telling(told: Told, severity: Severity) -> bool:
    """Whether somebody is told: only from WARN on."""
    return _worth(told, severity) is not None


def _worth(told: Told, severity: Severity) -> Told | None:
    return told if severity.rank >= Severity.WARN.rank else None


def run_failed(
    org_id: str, integration_id: str | None, fault: Fault, *, run_id: str, event_id: str | None = None
) -> Alert:
    """Runs of the integration fail, by the code of their fault and the table in which a mapping is missing."""
    place = f":{fault.missing[2]}/{fault.missing[3]}" if fault.missing else ""
    return Alert(
        org_id,
        AlertType.RUN_FAILED,
        f"run_failed:{integration_id or ''}:{fault.code}{place}",
        Severity.ERROR,
        fault.message,
        fault.hint,
        code=fault.code,
        integration_id=integration_id,
        run_id=run_id,
        event_id=event_id,
    )


def credential_cause(credential_id: str) -> str:
    return f"credential_invalid:{credential_id}"


def credential_invalid(
    org_id: str,
    credential_id: str,
    error: str,
    *,
    integration_id: str | None = None,
    run_id: str | None = None,
    event_id: str | None = None,
) -> Alert:
    """The other system does not take the credential any more; everything that uses it is held."""
    return Alert(
        org_id,
        AlertType.CREDENTIAL_INVALID,
        credential_cause(credential_id),
        Severity.ERROR,
        error,
        "Save the credential again with a secret that works: what is held meanwhile is then sent.",
        integration_id=integration_id,
        credential_id=credential_id,
        run_id=run_id,
        event_id=event_id,
    )


def expiring_cause(credential_id: str) -> str:
    return f"credential_expiring:{credential_id}"


def credential_expiring(org_id: str, credential_id: str, name: str, expires_at: datetime, now: datetime) -> Alert:
    """The credential ends soon: told first, more urgent in its last week, most in its last day."""
    left = expires_at - now
    severity = Severity.INFO
    if left <= timedelta(days=7):
        severity = Severity.ERROR if left <= timedelta(days=1) else Severity.WARN
    return Alert(
        org_id,
        AlertType.CREDENTIAL_EXPIRING,
        expiring_cause(credential_id),
        severity,
        f"The credential {name} expires at {_moment(expires_at)}.",
        "Renew it in the other system and save it here before then.",
        standing=True,
        credential_id=credential_id,
    )


def disabled_cause(integration_id: str) -> str:
    return f"integration_disabled:{integration_id}"


def integration_disabled(
    org_id: str,
    integration_id: str,
    name: str,
    reason: str,
    *,
    by_itself: bool,
    event_id: str | None = None,
    run_id: str | None = None,
) -> Alert:
    """The integration is disabled: by itself after too many errors, or by a person."""
    return Alert(
        org_id,
        AlertType.INTEGRATION_DISABLED,
        disabled_cause(integration_id),
        Severity.ERROR if by_itself else Severity.WARN,
        f"{name} is disabled: {reason}",
        "Mend the cause, then enable it: what is held meanwhile is then sent.",
        standing=True,
        integration_id=integration_id,
        run_id=run_id,
        event_id=event_id,
    )


def failing_cause(integration_id: str) -> str:
    return f"integration_failing:{integration_id}"


def integration_failing(
    org_id: str, integration_id: str, name: str, count: int, after: int, error: str, run_id: str
) -> Alert:
    """The integration has so many errors in succession, and is disabled after some more."""
    return Alert(
        org_id,
        AlertType.INTEGRATION_FAILING,
        failing_cause(integration_id),
        Severity.WARN,
        f"{name} has {count} of the {after} successive errors after which it is disabled. The last: {error}",
        "Mend the cause before it is disabled; the first success sets the count back.",
        count=count,
        standing=True,
        integration_id=integration_id,
        run_id=run_id,
    )


def failed_cause(integration_id: str) -> str:
    return f"integration_failed:{integration_id}"


def integration_failed(
    org_id: str, integration_id: str, error: str, *, run_id: str | None = None, event_id: str | None = None
) -> Alert:
    """A webhook did not take a notification in any of its attempts."""
    return Alert(
        org_id,
        AlertType.INTEGRATION_FAILED,
        failed_cause(integration_id),
        Severity.ERROR,
        f"A notification was not taken in any of its attempts: {error}",
        "See in the run's log what the receiver answered, mend it, then replay the run.",
        integration_id=integration_id,
        run_id=run_id,
        event_id=event_id,
    )


def queue_stuck(org_id: str, runs: int, since: datetime, workers: int, run_id: str) -> Alert:
    """Runs may start and do not, and none of the organization's has moved meanwhile."""
    why = f"{workers} workers are alive, but carry none of them" if workers else "no worker is alive"
    return Alert(
        org_id,
        AlertType.QUEUE_STUCK,
        "queue_stuck",
        Severity.ERROR,
        f"{runs} runs may start and do not, the oldest since {_moment(since)}: {why}.",
        "See in the workers' logs what holds them up, then restart them."
        if workers
        else "Start one: tollbridge worker",
        count=runs,
        standing=True,
        run_id=run_id,
    )


def database_lag(org_id: str, what: str, text: str, remedy: str) -> Alert:
    """The database lags; `what` tells its ways apart: `answer`, `clock`, `replication`."""
    return Alert(
        org_id,
        AlertType.DATABASE_LAG,
        f"database_lag:{what}",
        Severity.WARN,
        text,
        remedy,
        standing=True,
    )


def bill_undelivered(
    org_id: str, integration_id: str, name: str, bills: int, oldest: str, since: datetime, run_id: str
) -> Alert:
    """Bills that an integration is to send are under way or held for too long."""
    return Alert(
        org_id,
        AlertType.BILL_UNDELIVERED,
        f"bill_undelivered:{integration_id}",
        Severity.WARN,
        f"{bills} bill{'s' if bills != 1 else ''} of {name} {'are' if bills != 1 else 'is'} not delivered yet;"
        f" bill {oldest} has waited since {_moment(since)}.",
        "See what its run says: tollbridge runs show",
        count=bills,
        standing=True,
        integration_id=integration_id,
        run_id=run_id,
    )


def source_silent(org_id: str, last: datetime, usual: timedelta) -> Alert:
    """No bill came in for far longer than usual."""
    return Alert(
        org_id,
        AlertType.SOURCE_SILENT,
        "source_silent",
        Severity.WARN,
        f"No bill has come in since {_moment(last)}; until now the longest pause was usually {_span(usual)}.",
        "See whether the system that sends the bills still runs and reaches the API.",
        standing=True,
    )


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _span(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
