"""Alerts and their notes, as rows. Whoever changes alerts locks them first, in the order of (organization, cause), and
after everything else that it locks. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any, TypeAlias

from tollbridge.domain.alerts import AlertState, AlertType, Severity
from tollbridge.store.db import Connection
from tollbridge.store.records import make_token, read_token

Key: TypeAlias = tuple[str, str]
"""(organization, cause)."""


@dataclass(frozen=True, slots=True)
class Row:
    """An alert as it is stored, its fields in the order of the columns."""

    org_id: str
    id: str
    version: int
    type: AlertType
    cause: str
    severity: Severity
    state: AlertState
    description: str
    remedy: str
    count: int
    code: str | None
    created_at: datetime
    opened_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    assignee: str | None
    integration_id: str | None
    credential_id: str | None
    run_id: str | None
    event_id: str | None

    @property
    def key(self) -> Key:
        return self.org_id, self.cause


@dataclass(frozen=True, slots=True)
class Note:
    """What a person, or the machinery, wrote down about an alert."""

    org_id: str
    alert_id: str
    id: str
    at: datetime
    by: str
    text: str


_COLUMNS = (
    "org_id, id, version, type, cause, severity, state, description, remedy, count, code, created_at, opened_at,"
    " updated_at, closed_at, assignee, integration_id, credential_id, run_id, event_id"
)
_TYPES = "text text int8 text text text text text text int8 text".split() + ["timestamptz"] * 4 + ["text"] * 5
_UNNEST = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_TYPES, start=1))
NOTES_KEPT = 200
"""Of one alert; older notes are forgotten."""


async def lock(connection: Connection, keys: Iterable[Key]) -> dict[Key, Row]:
    """Those of the alerts that are there, locked."""
    wanted = sorted(set(keys))
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS} FROM alerts WHERE (org_id, cause) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        ORDER BY org_id, cause FOR UPDATE
        """,  # noqa: S608
        [org_id for org_id, _ in wanted],
        [cause for _, cause in wanted],
    )
    return {found.key: found for found in map(_row, rows)}


async def add(connection: Connection, alerts: Sequence[Row]) -> set[Key]:
    """Add the alerts; answers which were added: somebody else may have been first with a cause."""
    if not alerts:
        return set()
    rows = await connection.fetch(
        f"INSERT INTO alerts ({_COLUMNS}) SELECT * FROM unnest({_UNNEST})"  # noqa: S608
        " ON CONFLICT ON CONSTRAINT alerts_cause DO NOTHING RETURNING org_id, cause",
        *_values(sorted(alerts, key=lambda alert: alert.key)),
    )
    return {(row["org_id"], row["cause"]) for row in rows}


async def save(connection: Connection, alerts: Sequence[Row]) -> None:
    """Write alerts that are locked."""
    if not alerts:
        return
    await connection.execute(
        f"""
        UPDATE alerts a SET version = n.version, severity = n.severity, state = n.state, description = n.description,
            remedy = n.remedy, count = n.count, opened_at = n.opened_at, updated_at = n.updated_at,
            closed_at = n.closed_at, assignee = n.assignee, integration_id = n.integration_id,
            credential_id = n.credential_id, run_id = n.run_id, event_id = n.event_id
        FROM unnest({_UNNEST}) AS n({_COLUMNS}) WHERE a.org_id = n.org_id AND a.id = n.id
        """,  # noqa: S608
        *_values(alerts),
    )


async def find(connection: Connection, org_id: str, id: str, *, lock: bool = False) -> Row | None:
    """The alert, locked where asked, or None."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM alerts WHERE org_id = $1 AND id = $2 {'FOR UPDATE' if lock else ''}",  # noqa: S608
        org_id,
        id,
    )
    return _row(row) if row else None


async def page(
    connection: Connection,
    org_id: str,
    *,
    states: Sequence[AlertState],
    severity: Severity | None,
    type: AlertType | None,
    integration_id: str | None,
    size: int,
    token: str | None,
) -> tuple[list[Row], str | None]:
    """One page of alerts, the latest opened first, and the token that continues after it."""
    after = read_token(token) if token else (None, None)
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS} FROM alerts
        WHERE org_id = $1 AND state = ANY($2::text[]) AND ($3::text IS NULL OR severity = $3)
          AND ($4::text IS NULL OR type = $4) AND ($5::text IS NULL OR integration_id = $5)
          AND ($6::timestamptz IS NULL OR (opened_at, id) < ($6, $7))
        ORDER BY opened_at DESC, id DESC LIMIT $8
        """,  # noqa: S608
        org_id,
        states,
        severity,
        type,
        integration_id,
        *after,
        size + 1,
    )
    found = [_row(row) for row in rows]
    last = found[size - 1] if len(found) > size else None
    return found[:size], make_token(last.opened_at, last.id) if last else None


async def open_causes(connection: Connection, type: AlertType) -> list[Key]:
    """The causes of the alerts of this type that are not closed."""
    rows = await connection.fetch("SELECT org_id, cause FROM alerts WHERE type = $1 AND state <> 'CLOSED'", type)
    return [(row["org_id"], row["cause"]) for row in rows]


async def counts(connection: Connection) -> dict[tuple[str, str], int]:
    """How many alerts are not closed, by severity and state."""
    rows = await connection.fetch(
        "SELECT severity, state, count(*)::int AS alerts FROM alerts WHERE state <> 'CLOSED' GROUP BY severity, state"
    )
    return {(row["severity"], row["state"]): row["alerts"] for row in rows}


async def add_notes(connection: Connection, notes: Sequence[Note]) -> None:
    """Write the notes down; of an alert that has too many, the oldest are forgotten."""
    if not notes:
        return
    await connection.execute(
        """
        INSERT INTO alert_notes (org_id, alert_id, id, at, by, text)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[])
        """,
        *_columns([astuple(note) for note in notes]),
    )
    await connection.execute(
        """
        DELETE FROM alert_notes n USING unnest($1::text[], $2::text[]) AS a(org_id, alert_id)
        WHERE n.org_id = a.org_id AND n.alert_id = a.alert_id AND n.id < (
            SELECT min(id) FROM (SELECT id FROM alert_notes WHERE org_id = a.org_id AND alert_id = a.alert_id
                                 ORDER BY id DESC LIMIT $3) kept)
        """,
        [note.org_id for note in notes],
        [note.alert_id for note in notes],
        NOTES_KEPT,
    )


async def notes_of(connection: Connection, org_id: str, alert_id: str) -> list[Note]:
    """The notes of the alert, oldest first."""
    rows = await connection.fetch(
        "SELECT org_id, alert_id, id, at, by, text FROM alert_notes WHERE org_id = $1 AND alert_id = $2 ORDER BY id",
        org_id,
        alert_id,
    )
    return [Note(*row) for row in rows]


def _row(row: Any) -> Row:
    values = dict(row)
    values |= {"type": AlertType(row["type"]), "severity": Severity(row["severity"]), "state": AlertState(row["state"])}
    return Row(**values)


def _values(alerts: Sequence[Row]) -> list[list[Any]]:
    return _columns([astuple(alert) for alert in alerts])


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
