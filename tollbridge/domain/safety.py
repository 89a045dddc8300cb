"""When an integration is disabled by itself: which errors count, how many in succession, and when people are warned.

Pure; what a streak of errors is kept in, and what follows from its end, others know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import ceil

from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.integrations import CountErrors, GlobalOptions
from tollbridge.domain.notifications import SYSTEM as WEBHOOK
from tollbridge.domain.runs import Change, Flow, HoldReason, RunState

DISABLE_AFTER = 10
"""Errors in succession, where nothing else is set."""
LONGEST_CODE = 100
"""Characters of a code by which errors are counted."""
_STAGES = (0.5, 0.7, 0.9)
"""Parts of the way to being disabled at which people are warned: 5, 7 and 9 of 10."""


@dataclass(frozen=True, slots=True)
class Rule:
    """After how many errors in succession an integration is disabled (0: never), and which errors count."""

    after: int
    counted: CountErrors = CountErrors.ALL

    @property
    def stages(self) -> frozenset[int]:
        """The counts at which people are warned."""
        return frozenset(ceil(self.after * part) for part in _STAGES) - {self.after}


def rule_of(options: GlobalOptions, default: int) -> Rule:
    """The rule of an integration, where the installation's is `default`."""
    return Rule(default if options.disable_after is None else options.disable_after, options.count_errors)


@dataclass(frozen=True, slots=True)
class Streak:
    """Errors in succession since the last success: how many by their code."""

    codes: Mapping[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(self.codes.values())

    def and_one(self, code: str) -> Streak:
        """One error later."""
        code = code[:LONGEST_CODE]
        return Streak({**self.codes, code: self.codes.get(code, 0) + 1})


def succeeded(flow: Flow, change: Change) -> bool:
    """Whether a run came to a good end, by which a streak ends."""
    return flow is not Flow.PREVIEW and change.state in (RunState.DELIVERED, RunState.SKIPPED)


def counts(flow: Flow, change: Change, rule: Rule) -> bool:
    """Whether the error event of a settled run counts. What waits for a person's choice is no error; a credential that
    is refused is one, once."""
    fault = change.event_fault
    if change.event is None or fault is None or not fault.rule.counts or not rule.after:
        return False
    if change.state is not RunState.FAILED and change.credential_error is None:
        return False
    return rule.counted is CountErrors.ALL or not of_one_account(flow, fault)


def probes(options: GlobalOptions, system: str) -> bool:
    """Whether the integration is probed where errors disabled it."""
    return system == WEBHOOK if options.probe is None else options.probe


def of_one_account(flow: Flow, fault: Fault) -> bool:
    """Whether the error is about a single account or its bill, and says nothing of the others."""
    if flow is Flow.NOTIFY:
        return False
    if fault.kind is FaultKind.UNMAPPED:
        return fault.missing is None or fault.missing[0] == "Account"
    return fault.kind in (FaultKind.INVALID, FaultKind.ALREADY_PAID)


def put_back(flow: Flow, change: Change) -> Change | None:
    """A notification that was tried as a probe and was not taken is held as before, with all its attempts; None where
    it ended otherwise."""
    if flow is not Flow.NOTIFY or change.state is not RunState.FAILED:
        return None
    return replace(
        change,
        state=RunState.HELD,
        hold_reason=HoldReason.DISABLED,
        attempt=1,
        event=None,
        event_fault=None,
        note="It was tried while the integration is disabled, and not taken. It is held as before.",
    )


def so_far(count: int, rule: Rule) -> str:
    """What the log of a run says of an error that counts."""
    told = f"{count} of {rule.after} successive errors"
    return (
        f"{told}: the integration was disabled."
        if count >= rule.after
        else f"{told}; at {rule.after} the integration is disabled."
    )


def reason(streak: Streak, run_id: str) -> str:
    """Why the integration was disabled: the errors that did it, the most frequent first, and the run that met the last.

    Without the vendor's words: they may name a person, and all that is held repeats the reason.
    """
    ordered = sorted(streak.codes.items(), key=lambda each: (-each[1], each[0]))
    named = ", ".join(f"{times} × {code}" for code, times in ordered)
    many = f"{streak.count} successive errors" if streak.count > 1 else "1 error"
    return f"{many}: {named}; the last in run {run_id}."


def told_paused(reason: str) -> str:
    """What a run says that is held since all sending is paused."""
    return f"All sending is paused: {reason}"


def told_disabled(reason: str | None) -> str:
    """What a run says that is held because of it, with the way out."""
    why = f"The integration is disabled: {reason.rstrip('.')}." if reason else "The integration is disabled."
    return f"{why} It is sent when that is enabled."
