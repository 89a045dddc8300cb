"""Alerts: raised and resolved inside the transaction of whoever finds out, read and worked on by people.

What is to be told of a change goes into the outbox in the same transaction; `services.telling` sends it. Never the
network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tollbridge.domain.alerts import (
    EVERYWHERE,
    Alert,
    AlertState,
    AlertType,
    Recurred,
    Severity,
    Told,
    recur,
    worth_telling,
)
from tollbridge.domain.errors import Conflict
from tollbridge.domain.events import Changed, Event, entity_changed
from tollbridge.domain.fields import Shape, integer, one_of, text
from tollbridge.services import clock
from tollbridge.services.caller import Caller
from tollbridge.services.entities import missing
from tollbridge.services.raising import raise_events
from tollbridge.store import alerts as rows
from tollbridge.store import outbox
from tollbridge.store.alerts import Key, Note, Row
from tollbridge.store.db import Connection, Database
from tollbridge.store.outbox import Channel, Letter

NOUN = "alert"
SYSTEM = "SYSTEM"
LETTERS_SHOWN = 50
LONGEST_TEXT = 2000
"""Characters of a description or remedy that are kept; vendors' words come in here."""

CHANGE = Shape(
    {
        "state": one_of(AlertState),
        "assignee": text(most=200),
        "note": text(least=1, most=LONGEST_TEXT),
        "version": integer(least=0),
    }
)


@dataclass(frozen=True, slots=True)
class Details:
    """An alert with what was written down about it, and who was told."""

    alert: Row
    notes: Sequence[Note]
    letters: Sequence[Letter]


@dataclass(frozen=True, slots=True)
class Step:
    """A change of an alert that is an event: from nothing, or from one state, severity or assignee to another. `told`
    is what somebody may be told of it."""

    before: Row | None
    after: Row
    told: Told | None = None


async def raise_alerts(connection: Connection, alerts: Iterable[Alert], now: datetime) -> None:
    """Raise the alerts inside the caller's transaction, after everything else that it locks.

    Alerts of one cause are one: an open one counts on, a closed one is opened anew. Whoever is to be told is told once
    for each change, never for each failure.
    """
    raised = _grouped(alerts)
    if not raised:
        return
    known = await rows.lock(connection, raised)
    fresh = {key: _fresh(alert, now) for key, alert in raised.items() if key not in known}
    added = await rows.add(connection, list(fresh.values()))
    # Where somebody else was first with a cause, it is known by now.
    known |= await rows.lock(connection, fresh.keys() - added) if fresh.keys() - added else {}
    changes = [_changed(known[key], alert, now) for key, alert in raised.items() if key in known]
    await rows.save(connection, [row for row, _ in changes])
    opened = [Step(None, fresh[key], Told.OPENED) for key in sorted(added)]
    moved = [
        Step(known[row.key], row, change.told)
        for row, change in changes
        if change.opened or row.severity is not known[row.key].severity
    ]
    await _announce(connection, [*opened, *moved], now)
    again = [_note(row, now, SYSTEM, "It shows again.") for row, change in changes if change.opened]
    worse = [_note(row, now, SYSTEM, f"Now {row.severity}.") for row, change in changes if change.told is Told.WORSE]
    await rows.add_notes(connection, [*again, *worse])


async def resolve(connection: Connection, org_id: str, cause: str, now: datetime, why: str) -> None:
    """Close the alert of this cause, where one is open, since its cause is gone; `why` is a sentence."""
    await resolve_all(connection, {(org_id, cause): why}, now)


async def resolve_all(connection: Connection, causes: Mapping[Key, str], now: datetime, *, told: bool = True) -> None:
    """The same for many; nobody is told where another alert takes their place."""
    if not causes:
        return
    found = await rows.lock(connection, causes)
    open_ones = [row for row in found.values() if row.state is not AlertState.CLOSED]
    closed = [_closed(row, now) for row in open_ones]
    await rows.save(connection, closed)
    await rows.add_notes(
        connection, [_note(row, now, SYSTEM, f"Closed by itself: {causes[row.key]}") for row in closed]
    )
    closing = Told.CLOSED if told else None
    steps = [Step(before, after, closing) for before, after in zip(open_ones, closed, strict=True)]
    await _announce(connection, steps, now)


async def page(
    db: Database,
    caller: Caller,
    *,
    states: Sequence[AlertState],
    severity: Severity | None,
    type: AlertType | None,
    integration_id: str | None,
    size: int,
    token: str | None,
) -> tuple[list[Row], str | None]:
    """One page of alerts in these states, the latest opened first."""
    async with db.hot() as connection:
        return await rows.page(
            connection,
            caller.org_id,
            states=states,
            severity=severity,
            type=type,
            integration_id=integration_id,
            size=size,
            token=token,
        )


async def retrieve(db: Database, caller: Caller, id: str) -> Details:
    """One alert; raises NotFound."""
    async with db.hot() as connection:
        row = await rows.find(connection, caller.org_id, id)
        if row is None:
            raise missing(NOUN, id)
        return await _details(connection, row)


async def change(db: Database, caller: Caller, id: str, body: Any) -> Details:
    """Take it, close it, open it again, give it to somebody, write a note; what is not given stays.

    Whoever takes an alert that is nobody's becomes its assignee.
    """
    given = CHANGE.check(body)
    now = clock.now()
    async with db.hot() as connection:
        row = await rows.find(connection, caller.org_id, id, lock=True)
        if row is None:
            raise missing(NOUN, id)
        if given.get("version") not in (None, row.version):
            raise Conflict(
                "version.stale",
                f"version is {given['version']}, but {id} is at version {row.version}: it was changed meanwhile.",
                "Read it again and repeat the change with its present version.",
                "version",
            )
        changed = _by_hand(row, given, caller, now)
        await rows.save(connection, [changed])
        await rows.add_notes(connection, _notes_of_change(row, changed, given, caller, now))
        if (changed.state, changed.assignee) != (row.state, row.assignee):
            await _announce(connection, [Step(row, changed)], now)
        return await _details(connection, changed)


