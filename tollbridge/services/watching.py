"""The look for trouble that nobody reports: a queue that does not move, a database that lags, bills that do not get
through, a source that fell silent; and for alerts whose cause is gone. One process at a time does it for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from tollbridge.domain import alerts as kinds
from tollbridge.domain.alerts import Alert, AlertType
from tollbridge.domain.rhythm import Silences, is_silent, usual_pause
from tollbridge.services import alerts, clock
from tollbridge.services.runs import SILENCE
from tollbridge.settings import Settings
from tollbridge.store import alerts as rows
from tollbridge.store import chores, inspection, watching, workers
from tollbridge.store.db import Connection, Database

PERIOD = timedelta(minutes=1)
SILENCE_PERIOD = timedelta(hours=1)
"""Between two looks for silent sources, which read the days of months."""
CALM = timedelta(minutes=10)
"""A webhook that takes some notifications and leaves others is not well: for so long it must have left none."""
ROUND_TRIPS = 3
EXPIRING = timedelta(days=14)
"""So long before its end people are told of a credential first."""


async def watch(db: Database, settings: Settings, now: datetime) -> bool:
    """Look once, if it is time and no other process does; answers whether it did."""
    if not await _take(db, "watch", now, PERIOD):
        return False
    await _settle(db, AlertType.QUEUE_STUCK, await _stuck_queues(db, settings, now), now)
    await _settle(db, AlertType.DATABASE_LAG, await _database_lag(db, settings), now)
    await _settle(db, AlertType.BILL_UNDELIVERED, await _undelivered_bills(db, settings, now), now)
    await _settle(db, AlertType.CREDENTIAL_EXPIRING, await expiring(db, now), now)
    if await _take(db, "silence", now, SILENCE_PERIOD):
        await _settle(db, AlertType.SOURCE_SILENT, await silent_sources(db, settings, now), now)
    async with db.hot() as connection:
        mended = await watching.mended_failures(connection)
        gone = await watching.gone_causes(connection, now - CALM)
        why = dict.fromkeys(mended, "what had failed was made good.") | gone
        await alerts.resolve_all(connection, why, now)
    return True


async def _take(db: Database, name: str, now: datetime, period: timedelta) -> bool:
    async with db.hot() as connection:
        return await chores.take(connection, name, now, period)


async def _settle(db: Database, type: AlertType, found: Sequence[Alert], now: datetime) -> None:
    """Raise what was found, and close what of this type was not."""
    async with db.hot() as connection:
        standing = {(alert.org_id, alert.cause) for alert in found}
        over = [key for key in await rows.open_causes(connection, type) if key not in standing]
        await alerts.resolve_all(connection, dict.fromkeys(over, "it is over."), now)
        await alerts.raise_alerts(connection, found, now)


async def _stuck_queues(db: Database, settings: Settings, now: datetime) -> list[Alert]:
    async with db.hot() as connection:
        alive = sum((await workers.versions_since(connection, now - SILENCE)).values())
        stuck = await watching.stuck_queues(connection, now - settings.queue_patience)
    return [kinds.queue_stuck(each.org_id, each.runs, each.since, alive, each.run_id) for each in stuck]


async def _database_lag(db: Database, settings: Settings) -> list[Alert]:
    """What is slow, told to every organization: the answer to the smallest question (the best of three), the
    difference of the clocks, the slowest replica."""
    async with db.hot() as connection:
        answer, skew = await _round_trip(connection)
        behind = await watching.replication_lag(connection)
        organizations = list(await watching.organizations(connection))
    found = []
    if answer > settings.database_lag:
        text = f"The database takes {_seconds(answer)} to answer the smallest question."
        found.append(("answer", text, "See what loads it, or what lies between it and the workers."))
    if skew > settings.database_lag:
        text = f"The clock of the database and that of a worker differ by {_seconds(skew)}."
        found.append(("clock", text, "Let both machines set their clocks by NTP."))
    if behind is not None and behind > settings.replication_lag:
        text = f"The slowest replica of the database is {_seconds(behind)} behind."
        found.append(("replication", text, "See what keeps it: what is not there yet is lost where it takes over."))
    return [kinds.database_lag(org_id, *each) for each in found for org_id in organizations]


async def _round_trip(connection: Connection) -> tuple[timedelta, timedelta]:
    """The shortest of some round trips, and the difference of the clocks that it leaves no doubt about."""
    shortest, skew = timedelta.max, timedelta()
    for _ in range(ROUND_TRIPS):
        asked = clock.now()
        _, theirs = await inspection.server(connection)
        answered = clock.now()
        if answered - asked < shortest:
            shortest, skew = answered - asked, max(asked - theirs, theirs - answered, timedelta())
    return shortest, skew


async def _undelivered_bills(db: Database, settings: Settings, now: datetime) -> list[Alert]:
    async with db.hot() as connection:
        found = await watching.undelivered_bills(connection, now - settings.undelivered_after)
    return [
        kinds.bill_undelivered(
            each.org_id, each.integration_id, each.name, each.bills, each.oldest, each.since, each.run_id
        )
        for each in found
    ]


async def expiring(db: Database, now: datetime) -> list[Alert]:
    """Credentials that end soon, or have."""
    async with db.hot() as connection:
        found = await watching.expiring(connection, now + EXPIRING)
    return [kinds.credential_expiring(each.org_id, each.id, each.name, each.expires_at, now) for each in found]


async def silent_sources(db: Database, settings: Settings, now: datetime) -> list[Alert]:
    """Organizations into which no bill came for far longer than usual."""
    rule = Silences(settings.silence_factor, settings.silence_least)
    found = []
    async with db.hot() as connection:
        for org_id in await watching.organizations(connection):
            days = await watching.arrivals(connection, org_id, settings.silence_history)
            usual = usual_pause(days)
            if usual is not None and is_silent(days, now, rule):
                found.append(kinds.source_silent(org_id, days[-1].last, usual))
    return found


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.1f} s"
