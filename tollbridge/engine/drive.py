"""The flow driver: leads one claimed run through its conversation to a settlement.

It decides for each step whether its reply is recorded, must be asked for, or is in doubt. Everything that it needs of
the world stands in `Port`: a clock, the lease, permits, the network and the record. It opens nothing itself.
"""

from __future__ import annotations

import traceback
from collections.abc import Generator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from pydantic import ValidationError

from tollbridge.connectors.base import Connector, Delivery, Sending, read_credential
from tollbridge.domain import known_errors
from tollbridge.domain.changes import Choice, Offer
from tollbridge.domain.choices import Asked, Thing
from tollbridge.domain.conversation import Entry, Intent, LedgerStep, StepDone, StepKind, StepState, ledger_key
from tollbridge.domain.doubt import Guarantees, absent_counts_at, effect_of, leaves_doubt, plan_write
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import (
    Found,
    ManyTenants,
    NeedsChoice,
    NoReply,
    Outcome,
    Pause,
    Reply,
    Request,
    Skipped,
    Step,
    Subject,
    idempotency_key,
)
from tollbridge.domain.integrations import read_layer
from tollbridge.domain.oauth import GRANT, Token, tenant_of
from tollbridge.domain.runs import Flow, Paused
from tollbridge.engine.redact import Redactor, secrets_of
from tollbridge.services.oauth import Exchange, Held, Refused
from tollbridge.services.work import Claimed

BLOCK_WITHOUT_WORD = timedelta(seconds=1)
"""How long a credential rests after a 429 that does not say for how long."""


