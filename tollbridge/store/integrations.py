"""Integration configurations: how they are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import ColumnElement, select

from tollbridge.domain import notifications
from tollbridge.domain.runs import UNTIL_ENABLED, HoldReason
from tollbridge.store.db import Connection, Tx
from tollbridge.store.records import Page, Record, read
from tollbridge.store.records import page as page_of
from tollbridge.store.schema import integrations


@dataclass(frozen=True, slots=True)
class Link:
    """An integration as others name it, such as one that links a rule to a webhook."""

    id: str
    name: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class Held:
    """Held runs of an integration, with the sums of their bills by currency."""

    count: int
    totals: Mapping[str, Decimal]


async def held(connection: Connection, org_id: str, id: str, reasons: Sequence[HoldReason] = UNTIL_ENABLED) -> Held:
    """What is held of the integration for one of these reasons, else until it is enabled."""
    rows = await connection.fetch(
        """
        SELECT b.currency, count(*) AS count, sum(b.total) AS total
        FROM runs r LEFT JOIN bills b
            ON r.entity_type = 'Bill' AND r.flow = 'deliver' AND (b.org_id, b.id) = (r.org_id, r.entity_id)
        WHERE r.org_id = $1 AND r.integration_id = $2 AND r.state = 'held' AND r.hold_reason = ANY($3::text[])
        GROUP BY b.currency ORDER BY b.currency
        """,
        org_id,
        id,
        reasons,
    )
    totals = {row["currency"]: row["total"] for row in rows if row["currency"] is not None}
    return Held(sum(row["count"] for row in rows), totals)


async def page(tx: Tx, org_id: str, *, destination_id: str | None, size: int, token: str | None) -> Page:
    """One page of integrations, of one destination id where it is given."""
    conditions = [] if destination_id is None else [integrations.c.destination_id == destination_id]
    return await page_of(tx, integrations, org_id, conditions, size=size, token=token)


async def by_entity(
    tx: Tx,
    org_id: str,
    entity_type: str,
    *,
    system: str | None,
    destination_id: str | None,
    entity_id: str | None,
) -> Record | None:
    """The newest enabled integration that every given filter fits, else the newest of all."""
    given = {"system": system, "destination_id": destination_id, "entity_id": entity_id}
    conditions = [integrations.c[name] == value for name, value in given.items() if value is not None]
    query = (
        select(integrations)
        .where(integrations.c.org_id == org_id, integrations.c.entity_type == entity_type, *conditions)
        .order_by(integrations.c.enabled.desc(), integrations.c.created_at.desc(), integrations.c.id.desc())
        .limit(1)
    )
    row = (await tx.execute(query)).first()
    return read(integrations, row) if row else None


async def linked(tx: Tx, org_id: str, rule_id: str, webhook_id: str) -> str | None:
    """The id of the integration that links the rule to the webhook."""
    query = select(integrations.c.id).where(
        integrations.c.org_id == org_id,
        integrations.c.system == notifications.SYSTEM,
        integrations.c.entity_id == rule_id,
        integrations.c.destination_id == webhook_id,
    )
    found: str | None = (await tx.execute(query)).scalar()
    return found


async def linked_to(tx: Tx, org_id: str, webhook_id: str) -> Sequence[Link]:
    """The integrations that link rules to the webhook, by name."""
    return await _links(tx, org_id, _LINKS & (integrations.c.destination_id == webhook_id))


async def using(tx: Tx, org_id: str, credential_id: str) -> Sequence[Link]:
    """The integrations that use the credential, by name."""
    return await _links(tx, org_id, integrations.c.credential_id == credential_id)


async def linked_from(tx: Tx, org_id: str, rule_id: str) -> Sequence[Link]:
    """The integrations that link the rule to webhooks, by name."""
    return await _links(tx, org_id, _LINKS & (integrations.c.entity_id == rule_id))


_LINKS = integrations.c.system == notifications.SYSTEM


async def _links(tx: Tx, org_id: str, condition: ColumnElement[bool]) -> Sequence[Link]:
    query = (
        select(integrations.c.id, integrations.c.name, integrations.c.enabled)
        .where(integrations.c.org_id == org_id, condition)
        .order_by(integrations.c.name)
    )
    return [Link(*row) for row in await tx.execute(query)]
