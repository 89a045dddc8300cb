"""Traces of runs for OpenTelemetry: a span for each time a run is worked on, and one below it for each step.

Only where the extra `tollbridge[otel]` is installed and the environment asks for it by OTEL_*; else nothing here costs
anything. A span holds no bodies and no secrets: those stand in the run log, which is found by the run's id.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from tollbridge.domain.conversation import StepDone
from tollbridge.domain.runs import Change
from tollbridge.services.work import Claimed

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

log = structlog.get_logger(__name__)

_ASKS = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Tracing:
    """The spans of the runs that are under way in this worker."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("tollbridge")
        self._runs: dict[str, Span] = {}

    def begin(self, run: Claimed, at: datetime) -> None:
        """A run was claimed."""
        names: dict[str, str | int] = {
            "run.id": run.run_id,
            "run.attempt": run.attempt,
            "organization.id": run.org_id,
            "integration.id": run.integration_id or "",
            "entity.type": run.entity_type,
            "entity.id": run.entity_id,
            "system": run.system,
        }
        name = f"{run.flow} {run.system}"
        self._runs[run.run_id] = self._tracer.start_span(
            name, attributes={f"tollbridge.{key}": value for key, value in names.items()}, start_time=_nanoseconds(at)
        )

    def step(self, run_id: str, done: StepDone) -> None:
        """A step of the run ended."""
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        run = self._runs.get(run_id)
        if run is None:
            return
        span = self._tracer.start_span(
            done.name,
            set_span_in_context(run),
            SpanKind.CLIENT,
            {"tollbridge.step.key": done.key, "tollbridge.step.kind": done.kind, "tollbridge.step.seq": done.seq},
            start_time=_nanoseconds(done.started_at),
        )
        if done.status is not None:
            span.set_attribute("http.response.status_code", done.status)
        if done.fault is not None:
            span.set_status(Status(StatusCode.ERROR, str(done.fault.get("code") or "")))
        span.end(_nanoseconds(done.completed_at))

    def settled(self, run_id: str, change: Change) -> None:
        """What became of the run."""
        from opentelemetry.trace import Status, StatusCode

        run = self._runs.get(run_id)
        if run is not None:
            run.set_attribute("tollbridge.run.state", change.state)
            if change.fault is not None:
                run.set_status(Status(StatusCode.ERROR, change.fault.code))

    def end(self, run_id: str, at: datetime) -> None:
        """The worker is done with the run, whatever became of it."""
        run = self._runs.pop(run_id, None)
        if run is not None:
            run.end(_nanoseconds(at))

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def tracing_of(environ: Mapping[str, str] | None = None) -> Tracing | None:
    """Tracing as the environment asks for it; None where it does not, or where the extra is not installed."""
    environ = os.environ if environ is None else environ
    kind = environ.get("OTEL_TRACES_EXPORTER", "otlp").lower()
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or kind == "none":
        return None
    if not any(environ.get(name) for name in _ASKS):
        return None
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        exporter = _exporter(kind)
    except ImportError as error:
        log.warning(
            "no traces: OpenTelemetry is not installed", missing=error.name, hint="pip install tollbridge[otel]"
        )
        return None
    resource = Resource.create({"service.name": environ.get("OTEL_SERVICE_NAME") or "tollbridge-worker"})
    # What is still to be sent is sent by `close`, not by an exit handler after the loop has gone.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider)


def _exporter(kind: str) -> SpanExporter:
    if kind == "console":
        import sys

        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        # One object on a line, as all that a worker says there.
        return ConsoleSpanExporter(out=sys.stderr, formatter=lambda span: span.to_json(indent=None) + "\n")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    exporter: SpanExporter = OTLPSpanExporter()
    return exporter


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000
