"""A vendor, a database and a clock in memory: the places where a run meets the world, for tests of the driver."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, SecretStr

from tollbridge.connectors.base import Connector, Delivery, Limits, Sending, System
from tollbridge.domain.billing import Account, Bill
from tollbridge.domain.changes import ASK, Correction, Earlier
from tollbridge.domain.choices import Thing
from tollbridge.domain.conversation import (
    Entry,
    LedgerKey,
    LedgerRow,
    LedgerState,
    LedgerStep,
    Recorded,
    StepDone,
    StepKind,
    StepState,
    ledger_key,
)
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import (
    Checked,
    Delivered,
    LookUp,
    LookUpFlow,
    NoReply,
    Outcome,
    Reply,
    Request,
    Step,
    Subject,
    Written,
)
from tollbridge.domain.flows import Flow as FlowGenerator
from tollbridge.domain.integrations import BillOptions, Mappings
from tollbridge.domain.oauth import Token
from tollbridge.domain.runs import Flow, Paused
from tollbridge.engine.drive import Drive
from tollbridge.services.oauth import Held, Refused
from tollbridge.services.work import Claimed

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
SECRET = "sk_a_very_secret_key"
DAY = timedelta(days=1)
LONGEST_REQUEST = timedelta(seconds=80)


class Crash(BaseException):
    """The process died here."""


class Key(BaseModel):
    token: SecretStr


Trouble = Callable[[Callable[[], Reply]], Reply | NoReply]
"""Given how to do the work, do it or not, and answer."""


def lost(work: Callable[[], Reply]) -> NoReply:
    work()
    return NoReply("No reply within 60 seconds.", sent=True)


def dropped(work: Callable[[], Reply]) -> NoReply:
    return NoReply("The connection was closed before a reply came.", sent=True)


def unreachable(work: Callable[[], Reply]) -> NoReply:
    return NoReply("Nobody listens.", sent=False)


def status(code: int, headers: dict[str, str] | None = None) -> Trouble:
    return lambda work: Reply(code, headers or {}, b'{"error":"because"}')


def status_after_work(code: int) -> Trouble:
    def trouble(work: Callable[[], Reply]) -> Reply:
        work()
        return Reply(code, {}, b'{"error":"because"}')

    return trouble


@dataclass
class Vendor:
    """Makes a thing per write; with `honours_keys` it answers a known key from memory, failures included."""

    honours_keys: bool
    things: list[tuple[str, Any]] = field(default_factory=list)
    kept: dict[str, tuple[str, Reply]] = field(default_factory=dict)
    troubles: dict[str, list[Trouble]] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def perform(self, request: Request) -> Reply | NoReply:
        self.seen.append((request.method, request.path))
        headers = dict(request.headers)
        assert headers["Authorization"] == f"Bearer {SECRET}"
        troubles = self.troubles.get(request.path, [])
        trouble = troubles.pop(0) if troubles else None
        if request.method == "GET":

            def read() -> Reply:
                return Reply.of([value for path, value in self.things if path == request.path])

            return trouble(read) if trouble else read()
        key = headers["Idempotency-Key"]
        self.keys.append(key)

        def write() -> Reply:
            self.things.append((request.path, request.json))
            return self.keep(key, request, Reply.of({"id": f"id{len(self.things)}"}))

        if self.honours_keys and key in self.kept:
            path, reply = self.kept[key]
            if path != request.path + str(request.json):
                return Reply(400, {}, b'{"error":"another request had this key"}')
            return replace(reply, headers={**reply.headers, "replayed": "true"})
        return trouble(write) if trouble else write()

    def keep(self, key: str, request: Request, reply: Reply) -> Reply:
        self.kept[key] = (request.path + str(request.json), reply)
        return reply

    def failing_for_good(self, path: str, code: int) -> None:
        """The next write there fails, and the failure is kept under its key."""
        self.troubles[path] = [lambda work: self.keep(self.keys[-1], self._last, Reply(code, {}, b"{}"))]

    _last: Request = field(default_factory=lambda: Request("GET", "/"))


def classify(reply: Reply) -> Fault | None:
    if reply.ok:
        return None
    kind = {401: FaultKind.UNAUTHORIZED, 404: FaultKind.UNMAPPED, 409: FaultKind.UNAVAILABLE}.get(
        reply.status, FaultKind.UNAVAILABLE if reply.status >= 500 else FaultKind.INVALID
    )
    wait = reply.headers.get("retry-after")
    if reply.status == 429:
        kind = FaultKind.RATE_LIMITED
    return Fault(
        kind, f"vendor.{reply.status}", "it said no", "do this", timedelta(seconds=int(wait)) if wait else None
    )


def look_at(path: str) -> LookUp:
    """Whether anything stands at the path; the vendor of these tests makes one thing per path."""

    def look(first_sent: datetime | None) -> LookUpFlow:
        found = (yield Step("Look", Request("GET", path), f"{path}?")).json
        return Reply.of({"id": "found"}) if found else None

    return look


def write(path: str, body: Any, **options: Any) -> Step:
    return Step(f"Write {path}", Request("POST", path, json=body), path, **{"look_up": look_at(path), **options})


def deliver(delivery: Delivery) -> FlowGenerator:
    """A read and three writes, the first of them for the account."""
    yield Step("Read the settings", Request("GET", "/settings"), "settings")
    account = delivery.bill.account.id
    customer = yield write(
        "/customers",
        account,
        subject=Subject("Account", account, 1, "customer"),
        learns=lambda reply: Written("Account", account, "Customer", str(reply["id"])),
    )
    invoice = yield write("/invoices", str(customer["id"]))
    yield write("/lines", str(delivery.bill.total))
    return Delivered(str(invoice["id"]), total=delivery.bill.total, currency=delivery.bill.currency)


def check(system: System) -> FlowGenerator:
    reply = yield Step("Read the account", Request("GET", "/account"), "account")
    return Checked(str(len(reply.json)), system.title, system.live)


def authorize(request: Request, credential: Key, sending: Sending) -> Request:
    headers = [("Authorization", f"Bearer {credential.token.get_secret_value()}")]
    if sending.idempotency_key:
        headers.append(("Idempotency-Key", sending.idempotency_key))
    return replace(request, headers=(*request.headers, *headers))


def connector_with(deliver: Callable[[Delivery], FlowGenerator], key_lifetime: timedelta | None) -> Connector:
    limits = Limits(100, 10, key_lifetime, LONGEST_REQUEST)
    return Connector(
        key="vendor",
        title="Vendor",
        category="AR",
        systems=(System("VENDOR", "Vendor", "http://vendor", True, "Vendor", limits),),
        entity_types=("Bill",),
        credential_type="TOKEN",
        credential=Key,
        config=BillOptions,
        mapping_tables={},
        authorize=authorize,
        classify=classify,
        replayed=lambda reply: "replayed" in reply.headers,
        deliver=deliver,
        check=check,
        redact=frozenset({"hidden"}),
    )


@dataclass
class World:
    """The database of one run, dict by dict; `crash_at` counts durable boundaries until the process dies."""

    vendor: Vendor
    deliver: Callable[[Delivery], FlowGenerator] = deliver
    key_lifetime: timedelta | None = DAY
    total: Decimal = Decimal("10.00")
    time: datetime = START
    fence: int = 0
    look_first: bool = False
    flow: Flow = Flow.DELIVER
    worked: timedelta = timedelta()
    records: dict[str, Recorded] = field(default_factory=dict)
    ledgers: dict[LedgerKey, LedgerRow] = field(default_factory=dict)
    log: dict[int, StepDone | None] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    learnt: list[Written] = field(default_factory=list)
    slowed: list[timedelta] = field(default_factory=list)
    crash_at: int | None = None
    lost_at: int | None = None
    blocked: timedelta = timedelta()
    lease_holds: bool = True
    each_request_takes: timedelta = timedelta(seconds=1)
    secret: str = SECRET
    earlier: Earlier | None = None
    correction: Correction = ASK
    corrects: bool = True
    driver: type[Drive] = Drive

    async def take_tenant(self, tenants: Sequence[Thing]) -> bool:
        raise AssertionError("this vendor has no tenants")

    async def token(self, instead_of: Token | None) -> Held | Refused:
        raise NotImplementedError("this vendor is not connected by OAuth")

    async def attempt(self, after: timedelta = timedelta()) -> Outcome | Paused | None:
        """Claim, drive and settle once; the settled step is kept as the store keeps it."""
        self.time += after
        self.fence += 1
        drive = self.driver(
            self._claimed(),
            replace(connector_with(self.deliver, self.key_lifetime), corrects=self.corrects),
            self,
            timedelta(minutes=30),
            longest_body=32 * 1024,
        )
        try:
            result = await drive.run()
        except Exception as error:
            result = await drive.incident(error, "incident-1")
        self.worked += drive.worked
        if result is not None and drive.done:
            self._keep(drive.done)
        return result

    def state(self, path: str) -> LedgerStep | None:
        """What the ledger knows of the write to the path."""
        for row in self.ledgers.values():
            if path in row.steps:
                return row.steps[path]
        return None

    def _claimed(self) -> Claimed:
        bill = Bill("b1", 1, Account("a1", "A1", "Ann"), "EUR", self.total, date(2026, 10, 31), ())
        return Claimed(
            run_id="r1",
            org_id="o1",
            integration_id="i1",
            credential_id="c1",
            fence=self.fence,
            flow=self.flow,
            system="VENDOR",
            entity_type="Bill",
            entity_id="b1",
            revision=1,
            account_id="a1",
            document="invoice",
            tenant="VENDOR:t1",
            secrets={"token": self.secret},
            config={},
            mappings=Mappings({}),
            bill=(lambda: bill) if self.flow is Flow.DELIVER else None,
            started_at=START,
            attempt=1,
            worked=self.worked,
            look_first=self.look_first,
            next_seq=max(self.log, default=0) + 1,
            records=dict(self.records),
            ledgers=dict(self.ledgers),
            earlier=self.earlier,
            correction=self.correction,
        )

    # What the driver needs of the world.

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    def holds(self) -> bool:
        return self.lease_holds

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[timedelta]:
        yield self.blocked

    async def slow_down(self, wait: timedelta) -> None:
        self.slowed.append(wait)

    async def record(self, entry: Entry) -> bool:
        self._boundary()
        if self.lost_at is not None and len(self.entries) >= self.lost_at:
            return False
        assert entry.fence == self.fence
        self.entries.append(entry)
        if entry.done:
            self._keep(entry.done)
        if entry.intent:
            intent = entry.intent
            self.log[intent.seq] = None
            before = self._step(intent.subject, intent.step_key)
            first = before.first_sent_at if before and before.epoch == intent.epoch else None
            step = LedgerStep(intent.epoch, StepState.SENT, first or intent.at, intent.at)
            self._set_step(intent.subject, intent.step_key, step)
        self._boundary()
        return True

    async def send(self, request: Request) -> Reply | NoReply:
        self._boundary()
        self.vendor._last = request
        self.time += self.each_request_takes
        answer = self.vendor.perform(request)
        self._boundary()
        return answer

    def _boundary(self) -> None:
        if self.crash_at is not None:
            self.crash_at -= 1
            if self.crash_at < 0:
                self.crash_at = None
                raise Crash

    def _keep(self, done: StepDone) -> None:
        self.log[done.seq] = done
        if done.reply is not None:
            self.records[done.key] = Recorded(done.request_hash, done.kind is StepKind.WRITE, done.reply)
        if done.ledger is not None:
            subject, key, state = done.ledger
            before = self._step(subject, key)
            epoch = done.epoch or 1
            self._set_step(
                subject, key, replace(before, state=state, epoch=epoch) if before else LedgerStep(epoch, state)
            )
        if done.learnt:
            self.learnt.append(done.learnt)

    def _step(self, subject: Subject, key: str) -> LedgerStep | None:
        row = self.ledgers.get(ledger_key(subject))
        return row.steps.get(key) if row else None

    def _set_step(self, subject: Subject, key: str, step: LedgerStep) -> None:
        row = self.ledgers.get(ledger_key(subject))
        steps = {**(row.steps if row else {}), key: step}
        self.ledgers[ledger_key(subject)] = LedgerRow(subject.version, LedgerState.SENT, steps)
