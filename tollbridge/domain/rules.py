"""Notification rules: what they say, and whether a calculation fits the events that it is about.

Knows no stored rule; `services.firing` tries them on events.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tollbridge.domain.calculation import LONGEST, Calculation, compile_calculation
from tollbridge.domain.errors import Invalid
from tollbridge.domain.event_types import MAX_NAME, fields_of
from tollbridge.domain.fields import Shape, boolean, required, text, trimmed

RULE = Shape(
    {
        "name": required(trimmed(least=1, most=200)),
        "code": required(trimmed(least=1, most=80)),
        "description": required(text(least=1, most=2000)),
        "eventName": required(text(least=1, most=MAX_NAME)),
        "calculation": text(most=LONGEST),
        "alwaysFireEvent": boolean(),
        "active": boolean(),
    }
)
TRIAL = Shape({"eventName": text(most=MAX_NAME), "eventId": text(most=200), "calculation": text()})
"""A calculation to be tried: on the fields of a type of events or, where none is named, on one event."""


def is_active(body: Mapping[str, Any]) -> bool:
    """Whether a rule may fire: where nothing is said, it may."""
    return bool(body.get("active", True))


def always_fires(body: Mapping[str, Any]) -> bool:
    """Whether a rule fires on every event of its type, whatever its calculation."""
    return bool(body.get("alwaysFireEvent", False))


def check(body: Mapping[str, Any]) -> None:
    """Whether a rule's calculation can be read, and reads what its events have; raises Invalid."""
    fields_of(body["eventName"])
    if always_fires(body):
        return
    if not (body.get("calculation") or "").strip():
        raise Invalid(
            "field.missing",
            "calculation is missing.",
            "Say when the rule fires, or set alwaysFireEvent.",
            "calculation",
        )
    compiled(body["calculation"], body["eventName"])


@lru_cache(maxsize=4096)
def compiled(calculation: str, event_name: str) -> Calculation:
    """A calculation on events of that type, compiled once; raises Invalid."""
    return compile_calculation(calculation, fields_of(event_name))
