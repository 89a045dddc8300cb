"""Scheduled events: configured by people, told by workers, once for each configuration, entity and moment.

A worker first looks through the entities that were there before a configuration; those that come or change later are
noted by `services.dues`. What is due while no worker runs is told when one does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from tollbridge.domain import schedules
from tollbridge.domain.errors import Refusal
from tollbridge.domain.events import Dto, Event, date_came
from tollbridge.domain.schedules import ENTITIES, LATEST, SCHEDULED_EVENT
from tollbridge.services import clock, wire_form
from tollbridge.services.catalog import Catalog
from tollbridge.services.dues import due_of
from tollbridge.services.raising import raise_events
from tollbridge.store import catalog, records
from tollbridge.store import scheduled_events as rows
from tollbridge.store.db import Database, Tx, raw
from tollbridge.store.records import Record, RecordTable
from tollbridge.store.scheduled_events import Came
from tollbridge.store.schema import accounts, bill_configs, bills, products, scheduled_events

AT_ONCE = 500
"""Entities, or events, of one transaction."""

TABLES: Mapping[str, RecordTable] = {
    "account": accounts,
    "bill": bills,
    "billconfig": bill_configs,
    "product": products,
}


def _columns(body: Mapping[str, Any]) -> dict[str, Any]:
    # However it is changed, a worker looks through all entities anew.
    return {"name": body["name"], "entity": ENTITIES[body["entity"]], "filled": False, "filled_to": ""}


async def _check(tx: Tx, org_id: str, bodies: Sequence[Mapping[str, Any]]) -> list[Refusal | None]:
    await rows.lock(await raw(tx))
    return [_refusal(body) for body in bodies]


def _refusal(body: Mapping[str, Any]) -> Refusal | None:
    try:
        schedules.check(body)
    except Refusal as refusal:
        return refusal
    return None


async def _drop_dues(tx: Tx, record: Record) -> None:
    await rows.drop_dues(await raw(tx), record.org_id, record.id)


SCHEDULED_EVENTS = Catalog(
    "scheduled event",
    scheduled_events,
    SCHEDULED_EVENT,
    _columns,
    ("name",),
    "name",
    "name",
    check=_check,
    free=_drop_dues,
)


async def tell_due(db: Database, now: datetime) -> int:
    """Look through what new configurations are about, then tell all that is due; answers how many events."""
    while await _fill(db):
        pass
    count = 0
    while told := await _tell_some(db, now):
        count += told
    return count


async def forget_told(db: Database, now: datetime) -> None:
    """Forget what was told so long ago that it could not be told again."""
    more = True
    while more:
        async with db.hot() as connection:
            more = await rows.forget(connection, now - LATEST - timedelta(days=1), AT_ONCE)


async def _fill(db: Database) -> bool:
    """Note for some entities when a configuration is due; answers whether there was anything to do."""
    async with db.transaction() as tx:
        connection = await raw(tx)
        found = await rows.next_unfilled(connection)
        if found is None:
            return False
        configured = found.configured
        some = await records.after(tx, TABLES[configured.entity], found.org_id, found.filled_to, AT_ONCE)
        dtos = await _dtos(tx, found.org_id, configured.entity, some)
        # Judged as of the configuration, so that no worker's absence loses a day.
        as_of = configured.changed_at
        dues = [due_of(configured, record.id, configured.due(dtos[record.id]), as_of) for record in some]
        await rows.put_dues(connection, found.org_id, dues)
        last = some[-1].id if some else found.filled_to
        await rows.mark_filled(connection, found, last, done=len(some) < AT_ONCE)
    return True


async def _tell_some(db: Database, now: datetime) -> int:
    """Tell some of what is due, and forget what is not due after all; answers how many of both."""
    async with db.transaction() as tx:
        connection = await raw(tx)
        due = await rows.came(connection, now, AT_ONCE)
        events: list[Event] = []
        told: list[Came] = []
        for (org_id, entity), group in groupby(sorted(due, key=_place), key=_place):
            cases = list(group)
            standing = await _standing(tx, org_id, entity, [each.entity_id for each in cases])
            for each in cases:
                event = _event(each, standing.get(each.entity_id))
                if event is not None:
                    events.append(event)
                    told.append(each)
        await raise_events(connection, events, now)
        await rows.mark_told(connection, told, now)
        await rows.drop(connection, list(set(due) - set(told)))
    return len(due)


def _place(each: Came) -> tuple[str, str]:
    return each.org_id, each.configured.entity if each.configured else ""


def _event(each: Came, found: tuple[str | None, Dto] | None) -> Event | None:
    """The event, if the entity is there and its date still says that moment."""
    if each.configured is None or found is None:
        return None
    account_id, dto = found
    if each.configured.due(dto) != each.due_at:
        return None
    return date_came(each.org_id, clock.new_id(), each.configured.name, each.entity_id, account_id, dto, each.due_at)


async def _standing(tx: Tx, org_id: str, entity: str, ids: Sequence[str]) -> dict[str, tuple[str | None, Dto]]:
    """The entities that are there, each with its account."""
    if not entity:
        return {}
    found = await records.among(tx, TABLES[entity], org_id, ids)
    dtos = await _dtos(tx, org_id, entity, found)
    return {record.id: (_account_of(entity, record), dtos[record.id]) for record in found}


def _account_of(entity: str, record: Record) -> str | None:
    match entity:
        case "account":
            return record.id
        case "bill":
            return str(record["account_id"])
    return None


async def _dtos(tx: Tx, org_id: str, entity: str, found: Sequence[Record]) -> dict[str, Dto]:
    """The entities as the wire shows them, by id."""
    if entity != "bill":
        return {record.id: wire_form.entity(record) for record in found}
    codes = await catalog.account_codes(tx, org_id, {record["account_id"] for record in found})
    return {record.id: wire_form.bill(record, codes[record["account_id"]]) for record in found}
