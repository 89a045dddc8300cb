"""What became of a bill in an integration: exactly one state for each pair, decided here and nowhere else.

What happened wins over what is configured: a bill that was delivered stays delivered when its account is excluded
later. No decision about what is sent; that is `domain.integrations.decide`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from enum import StrEnum
from itertools import product

from tollbridge.domain.integrations import Position, Verdict
from tollbridge.domain.runs import HoldReason, RunState


class DeliveryState(StrEnum):
    """Where a bill stands in an integration."""

    DELIVERED = "delivered"
    """This version of it stands in the external tenant, whichever integration brought it there."""
    RUNNING = "running"
    """A run is queued, at work, or waits for its next attempt: nobody needs to act."""
    HELD = "held"
    """It goes on when a person acts: a run is held, the bill is in scope and was never sent, or the account filter came
    to nothing for its account."""
    FAILED = "failed"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    SUPERSEDED = "superseded"
    """An earlier version had a run; the present one has none, though it is in scope."""
    BEFORE_CUT_OVER = "before_cut_over"
    OUT_OF_SCOPE = "out_of_scope"
    SKIPPED = "skipped"
    """A rule of the connector's options said that nothing is to be sent."""


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """All that decides the state of a bill in an integration.

    `run` is the state of the run that counts, cancelled ones left out: the newest of the present version, else one of
    an older version that is under way, else the newest; `present` says that it carries the present version. `done`
    says that the ledger holds the present version as delivered in the tenant that the integration opens.
    """

    run: RunState | None
    present: bool
    done: bool
    position: Position


_OF_RUN = {
    RunState.QUEUED: DeliveryState.RUNNING,
    RunState.RUNNING: DeliveryState.RUNNING,
    RunState.WAITING: DeliveryState.RUNNING,
    RunState.HELD: DeliveryState.HELD,
    RunState.DELIVERED: DeliveryState.DELIVERED,
    RunState.SKIPPED: DeliveryState.SKIPPED,
    RunState.SUPERSEDED: DeliveryState.SUPERSEDED,
    RunState.FAILED: DeliveryState.FAILED,
}
_OF_VERDICT = {
    Verdict.OUT_OF_SCOPE: DeliveryState.OUT_OF_SCOPE,
    Verdict.TOO_OLD: DeliveryState.BEFORE_CUT_OVER,
    Verdict.AWAITS_APPROVAL: DeliveryState.WAITING_FOR_APPROVAL,
    Verdict.UNDECIDED: DeliveryState.HELD,
}
MATCHED = frozenset(DeliveryState) - {DeliveryState.OUT_OF_SCOPE, DeliveryState.BEFORE_CUT_OVER}
"""States in which an integration counts as responsible for the bill."""
UNDELIVERED = MATCHED - {DeliveryState.DELIVERED, DeliveryState.SKIPPED}
"""States of a bill that belongs into the other system and is not there yet."""


def state_of(facts: DeliveryFacts) -> DeliveryState:
    """The one state of a bill in an integration."""
    if facts.done:
        return DeliveryState.DELIVERED
    if facts.run is not None and _run_counts(facts):
        return _OF_RUN[facts.run]
    if facts.position.verdict is not Verdict.SEND:
        return _OF_VERDICT[facts.position.verdict]
    return DeliveryState.HELD if facts.run is None else DeliveryState.SUPERSEDED


def _run_counts(facts: DeliveryFacts) -> bool:
    return facts.present or facts.run in (RunState.RUNNING, RunState.WAITING)


def facts_of(states: Collection[DeliveryState]) -> list[DeliveryFacts]:
    """Every combination of facts that makes one of these states, for those who must search by state."""
    all_facts = (
        DeliveryFacts(run, present, done, Position(*position))
        for run in (None, *_OF_RUN)
        for present, done in product((False, True), repeat=2)
        for position in product((False, True), repeat=len(fields(Position)))
        if run is not None or not present
    )
    return [facts for facts in all_facts if state_of(facts) in states]


HELD = {
    HoldReason.DISABLED: "The integration is disabled; enable it and the bill is sent.",
    HoldReason.UNAUTHORIZED: "The other system refuses the integration's credential; repair it and the bill is sent.",
    HoldReason.DISCONNECTED: "The integration has no valid credential; give it one and the bill is sent.",
    HoldReason.CHANGED: "The bill changed after an earlier version was sent; a person decides what follows.",
    HoldReason.PAUSED: "All sending is paused; it is sent when that is resumed.",
    HoldReason.FIRST_SENDS: "The first bills of the integration wait for a look; continue it and the bill is sent.",
    HoldReason.VOLUME: "Its month is much larger than the last; continue the integration and the bill is sent.",
    HoldReason.MENDING: "Its group of errors is being mended; it is sent in its turn, or when that is begun again.",
    HoldReason.RECOVERING: "The webhook is being brought back; it is sent in its turn.",
}
"""Why a run is held, and the way out."""


def reason_of(
    facts: DeliveryFacts, verdict_reason: str, hold_reason: HoldReason | None, told: str | None, document: str | None
) -> str:
    """Why the bill stands as it does, in a sentence. `told` is what the run says of itself, `document` the external id
    under which the present version stands."""
    match state_of(facts):
        case DeliveryState.DELIVERED:
            return f"It stands there as {document}."
        case DeliveryState.HELD if facts.position.verdict is Verdict.UNDECIDED and not _run_counts(facts):
            return verdict_reason
        case DeliveryState.HELD if facts.run is None:
            return "The bill is in scope, but came in when the integration was not there to send it; send it now."
        case DeliveryState.HELD:
            return told or (HELD[hold_reason] if hold_reason else "The run is held.")
        case DeliveryState.RUNNING if not facts.present:
            return "A run of an earlier version is still under way."
        case DeliveryState.RUNNING:
            return told or ("The run waits for its turn." if facts.run is RunState.QUEUED else "The run is under way.")
        case DeliveryState.SUPERSEDED:
            return "An earlier version of the bill had a run; nothing carries the present one."
        case DeliveryState.FAILED | DeliveryState.SKIPPED:
            return told or "The run says no more."
    return verdict_reason
