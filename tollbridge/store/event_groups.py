"""Error events by what they have in common, and the mark that says that somebody saw to them. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, CursorResult, Text, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import aggregate_order_by

from tollbridge.domain.events import Cause
from tollbridge.store import records
from tollbridge.store.db import Tx
from tollbridge.store.events import CODE, MISSING, Filters
from tollbridge.store.schema import events

MOST_GROUPED = 20_000
"""Events, the latest, that are looked at; older ones are not counted."""


@dataclass(frozen=True, slots=True)
class Group:
    """Events of one cause: how many, how many of them are not marked as actioned, and which came last."""

    cause: Cause
    count: int
    open: int
    first_seen: datetime
    last_seen: datetime
    latest_id: str


@dataclass(frozen=True, slots=True)
class GroupPage:
    """Some groups, the one seen last first, and the token that continues after them, if there are more."""

    data: Sequence[Group]
    next_token: str | None


async def page(tx: Tx, org_id: str, filters: Filters, *, size: int, token: str | None) -> GroupPage:
    """One page of groups of those events that the filters let through."""
    c = events.c
    latest = (
        select(c.id, c.received_at, c.actioned_at, c.integration_id, c.name, CODE.label("code"), MISSING.label("place"))
        .where(c.org_id == org_id, *filters.conditions())
        .order_by(c.received_at.desc(), c.id.desc())
        .limit(MOST_GROUPED)
        .subquery()
        .c
    )
    newest_first = aggregate_order_by(latest.id, latest.received_at.desc(), latest.id.desc())
    cause = (latest.integration_id, latest.name, latest.code, latest.place)
    group = (
        select(
            *cause,
            func.count().label("events"),
            func.count().filter(latest.actioned_at.is_(None)).label("open"),
            func.min(latest.received_at).label("first_seen"),
            func.max(latest.received_at).label("last_seen"),
            func.array_agg(newest_first, type_=ARRAY(Text))[1].label("latest_id"),
        )
        .group_by(*cause)
        .subquery()
    )
    keys = (group.c.last_seen, group.c.latest_id)
    query = select(group)
    if token:
        query = query.where(tuple_(*keys) < tuple_(*records.read_token(token)))
    query = query.order_by(*(key.desc() for key in keys)).limit(size + 1)
    found = [
        Group(Cause(*row[:4]), row.events, row.open, row.first_seen, row.last_seen, row.latest_id)
        for row in await tx.execute(query)
    ]
    more = found[size - 1] if len(found) > size else None
    return GroupPage(found[:size], records.make_token(more.last_seen, more.latest_id) if more else None)


async def mark(tx: Tx, org_id: str, filters: Filters, at: datetime | None) -> int:
    """Mark the events as actioned at that moment, or, without one, as not actioned; answers how many changed."""
    c = events.c
    changes = c.actioned_at.is_(None) if at else c.actioned_at.is_not(None)
    # In one order everywhere, so that two who mark the same never wait for each other.
    ids = select(c.id).where(c.org_id == org_id, changes, *filters.conditions()).order_by(c.id).with_for_update()
    done = await tx.execute(
        update(events).where(c.org_id == org_id, c.id.in_(ids.scalar_subquery())).values(actioned_at=at)
    )
    assert isinstance(done, CursorResult)
    return done.rowcount
