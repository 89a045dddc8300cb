"""Notifications: what a rule sends to an outgoing webhook, in which envelope, and how often it is tried. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from tollbridge.domain import json_text

SYSTEM = "WEBHOOK"
"""The system of outgoing webhooks: the wire's DestinationType."""
ENVELOPE_VERSION = "1"
LONGEST_PAYLOAD = 256 * 1024
"""Bytes of a payload; what does not fit is left out and named in `omitted`."""
LONGEST_ASKED = timedelta(seconds=60)
"""A receiver's Retry-After may lengthen a wait up to this."""
CONCURRENCY = 64
MAX_CONCURRENCY = 256
"""Deliveries that one worker has under way at a webhook, at most."""
ANSWER_KEPT = 16 * 1024
"""Bytes of an answer that are kept."""
BOTH_SIGN = timedelta(hours=24)
"""How long the secret before the present one signs too."""


class Schedule(StrEnum):
    """When a delivery that failed is tried again."""

    STANDARD = "standard"
    """Four attempts, with 2, 4 and 8 seconds between them."""
    PATIENT = "patient"
    """Eight attempts within about 28 hours, with jitter."""

    @property
    def waits(self) -> tuple[timedelta, ...]:
        """The wait after each failed attempt; after the last there is none."""
        return _WAITS[self]

    @property
    def attempts(self) -> int:
        return len(self.waits) + 1


_WAITS = {
    Schedule.STANDARD: (timedelta(seconds=2), timedelta(seconds=4), timedelta(seconds=8)),
    Schedule.PATIENT: (
        timedelta(seconds=5),
        timedelta(minutes=5),
        timedelta(minutes=30),
        timedelta(hours=2),
        timedelta(hours=5),
        timedelta(hours=10),
        timedelta(hours=10),
    ),
}
_JITTER = 0.1
"""Part of a wait by which the patient schedule may lengthen it."""


def wait_after(schedule: Schedule, attempt: int, jitter: float, asked: timedelta | None) -> timedelta | None:
    """The wait after the failed attempt (1 is the first), None after the last; never less than the schedule says.

    `jitter` lies in [0, 1); the standard schedule has none. `asked` is what the receiver asked for.
    """
    if attempt >= schedule.attempts:
        return None
    wait = schedule.waits[attempt - 1]
    if schedule is Schedule.PATIENT:
        wait *= 1 + _JITTER * jitter
    return max(wait, min(asked or timedelta(), LONGEST_ASKED))


@dataclass(frozen=True, slots=True)
class Receiver:
    """How an outgoing webhook wants its deliveries.

    `concurrency` is how many one worker has under way at once; `per_second` how many begin in a second, over all
    workers (None: no limit); `ordered` sends those of one account one after the other; `gone_deactivates` ends a
    delivery that is answered by 410 at once and makes the webhook inactive.
    """

    schedule: Schedule = Schedule.STANDARD
    concurrency: int = CONCURRENCY
    per_second: float | None = None
    ordered: bool = False
    gone_deactivates: bool = False


def receiver_of(body: Mapping[str, Any]) -> Receiver:
    """What a stored webhook says about its deliveries."""
    return Receiver(
        Schedule(body.get("schedule", Schedule.STANDARD)),
        int(body.get("concurrency", CONCURRENCY)),
        float(body["perSecond"]) if body.get("perSecond") is not None else None,
        bool(body.get("ordered", False)),
        bool(body.get("goneDeactivates", False)),
    )


def change_secret(present: Mapping[str, Any], given: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The fields of a webhook's credential after a change; a new secret leaves the one before it signing for a while.

    Fields that are not given stay; the same secret again changes nothing.
    """
    changed = {**present, **given}
    if changed["secret"] != present["secret"]:
        changed |= {"previousSecret": present["secret"], "previousUntil": moment(now + BOTH_SIGN)}
    return changed


def sends_left(per_second: float, tokens: float | None, refilled_at: datetime | None, now: datetime) -> float:
    """How many sends a rate allows now; a second's worth gathers at most, and at least one."""
    most = max(per_second, 1.0)
    if tokens is None or refilled_at is None:
        return most
    return min(most, tokens + per_second * max((now - refilled_at).total_seconds(), 0.0))


@dataclass(frozen=True, slots=True)
class Notification:
    """One message to a webhook: the same id and the same bytes at every attempt."""

    message_id: str
    url: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event as a rule sees it: `new` and `old` are the entity after and before, as far as there is one."""

    id: str
    name: str
    at: datetime
    org_id: str
    account_id: str | None
    new: Mapping[str, Any] | None
    old: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class SentRule:
    """The rule that sends, as the payload names it."""

    id: str
    code: str
    name: str


def envelope(message_id: str, event: Occurrence, rule: SentRule) -> str:
    """The payload as JSON text, the first version of the envelope; at most `LONGEST_PAYLOAD` bytes of UTF-8."""
    value: dict[str, Any] = {
        "version": ENVELOPE_VERSION,
        "id": message_id,
        "type": event.name,
        "timestamp": moment(event.at),
        "organizationId": event.org_id,
        "accountId": event.account_id,
        "rule": {"id": rule.id, "code": rule.code, "name": rule.name},
        "event": {"id": event.id, "name": event.name, "time": moment(event.at)},
        "new": event.new,
        "old": event.old,
    }
    text = json_text.dump(value)
    # A character is at most four bytes: most payloads need no second look.
    if len(text) * 4 > LONGEST_PAYLOAD and len(text.encode()) > LONGEST_PAYLOAD:
        omitted = [name for name in ("new", "old") if value[name] is not None]
        text = json_text.dump(value | {"new": None, "old": None, "omitted": omitted})
    return text


def moment(at: datetime) -> str:
    """UTC with milliseconds and Z."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
