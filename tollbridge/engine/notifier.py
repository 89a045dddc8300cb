"""Delivers notifications: claims them in batches, posts them, settles them; a part of every worker.

Each webhook has a line of its own here, with a width: how many posts are under way at once. A line that gets no answer
grows narrow, so that one bad receiver holds little of a worker; others do not notice it. Retries come back by the clock
of whoever settled the attempt before, or else by the next look at what is due.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from tollbridge.connectors.base import Connector, Sending, connector_of, read_credential
from tollbridge.domain import json_text
from tollbridge.domain.conversation import StepDone, StepKind
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import NoReply, Outcome, Reply, Request, Silence, Step
from tollbridge.domain.known_errors import CREDENTIAL_UNUSABLE, SILENCES
from tollbridge.domain.notifications import ANSWER_KEPT, SYSTEM, Receiver
from tollbridge.domain.runs import Change, Flow, RunState
from tollbridge.engine.meter import Meter
from tollbridge.engine.redact import HIDDEN, Redactor, secrets_of
from tollbridge.services import clock
from tollbridge.services.notifying import Claimed, Outlet
from tollbridge.services.settling import Settlement
from tollbridge.store.trouble import TRANSIENT

log = structlog.get_logger(__name__)

LOOK = 0.5
"""Seconds after which is looked for what is due, also where nobody told of it."""
AHEAD = 4
"""Notifications that a line holds, as a multiple of its width: the next ones are there when a post ends."""
UNRECORDED = 8
"""Notifications of a line that were posted and are not recorded yet, at most, as a multiple of its width: what a slow
database holds up fills no memory, and is little to repeat where the worker dies."""
SOON = timedelta(seconds=60)
"""A retry that is due so soon is kept in mind; a later one is found by looking."""
LATE = 0.001
"""Seconds by which a timer for a retry is late, so that it is never early."""
GONE = "webhook.gone"
"""The code of a receiver that says that it is gone for good."""
_SAY_MORE = (Silence.NAME, Silence.CERTIFICATE, Silence.PROXY, Silence.FORBIDDEN)
"""Silences whose remedy is more than to see whether the receiver is up."""


@dataclass(slots=True)
class _Line:
    """What is under way to one webhook from here."""

    width: int
    waiting: deque[Claimed] = field(default_factory=deque)
    active: int = 0
    unrecorded: int = 0

    @property
    def room(self) -> int:
        return min(AHEAD * self.width - self.active - len(self.waiting), UNRECORDED * self.width - self.unrecorded)

    @property
    def excess(self) -> int:
        """What waits here without a chance of its turn soon."""
        return self.active + len(self.waiting) - AHEAD * self.width

    def answered(self, receiver: Receiver) -> None:
        self.width = min(self.width * 2, receiver.concurrency)

    def unanswered(self) -> None:
        self.width = max(self.width // 2, 1)


@dataclass(frozen=True, slots=True)
class _Sender:
    """What all deliveries with one credential share."""

    credential: Any
    redactor: Redactor


Send = Callable[[Request], Awaitable[Reply | NoReply]]
Claim = Callable[[Callable[[str, Receiver], int], Sequence[str] | None], Awaitable[list[Claimed]]]
Settle = Callable[[Settlement], Awaitable[Change | None]]


class Notifier:
    """The deliveries of one worker.

    `claim` leases what there is room for, `settle` applies what came of an attempt, `send` posts. `take` and `drop` are
    told of every run that is held under a lease here; `holds` says whether the lease is surely still ours. `deactivate`
    makes a webhook inactive whose receiver is gone.
    """

    def __init__(
        self,
        claim: Claim,
        settle: Settle,
        send: Send,
        meter: Meter,
        take: Callable[[str, int], None],
        drop: Callable[[str], None],
        holds: Callable[[str, int], bool],
        deactivate: Callable[[Outlet], Awaitable[None]],
    ) -> None:
        self._claim, self._settle, self._send, self._meter = claim, settle, send, meter
        self._deactivate = deactivate
        self._take, self._drop, self._holds = take, drop, holds
        connector = connector_of(SYSTEM)
        assert connector is not None
        self._connector: Connector = connector
        self._lines: dict[str, _Line] = {}
        self._senders: dict[int, tuple[Outlet, _Sender | Fault]] = {}
        self._told: set[str] = set()
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._random = random.SystemRandom()

    def tell(self, webhook_id: str) -> None:
        """There is something to deliver to that webhook."""
        self._told.add(webhook_id)
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until told to stop; then give back what was not begun, and finish what was."""
        looked = 0.0
        while not stop.is_set():
            now = time.monotonic()
            only: list[str] | None = sorted(self._told)
            if now - looked >= LOOK:
                looked, only = now, None
            self._told.clear()
            self._wake.clear()
            if only is None or only:
                await self._fetch(only)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(looked + LOOK - time.monotonic(), 0.0))
        for line in self._lines.values():
            while line.waiting:
                self._drop(line.waiting.popleft().run_id)
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _fetch(self, only: Sequence[str] | None) -> None:
        try:
            found = await self._claim(self._room, only)
        except TRANSIENT as error:
            log.warning("database not there", error=repr(error))
            return
        for each in found:
            self._take(each.run_id, each.fence)
            self._line(each.outlet.webhook_id, each.outlet.receiver).waiting.append(each)
        for webhook_id in {each.outlet.webhook_id for each in found}:
            self._pump(self._lines[webhook_id])

    def _room(self, webhook_id: str, receiver: Receiver) -> int:
        return self._line(webhook_id, receiver).room

    def _line(self, webhook_id: str, receiver: Receiver) -> _Line:
        line = self._lines.get(webhook_id)
        if line is None:
            line = self._lines[webhook_id] = _Line(receiver.concurrency)
        line.width = min(line.width, receiver.concurrency)
        return line

    def _pump(self, line: _Line) -> None:
        while line.waiting and line.active < line.width and line.unrecorded < UNRECORDED * line.width:
            line.active += 1
            task = asyncio.create_task(self._lead(line, line.waiting.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _give_back(self, line: _Line) -> None:
        """Leave to their leases what a line that grew narrow holds too much of: another worker may be luckier."""
        while line.waiting and line.excess > 0:
            self._drop(line.waiting.pop().run_id)

    async def _lead(self, line: _Line, run: Claimed) -> None:
        """One attempt, whatever comes of it; a bug leaves the run to its lease."""
        try:
            settlement, answered = await self._attempt(run)
        except Exception:
            log.exception("notification left to its lease", run_id=run.run_id)
            settlement, answered = None, True
        # The next post need not wait for the record of this one.
        line.active -= 1
        line.unrecorded += 1
        if answered:
            line.answered(run.outlet.receiver)
        else:
            line.unanswered()
            self._give_back(line)
        self._go_on(line, run.outlet.webhook_id)
        try:
            if settlement is not None:
                await self._close(run, settlement)
        except TRANSIENT as error:
            log.warning("notification left to its lease: the database is not there", error=repr(error))
        except Exception:
            log.exception("notification left to its lease", run_id=run.run_id)
        finally:
            self._drop(run.run_id)
            line.unrecorded -= 1
            self._go_on(line, run.outlet.webhook_id)

    def _go_on(self, line: _Line, webhook_id: str) -> None:
        """Post what waits, and ask for more where half of the line is empty."""
        self._pump(line)
        if line.room >= AHEAD * line.width // 2:
            self.tell(webhook_id)

    async def _attempt(self, run: Claimed) -> tuple[Settlement | None, bool]:
        """Post once; what follows from it, and whether there was an answer."""
        if not self._holds(run.run_id, run.fence):
            return None, True
        sender = self._sender(run.outlet)
        if isinstance(sender, Fault):
            return self._settlement(run, sender, timedelta(), None), True
        flow = self._connector.deliver(run.notification)
        step = next(flow)
        assert isinstance(step, Step)
        started, began = clock.now(), time.monotonic()
        request = self._connector.authorize(
            step.request, sender.credential, Sending(run.notification.message_id, started)
        )
        answer = await self._send(request)
        ended, took = clock.now(), timedelta(seconds=time.monotonic() - began)
        result: Outcome
        if isinstance(answer, NoReply):
            result = _no_reply(answer)
        else:
            fault = self._connector.classify(answer)
            if fault is not None and fault.code == GONE and run.outlet.receiver.gone_deactivates:
                # There is nothing to try again for.
                fault = replace(fault, kind=FaultKind.INVALID)
            result = fault if fault is not None else _outcome(flow, answer)
        done = StepDone(
            run.attempt,
            f"{step.key}:{run.attempt}",
            step.name,
            StepKind.ATTEMPT,
            run.attempt,
            started,
            ended,
            request_hash="",
            request_shown=self._shown(request, sender.redactor),
            status=answer.status if isinstance(answer, Reply) else None,
            reply_shown=sender.redactor.reply_text(answer) if isinstance(answer, Reply) else None,
            fault=_fault_shown(result) if isinstance(result, Fault) else None,
        )
        self._meter.step(SYSTEM, done)
        return self._settlement(run, result, took, done), not isinstance(answer, NoReply)

    def _shown(self, request: Request, redactor: Redactor) -> str:
        """The attempt without its body, which is kept once for all of them."""
        hidden = self._connector.redact
        headers = {name: HIDDEN if name.lower() in hidden else redactor.text(value) for name, value in request.headers}
        return json_text.dump({"method": request.method, "path": request.path, "headers": headers})

    def _settlement(self, run: Claimed, result: Outcome, worked: timedelta, done: StepDone | None) -> Settlement:
        return Settlement(
            run.run_id,
            run.fence,
            result,
            worked,
            clock.now(),
            self._random.random(),
            done=done,
            schedule=run.outlet.receiver.schedule,
        )

    async def _close(self, run: Claimed, settlement: Settlement) -> None:
        change = await self._settle(settlement)
        if change is None:
            log.warning("run lost to another worker", run_id=run.run_id, fence=run.fence)
            return
        self._meter.settled(SYSTEM, Flow.NOTIFY, change)
        if change.state is RunState.DELIVERED:
            return
        fault = settlement.result if isinstance(settlement.result, Fault) else None
        if fault is not None and fault.code == GONE and run.outlet.receiver.gone_deactivates:
            await self._deactivate(run.outlet)
        log.info(
            "notification not delivered", run_id=run.run_id, state=change.state, code=fault.code if fault else None
        )
        if change.due_at is not None:
            self._remind(run.outlet.webhook_id, change.due_at)

    def _remind(self, webhook_id: str, due_at: datetime) -> None:
        wait = due_at - clock.now()
        if wait <= SOON:
            late = max(wait.total_seconds(), 0.0) + LATE
            asyncio.get_running_loop().call_later(late, self.tell, webhook_id)

    def _sender(self, outlet: Outlet) -> _Sender | Fault:
        """Made once for each claim's outlet; the next claim brings another, with what was changed meanwhile."""
        known = self._senders.get(id(outlet))
        if known is None or known[0] is not outlet:
            if len(self._senders) > 1000:
                self._senders.clear()
            known = self._senders[id(outlet)] = (outlet, _make_sender(self._connector, outlet))
        return known[1]


def _make_sender(connector: Connector, outlet: Outlet) -> _Sender | Fault:
    try:
        credential = read_credential(connector, connector.system(SYSTEM), outlet.secrets)
    except ValueError:
        # Each webhook has its own: others need not wait for its repair.
        fault = CREDENTIAL_UNUSABLE.fault(
            "The stored credential of the webhook cannot be read.", "Enter API key and secret of the webhook again."
        )
        return replace(fault, kind=FaultKind.INVALID)
    return _Sender(credential, Redactor(connector.redact, secrets_of(credential), ANSWER_KEPT))


def _outcome(flow: Any, answer: Reply) -> Outcome:
    try:
        flow.send(answer)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    raise RuntimeError("the flow of a notification has more than one step")


def _no_reply(answer: NoReply) -> Fault:
    hint = None if answer.silence in _SAY_MORE else "See whether the receiver is up and answers within 15 seconds."
    return SILENCES[answer.silence].fault(f"The receiver gave no answer: {answer.reason}", hint)


def _fault_shown(fault: Fault) -> dict[str, Any]:
    return {"kind": fault.kind, "code": fault.code, "message": fault.message, "hint": fault.hint}
