"""A driver for tests: it drives a flow as the engine does, with crashes where a test wants them, and stores nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tollbridge.connectors.base import Connector
from tollbridge.domain.errors import Fault
from tollbridge.domain.flows import Flow, Outcome, Pause, Reply, Request, Step, Subject, Written, idempotency_key

Perform = Callable[[Request, str | None], Awaitable[Reply]]


class Crash(Exception):
    """The process died."""


@dataclass
class Record:
    """What is durable about one step."""

    hash: str
    first_sent: datetime
    reply: Reply | None = None
    epoch: int = 1


@dataclass
class Driver:
    """Drives flows of one run; lives on after a crash, as the database does.

    `lose` names a step whose request is performed, after which the process dies with the reply unrecorded; `die_after`
    one after whose record it dies. With `keys_expired` an uncertain write is looked up instead of sent again.
    """

    connector: Connector
    perform: Perform
    subject: Subject
    lose: str | None = None
    die_after: str | None = None
    keys_expired: bool = False
    records: dict[str, Record] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    """Every step that was performed, in order, look-ups not counted."""
    looked_up: list[str] = field(default_factory=list)
    learnt: set[Written] = field(default_factory=set)

    async def run(self, flow: Flow) -> Outcome:
        return await self._talk(flow, self._answer)  # type: ignore[no-any-return]

    async def _talk(self, flow: Generator[Any, Reply, Any], answer: Callable[[Step], Awaitable[Reply | Fault]]) -> Any:
        try:
            step = next(flow)
            while True:
                assert not isinstance(step, Pause)
                reply = await answer(step)
                if isinstance(reply, Fault):
                    flow.close()
                    return reply
                step = flow.send(reply)
        except StopIteration as end:
            return end.value

    async def _answer(self, step: Step) -> Reply | Fault:
        record = self.records.get(step.key)
        if record is not None:
            assert record.hash == step.request.hash, f"{step.key} is another request on the resume"
            if record.reply is not None:
                return record.reply
            if step.request.writes and self.keys_expired:
                assert step.look_up is not None
                found = await self._talk(step.look_up(record.first_sent), self._look)
                if found is not None:
                    return self._keep(step, record, found)
                record.epoch += 1
        else:
            record = self.records[step.key] = Record(step.request.hash, datetime.now(UTC))
        reply = await self._perform(step, record)
        fault = None if reply.status in step.accept else self.connector.classify(reply)
        return fault if fault is not None else self._keep(step, record, reply)

    async def _perform(self, step: Step, record: Record) -> Reply:
        subject = step.subject or self.subject
        key = idempotency_key("tenant", subject, step.key, record.epoch) if step.request.writes else None
        reply = await self.perform(step.request, key)
        self.steps.append(step)
        if self.lose == step.key:
            self.lose = None
            raise Crash(step.key)
        return reply

    async def _look(self, step: Step) -> Reply | Fault:
        assert not step.request.writes, f"the look-up step {step.key} writes"
        self.looked_up.append(step.key)
        reply = await self.perform(step.request, None)
        fault = None if reply.status in step.accept else self.connector.classify(reply)
        return reply if fault is None else fault

    def _keep(self, step: Step, record: Record, reply: Reply) -> Reply:
        record.reply = reply
        if step.learns is not None and (written := step.learns(reply)) is not None:
            self.learnt.add(written)
        if self.die_after == step.key:
            self.die_after = None
            raise Crash(step.key)
        return reply
