"""The worker: takes jobs from the queue, claims their runs, drives them, settles them, and stays alive meanwhile.

Any number of workers share one database. A worker decides nothing about runs: it connects the driver to the database
and to the network, and knows what it holds a lease on.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import TypeVar

import asyncpg
import structlog
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.models import Job

from tollbridge.connectors.base import System, connector_of
from tollbridge.domain.choices import Thing
from tollbridge.domain.conversation import Entry, StepDone
from tollbridge.domain.errors import Fault, Refusal
from tollbridge.domain.flows import NoReply, Outcome, Reply, Request
from tollbridge.domain.known_errors import NO_CONNECTOR
from tollbridge.domain.notifications import Receiver
from tollbridge.domain.oauth import Token
from tollbridge.domain.runs import Change, Flow, Paused, RunLimits
from tollbridge.engine.drive import Drive
from tollbridge.engine.meter import Meter
from tollbridge.engine.notifier import Notifier
from tollbridge.engine.permits import Share
from tollbridge.engine.preview import Preview
from tollbridge.engine.tokens import Tokens
from tollbridge.engine.tracing import tracing_of
from tollbridge.outbound.http import WEBHOOK, Http, Policy
from tollbridge.services import (
    bringing_back,
    clock,
    credentials,
    mending,
    metrics,
    notifying,
    oauth,
    probing,
    schedules,
    work,
)
from tollbridge.services.groups import Group
from tollbridge.services.oauth import Held, Refused
from tollbridge.services.work import Claimed, Settlement
from tollbridge.settings import Settings
from tollbridge.store import jobs
from tollbridge.store.db import Database, connect
from tollbridge.store.notifying import DUE_CHANNEL
from tollbridge.store.trouble import TRANSIENT
from tollbridge.vault import Vault

T = TypeVar("T")
R = TypeVar("R")
log = structlog.get_logger(__name__)

# What was measured to be fast and to hand over a killed worker's jobs soon.
DEQUEUE_TIMEOUT = timedelta(seconds=2)
JOB_HEARTBEAT = timedelta(seconds=5)
LARGEST_BATCH = 250
RECONNECT = 0.5
"""Seconds between attempts to reach the queue again."""
PATIENT_WAITS = (0.1, 0.3, 0.6, 1.0, 2.0)
"""Seconds between attempts of one transaction; together shorter than a lease."""
BEAT, SWEEP = 0.25, 0.3
"""Parts of a lease between two signs of life and between two sweeps: a killed worker's runs go on after at most 1.3
leases."""
TRIM = timedelta(minutes=1)
BRING_BACK = timedelta(seconds=0.5)
"""How often is looked after webhooks that are brought back."""
MEND = timedelta(seconds=0.5)
"""How often is looked after groups of errors that are mended."""
PROBE = timedelta(seconds=10)
"""How often is looked for disabled integrations whose time to be probed has come."""
SCHEDULE = timedelta(seconds=10)
"""How often a worker looks for scheduled events that are due."""
FORGET = timedelta(hours=1)
"""How often a worker asks whether it is time to forget what is past its time."""
CHECK = timedelta(minutes=1)
"""How often a worker asks whether it is time to look for credentials that are to be checked."""
ASKED = Policy(timedelta(seconds=8))
"""A person waits for what a question finds, for ten seconds."""
LONGEST_QUESTION = timedelta(minutes=1)
"""The working time of a question with many requests."""
PUBLISH = timedelta(seconds=5)
"""How often what was counted is added to the sums; a killed worker loses as much."""


@dataclass(slots=True)
class _Held:
    """A lease as far as is known here; `until` by the monotonic clock."""

    fence: int
    until: float


class Worker:
    """One worker process. `run` returns True when it drained, False when its time to drain was over."""

    def __init__(self, settings: Settings, db: Database, vault: Vault, http: Http) -> None:
        self.id = clock.new_id()
        self._settings = settings
        self._db = db
        self._http = http
        self._limits = RunLimits(
            settings.run_attempts, settings.run_timeout, settings.disable_after, settings.probe_after
        )
        self._held: dict[str, _Held] = {}
        self._shares: dict[str, Share] = {}
        self._random = random.SystemRandom()
        self.meter = Meter()
        self.tokens = Tokens(db, vault, http, settings)
        self._tracing = tracing_of()

        async def claim(ids: list[str]) -> list[Claimed | None]:
            found = await work.claim(db, vault, ids, self.id, clock.now(), settings.lease)
            by_id = {run.run_id: run for run in found}
            # Of two jobs for one run only the first gets it.
            return [by_id.pop(id, None) for id in ids]

        async def record(entries: list[Entry]) -> list[bool]:
            return await work.record(db, vault, entries)

        async def settle(settlements: list[Settlement]) -> list[Change | None]:
            return await work.settle(db, vault, settlements, self._limits)

        async def claim_notifications(
            room: Callable[[str, Receiver], int], only: Sequence[str] | None
        ) -> list[notifying.Claimed]:
            return await notifying.claim(db, vault, self.id, room, clock.now(), settings.lease, only)

        self._notifier = Notifier(
            claim_notifications,
            Group(_isolated(_patient(settle))),
            self._send_notification,
            self.meter,
            self._take,
            self._drop,
            self._holds,
            self._deactivate,
        )
        self._claim = Group(_isolated(_patient(claim)))
        self.record = Group(_isolated(_patient(record)))
        self._settle = Group(_isolated(_patient(settle)))

    async def run(self, stop: asyncio.Event) -> bool:
        """Work until told to stop, then finish what is under way, at most for the time to drain."""
        await work.register_worker(
            self._db, self.id, socket.gethostname(), os.getpid(), version("tollbridge"), clock.now()
        )
        lease = self._settings.lease
        chores = [
            asyncio.create_task(self._every(lease * BEAT, self._beat)),
            asyncio.create_task(self._every(lease * SWEEP, self._sweep)),
            asyncio.create_task(self._every(TRIM, self._trim)),
            asyncio.create_task(self._every(SCHEDULE, self._tell_due)),
            asyncio.create_task(self._every(FORGET, self._forget)),
            asyncio.create_task(self._every(CHECK, self._check_credentials)),
            asyncio.create_task(self._every(PUBLISH, self._publish)),
            asyncio.create_task(self._every(BRING_BACK, self._bring_back)),
            asyncio.create_task(self._every(MEND, self._mend)),
            asyncio.create_task(self._every(PROBE, self._probe)),
        ]
        queue = asyncio.create_task(self._take_jobs(stop))
        notifier = asyncio.create_task(self._notifier.run(stop))
        listener = asyncio.create_task(self._listen(stop))
        stopped = asyncio.create_task(stop.wait())
        log.info("worker ready", worker_id=self.id)
        try:
            await asyncio.wait({*chores, queue, notifier, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stop.set()
            # None ends by itself but by a bug, and without them the leases are not safe.
            for chore in chores:
                if chore.done():
                    chore.result()
            log.info("worker draining", runs=len(self._held))
            await asyncio.wait({queue, notifier}, timeout=self._settings.drain.total_seconds())
            if not (queue.done() and notifier.done()):
                log.warning("worker leaves with runs under way; another worker takes them over", runs=list(self._held))
                return False
            queue.result()
            notifier.result()
            await self._publish()
            await work.leave(self._db, self.id)
            return True
        finally:
            for task in (*chores, stopped, listener):
                task.cancel()
            if self._tracing:
                await asyncio.to_thread(self._tracing.close)

    async def _listen(self, stop: asyncio.Event) -> None:
        """Pass on what the database tells of webhooks with something to deliver; the notifier looks by itself too."""

        def heard(_connection: object, _pid: object, _channel: object, payload: object) -> None:
            self._notifier.tell(str(payload))

        while not stop.is_set():
            with suppress(*TRANSIENT, Refusal):
                connection = await connect(self._db.dsn)
                lost = asyncio.Event()
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                try:
                    await connection.add_listener(DUE_CHANNEL, heard)
                    await lost.wait()
                finally:
                    connection.terminate()
            await asyncio.sleep(RECONNECT)

    async def _take_jobs(self, stop: asyncio.Event) -> None:
        """Hand the queue's jobs to `_handle`; after a lost database with a new pool and a new queue."""
        while not stop.is_set():
            try:
                await self._run_queue(stop)
            except Exception as error:
                log.warning("queue lost, connecting again", error=repr(error))
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), RECONNECT)

    async def _run_queue(self, stop: asyncio.Event) -> None:
        names = jobs.queue_settings()
        async with asyncpg.create_pool(self._db.dsn, min_size=2, max_size=4) as pool:
            driver = AsyncpgPoolDriver(pool)
            queries = Queries(
                driver,
                qbe=QueryBuilderEnvironment(names),
                qbq=QueryQueueBuilder(names),
                qbs=QuerySchedulerBuilder(names),
            )
            queue = PgQueuer(connection=driver, channel=names.channel, queries=queries)
            queue.entrypoint(jobs.ENTRYPOINT)(self._handle)
            stopping = asyncio.create_task(_forward(stop, queue.shutdown))
            concurrency = max(self._settings.concurrency, 2)
            try:
                await queue.run(
                    dequeue_timeout=DEQUEUE_TIMEOUT,
                    batch_size=min(concurrency // 2, LARGEST_BATCH),
                    max_concurrent_tasks=concurrency,
                    heartbeat_timeout=JOB_HEARTBEAT,
                    shutdown_on_listener_failure=True,
                    log_aggregation_interval=timedelta(0),
                )
            finally:
                stopping.cancel()
                # The driver keeps the connection that listens; closing in order would wait for it for ever.
                pool.terminate()

    async def _handle(self, job: Job) -> None:
        """Drive the run that a job names. Never raises: pgqueuer would keep the traceback, whatever stands in it."""
        run_id = (job.payload or b"").decode()
        structlog.contextvars.bind_contextvars(run_id=run_id)
        try:
            run = await self._claim(run_id)
            if run is not None:
                await self._lead(run)
        except TRANSIENT as error:
            log.warning("run left to its lease: the database is not there", error=repr(error))
        except Exception:
            log.exception("run left to its lease")

    async def _lead(self, run: Claimed) -> None:
        log.info("run started", fence=run.fence, flow=run.flow, system=run.system, attempt=run.attempt)
        self._take(run.run_id, run.fence)
        if self._tracing:
            self._tracing.begin(run, clock.now())
        try:
            kept = await self._drive(run)
        finally:
            self._drop(run.run_id)
            if self._tracing:
                self._tracing.end(run.run_id, clock.now())
        if not kept:
            log.warning("run lost to another worker", fence=run.fence)

    async def _drive(self, run: Claimed) -> bool:
        """Drive and settle; a bug, wherever it shows, becomes the run's end. False where the run was lost."""
        connector = connector_of(run.system)
        if connector is None:
            fault = _nobody_serves(run.system)
            return await self._close(run, Settlement(run.run_id, run.fence, fault, timedelta(), clock.now(), 0.0))
        driver = Preview if run.flow is Flow.PREVIEW else Drive
        line = _Line(self, run, connector.system(run.system))
        working_time = self._limits.working_time
        if run.flow is Flow.ASK:
            working_time = min(working_time, LONGEST_QUESTION)
        drive = driver(run, connector, line, working_time, self._settings.longest_body)
        try:
            return await self._end(run, drive, await drive.run())
        except TRANSIENT:
            raise
        except Exception as error:
            return await self._end(run, drive, await self._incident(drive, error))

    async def _incident(self, drive: Drive, error: Exception) -> Fault | None:
        incident_id = clock.new_id()
        log.error("run met a bug", incident=incident_id, error=type(error).__name__)
        try:
            return await drive.incident(error, incident_id)
        except TRANSIENT:
            raise
        except Exception:
            # What cannot be recorded is the last step itself.
            drive.done = None
            return await drive.incident(error, incident_id)

    async def _end(self, run: Claimed, drive: Drive, result: Outcome | Paused | None) -> bool:
        kept = result is not None and await self._close(run, self._settlement(run, drive, result))
        if kept:
            log.info("run settled", result=type(result).__name__, code=getattr(result, "code", None))
        return kept

    async def _close(self, run: Claimed, settlement: Settlement) -> bool:
        change = await self._settle(settlement)
        if change is not None:
            self.meter.settled(run.system, run.flow, change)
            if settlement.done:
                self.ended(run, settlement.done)
            if self._tracing:
                self._tracing.settled(run.run_id, change)
        return change is not None

    def ended(self, run: Claimed, done: StepDone) -> None:
        """A step ended and is durable."""
        self.meter.step(run.system, done)
        if self._tracing:
            self._tracing.step(run.run_id, done)

    def _settlement(self, run: Claimed, drive: Drive, result: Outcome | Paused) -> Settlement:
        return Settlement(
            run.run_id,
            run.fence,
            result,
            drive.worked,
            clock.now(),
            self._random.random(),
            done=drive.done,
            sealed=drive.sealed,
        )

    def holds(self, run: Claimed) -> bool:
        """Whether the lease is surely still ours: not refused, and renewed in time."""
        return self._holds(run.run_id, run.fence)

    def _holds(self, run_id: str, fence: int) -> bool:
        held = self._held.get(run_id)
        return held is not None and held.fence == fence and time.monotonic() < held.until

    def _take(self, run_id: str, fence: int) -> None:
        self._held[run_id] = _Held(fence, time.monotonic() + self._settings.lease.total_seconds())

    def _drop(self, run_id: str) -> None:
        self._held.pop(run_id, None)

    async def _beat(self) -> None:
        """Extend all leases in one statement, and renew the slots that are in use."""
        asked_at = time.monotonic()
        fences = [(run_id, held.fence) for run_id, held in self._held.items()]
        lost = await work.heartbeat(self._db, self.id, fences, clock.now(), self._settings.lease)
        for run_id, fence in fences:
            held = self._held.get(run_id)
            if held is not None and held.fence == fence:
                held.until = 0.0 if run_id in lost else asked_at + self._settings.lease.total_seconds()
        for credential_id, share in list(self._shares.items()):
            if not await share.renew():
                self._shares.pop(credential_id, None)

    async def _sweep(self) -> None:
        await notifying.take_over(self._db, clock.now())
        found = await work.sweep(self._db, clock.now())
        if found:
            log.info("due runs without a job", runs=found)

    async def _bring_back(self) -> None:
        await bringing_back.step(self._db, clock.now())

    async def _mend(self) -> None:
        await mending.step(self._db, clock.now())

    async def _probe(self) -> None:
        while await probing.step(self._db, clock.now()):
            log.info("disabled integration is probed")

    async def _trim(self) -> None:
        await work.trim(self._db, clock.now(), self._settings.keep_bodies, self._settings.keep_events)
        await schedules.forget_told(self._db, clock.now())

    async def _tell_due(self) -> None:
        told = await schedules.tell_due(self._db, clock.now())
        if told:
            log.info("scheduled events told", events=told)

    async def _check_credentials(self) -> None:
        await oauth.forget(self._db, clock.now())
        started = await credentials.check_due(self._db, clock.now())
        if started:
            log.info("checks of credentials started", checks=started)

    async def _forget(self) -> None:
        await work.forget(self._db, clock.now(), self._settings.keep_ledger, self._settings.keep_audit)

    async def _publish(self) -> None:
        counts = self.meter.take()
        try:
            await metrics.add(self._db, counts)
        except BaseException:
            self.meter.give_back(counts)
            raise

    async def _every(self, period: timedelta, task: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await task()
            except TRANSIENT as error:
                log.warning("database not there", error=repr(error))
            await asyncio.sleep(period.total_seconds())

    def share(self, credential_id: str, system: System) -> Share:
        """This worker's share in the limits of the credential."""
        if credential_id not in self._shares:
            rate = float(self._settings.rate_limits.get(system.key, system.limits.requests_per_second))

            async def lease(tokens: int, slots: int) -> tuple[int, int, timedelta]:
                return await work.permits(
                    self._db,
                    credential_id,
                    self.id,
                    want_tokens=tokens,
                    want_slots=slots,
                    rate=rate,
                    burst=max(1, int(rate)),
                    concurrency=system.limits.concurrency,
                    now=clock.now(),
                )

            self._shares[credential_id] = Share(lease, rate)
        return self._shares[credential_id]

    async def slow_down(self, credential_id: str, wait: timedelta) -> None:
        """Nobody uses the credential before the wait is over."""
        if credential_id in self._shares:
            self._shares[credential_id].void()
        await work.block_until(self._db, credential_id, clock.now() + wait)

    async def _deactivate(self, outlet: notifying.Outlet) -> None:
        await notifying.deactivate(self._db, outlet, clock.now())

    async def _send_notification(self, request: Request) -> Reply | NoReply:
        return await self._http.perform("", request, WEBHOOK)

    async def send(self, system: System, request: Request, policy: Policy | None) -> Reply | NoReply:
        url = self._settings.vendor_urls.get(system.key, system.base_url)
        return await self._http.perform(url, request, policy)


class _Line:
    """What one run needs of the world, through its worker."""

    def __init__(self, worker: Worker, run: Claimed, system: System) -> None:
        self._worker, self._run, self._system = worker, run, system

    def now(self) -> datetime:
        return clock.now()

    def monotonic(self) -> float:
        return time.monotonic()

    def holds(self) -> bool:
        return self._worker.holds(self._run)

    def permit(self) -> AbstractAsyncContextManager[timedelta]:
        share = self._worker.share(self._run.credential_id, self._system)
        return self._worker.meter.permitted(self._run.system, share.one())

    async def slow_down(self, wait: timedelta) -> None:
        self._worker.meter.limited(self._run.system)
        await self._worker.slow_down(self._run.credential_id, wait)

    async def record(self, entry: Entry) -> bool:
        kept = await self._worker.record(entry)
        if kept and entry.done:
            self._worker.ended(self._run, entry.done)
        return kept

    async def send(self, request: Request) -> Reply | NoReply:
        return await self._worker.send(self._system, request, ASKED if self._run.flow is Flow.ASK else None)

    async def token(self, instead_of: Token | None) -> Held | Refused:
        return await self._worker.tokens.get(self._run, instead_of)

    async def take_tenant(self, tenants: Sequence[Thing]) -> bool:
        return await self._worker.tokens.take_tenant(self._run, tenants)


def _patient(call: Callable[[list[T]], Awaitable[Sequence[R]]]) -> Callable[[list[T]], Awaitable[Sequence[R]]]:
    """Repeat the transaction when the database is away for a moment: all of ours may be repeated."""

    async def patient(items: list[T]) -> Sequence[R]:
        # A flush serves many runs: its lines belong to none of them.
        structlog.contextvars.clear_contextvars()
        for wait in PATIENT_WAITS:
            try:
                return await call(items)
            except TRANSIENT as error:
                log.warning("database not there, trying again", error=repr(error))
                await asyncio.sleep(wait)
        return await call(items)

    return patient


def _isolated(
    call: Callable[[list[T]], Awaitable[Sequence[R]]],
) -> Callable[[list[T]], Awaitable[Sequence[R | Exception]]]:
    """Keep one item that cannot be written from harming those it shares a transaction with."""

    async def isolated(items: list[T]) -> Sequence[R | Exception]:
        try:
            return await call(items)
        except TRANSIENT:
            raise
        except Exception as error:
            if len(items) == 1:
                return [error]
        return [result for item in items for result in await isolated([item])]

    return isolated


def _nobody_serves(system: str) -> Fault:
    return NO_CONNECTOR.fault(f"No connector of this worker serves {system}.")


async def _forward(stop: asyncio.Event, shutdown: asyncio.Event) -> None:
    await stop.wait()
    shutdown.set()
