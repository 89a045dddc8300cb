"""The log of a run as text for people: what `integrationruns/logs/{id}` carries. Pure; times are UTC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from tollbridge.domain import json_text
from tollbridge.domain.money import plain
from tollbridge.domain.runs import HoldReason
from tollbridge.services.runs import LoggedStep, Run, RunLog

_CAUSES = {
    HoldReason.UNAUTHORIZED: "credential",
    HoldReason.DISCONNECTED: "no valid credential",
    HoldReason.DISABLED: "integration disabled",
    HoldReason.CHANGED: "the bill changed after it was sent",
    HoldReason.PAUSED: "all sending paused",
    HoldReason.FIRST_SENDS: "a look at the first bills",
    HoldReason.VOLUME: "a look at the month's volume",
    HoldReason.MENDING: "its group of errors being mended",
    HoldReason.RECOVERING: "webhook being brought back",
}


def text_of(log: RunLog) -> str:
    """The whole log, one line after the other, beginning with what became of the run."""
    lines = [*_head(log.run)]
    if log.config:
        lines += ["", "Configuration", *_json(log.config)]
    for step in log.steps:
        lines += ["", *_step(step)]
    return "\n".join(lines) + "\n"


def _head(run: Run) -> Iterator[str]:
    yield f"Run {run.id}: {run.entity_type} {run.entity_id}, revision {run.revision}, to {run.destination}"
    held = f" ({run.hold_reason})" if run.hold_reason else ""
    yield f"State {run.state}{held}, status {run.status}, attempt {run.attempt}"
    yield f"Created {_at(run.created_at)} by {run.created_by}"
    if run.started_at:
        yield f"Started {_at(run.started_at)}"
    if run.completed_at:
        yield f"Ended   {_at(run.completed_at)}"
    if run.replay_of:
        yield f"Replays run {run.replay_of}"
    if run.decision:
        yield f"Decided {run.decision['at']} by {run.decision['by']}: {json_text.dump(run.decision)}"
    for hold in run.holds or ():
        yield held_for(hold)
    for offer in run.offers or ():
        yield f"Choice {offer['choice']}: {offer['text']}"
    if run.external_id:
        yield f"Delivered as {run.external_id}" + (f", {run.url}" if run.url else "")
    if run.total is not None:
        yield f"Total {plain(run.total)} {run.currency or ''}".rstrip()
    for word, text in (("Error", run.error), ("Hint", run.hint), ("Note", run.note)):
        if text:
            yield f"{word}: {text}"


def held_for(hold: Mapping[str, Any]) -> str:
    """How long a run was held, and for which cause."""
    since, until = (datetime.fromisoformat(hold[name]) for name in ("since", "until"))
    minutes = round((until - since) / timedelta(minutes=1))
    long = f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"
    cause = _CAUSES.get(hold["reason"], hold["reason"])
    told = f" ({hold['note']})" if hold.get("note") else ""
    return f"Held {long}: {cause}, until {_at(until)}{told}"


def _step(step: LoggedStep) -> Iterator[str]:
    took = ""
    if step.completed_at:
        took = f", {(step.completed_at - step.started_at).total_seconds():.3f} s"
    answer = str(step.status) if step.status is not None else "no answer recorded"
    what = f"{step.seq}. {step.name} [{step.kind} {step.key}]"
    yield f"{what} {_at(step.started_at)}, attempt {step.attempt}{took}: {answer}"
    for word, value in (("Request", step.request), ("Reply", step.reply), ("Fault", step.fault)):
        if value is not None:
            yield f"   {word}"
            yield from _json(value)


def _json(value: Any) -> Iterator[str]:
    return (f"      {line}" for line in json_text.dump(value, indent=2).splitlines())


def _at(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
