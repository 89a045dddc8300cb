"""The driver of previews: leads a delivery through its conversation, performs its reads and refuses its writes.

A write is answered by the reply that the connector imagines for it, so that the later steps can be shown. Nothing is
kept but the reads in the run log: no ledger, no mapping.
"""

from __future__ import annotations

from dataclasses import replace

from tollbridge.connectors.base import Cut
from tollbridge.domain.conversation import StepKind
from tollbridge.domain.flows import Delivered, Outcome, Pause, Previewed, Reply, Step
from tollbridge.domain.previews import PreviewedStep, fields_of, previewed
from tollbridge.domain.runs import Paused
from tollbridge.engine.drive import Drive, Stop


class _Unforeseen(Exception):
    """The flow cannot be followed further without a write."""


class Preview(Drive):
    """One delivery being previewed. A fault on the way is part of what it finds, and is not tried again."""

    steps: list[PreviewedStep]
    warnings: list[str]

    async def run(self) -> Previewed | None:
        """Play the delivery through; None where the run was lost to another worker."""
        self.steps, self.warnings = [], []
        outcome: Outcome | Paused | None
        try:
            outcome = self._before_corrections() or await self._converse(self._flow())
        except _Unforeseen:
            outcome = None
        except Stop as stop:
            if stop.result is None:
                return None
            outcome = stop.result
        if isinstance(outcome, Paused):
            self.warnings.append(f"It would wait until {outcome.until.isoformat(timespec='seconds')}: {outcome.reason}")
            outcome = None
        if isinstance(outcome, Delivered) and outcome.note:
            self.warnings += outcome.note.split("; ")
        return previewed(self.steps, outcome, self.warnings)

    async def _answer(self, item: Step | Pause) -> Reply:
        if isinstance(item, Pause):
            return Reply(204)
        self.warnings += [*item.warnings, *_cut(item)]
        return self._imagine(item) if item.request.writes else await self._perform(item)

    async def _perform(self, step: Step) -> Reply:
        """A read, really sent. What it teaches is not kept."""
        place = len(self.steps)
        self._keep(step, imagined=False, reply=None)
        reply = self._recorded(step) or await self._read(replace(step, learns=None), StepKind.READ)
        del self.steps[place:]
        self._keep(step, imagined=False, reply=reply)
        return reply

    def _imagine(self, step: Step) -> Reply:
        reply = step.imagined() if step.imagined else None
        self._keep(step, imagined=True, reply=reply)
        if reply is None:
            self.warnings.append(f"What follows “{step.name}” depends on its reply and cannot be foreseen.")
            raise _Unforeseen
        return reply

    def _keep(self, step: Step, *, imagined: bool, reply: Reply | None) -> None:
        shown = self._redactor.reply(reply) if reply and not imagined else None
        request = self._redactor.request(step.request, None)
        self.steps.append(PreviewedStep(step, imagined, reply.status if shown and reply else None, shown, request))


def _cut(step: Step) -> list[str]:
    return [
        f"“{step.name}”: {name} is cut from {value.whole} to {len(value)} characters."
        for name, value in fields_of(step.request)
        if isinstance(value, Cut)
    ]
