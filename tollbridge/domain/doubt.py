"""What is known of a write whose reply may never have come: send it, send it again, or look first.

The idempotency key of a write changes with its epoch. An epoch ends only when a look-up said that none of its sends
took effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tollbridge.domain.conversation import LedgerStep, StepState
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import NoReply, Reply

FIRST_EPOCH = 1
SENT_PROMPTLY = timedelta(hours=1)
"""How old a bill may be that is sent without a look, where the other side honours no keys."""


@dataclass(frozen=True, slots=True)
class Guarantees:
    """What the other side promises: see `connectors.base.Limits`."""

    key_lifetime: timedelta | None
    longest_request: timedelta


@dataclass(frozen=True, slots=True)
class Plan:
    """How to go about a write.

    `look` before anything is sent; `epoch` is that of a send without a look, `next_epoch` that of a send after the look
    said "absent". `earlier` is the send that may have taken effect.
    """

    look: bool
    epoch: int
    next_epoch: int
    earlier: LedgerStep | None


def plan_write(
    known: LedgerStep | None,
    *,
    look_first: bool,
    changed: bool,
    can_look: bool,
    guarantees: Guarantees,
    now: datetime,
) -> Plan | None:
    """Decide by what the ledger knows of the step; None where the outcome can no longer be found out.

    `changed` is true where another request has an answer on record.

    A key under which a write was refused is used up: the other side may answer from what it kept, or refuse the key
    because the cause was repaired and so the request is another one.
    """
    earlier = None if known is None or known.state.took_no_effect else known
    epoch = known.epoch if known is not None else FIRST_EPOCH
    used_up = known is not None and known.state is not StepState.TURNED_AWAY
    if earlier is not None:
        key_holds = not changed and _key_holds(earlier, guarantees, now)
    else:
        key_holds = not changed and not used_up
    next_epoch = epoch + 1 if used_up else epoch
    if key_holds and not look_first:
        return Plan(False, epoch, next_epoch, earlier)
    if can_look:
        return Plan(True, epoch, next_epoch, earlier)
    if key_holds and guarantees.key_lifetime is not None:
        return Plan(False, epoch, next_epoch, earlier)
    return None


def absent_counts_at(earlier: LedgerStep | None, guarantees: Guarantees, now: datetime) -> datetime:
    """When "absent" may be believed: a write can take effect after we gave up waiting for its reply."""
    if earlier is None or earlier.last_sent_at is None:
        return now
    return earlier.last_sent_at + guarantees.longest_request


def may_be_forgotten(came_in: datetime, guarantees: Guarantees, now: datetime) -> bool:
    """Whether the bill may have been sent before by a database that was restored from a backup since, so long ago that
    its key no longer protects: a send is younger than the bill that it carries."""
    protected = guarantees.key_lifetime or SENT_PROMPTLY
    return now - came_in + guarantees.longest_request >= protected


def effect_of(
    answer: Reply | NoReply, fault: Fault | None, earlier: LedgerStep | None, replayed: bool
) -> StepState | None:
    """What a send lets us know of its effect; None where it stays uncertain."""
    if fault is None:
        return StepState.DONE
    if _may_have_worked(answer, fault) or replayed or earlier is not None:
        return None
    if isinstance(answer, NoReply) or fault.kind in (FaultKind.UNAUTHORIZED, FaultKind.RATE_LIMITED):
        return StepState.TURNED_AWAY
    return StepState.REFUSED


def leaves_doubt(answer: Reply | NoReply, fault: Fault, earlier: LedgerStep | None, replayed: bool) -> bool:
    """Whether a refusal says nothing about an earlier send under the same key, so that a look is needed."""
    if isinstance(answer, NoReply) or fault.kind in (FaultKind.UNAUTHORIZED, FaultKind.RATE_LIMITED):
        return False
    return replayed or (earlier is not None and not _may_have_worked(answer, fault))


def _key_holds(earlier: LedgerStep, guarantees: Guarantees, now: datetime) -> bool:
    """Whether the other side surely still knows the key when a send of now reaches it."""
    if guarantees.key_lifetime is None or earlier.first_sent_at is None:
        return False
    return now - earlier.first_sent_at + guarantees.longest_request < guarantees.key_lifetime


def _may_have_worked(answer: Reply | NoReply, fault: Fault) -> bool:
    if isinstance(answer, NoReply):
        return answer.sent
    return answer.status >= 500 or fault.kind is FaultKind.UNAVAILABLE
