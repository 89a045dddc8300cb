"""Recorded conversations: a delivery, the steps that it takes with their replies, and the outcome."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from tollbridge.connectors.base import Connector, Delivery
from tollbridge.domain import json_text
from tollbridge.domain.billing import Bill
from tollbridge.domain.changes import Correction, Earlier
from tollbridge.domain.flows import Flow, Outcome, Pause, Reply, Step, Subject
from tollbridge.domain.integrations import Mappings
from tollbridge.domain.notifications import Notification

_BILL = TypeAdapter(Bill)
_CORRECTION = TypeAdapter(Correction)


@dataclass(frozen=True)
class Transcript:
    """One file. `delivery` has the keys system, config, mappings, bill and at, or system and notification; `steps` have
    those of `shown` and `reply`.

    `before` is what happened at the stand-in first: deliveries, or requests of others with method, path and form.
    """

    path: Path
    about: str
    delivery: dict[str, Any]
    steps: list[dict[str, Any]] = field(default_factory=list)
    outcome: dict[str, Any] = field(default_factory=dict)
    before: list[dict[str, Any]] = field(default_factory=list)

    @property
    def subject(self) -> Subject:
        """The document that the run makes."""
        return subject_of(self.delivery)

    @property
    def replies(self) -> Iterator[Reply]:
        """The recorded replies in order."""
        for step in self.steps:
            reply = step["reply"]
            yield Reply(reply["status"], reply["headers"], json_text.dump(reply["body"]).encode())

    def start(self, connector: Connector) -> Flow:
        """The flow from its beginning."""
        given = self.delivery.get("notification")
        if given is not None:
            return connector.deliver(Notification(given["message_id"], given["url"], given["body"].encode()))
        return connector.deliver(delivery_of(connector, self.delivery))


def transcripts_of(connector: Connector) -> list[Transcript]:
    """All transcripts that lie in the connector's folder."""
    module = importlib.import_module(connector.deliver.__module__.rpartition(".")[0])
    assert module.__file__ is not None
    folder = Path(module.__file__).parent / "transcripts"
    return [Transcript(path, **json_text.parse(path.read_bytes())) for path in sorted(folder.glob("*.json"))]


def delivery_of(connector: Connector, given: dict[str, Any]) -> Delivery:
    """The delivery as a value; mappings are lists of entity, id, table and external id."""
    return Delivery(
        bill=_BILL.validate_python(given["bill"]),
        config=connector.config.model_validate(given["config"]),
        mappings=Mappings({(entity, id, table): found for entity, id, table, found in given["mappings"]}),
        system=connector.system(given["system"]),
        at=datetime.fromisoformat(given["at"]),
        earlier=Earlier(**given["earlier"]) if "earlier" in given else None,
        withdraw=given.get("withdraw", False),
        correction=_CORRECTION.validate_python(given.get("correction", {})),
    )


def subject_of(given: dict[str, Any]) -> Subject:
    """The document that a delivery makes."""
    document = "withdrawal" if given.get("withdraw") else "invoice"
    return Subject("Bill", given["bill"]["id"], given["bill"]["revision"], document)


def shown(step: Step) -> dict[str, Any]:
    """A step as a transcript holds it."""
    request = step.request
    values = {
        "name": step.name,
        "key": step.key,
        "method": request.method,
        "path": request.path,
        "query": [list(pair) for pair in request.query],
        "form": None if request.form is None else [list(pair) for pair in request.form],
        "json": request.json,
        "body": None if request.body is None else request.body.decode(),
    }
    return {name: value for name, value in values.items() if value or name == "path"}


def steps_of(flow: Flow, replies: Iterator[Reply]) -> tuple[list[Step], Outcome]:
    """Every step that the flow takes when it gets these replies in turn, and how it ends."""
    steps: list[Step] = []
    try:
        step = next(flow)
        while True:
            assert not isinstance(step, Pause)
            steps.append(step)
            step = flow.send(next(replies))
    except StopIteration as end:
        return steps, end.value


def shown_outcome(outcome: Outcome) -> dict[str, Any]:
    """An outcome as a transcript holds it: its kind and what is set of it."""
    values = {name: str(value) for name, value in asdict(outcome).items() if value is not None}
    return {"outcome": type(outcome).__name__, **values}
