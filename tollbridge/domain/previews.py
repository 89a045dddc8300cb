"""What a preview is: the requests that a delivery would send, and where each of their values comes from. Pure values.

A preview is told whole, as JSON, because it is read by people and sent nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollbridge.domain.errors import Fault
from tollbridge.domain.flows import Delivered, NeedsChoice, Outcome, Previewed, Request, Skipped, Step

UNNAMED = ("unknown",)
"""The source of a value of which the connector does not say where it comes from."""

_INDEX = re.compile(r"\[\d+\]")
_LAST = re.compile(r"\[[^\[\]]+\]$")


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a request, by its name in bracket notation, and where it comes from."""

    name: str
    value: Any
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreviewedStep:
    """A step as it would be taken; `imagined` where it was not sent, and its reply is made up or missing."""

    step: Step
    imagined: bool
    status: int | None
    reply: Any
    request: Mapping[str, Any]


def previewed(steps: Sequence[PreviewedStep], outcome: Outcome | None, warnings: Sequence[str]) -> Previewed:
    """The preview as it is kept and told. `outcome` is None where it cannot be foreseen to its end."""
    return Previewed(
        {
            "steps": [_shown(each) for each in steps],
            "calls": len(steps),
            "writes": sum(each.step.request.writes for each in steps),
            "warnings": list(dict.fromkeys(warnings)),
            "outcome": _told(outcome),
        }
    )


def fields_of(request: Request) -> list[tuple[str, Any]]:
    """Every value that the request carries in query and body, by name in bracket notation."""
    body = request.form if request.form is not None else _flat("", request.json)
    return [*request.query, *body]


def sources_of(step: Step, name: str) -> tuple[str, ...]:
    """Where the value of a field comes from, as the connector says it."""
    plain = _INDEX.sub("[*]", name)
    for known in (name, plain, _LAST.sub("[*]", plain)):
        if known in step.sources:
            return step.sources[known]
    return UNNAMED


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case None:
            return
        case Mapping():
            for key, inner in value.items():
                yield from _flat(f"{name}[{key}]" if name else str(key), inner)
        case list() | tuple():
            for index, inner in enumerate(value):
                yield from _flat(f"{name}[{index}]", inner)
        case _:
            yield name, value


def _shown(each: PreviewedStep) -> dict[str, Any]:
    step = each.step
    values = {
        "key": step.key,
        "name": step.name,
        "kind": "write" if step.request.writes else "read",
        "sent": not each.imagined,
        "request": each.request,
        "fields": [
            {"name": name, "value": str(value) if isinstance(value, str) else value, "sources": sources_of(step, name)}
            for name, value in fields_of(step.request)
        ],
        "pathSources": step.sources.get("path"),
        "status": each.status,
        "reply": each.reply,
    }
    return {name: value for name, value in values.items() if value is not None}


def _told(outcome: Outcome | None) -> dict[str, Any]:
    match outcome:
        case None:
            return {"kind": "unknown"}
        case Delivered():
            return {"kind": "delivered", "total": outcome.total, "currency": outcome.currency, "note": outcome.note}
        case NeedsChoice():
            choices = [{"choice": offer.choice, "text": offer.text, "money": offer.money} for offer in outcome.offers]
            return {"kind": "needs_choice", "reason": outcome.reason, "choices": choices}
        case Skipped():
            return {"kind": "skipped", "reason": outcome.reason}
        case Fault():
            return {"kind": "failed", "code": outcome.code, "message": outcome.message, "hint": outcome.hint}
    return {"kind": type(outcome).__name__.lower()}
