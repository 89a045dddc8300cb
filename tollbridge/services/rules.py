"""Notification rules: which events are told, and trying a calculation before a rule has it. Nothing here fires any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollbridge.domain import rules
from tollbridge.domain.calculation import CalculationError, caret
from tollbridge.domain.errors import Conflict, Invalid, Refusal
from tollbridge.domain.event_types import Category, type_of
from tollbridge.domain.fields import shown
from tollbridge.domain.rules import RULE, TRIAL
from tollbridge.services import events, firing
from tollbridge.services.caller import Caller
from tollbridge.services.catalog import Catalog
from tollbridge.store import integrations, scheduled_events
from tollbridge.store.db import Database, Tx, raw
from tollbridge.store.records import Record
from tollbridge.store.schema import rules as table


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of trying a calculation: why it is no good, or whether it fires on the event, where one was named."""

    error: str | None
    fires: bool | None = None


def _columns(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": body["name"],
        "code": body["code"],
        "event_name": body["eventName"],
        "active": rules.is_active(body),
    }


async def _check(tx: Tx, org_id: str, bodies: Sequence[Mapping[str, Any]]) -> list[Refusal | None]:
    configured = {name for _, name in await scheduled_events.names(await raw(tx), [org_id])}
    return [_refusal(body, configured) for body in bodies]


def _refusal(body: Mapping[str, Any], configured: set[str]) -> Refusal | None:
    name = body["eventName"]
    try:
        if type_of(name).category is Category.SCHEDULED and name not in configured:
            raise Invalid(
                "event.type",
                f"eventName is {shown(name)}, but there is no such scheduled event.",
                "Configure it first (POST …/scheduledevents/configurations), or correct the name.",
                "eventName",
            )
        rules.check(body)
    except Refusal as refusal:
        return refusal
    return None


async def _not_linked(tx: Tx, rule: Record) -> None:
    links = await integrations.linked_from(tx, rule.org_id, rule.id)
    if links:
        names = ", ".join(link.name for link in links[:5])
        raise Conflict(
            "notification_rule.linked",
            f"{len(links)} integrations lead from the rule {rule['name']} to webhooks: {names}.",
            "Delete these integrations first, or make the rule inactive: that keeps them and sends nothing.",
        )


RULES = Catalog("notification rule", table, RULE, _columns, ("code",), "code", "code", check=_check, free=_not_linked)


async def evaluate(db: Database, caller: Caller, value: Any) -> Trial:
    """Try a calculation on the fields of a type of events, or else on one event. No rule fires, nothing is sent.

    Raises Invalid where neither is named or there is no such type, NotFound where there is no such event.
    """
    asked = TRIAL.check(value)
    calculation = asked.get("calculation") or ""
    if asked.get("eventName"):
        return _compiles(calculation, type_of(asked["eventName"]).name)
    if not asked.get("eventId"):
        raise Invalid(
            "field.missing",
            "Neither eventName nor eventId is given.",
            "Name a type of events, or an event, on which the calculation is tried.",
            "eventName",
        )
    event = (await events.retrieve(db, caller, asked["eventId"])).event
    trial = _compiles(calculation, event.name)
    if trial.error:
        return trial
    try:
        return Trial(None, rules.compiled(calculation, event.name).is_true(firing.values_of(event)))
    except CalculationError as error:
        return Trial(f"The calculation comes to nothing: {error.message}.\n{caret(calculation, error.at)}")


def _compiles(calculation: str, event_name: str) -> Trial:
    try:
        rules.check({"eventName": event_name, "calculation": calculation})
    except Refusal as refusal:
        return Trial(f"{refusal.message}\n{refusal.hint}" if refusal.hint else refusal.message)
    return Trial(None)
