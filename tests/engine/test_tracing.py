"""Traces are made only where they are asked for, and show a run with its steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from tests.services.world import World
from tollbridge.domain.conversation import StepDone, StepKind
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.runs import Change, RunState
from tollbridge.engine.tracing import Tracing, tracing_of
from tollbridge.store.db import Database

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


async def test_a_run_is_a_span_with_one_below_it_for_each_step(db: Database) -> None:
    world = World(db)
    await world.begin("a1")
    await world.add_integration()
    (run,) = await world.claim(await world.send("b1", "a1"))
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracing = Tracing(provider)
    later = NOW + timedelta(seconds=2)
    tracing.begin(run, NOW)
    shown = '{"json":{"secret":"hush"}}'
    tracing.step(run.run_id, StepDone(1, "k", "Create", StepKind.WRITE, 1, NOW, later, "h", shown, status=201))
    fault = {"code": "stripe.down", "message": "hush"}
    tracing.step(run.run_id, StepDone(2, "l", "Send", StepKind.WRITE, 1, later, later, "h", shown, fault=fault))
    tracing.settled(run.run_id, Change(RunState.WAITING, 1, fault=Fault(FaultKind.UNAVAILABLE, "stripe.down", "", "")))
    tracing.end(run.run_id, later)
    create, send, whole = kept.get_finished_spans()
    assert create.parent is not None
    assert create.parent.span_id == whole.context.span_id
    assert (create.name, create.attributes and create.attributes["http.response.status_code"]) == ("Create", 201)
    assert (create.end_time or 0) - (create.start_time or 0) == 2_000_000_000
    assert [each.status.status_code for each in (create, send, whole)] == [
        StatusCode.UNSET,
        StatusCode.ERROR,
        StatusCode.ERROR,
    ]
    assert whole.attributes is not None
    assert whole.attributes["tollbridge.run.id"] == run.run_id
    assert whole.attributes["tollbridge.run.state"] == "waiting"
    assert "hush" not in "".join(each.to_json() for each in (create, send, whole))


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_traces_are_made_only_where_the_environment_asks(environ: dict[str, str], asked: bool) -> None:
    tracing = tracing_of(environ)
    assert (tracing is not None) == asked
    if tracing:
        tracing.close()


def test_an_extra_that_is_missing_is_no_error() -> None:
    # The exporter over HTTP is a package of its own, which only the extra brings.
    assert tracing_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}) is None