class Port(Protocol):
    """All that a run needs of the world."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float:
        """Seconds of a clock that nobody sets, to measure how long something took."""

    def holds(self) -> bool:
        """Whether the lease of this run is still ours, as far as is known."""

    def permit(self) -> AbstractAsyncContextManager[timedelta]:
        """One request's worth of the credential's limits; gives zero, or how long the credential is blocked."""

    async def slow_down(self, wait: timedelta) -> None:
        """The other side asked all users of this credential to wait."""

    async def record(self, entry: Entry) -> bool:
        """Make it durable; False where the run is no longer ours."""

    async def send(self, request: Request) -> Reply | NoReply:
        """Perform the request, once."""

    async def token(self, instead_of: Token | None) -> Held | Refused:
        """The token of the credential, refreshed in time; another one where the vendor did not take the one named."""

    async def take_tenant(self, tenants: Sequence[Thing]) -> bool:
        """Keep the tenant that needs no choice beside the token, or else what there is to choose from."""


class Stop(Exception):
    """Ends the conversation from within a step; without a result the run is no longer ours."""

    def __init__(self, result: Fault | Paused | None) -> None:
        self.result = result


@dataclass(frozen=True, slots=True)
class _Write:
    """One write about to be sent or looked up; `earlier` is a send before that may have taken effect."""

    subject: Subject
    epoch: int
    next_epoch: int
    earlier: LedgerStep | None

    def after_absence(self) -> _Write:
        return replace(self, epoch=self.next_epoch, earlier=None)


class Drive:
    """One run being driven. `run` once; `worked` and `done` then complete its settlement."""

    def __init__(
        self, run: Claimed, connector: Connector, port: Port, working_time: timedelta, longest_body: int
    ) -> None:
        self._run = run
        self._connector = connector
        self._system = connector.system(run.system)
        self._port = port
        limits = self._system.limits
        self._guarantees = Guarantees(limits.key_lifetime, limits.longest_request)
        self._working_time = working_time
        self._subject = Subject(run.entity_type, run.entity_id, run.revision, run.document)
        self._longest_body = longest_body
        self._redactor = Redactor(connector.redact, (), longest_body)
        self._seq = run.next_seq
        self._keys: set[str] = set()
        self._reads_stale = False
        self._token: Token | None = None
        self._renewed = False
        self.worked = timedelta()
        self.sealed = run.sealed
        """The secrets that were used last."""
        self.done: StepDone | None = None
        """The last step, where it is not durable yet."""

    async def run(self) -> Outcome | Paused | None:
        """Drive until the flow ends, rests or fails; None where the run was lost to another worker.

        Raises whatever a connector's bug raises: `incident` then says what becomes of the run.
        """
        try:
            flow = self._flow()
            return self._before_corrections() or await self._choose_tenant() or await self._converse(flow)
        except Stop as stop:
            return stop.result

    async def incident(self, error: Exception, incident_id: str) -> Fault | None:
        """Put the traceback into the run log and answer the fault that the run ends with; None where it is lost."""
        try:
            text = self._redactor.text("".join(traceback.format_exception(error)))
            now = self._port.now()
            await self._end(
                StepDone(
                    self._next_seq(),
                    f"incident:{incident_id}",
                    "Error in Tollbridge",
                    StepKind.ERROR,
                    self._run.attempt,
                    now,
                    now,
                    request_hash="",
                    request_shown=None,
                    fault={"incident": incident_id, "traceback": text},
                )
            )
        except Stop:
            return None
        return known_errors.BUG.fault(
            f"Tollbridge met an error of its own (incident {incident_id}): {type(error).__name__}."
        )

    def _flow(self) -> Generator[Step | Pause, Reply, Outcome]:
        run, connector = self._run, self._connector
        try:
            fields = {name: value for name, value in run.secrets.items() if name != GRANT}
            self._credential = read_credential(connector, self._system, fields)
        except ValidationError as error:
            named = ", ".join(".".join(map(str, each["loc"])) or "it" for each in error.errors(include_input=False))
            message = f"The stored credential does not fit {self._system.title}: {named}."
            raise Stop(known_errors.CREDENTIAL_UNUSABLE.fault(message)) from None
        self._redactor = Redactor(connector.redact, secrets_of(self._credential), self._longest_body)
        if run.flow is Flow.CHECK:
            return connector.check(self._system)
        if run.flow is Flow.ASK:
            asked = Asked.read(run.config)
            return connector.choices[asked.of](asked)
        assert run.bill is not None
        try:
            config = read_layer(connector.config, run.config)
        except ValidationError as error:
            first = error.errors()[0]
            message = f"The configuration is no longer valid: {'.'.join(map(str, first['loc']))}: {first['msg']}."
            raise Stop(known_errors.CONFIGURATION_INVALID.fault(message)) from None
        return connector.deliver(
            Delivery(
                run.bill(),
                config,
                run.mappings,
                self._system,
                run.started_at,
                run.earlier,
                run.flow is Flow.WITHDRAW,
                run.correction,
            )
        )

    def _before_corrections(self) -> Outcome | Paused | None:
        """What keeps the flow from looking at what stands of earlier versions: a write of theirs that may still take
        effect, or a connector that knows no corrections."""
        run = self._run
        # What an earlier run of this very version sent is found again by the steps.
        sent_before = run.earlier is not None and run.earlier.version < run.revision
        if not sent_before and run.flow is not Flow.WITHDRAW:
            return None
        row = run.ledgers.get((run.entity_type, run.entity_id, "invoice"))
        if row is not None and row.uncertain_since and (row.version < run.revision or run.flow is Flow.WITHDRAW):
            until = row.uncertain_since + self._guarantees.longest_request
            if until > self._port.now():
                return Paused(
                    until, "An earlier version was sent without a reply; it may still take effect until then."
                )
        if self._connector.corrects:
            return None
        what = f"Version {run.earlier.version} of it was sent before" if run.earlier else "The bill was deleted"
        reason = f"{what}, and {self._system.title} offers no corrections."
        if run.correction.choice is Choice.LEAVE:
            return Skipped(f"left as it is: {reason}")
        return NeedsChoice(reason, (Offer(Choice.LEAVE, "Leave what stands there as it is."),))

    async def _choose_tenant(self) -> Outcome | None:
        """What ends a check before it began: the consent opens several tenants, or none; None where one is known."""
        oauth = self._connector.oauth
        known = tenant_of(self._run.secrets.get(GRANT))
        if self._run.flow is not Flow.CHECK or oauth is None or oauth.tenants is None or known:
            return None
        found = await self._converse(oauth.tenants())
        if not isinstance(found, Found):
            return found
        if not found.things:
            return known_errors.OAUTH_NO_TENANT.fault(f"The consent opens nothing in {self._system.title}.")
        return None if await self._port.take_tenant(found.things) else ManyTenants(found.things)

    async def _converse(self, flow: Generator[Step | Pause, Reply, Outcome]) -> Outcome:
        try:
            item = next(flow)
            while True:
                item = flow.send(await self._answer(item))
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        finally:
            flow.close()

    async def _answer(self, item: Step | Pause) -> Reply:
        if item.key in self._keys:
            raise RuntimeError(f"the flow has two steps with the key {item.key!r}")
        self._keys.add(item.key)
        if isinstance(item, Pause):
            if self._port.now() < item.until:
                raise Stop(Paused(item.until, f"Waits until {item.until.isoformat(timespec='seconds')}."))
            return Reply(204)
        recorded = self._recorded(item)
        if recorded is not None:
            return recorded
        return await (self._write(item) if item.request.writes else self._read(item, StepKind.READ))

    def _recorded(self, step: Step) -> Reply | None:
        record = self._run.records.get(step.key)
        if record is None:
            return None
        if record.request_hash == step.request.hash:
            return record.reply if record.writes or not self._reads_stale else None
        # The flow took another turn than when this was recorded: what was read since then may no longer hold.
        self._reads_stale = True
        return None

    async def _read(self, step: Step, kind: StepKind) -> Reply:
        return _good(*await self._exchange(step, kind, None))

    async def _write(self, step: Step) -> Reply:
        """Send a write, or find out that it took effect before."""
        write, look = self._planned(step)
        if look:
            found = await self._look_up(step, write)
            if found is not None:
                return found
            self._wait_for_absence(step, write)
            write = write.after_absence()
        answer, fault = await self._exchange(step, StepKind.WRITE, write)
        if fault is not None and isinstance(answer, Reply) and step.look_up:
            replayed = self._connector.replayed(answer)
            if leaves_doubt(answer, fault, write.earlier, replayed):
                return await self._after_refusal(step, write, fault, replayed)
        return _good(answer, fault)

    async def _after_refusal(self, step: Step, write: _Write, fault: Fault, replayed: bool) -> Reply:
        """The refusal is of this send, or of one before that is kept under the key: did an earlier one take effect?"""
        found = await self._look_up(step, write)
        if found is not None:
            return found
        # A failure that is replayed proves that the execution under this key has ended.
        if not replayed and self._absent_counts_at(write) > self._port.now():
            raise Stop(fault)
        write = replace(write, epoch=write.epoch + 1, earlier=None)
        return _good(*await self._exchange(step, StepKind.WRITE, write))

    def _planned(self, step: Step) -> tuple[_Write, bool]:
        run = self._run
        subject = step.subject or self._subject
        row = run.ledgers.get(ledger_key(subject))
        # What earlier versions wrote was settled before the flow began, and the flow has read what stands of it.
        plan = plan_write(
            row.steps.get(step.key) if row and row.version == subject.version else None,
            look_first=run.look_first,
            changed=step.key in run.records,
            can_look=step.look_up is not None,
            guarantees=self._guarantees,
            now=self._port.now(),
        )
        if plan is None:
            message = f"“{step.name}” was sent before without a reply, and {self._system.title} cannot be asked for it."
            raise Stop(known_errors.OUTCOME_UNKNOWN.fault(message))
        return _Write(subject, plan.epoch, plan.next_epoch, plan.earlier), plan.look

    def _wait_for_absence(self, step: Step, write: _Write) -> None:
        counts_at = self._absent_counts_at(write)
        if counts_at > self._port.now():
            reason = f"“{step.name}” was sent without a reply; it may still take effect until then."
            raise Stop(Paused(counts_at, reason))

    def _absent_counts_at(self, write: _Write) -> datetime:
        return absent_counts_at(write.earlier, self._guarantees, self._port.now())

    async def _look_up(self, step: Step, write: _Write) -> Reply | None:
        """Ask the other side for the effect of the step; what it answers is not kept, because it may change."""
        assert step.look_up is not None
        flow = step.look_up(write.earlier.first_sent_at if write.earlier else None)
        try:
            item = next(flow)
            while True:
                if item.request.writes:
                    raise RuntimeError(f"the look-up of {step.key!r} writes")
                item = flow.send(await self._read(item, StepKind.LOOK_UP))
        except StopIteration as end:
            found: Reply | None = end.value
        finally:
            flow.close()
        if found is not None:
            now = self._port.now()
            await self._end(
                StepDone(
                    self._next_seq(),
                    step.key,
                    f"{step.name} (had taken effect)",
                    StepKind.WRITE,
                    self._run.attempt,
                    now,
                    now,
                    step.request.hash,
                    None,
                    status=found.status,
                    reply_shown=self._redactor.reply_text(found),
                    epoch=write.epoch,
                    reply=found,
                    ledger=(write.subject, step.key, StepState.DONE),
                    learnt=step.learns(found) if step.learns else None,
                )
            )
        return found

    async def _exchange(self, step: Step, kind: StepKind, write: _Write | None) -> tuple[Reply | NoReply, Fault | None]:
        """Perform one request. What it is and that it is sent (a write) are durable before; the end of it is kept in
        `done` and becomes durable with whatever comes next."""
        run, port = self._run, self._port
        self._check_working_time()
        key = idempotency_key(run.tenant, write.subject, step.key, write.epoch) if write else None
        shown = self._redactor.request_text(step.request, key)
        async with port.permit() as blocked:
            if blocked:
                raise Stop(self._blocked(blocked))
            if self._connector.oauth and (refused := await self._find_token()):
                raise Stop(refused)
            refused = None
            seq = self._next_seq()
            started, began = port.now(), port.monotonic()
            if write:
                await self._record(
                    Intent(write.subject, step.key, write.epoch, started, seq, step.name, run.attempt, shown)
                )
            elif self.done:
                await self._record(None)
            answer = await self._send(step.request, Sending(key, started, self._token))
            fault = self._fault(step, answer)
            if self._token and not self._renewed and fault and fault.kind is FaultKind.UNAUTHORIZED:
                # A vendor may end a token before its time. Once in a run: a second refusal is about something else.
                self._renewed = True
                refused = await self._find_token(instead_of=self._token)
                if self.done:
                    await self._record(None)
                if refused is None:
                    answer = await self._send(step.request, Sending(key, started, self._token))
                    fault = self._fault(step, answer)
            ended = port.now()
        self.worked += timedelta(seconds=port.monotonic() - began)
        kept = kind is not StepKind.LOOK_UP and fault is None and isinstance(answer, Reply)
        replayed = isinstance(answer, Reply) and self._connector.replayed(answer)
        state = effect_of(answer, fault, write.earlier, replayed) if write else None
        self.done = StepDone(
            seq,
            step.key,
            step.name,
            kind,
            run.attempt,
            started,
            ended,
            step.request.hash,
            shown,
            status=answer.status if isinstance(answer, Reply) else None,
            reply_shown=self._redactor.reply_text(answer) if isinstance(answer, Reply) else None,
            fault=_shown(fault) if fault else None,
            epoch=write.epoch if write else None,
            reply=answer if kept and isinstance(answer, Reply) else None,
            ledger=(write.subject, step.key, state) if write and state else None,
            learnt=step.learns(answer) if kept and step.learns and isinstance(answer, Reply) else None,
        )
        if isinstance(answer, Reply) and fault and fault.kind is FaultKind.RATE_LIMITED:
            await port.slow_down(fault.retry_after or BLOCK_WITHOUT_WORD)
        if refused:
            # Only now: that the vendor turned the request away is known and kept.
            raise Stop(refused)
        return answer, fault

    async def _send(self, request: Request, sending: Sending) -> Reply | NoReply:
        if not self._port.holds():
            raise Stop(None)
        return await self._port.send(self._connector.authorize(request, self._credential, sending))

    async def _find_token(self, instead_of: Token | None = None) -> Fault | None:
        """Why none is to be had, or None."""
        found = await self._port.token(instead_of)
        if found.exchange:
            await self._end(self._shown_exchange(found.exchange))
        self.sealed = found.sealed or self.sealed
        if isinstance(found, Refused):
            return found.fault
        if found.token != self._token:
            self._token = found.token
            secrets = [*secrets_of(self._credential), found.token.access]
            self._redactor = Redactor(self._connector.redact, secrets, self._longest_body)
        return None

    def _shown_exchange(self, exchange: Exchange) -> StepDone:
        seq = self._next_seq()
        return StepDone(
            seq,
            f"token:{seq}",
            exchange.name,
            StepKind.TOKEN,
            self._run.attempt,
            exchange.started_at,
            exchange.completed_at,
            "",
            exchange.request_shown,
            status=exchange.status,
            reply_shown=exchange.reply_shown,
            fault=_shown(exchange.fault) if exchange.fault else None,
        )

    def _fault(self, step: Step, answer: Reply | NoReply) -> Fault | None:
        if isinstance(answer, NoReply):
            message = f"{self._system.title} gave no answer to “{step.name}”: {answer.reason}"
            return known_errors.SILENCES[answer.silence].fault(message)
        if answer.status in step.accept:
            return None
        fault = self._connector.classify(answer)
        if fault is None:
            return None
        if fault.kind is FaultKind.UNMAPPED and fault.missing is None:
            fault = replace(fault, missing=step.relies_on)
        return replace(fault, message=self._redactor.text(fault.message))

    def _blocked(self, wait: timedelta) -> Fault:
        return known_errors.BLOCKED.fault(f"{self._system.title} asked this credential to wait.", retry_after=wait)

    def _check_working_time(self) -> None:
        if self._run.worked + self.worked >= self._working_time:
            spent = f"{self._working_time.total_seconds():.0f} s"
            raise Stop(known_errors.TOO_LONG.fault(f"The run has worked for its {spent} without coming to an end."))

    async def _end(self, done: StepDone) -> None:
        """Note a step that ended without an exchange; the one before becomes durable first."""
        if self.done:
            await self._record(None)
        self.done = done

    async def _record(self, intent: Intent | None) -> None:
        if not await self._port.record(Entry(self._run.run_id, self._run.fence, self.done, intent)):
            raise Stop(None)
        self.done = None

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq - 1


def _good(answer: Reply | NoReply, fault: Fault | None) -> Reply:
    if fault is not None:
        raise Stop(fault)
    assert isinstance(answer, Reply)
    return answer


def _shown(fault: Fault) -> dict[str, Any]:
    return {"kind": fault.kind, "code": fault.code, "message": fault.message, "hint": fault.hint}
