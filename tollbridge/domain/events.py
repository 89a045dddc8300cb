"""Events as values: what happened, to what, and what stood before and after it.

The body is the wire's `m3terEvent`: `{"eventData": {"newDto": …, "oldDto": …}}`; rules read `new.` and `old.` in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tollbridge.domain import json_text
from tollbridge.domain.errors import Fault
from tollbridge.domain.event_types import Category, Happening, entity_event, type_of

MAX_BODY = 256 * 1024
"""Bytes of an event's body."""

Dto = Mapping[str, Any]
"""An entity as the wire shows it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `name` is the wire's eventName, `type` its eventType.

    `rule_ids` and `rule_codes` name the rules that fired; both are empty for what no rule is about.
    """

    org_id: str
    id: str
    name: str
    type: str
    happened_at: datetime
    body: Mapping[str, Any]
    account_id: str | None = None
    resource_id: str | None = None
    integration_id: str | None = None
    run_id: str | None = None
    rule_ids: Sequence[str] = ()
    rule_codes: Sequence[str] = ()

    @property
    def new(self) -> Dto:
        """What stands since; empty where there is nothing."""
        return self.body["eventData"].get("newDto") or {}

    @property
    def old(self) -> Dto:
        """What stood before; empty where there was nothing, or it is not known."""
        return self.body["eventData"].get("oldDto") or {}


@dataclass(frozen=True, slots=True)
class Cause:
    """What error events of one group share: the integration, the kind, the fault's code, and the `system/table` in
    which a mapping is missing; the last two are empty where there is none."""

    integration_id: str | None
    name: str
    code: str
    missing: str

    @property
    def key(self) -> str:
        """The same for the same cause, of no meaning by itself."""
        parts = (self.integration_id or "", self.name, self.code, self.missing)
        return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def cause_of(event: Event) -> Cause:
    """The group of an error event."""
    told = _dict(event.new)
    missing = _dict(told.get("missing"))
    place = f"{missing['system']}/{missing['table']}" if {"system", "table"} <= missing.keys() else ""
    return Cause(event.integration_id, event.name, str(told.get("code") or ""), place)


def message_of(event: Event) -> str:
    """What an error event says: the cause, in the words of the other side, then the remedy."""
    data = _dict(event.body.get("eventData"))
    return str(_dict(data.get("newDto")).get("message") or data.get("message") or "")


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def body_of(new: Dto | None, old: Dto | None) -> dict[str, Any]:
    """The body that says what stands and what stood."""
    sides = {"newDto": new, "oldDto": old}
    return {"eventData": {name: dto for name, dto in sides.items() if dto is not None}}


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of one entity: it was made where nothing stood before, deleted where nothing stands."""

    id: str
    account_id: str | None
    old: Dto | None
    new: Dto | None

    @property
    def happening(self) -> Happening:
        if self.old is None:
            return Happening.CREATED
        return Happening.DELETED if self.new is None else Happening.UPDATED


def entity_changed(org_id: str, event_id: str, entity: str, change: Changed, now: datetime) -> Event:
    """The event that tells a change of an entity, which is named as in its event types."""
    found = entity_event(entity, change.happening)
    body = body_of(change.new, change.old)
    return Event(org_id, event_id, found.name, found.category, now, body, change.account_id, change.id)


def run_failed(
    event_id: str,
    name: str,
    fault: Fault,
    now: datetime,
    *,
    org_id: str,
    run_id: str | None,
    integration_id: str | None,
    account_id: str | None,
    entity_id: str,
) -> Event:
    """The error event of a run that will not go on by itself: the cause in the vendor's words, with the way out."""
    told: dict[str, Any] = {
        "message": f"{_sentence(fault.message)} {fault.hint}".strip(),
        "code": fault.code,
        "action": fault.rule.action,
        "runId": run_id,
        "integrationId": integration_id,
        "accountId": account_id,
        "entityId": entity_id,
    }
    if fault.missing is not None:
        told["missing"] = dict(zip(("entity", "id", "system", "table"), fault.missing, strict=True))
    return Event(
        org_id,
        event_id,
        name,
        type_of(name).category,
        now,
        body_of(told, None),
        account_id=account_id,
        resource_id=entity_id,
        integration_id=integration_id,
        run_id=run_id,
    )


def date_came(
    org_id: str, event_id: str, name: str, entity_id: str, account_id: str | None, new: Dto, due: datetime
) -> Event:
    """The scheduled event that tells that a date of an entity came."""
    return Event(org_id, event_id, name, Category.SCHEDULED, due, body_of(new, None), account_id, entity_id)


def fitted(event: Event) -> tuple[Event, str]:
    """The event with a body of at most `MAX_BODY` bytes, and that body as JSON.

    Fields are left out, the longest first and on both sides, until it fits; `eventData.omitted` names them.
    """
    text = json_text.dump(event.body)
    if _size(text) <= MAX_BODY:
        return event, text
    data = event.body["eventData"]
    sides = {name: dict(data[name]) for name in ("newDto", "oldDto") if name in data}
    sizes: dict[str, int] = {}
    for dto in sides.values():
        for name, value in dto.items():
            sizes[name] = sizes.get(name, 0) + _size(json_text.dump(value))
    omitted: list[str] = []
    for name in sorted(sizes, key=lambda name: sizes[name], reverse=True):
        for dto in sides.values():
            dto.pop(name, None)
        omitted.append(name)
        text = json_text.dump({"eventData": {**sides, "omitted": sorted(omitted)}})
        if _size(text) <= MAX_BODY:
            break
    return replace(event, body={"eventData": {**sides, "omitted": sorted(omitted)}}), text


def _size(text: str) -> int:
    return len(text.encode())


def _sentence(words: str) -> str:
    """A vendor's words as a sentence, so that another one can follow."""
    return words if not words or words.rstrip().endswith((".", "!", "?", ":", ";", "”", '"')) else f"{words.rstrip()}."
