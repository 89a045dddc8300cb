"""Previews of every connector: its flow played with imagined replies writes what it really writes, and says of every
value where it comes from."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any

import pytest

from tests.connectors.test_contract import BILLED, named
from tests.connectors.transcripts import Transcript, delivery_of
from tollbridge.connectors.base import Connector, Delivery
from tollbridge.domain.billing import Account, Bill, LineItem
from tollbridge.domain.flows import Delivered, Outcome, Pause, Reply, Step
from tollbridge.domain.previews import UNNAMED, fields_of, sources_of

FRESH = [
    (connector, transcript)
    for connector, transcript in BILLED
    if not transcript.before and transcript.outcome["outcome"] == "Delivered"
]
"""Deliveries of bills of which nothing stands yet."""
each_delivery = pytest.mark.parametrize(("connector", "transcript"), FRESH, ids=named)


def played(connector: Connector, transcript: Transcript) -> tuple[list[Step], Outcome]:
    """The flow with the recorded replies to its reads, and the imagined ones to its writes."""
    recorded = dict(zip((step["key"] for step in transcript.steps), transcript.replies, strict=True))
    flow = transcript.start(connector)
    steps: list[Step] = []
    try:
        step = next(flow)
        while True:
            assert not isinstance(step, Pause)
            steps.append(step)
            step = flow.send(answered(step, recorded))
    except StopIteration as end:
        return steps, end.value


def answered(step: Step, recorded: dict[str, Reply]) -> Reply:
    if step.request.writes:
        assert step.imagined is not None, f"{step.key} cannot be previewed"
        return step.imagined()
    # A preview may look closer than a delivery needs to.
    return recorded.get(step.key) or Reply.of({"email": "somebody@example.org"})


@each_delivery
def test_a_preview_shows_the_writes_of_the_delivery(connector: Connector, transcript: Transcript) -> None:
    steps, outcome = played(connector, transcript)
    writes = [step for step in steps if step.request.writes]
    sent = [step for step in transcript.steps if step["method"] != "GET"]
    assert [step.key for step in writes] == [step["key"] for step in sent]
    for ours, theirs in zip(writes, sent, strict=True):
        assert (ours.name, ours.request.method) == (theirs["name"], theirs["method"])
        assert without_ids(ours.request.form or None) == without_ids(theirs.get("form"))
        assert without_ids(ours.request.json) == without_ids(theirs.get("json"))
    assert isinstance(outcome, Delivered)
    assert (str(outcome.total), outcome.currency) == (transcript.outcome["total"], transcript.outcome["currency"])


@each_delivery
def test_every_value_of_a_write_has_a_source_that_there_is(connector: Connector, transcript: Transcript) -> None:
    steps, _ = played(connector, transcript)
    delivery = delivery_of(connector, transcript.delivery)
    keys = {step.key for step in steps}
    for step in steps:
        for name, _ in fields_of(step.request):
            sources = sources_of(step, name)
            assert sources != UNNAMED or not step.request.writes, f"{step.key}: {name}"
            for source in sources if sources != UNNAMED else ():
                assert exists(source, delivery, keys), f"{step.key}: {name} ← {source}"


def exists(source: str, delivery: Delivery, keys: set[str]) -> bool:
    """Whether there is what the source names."""
    kind, _, name = source.partition(".")
    types: dict[str, Any] = {"bill": Bill, "account": Account, "line": LineItem}
    if kind in types:
        return not name or name.split(".")[0] in {field.name for field in fields(types[kind])}
    if kind == "option":
        return name in type(delivery.config).model_json_schema(by_alias=True)["properties"]
    if kind == "mapping":
        return len(name.split(".")) == 2
    return name in keys if kind == "reply" else source == "constant"


def without_ids(value: Any) -> str:
    """The value without the vendor's ids, which nobody can foresee."""
    return re.sub(r"\b(cus|in)_\w+", "ID", json.dumps(value, default=str))
