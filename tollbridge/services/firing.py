"""Which notifications follow from events: rules are tried in the transaction in which the events are kept.

Never the network: the runs that are made here are delivered by workers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tollbridge.domain.calculation import CalculationError, caret
from tollbridge.domain.errors import Refusal
from tollbridge.domain.event_types import Category
from tollbridge.domain.events import Event
from tollbridge.domain.integrations import GlobalOptions, read_layer
from tollbridge.domain.notifications import Occurrence, SentRule, envelope
from tollbridge.domain.rules import compiled
from tollbridge.domain.safety import told_disabled
from tollbridge.services import clock
from tollbridge.store import notifying, rules
from tollbridge.store.db import Connection
from tollbridge.store.notifying import Linked, NewNotification, lane_of
from tollbridge.store.rules import ActiveRule

SYSTEM = "SYSTEM"


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that fires on an event; with an `error` nobody knows whether it should have."""

    rule: ActiveRule
    error: str | None = None


async def match(connection: Connection, events: Sequence[Event]) -> list[Sequence[Fired]]:
    """The rules that fire on each of the events.

    That a notification of an error could not be delivered is an error too, but fires nothing: with a receiver that is
    down each would bring about the next for ever.
    """
    found = await rules.matching(connection, {(event.org_id, event.name) for event in events}) if events else []
    by_name: dict[tuple[str, str], list[ActiveRule]] = {}
    for rule in found:
        by_name.setdefault((rule.org_id, rule.event_name), []).append(rule)
    concerned = [(event.org_id, event.resource_id) for event in events if event.type == Category.INTEGRATION]
    failed = [(org_id, id) for org_id, id in concerned if id is not None]
    echoes = await rules.about_errors(connection, failed) if found and failed else set()
    return [
        ()
        if (event.org_id, event.resource_id) in echoes
        else _fired(by_name.get((event.org_id, event.name), ()), event)
        for event in events
    ]


async def fire(
    connection: Connection,
    fired: Iterable[tuple[Event, Sequence[Fired]]],
    now: datetime,
    *,
    webhook_id: str | None = None,
    known: Collection[tuple[str, str]] = (),
) -> int:
    """Make the runs that carry the notifications of these events, for each webhook to which a rule is linked, or for
    the one that is named; answers how many. `known` are (event, integration)s that have a run already."""
    concerned = [(event, each) for event, several in fired for each in several]
    if not concerned:
        return 0
    linked: dict[tuple[str, str], list[Linked]] = {}
    for link in await notifying.links(connection, sorted({(one.rule.org_id, one.rule.id) for _, one in concerned})):
        linked.setdefault((link.org_id, link.rule_id), []).append(link)
    made = [
        notification(event, each, link, clock.new_id())
        for event, each in concerned
        for link in linked.get((each.rule.org_id, each.rule.id), ())
        if webhook_id in (None, link.webhook_id)
        and (event.id, link.integration_id) not in known
        and _takes(link, event.account_id)
    ]
    await notifying.add(connection, made, now)
    return len(made)


def notification(event: Event, fired: Fired, link: Linked, id: str) -> NewNotification:
    """The run that carries the event to the webhook."""
    message_id = f"msg_{id}"
    rule = SentRule(fired.rule.id, fired.rule.code, fired.rule.name)
    return NewNotification(
        id=id,
        org_id=event.org_id,
        created_by=SYSTEM,
        integration_id=link.integration_id,
        credential_id=link.credential_id,
        webhook_id=link.webhook_id,
        entity=("Notification", fired.rule.id),
        event_id=event.id,
        account_id=event.account_id,
        lane=lane_of(link.webhook_id, event.account_id) if link.ordered else None,
        message_id=message_id,
        body=envelope(message_id, occurrence_of(event), rule),
        hold_reason=link.hold_reason,
        note=told_disabled(link.disabled_reason) if link.disabled_reason else None,
        error=fired.error,
    )


def occurrence_of(event: Event) -> Occurrence:
    """The event as rules and payloads see it."""
    data: Mapping[str, Any] = event.body["eventData"]
    return Occurrence(
        event.id,
        event.name,
        event.happened_at,
        event.org_id,
        event.account_id,
        data.get("newDto"),
        data.get("oldDto"),
    )


def values_of(event: Event) -> Mapping[str, Any]:
    """What a calculation reads of the event."""
    seen = occurrence_of(event)
    return {"new": seen.new, "old": seen.old}


def _fired(candidates: Sequence[ActiveRule], event: Event) -> Sequence[Fired]:
    if not candidates:
        return ()
    values = values_of(event)
    return [fired for rule in candidates if (fired := _try(rule, values)) is not None]


def _try(rule: ActiveRule, values: Mapping[str, Any]) -> Fired | None:
    if rule.calculation is None:
        return Fired(rule)
    try:
        return Fired(rule) if compiled(rule.calculation, rule.event_name).is_true(values) else None
    except CalculationError as error:
        message = f"The calculation of rule {rule.code} came to nothing: {error.message}."
        return Fired(rule, f"{message}\n{caret(rule.calculation, error.at)}")
    except Refusal as refusal:
        # It was right when it was saved: the catalogue of fields has changed since.
        return Fired(rule, f"The calculation of rule {rule.code} cannot be read any more. {refusal.message}")


def _takes(link: Linked, account_id: str | None) -> bool:
    options = read_layer(GlobalOptions, link.config)
    if account_id in options.restricted_account_ids:
        return False
    return not options.account_ids or account_id in options.account_ids