async def _details(connection: Connection, row: Row) -> Details:
    return Details(
        row,
        await rows.notes_of(connection, row.org_id, row.id),
        await outbox.of_alert(connection, row.org_id, row.id, LETTERS_SHOWN),
    )


def _by_hand(row: Row, given: Mapping[str, Any], caller: Caller, now: datetime) -> Row:
    state = AlertState(given.get("state", row.state))
    assignee = given.get("assignee", row.assignee) or None
    if state is AlertState.IN_PROGRESS and row.state is not state and assignee is None:
        assignee = caller.principal
    closed_at = (row.closed_at or now) if state is AlertState.CLOSED else None
    return replace(row, version=row.version + 1, state=state, assignee=assignee, updated_at=now, closed_at=closed_at)


def _notes_of_change(before: Row, after: Row, given: Mapping[str, Any], caller: Caller, now: datetime) -> list[Note]:
    said = []
    if after.state is not before.state:
        said.append(f"{before.state} → {after.state}")
    if after.assignee != before.assignee:
        said.append(f"Assigned to {after.assignee}." if after.assignee else "Assigned to nobody.")
    if "note" in given:
        said.append(given["note"])
    return [_note(after, now, caller.principal, sentence) for sentence in said]


def _grouped(alerts: Iterable[Alert]) -> dict[Key, Alert]:
    """One alert for each cause: the latest, with the counts of all."""
    found: dict[Key, Alert] = {}
    for alert in alerts:
        before = found.get((alert.org_id, alert.cause))
        counted = alert if before is None or alert.standing else replace(alert, count=before.count + alert.count)
        found[alert.org_id, alert.cause] = counted
    return found


def _fresh(alert: Alert, now: datetime) -> Row:
    return Row(
        org_id=alert.org_id,
        id=clock.new_id(),
        version=1,
        type=alert.type,
        cause=alert.cause,
        severity=alert.severity,
        state=AlertState.NEW,
        description=_cut(alert.description),
        remedy=_cut(alert.remedy),
        count=alert.count,
        code=alert.code,
        created_at=now,
        opened_at=now,
        updated_at=now,
        closed_at=None,
        assignee=None,
        integration_id=alert.integration_id,
        credential_id=alert.credential_id,
        run_id=alert.run_id,
        event_id=alert.event_id,
    )


def _changed(row: Row, alert: Alert, now: datetime) -> tuple[Row, Recurred]:
    change = recur(row.state, row.severity, row.count, alert)
    changed = replace(
        row,
        version=row.version + 1,
        severity=change.severity,
        state=change.state,
        description=_cut(alert.description),
        remedy=_cut(alert.remedy),
        count=change.count,
        opened_at=now if change.opened else row.opened_at,
        updated_at=now,
        closed_at=None,
        assignee=None if change.opened else row.assignee,
        integration_id=alert.integration_id or row.integration_id,
        credential_id=alert.credential_id or row.credential_id,
        run_id=alert.run_id or row.run_id,
        event_id=alert.event_id or row.event_id,
    )
    return changed, change


def _closed(row: Row, now: datetime) -> Row:
    return replace(row, version=row.version + 1, state=AlertState.CLOSED, updated_at=now, closed_at=now)


async def _announce(connection: Connection, steps: Sequence[Step], now: datetime) -> None:
    """Raise the events of these steps, and put into the outbox what is to be told of them; of the installation's alerts
    once for all organizations. That an alert only shows once more is no step."""
    notices: dict[tuple[str, str], Letter] = {}
    for step in steps:
        row = step.after
        if step.told is not None and worth_telling(step.told, row.severity):
            scope = "" if row.type in EVERYWHERE else row.org_id
            notices.setdefault((scope, row.cause), _notice(row, step.told, now))
    await outbox.add(connection, list(notices.values()))
    await raise_events(connection, [_event(step, now) for step in steps], now)


def _event(step: Step, now: datetime) -> Event:
    after = step.after
    change = Changed(after.id, None, _dto(step.before) if step.before else None, _dto(after))
    return entity_changed(after.org_id, clock.new_id(), "alert", change, now)


def _dto(row: Row) -> dict[str, Any]:
    """What an event says of an alert: the four words that rules read (`domain.event_fields`), and where to look."""
    values = {
        "id": row.id,
        "version": row.version,
        "description": row.description,
        "severity": row.severity,
        "status": row.state,
        "type": row.type,
        "assignee": row.assignee,
        "integrationConfigId": row.integration_id,
        "credentialId": row.credential_id,
        "runId": row.run_id,
    }
    return {name: value for name, value in values.items() if value is not None}


def _notice(row: Row, told: Told, now: datetime) -> Letter:
    content = {
        "told": told,
        "type": row.type,
        "severity": row.severity,
        "description": row.description,
        "remedy": row.remedy,
        "count": row.count,
        "openedAt": row.opened_at.isoformat(),
        "integrationId": row.integration_id,
        "everywhere": row.type in EVERYWHERE,
    }
    return Letter(clock.new_id(), row.org_id, row.id, Channel.NOTICE, "", content, now)


def _note(row: Row, at: datetime, by: str, text: str) -> Note:
    return Note(row.org_id, row.id, clock.new_id(), at, by, text)


def _cut(text: str) -> str:
    # PostgreSQL's text holds no NUL; a vendor's words may.
    clean = text.replace("\x00", "\ufffd")
    return clean if len(clean) <= LONGEST_TEXT else clean[: LONGEST_TEXT - 1] + "…"
