"""Runs and their logs, as they are read by people and the API. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on

from tollbridge.domain.runs import Flow, RunFilter, statuses
from tollbridge.store.db import Tx
from tollbridge.store.records import make_token, read_token
from tollbridge.store.schema import run_payloads, run_snapshots, run_steps, runs


async def get(tx: Tx, org_id: str, run_id: str) -> Row[Any] | None:
    """The run, or None."""
    return (await tx.execute(select(runs).where(runs.c.org_id == org_id, runs.c.id == run_id))).first()


async def page(
    tx: Tx, org_id: str, wanted: RunFilter, *, ascending: bool, size: int, token: str | None
) -> tuple[Sequence[Row[Any]], str | None]:
    """One page of runs and the token that continues after it."""
    keys = (runs.c.created_at, runs.c.id)
    query = select(runs).where(runs.c.org_id == org_id, *_conditions(wanted))
    if token:
        place, here = tuple_(*keys), tuple_(*read_token(token))
        query = query.where(place > here if ascending else place < here)
    query = query.order_by(*(key.asc() if ascending else key.desc() for key in keys)).limit(size + 1)
    found = list(await tx.execute(query))
    last = found[size - 1] if len(found) > size else None
    return found[:size], make_token(last.created_at, last.id) if last else None


def _conditions(wanted: RunFilter) -> list[ColumnElement[bool]]:
    # What is asked while somebody types is no news but of its credential.
    conditions: list[ColumnElement[bool]] = [] if wanted.credential_id else [runs.c.flow != Flow.ASK]
    for name in ("entity_id", "destination_id", "integration_id", "credential_id", "event_id"):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(runs.c[name] == value)
    if wanted.entity_type is not None:
        conditions.append(func.lower(runs.c.entity_type) == wanted.entity_type.lower())
    if wanted.destination is not None:
        name = wanted.destination.lower()
        conditions.append(or_(func.lower(runs.c.destination) == name, func.lower(runs.c.system) == name))
    if wanted.started_after is not None:
        conditions.append(runs.c.started_at > wanted.started_after)
    if wanted.started_until is not None:
        conditions.append(runs.c.started_at <= wanted.started_until)
    if wanted.status is not None:
        told = tuple_(runs.c.state, func.coalesce(runs.c.fault_kind, ""), func.coalesce(runs.c.hold_reason, ""))
        wanted_statuses = statuses(wanted.status)
        conditions.append(told.in_(wanted_statuses))
        # Said once more as constants, so that the indexes of those in rare states are known to fit.
        states = sorted({state for state, _, _ in wanted_statuses})
        conditions.append(runs.c.state.in_(bindparam("states", states, expanding=True, literal_execute=True)))
    return conditions


async def latest(tx: Tx, org_id: str, entity_type: str, entity_ids: Sequence[str]) -> list[Row[Any]]:
    """The newest run of each of the entities."""
    query = (
        select(runs)
        .ext(distinct_on(runs.c.entity_id))
        .where(runs.c.org_id == org_id, runs.c.entity_type == entity_type, runs.c.entity_id.in_(entity_ids))
        .order_by(runs.c.entity_id, runs.c.created_at.desc(), runs.c.id.desc())
    )
    return list(await tx.execute(query))


async def log(tx: Tx, run_id: str) -> tuple[Row[Any] | None, list[Row[Any]], str | None]:
    """The run's snapshot, where there is one, its steps in order, and what it sends, if that is a notification."""
    snapshot = (await tx.execute(select(run_snapshots).where(run_snapshots.c.run_id == run_id))).first()
    steps = await tx.execute(select(run_steps).where(run_steps.c.run_id == run_id).order_by(run_steps.c.seq))
    payload = (await tx.execute(select(run_payloads.c.body).where(run_payloads.c.run_id == run_id))).scalar()
    return snapshot, list(steps), payload
