"""What becomes of an alert that shows again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tollbridge.domain import alerts
from tollbridge.domain.alerts import Alert, AlertState, AlertType, Recurred, Severity, Told, recur, worth_telling
from tollbridge.domain.errors import Fault, FaultKind

ALERT = Alert("org", AlertType.RUN_FAILED, "cause", Severity.ERROR, "It failed.", "Mend it.")
NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize("state", [AlertState.NEW, AlertState.IN_PROGRESS])
def test_an_open_alert_counts_on_and_nobody_is_told_again(state: AlertState) -> None:
    assert recur(state, Severity.ERROR, 3, replace(ALERT, count=2)) == Recurred(state, Severity.ERROR, 5, False, None)


def test_a_closed_alert_is_opened_anew_and_counts_from_the_start() -> None:
    found = recur(AlertState.CLOSED, Severity.ERROR, 300, ALERT)
    assert found == Recurred(AlertState.NEW, Severity.ERROR, 1, True, Told.REOPENED)


def test_a_standing_condition_tells_how_many_there_are_now() -> None:
    assert recur(AlertState.NEW, Severity.WARN, 12, replace(ALERT, count=7, standing=True)).count == 7


def test_an_alert_that_grows_worse_is_told_and_never_grows_better_by_itself() -> None:
    worse = recur(AlertState.IN_PROGRESS, Severity.INFO, 1, replace(ALERT, severity=Severity.WARN))
    assert (worse.severity, worse.told, worse.state) == (Severity.WARN, Told.WORSE, AlertState.IN_PROGRESS)
    better = recur(AlertState.NEW, Severity.ERROR, 1, replace(ALERT, severity=Severity.INFO))
    assert (better.severity, better.told) == (Severity.ERROR, None)


def test_nobody_is_told_of_what_is_only_worth_knowing() -> None:
    assert not worth_telling(Told.OPENED, Severity.INFO)
    assert worth_telling(Told.CLOSED, Severity.WARN)
    assert recur(AlertState.CLOSED, Severity.ERROR, 1, replace(ALERT, severity=Severity.INFO)).told is None


@pytest.mark.parametrize(
    ("left", "severity"),
    [
        (timedelta(days=14), Severity.INFO),
        (timedelta(days=7, seconds=1), Severity.INFO),
        (timedelta(days=7), Severity.WARN),
        (timedelta(days=1), Severity.ERROR),
        (timedelta(0), Severity.ERROR),
    ],
)
def test_a_credential_that_expires_is_told_ever_more_urgently(left: timedelta, severity: Severity) -> None:
    assert alerts.credential_expiring("org", "c", "Stripe", NOW + left, NOW).severity is severity


def test_failed_runs_are_grouped_by_integration_code_and_missing_table() -> None:
    fault = Fault(
        FaultKind.UNMAPPED, "missing", "No mapping for a.", "Map it.", missing=("Account", "a", "Xero", "Contact")
    )
    one = alerts.run_failed("org", "int", fault, run_id="r1")
    other = alerts.run_failed(
        "org", "int", replace(fault, message="b", missing=("Account", "b", "Xero", "Contact")), run_id="r2"
    )
    assert one.cause == other.cause
    assert alerts.run_failed("org", "int", replace(fault, code="other"), run_id="r").cause != one.cause
    assert alerts.run_failed("org", "int2", fault, run_id="r").cause != one.cause
    table = replace(fault, missing=("Product", "a", "Xero", "Item"))
    assert alerts.run_failed("org", "int", table, run_id="r").cause != one.cause
