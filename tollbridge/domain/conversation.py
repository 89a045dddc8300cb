"""The recorded conversation as values: what was said and heard in a run, and what the ledger knows of its writes.

No decisions here; the engine makes these values and the store keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

from tollbridge.domain.changes import Earlier
from tollbridge.domain.flows import Reply, Subject, Written

LedgerKey: TypeAlias = tuple[str, str, str]
"""(entity type, entity id, kind of document): a `Subject` without its version."""


class StepKind(StrEnum):
    """What a step of the run log is."""

    READ = "read"
    WRITE = "write"
    LOOK_UP = "look-up"
    ATTEMPT = "attempt"
    """One attempt to deliver a notification."""
    TOKEN = "token"  # noqa: S105
    """An exchange of the credential's grant for a token, by which the requests after it are let in."""
    ERROR = "error"
    """Not an exchange: an error of our own, with its traceback."""


class StepState(StrEnum):
    """What is known of the last send of a write."""

    SENT = "sent"
    """It may have taken effect."""
    DONE = "done"
    """It took effect."""
    REFUSED = "refused"
    """It took no effect, and the other side may have kept its refusal under the key."""
    TURNED_AWAY = "turned_away"
    """It took no effect, and the other side did not take it up: the key is as good as new."""

    @property
    def took_no_effect(self) -> bool:
        return self in (StepState.REFUSED, StepState.TURNED_AWAY)


class LedgerState(StrEnum):
    """What is known of a document in an external tenant."""

    NONE = "none"
    SENT = "sent"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A reply that was kept, opened again: sent to the flow on a resume."""

    request_hash: str
    writes: bool
    reply: Reply


@dataclass(frozen=True, slots=True)
class LedgerStep:
    """One write in the ledger; `first_sent_at` is the first send of this epoch."""

    epoch: int
    state: StepState
    first_sent_at: datetime | None = None
    last_sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What is known of one document of one entity in the external tenant."""

    version: int
    state: LedgerState
    steps: Mapping[str, LedgerStep]
    external_id: str | None = None
    run_id: str | None = None
    earlier: Earlier | None = None
    """What was known of the version before, kept when this one wrote first."""

    @property
    def took_effect(self) -> bool:
        """Whether anything of this version stands, or may stand, in the other system."""
        return self.state is LedgerState.DONE or any(not step.state.took_no_effect for step in self.steps.values())

    def before(self, version: int) -> Earlier | None:
        """What may stand of versions before this one."""
        if self.version >= version or not self.took_effect:
            return self.earlier
        if self.state is LedgerState.DONE or self.earlier is None:
            return Earlier(self.version, self.external_id)
        return self.earlier

    @property
    def uncertain_since(self) -> datetime | None:
        """When the last write was sent of which nobody knows whether it took effect."""
        return max(
            (step.last_sent_at for step in self.steps.values() if step.state is StepState.SENT and step.last_sent_at),
            default=None,
        )


def ledger_key(subject: Subject) -> LedgerKey:
    """The key under which the subject's row stands in `Claimed.ledgers`."""
    return (subject.entity_type, subject.entity_id, subject.document)


@dataclass(frozen=True, slots=True)
class Intent:
    """A write that is about to be sent; recorded before it is.

    `at` becomes the time of the last send, and of the first where the epoch is new. `seq`, `name`, `attempt` and
    `request_shown` (JSON text) put it into the run log even where the worker dies before the reply.
    """

    subject: Subject
    step_key: str
    epoch: int
    at: datetime
    seq: int
    name: str
    attempt: int
    request_shown: str | None


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step that ended, for the run log; the same `seq` as its intent replaces it.

    What is shown is redacted JSON text.
    `reply` is kept sealed for a resume; None keeps nothing (a bad reply) and leaves an earlier record alone.
    `ledger` tells what became of a write: (subject, step key, state). `learnt` becomes a mapping bound to the tenant.
    """

    seq: int
    key: str
    name: str
    kind: StepKind
    attempt: int
    started_at: datetime
    completed_at: datetime
    request_hash: str
    request_shown: str | None
    status: int | None = None
    reply_shown: str | None = None
    fault: Any = None
    epoch: int | None = None
    reply: Reply | None = None
    ledger: tuple[Subject, str, StepState] | None = None
    learnt: Written | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What a run has to record at once: the end of one step, the intent of the next, or both."""

    run_id: str
    fence: int
    done: StepDone | None = None
    intent: Intent | None = None
