"""Draws a run as lines of text: what it came to, and each step with when it was and how long it took."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import typer

from tollbridge.cli.output import STYLES, moment, show_moment
from tollbridge.domain import json_text
from tollbridge.domain.money import plain

BAR = 24
MARKS = {"read": "·", "look-up": "?", "write": "▸"}


def lines_of(found: dict[str, Any], *, log: bool) -> list[str]:
    """The run with its steps, as the API answers them; with `log` each request and reply as well."""
    run, steps = found["run"], found["steps"]
    return [*_head(run), *_steps(steps, log=log), *_end(run)]


def _head(run: dict[str, Any]) -> Iterator[str]:
    status = typer.style(run["status"], fg=_colour(run["status"]), bold=True)
    yield f"{run['entityType']} {run['entityId']} → {run['destination']}   {status}"
    facts = [f"run {run['id']}", f"made {show_moment(run.get('dtCreated'))} UTC"]
    if run.get("attempt"):
        facts.append(f"attempt {run['attempt']}")
    if run.get("replayOf"):
        facts.append(f"replays {run['replayOf']}")
    yield ", ".join(facts)


def _end(run: dict[str, Any]) -> Iterator[str]:
    if run.get("externalId"):
        total = f", {plain(Decimal(run['total']))} {run['currency']}" if "total" in run else ""
        yield f"there: {run['externalId']}{total}"
    if run.get("decision"):
        decided = run["decision"]
        of = f" for run {decided['decidedIn']}" if "decidedIn" in decided else ""
        yield f"decided: {decided['choice'].replace('_', '-')} by {decided['by']} at {decided['at']}{of}"
    for offer in run.get("choices", ()):
        money = " Say where the money goes: --money." if offer["money"] else ""
        yield f"choice: {offer['choice'].replace('_', '-')}: {offer['text']}{money}"
    for name in ("url", "note", "error", "hint"):
        if run.get(name):
            yield f"{typer.style(name, fg='red') if name == 'error' else name}: {run[name]}"


def _steps(steps: list[dict[str, Any]], *, log: bool) -> Iterator[str]:
    moments = [at for step in steps for at in (moment(step["dtStarted"]), moment(step.get("dtCompleted"))) if at]
    if not moments:
        return
    first, last = min(moments), max(moments)
    widest = min(40, max(len(step["name"]) for step in steps))
    room = max(20, shutil.get_terminal_size().columns - widest - BAR - 26) if sys.stdout.isatty() else None
    for step in steps:
        began, ended = moment(step["dtStarted"]), moment(step.get("dtCompleted"))
        assert began is not None
        took = f"{(ended - began) / timedelta(milliseconds=1):,.0f} ms" if ended else "under way"
        request = step.get("request") or {}
        asked = f"{request.get('method', '')} {request.get('path', '')}".strip()
        yield (
            f"{step['seq']:>3} {MARKS.get(step['kind'], '·')} {step['name'][:40]:<{widest}} "
            f"{_bar(began, ended, first, last)} {took:>9} {_answered(step)} {asked[:room]}"
        ).rstrip()
        fault = step.get("fault")
        if fault:
            yield f"      {typer.style(str(fault.get('message', fault)), fg='red')}"
        if log:
            yield from _conversation(step)


def _bar(began: datetime, ended: datetime | None, first: datetime, last: datetime) -> str:
    """When the step was, between the first and the last moment of the run."""
    whole = (last - first) / timedelta(milliseconds=1) or 1.0
    start = min(BAR - 1, int((began - first) / timedelta(milliseconds=1) / whole * BAR))
    length = max(1, round(((ended or last) - began) / timedelta(milliseconds=1) / whole * BAR))
    return (" " * start + "━" * min(length, BAR - start)).ljust(BAR)


def _answered(step: dict[str, Any]) -> str:
    status = step.get("status")
    if status is None:
        return "   –"
    return typer.style(f"{status:>4}", fg="green" if 200 <= status < 300 else "red")


def _conversation(step: dict[str, Any]) -> Iterator[str]:
    for title, value in (("request", step.get("request")), ("reply", step.get("reply"))):
        if value is not None:
            text = json_text.dump(value, indent=2)
            yield f"      {title} " + text.replace("\n", "\n      ")


def _colour(status: str) -> str:
    return STYLES.get(status, "red")
