"""/metrics: how things stand, in Prometheus' text format.

Who may read it: with TOLLBRIDGE_METRICS_TOKEN set whoever sends it as bearer token, otherwise this machine alone.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from itertools import accumulate

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tollbridge.api.wire import TheParts
from tollbridge.domain.errors import Forbidden
from tollbridge.services import clock, metrics
from tollbridge.services.metrics import BUCKETS, LABELS, Counted, Standing

router = APIRouter(tags=["Health"])


@router.get("/metrics", openapi_extra={"x-extension": True}, response_class=Response)
async def read_metrics(request: Request, parts: TheParts) -> Response:
    _admit(request, parts.settings.metrics_token)
    return Response(render(await metrics.standing(parts.db, clock.now())), media_type=CONTENT_TYPE_LATEST)


def _admit(request: Request, token: str) -> None:
    if token:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {token}".encode()):
            raise Forbidden(
                "metrics.token",
                "The request does not carry the token of /metrics.",
                "Send Authorization: Bearer with the value of the server's TOLLBRIDGE_METRICS_TOKEN.",
            )
    elif not _is_local(request):
        raise Forbidden(
            "metrics.remote",
            "/metrics is open to this machine alone, because it has no token.",
            "Set TOLLBRIDGE_METRICS_TOKEN at the server and send it as bearer token.",
        )


def _is_local(request: Request) -> bool:
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def render(standing: Standing) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry()
    registry.register(_Families(standing))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def collect(self) -> Iterable[Metric]:
        now = self._standing
        yield from _gauges(now)
        for what, text in _COUNTERS.items():
            family = CounterMetricFamily(f"tollbridge_{what}", text, labels=LABELS[what])
            for labels, value in _of(now, what):
                family.add_metric(labels, value)
            yield family
        yield _steps(now)


_COUNTERS = {
    Counted.SETTLED: "Runs that workers led to an end, to a rest or to a wait.",
    Counted.RETRIES: "Runs that met a fault and are tried again.",
    Counted.LIMITED: "Replies with which the other side asked for a wait.",
    Counted.PERMITS: "Requests that the limits of their credential let through.",
    Counted.PERMIT_WAIT: "Seconds that requests waited for the limits of their credential.",
}


def _gauges(now: Standing) -> Iterator[Metric]:
    runs = GaugeMetricFamily("tollbridge_runs", "Runs that have not ended.", labels=("system", "state"))
    for each in now.active:
        runs.add_metric((each.system, each.state), each.runs)
    yield runs
    for name, text, value in (
        ("queue_runs", "Runs that may start now and have not.", now.due),
        ("queue_age_seconds", "How long the oldest of them has been able to start.", now.queue_age),
        ("oldest_undelivered_bill_seconds", "Age of the oldest run with a bill that has not ended.", now.bill_age),
        ("letters_waiting", "Mails and messages about alerts that wait to be sent.", now.outbox.waiting),
        ("oldest_letter_seconds", "Age of the oldest of them.", now.letter_age),
        ("letters_refused", "Those that were given up in the last day.", now.outbox.refused),
    ):
        yield GaugeMetricFamily(f"tollbridge_{name}", text, value=value)
    slots = GaugeMetricFamily("tollbridge_slots", "Requests that workers may have under way.", labels=("system",))
    for system, count in now.slots.items():
        slots.add_metric((system,), count)
    yield slots
    alerts = GaugeMetricFamily("tollbridge_alerts", "Alerts that are not closed.", labels=("severity", "state"))
    for labels, count in now.alerts.items():
        alerts.add_metric(labels, count)
    yield alerts
    workers = GaugeMetricFamily("tollbridge_workers", "Workers that are alive.", labels=("version",))
    for version, count in now.workers.items():
        workers.add_metric((version,), count)
    yield workers


def _steps(now: Standing) -> Metric:
    family = HistogramMetricFamily(
        "tollbridge_step_seconds", "Duration of requests to the other side.", labels=LABELS[Counted.STEP_SECONDS]
    )
    sums = dict(_of(now, Counted.STEP_SECONDS))
    counts = dict(_of(now, Counted.STEP))
    for labels, seconds in sums.items():
        cumulative = accumulate(counts.get((*labels, end), 0.0) for end in BUCKETS)
        family.add_metric(labels, list(zip(BUCKETS, cumulative, strict=True)), seconds)
    return family


def _of(now: Standing, what: Counted) -> Iterator[tuple[tuple[str, ...], float]]:
    return ((labels, value) for (name, labels), value in now.counts.items() if name == what)
