"""The steps of a run on one line of time: where each begins and how long it takes, with long waits folded. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tollbridge.services.runs import LoggedStep

WIDTH = 1000
"""Units of the whole line."""
LEAST = 6
"""Units of the shortest bar, so that it can be seen."""
IDLE = timedelta(seconds=1)
"""A wait that is longer is told in words and folded to this length."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A step on the line. `waited` is the wait before it, where that was folded; `again` says that its exchange was
    tried before."""

    step: LoggedStep
    start: int
    width: int
    took: timedelta | None
    waited: timedelta | None
    again: bool

    @property
    def ok(self) -> bool:
        """Whether the exchange went well."""
        return self.step.fault is None and (self.step.status is None or self.step.status < 400)

    @property
    def pending(self) -> bool:
        return self.step.completed_at is None

    @property
    def address(self) -> str:
        """Method and path."""
        request = self.step.request or {}
        url = str(request.get("url") or request.get("path") or "")
        path = "/" + url.split("://", 1)[1].partition("/")[2] if "://" in url else url
        return f"{request.get('method', '')} {path}".strip()


def bars(steps: Sequence[LoggedStep]) -> list[Bar]:
    """All steps in order."""
    found: list[tuple[LoggedStep, timedelta, timedelta | None]] = []
    seen: set[str] = set()
    end: datetime | None = None
    at = timedelta()
    for step in steps:
        waited = max(step.started_at - end, timedelta()) if end else timedelta()
        at += min(waited, IDLE)
        found.append((step, at, waited if waited > IDLE else None))
        took = (step.completed_at or step.started_at) - step.started_at
        at += took
        end = max(end or step.started_at, step.completed_at or step.started_at)
    whole = max(at, timedelta(milliseconds=1))
    drawn = []
    for step, start, waited_for in found:
        took_so_long = step.completed_at - step.started_at if step.completed_at else None
        width = max(LEAST, int(WIDTH * ((took_so_long or timedelta()) / whole)))
        left = min(int(WIDTH * (start / whole)), WIDTH - width)
        drawn.append(Bar(step, left, width, took_so_long, waited_for, step.key in seen))
        seen.add(step.key)
    return drawn


def curl(request: dict[str, Any] | None) -> str:
    """The request as a command line; what was redacted stays so."""
    if not request:
        return ""
    parts = [f"curl -X {request.get('method', 'GET')} {_quoted(str(request.get('url') or request.get('path') or ''))}"]
    headers = request.get("headers") or {}
    parts += [f"-H {_quoted(f'{name}: {value}')}" for name, value in headers.items()]
    form, body = request.get("form"), request.get("json")
    if isinstance(form, dict):
        parts += [f"--data-urlencode {_quoted(f'{name}={value}')}" for name, value in form.items()]
    elif isinstance(form, list):
        parts += [f"--data-urlencode {_quoted(f'{pair[0]}={pair[1]}')}" for pair in form if len(pair) == 2]
    elif body is not None or request.get("text"):
        from tollbridge.domain import json_text

        text = request.get("text") or json_text.dump(body)
        parts.append(f"--data {_quoted(str(text))}")
    return " \\\n  ".join(parts)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
