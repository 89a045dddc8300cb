"""What goes wrong during the proof, all at once: kills, frozen workers, faults, changes of bills and configuration."""

from __future__ import annotations

import asyncio
import base64
import itertools
import random
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.crash.bills import BILLS_PER_ACCOUNT, Bill, account_of, made_up
from tests.crash.nursery import Death, all_deaths
from tests.crash.stage import LEASE, Stage, Worker
from tests.e2e.receivers import Got, receiving
from tollbridge.cli.webhooks import HOOKS, RULES, TYPE
from tollbridge.domain.errors import Conflict, NotFound, Refusal

WORKERS = 3
RANDOM = "at a random moment"
IN_FLIGHT = 96
"""Bills that are released but not at rest, at most."""
BOUNDARY_PATIENCE = 8.0
"""Seconds until a worker that waits for its boundary is killed where it stands."""
SETTLING = 5.0
"""Seconds without progress after which the clocks are moved, so that nobody has to sit a wait out."""
FORWARD = 100.0
"""Seconds by which they are moved: longer than a write may take effect late."""
MOVES = 12
"""Moves without progress after which what has not come to rest counts as stuck."""
RESTING = ("delivered", "skipped", "superseded", "cancelled", "failed", "held")
SECRET, NEXT_SECRET = (f"whsec_{base64.b64encode(letter * 32).decode()}" for letter in (b"s", b"t"))
TOLD_OF = "billing.bill.created"
RECEIVER_FAILS = 0.15
NAMELESS = (6, 7)
"""Of ten accounts these are customers without an address: bills of theirs fail in succession until somebody acts."""
UNDER_WAY = """
SELECT count(DISTINCT entity_id) FROM runs
WHERE flow = 'deliver' AND (state <> ALL($1::text[]) OR state = 'held' AND hold_reason <> 'changed')
"""
"""Bills with a run that is to go on by itself, also where it is held: the key was replaced."""
TELLING = """
SELECT count(*) FROM runs
WHERE flow = 'notify' AND (state <> ALL($1::text[]) OR state = 'held' AND hold_reason <> 'changed')
"""
"""Notifications that are under way."""
STUCK = """
SELECT id, entity_id, flow, state, hold_reason, coalesce(error, note) AS told, due_at, lease_until, attempt FROM runs
WHERE state <> ALL($1::text[]) OR state = 'held' AND hold_reason <> 'changed' LIMIT 20
"""
FAILED = """
SELECT f.id, f.account_id FROM runs f JOIN integrations i ON i.id = f.integration_id
WHERE f.state = 'failed' AND f.flow <> 'notify' AND NOT EXISTS (
    SELECT FROM runs o WHERE o.entity_id = f.entity_id AND (o.state = 'delivered' AND o.revision >= f.revision
        OR o.integration_id = f.integration_id AND o.created_at > f.created_at))
"""
"""Runs that failed and that no later one made good."""
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "reply_lost", "method": "POST"},
    {"kind": "error_before_commit", "method": "POST"},
    {"kind": "error_after_commit", "method": "POST"},
    {"kind": "late_commit", "method": "POST", "seconds": 2},
    {"kind": "dropped"},
    {"kind": "lock_timeout", "method": "POST"},
    {"kind": "latency", "seconds": 0.4},
    {"kind": "rate_limited", "retry_after": 1, "times": 2},
)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)  # noqa: T201


@dataclass
class Chaos:
    """One run of the proof; `kills` counts those of workers, by where they died, and of the other processes; `changes`
    what people did meanwhile."""

    stage: Stage
    bills: int
    wanted: int
    dice: random.Random
    seconds: float = float("inf")
    """How long it may rage; what was done by then is compared with the books."""
    sent: dict[str, dict[int, Bill]] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    messages: set[str] = field(default_factory=set)
    """The bills of which the receiver of the webhook took a message."""
    integration: str = ""
    credential: str = ""
    key: str = ""
    _began: float = field(default_factory=time.monotonic)
    _hook: str = ""
    _moods: random.Random = field(default_factory=lambda: random.Random(0))
    """Of the receiver: the other dice choose the same whenever a message arrives."""
    _released: int = 0
    _deaths: deque[Death] = field(default_factory=deque)
    _nameless: dict[str, str] = field(default_factory=dict)
    """Customers without an address, by account."""
    _spare: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def killed(self) -> int:
        return sum(self.kills.values())

    @property
    def raging(self) -> bool:
        return not self.out_of_time and (self.killed < self.wanted or self._released < self.bills)

    @property
    def out_of_time(self) -> bool:
        return time.monotonic() - self._began > self.seconds

    async def run(self) -> None:
        """Everything at once until all bills are out and all kills are done, or the time is over; then wait until all
        runs rest."""
        async with receiving(SECRET, self._take_message) as receiver:
            await self._rage(receiver.url)
            await self._calm_down()
        [row] = await self.stage.fetch("SELECT count(*) FROM run_steps WHERE status = 401")
        self.changes["request refused for a revoked key"] += row[0]

    async def _rage(self, receiver: str) -> None:
        first = await self.stage.worker()
        await self._configure()
        await self._connect(receiver)
        await first.kill()
        deaths = all_deaths()
        self.dice.shuffle(deaths)
        self._deaths.extend(deaths)
        async with asyncio.TaskGroup() as tasks:
            for slot in range(WORKERS):
                tasks.create_task(self._keep(slot))
            for act in (self._release, self._tell):
                tasks.create_task(act())
            tasks.create_task(self._now_and_then(1.5, self._switch_faults))
            tasks.create_task(self._by_kills(12, self._kill_database))
            tasks.create_task(self._by_kills(9, self._kill_server))
            tasks.create_task(self._by_kills(max(15, self.wanted // 6), self._recreate_integration))
            tasks.create_task(self._by_kills(20, self._replace_key))
            tasks.create_task(self._by_kills(self.wanted // 2 + 1, self._replace_secret))
            tasks.create_task(self._now_and_then(1.0, self._replay))
            tasks.create_task(self._now_and_then(2.0, self._enable))

    # What is set up, and changed meanwhile.

    async def _configure(self) -> None:
        self.key = await self._new_key()
        self.credential = await self._new_credential(self.key)
        self.integration = await self._new_integration(self.credential)
        # A second one for the same tenant: each bill has two runs, and still one invoice.
        await self._new_integration(await self._new_credential(self.stage.key))

    async def _connect(self, url: str) -> None:
        """A rule that fires on every bill, and a webhook to the receiver."""
        hook = await self.stage.call("POST", *HOOKS, body=_hook(url, SECRET))
        self._hook = hook["id"]
        rule = {"name": "Bills", "description": "Every bill.", "code": "bills", "eventName": TOLD_OF}
        made = await self.stage.call("POST", *RULES.split("/"), body={**rule, "calculation": "new.billTotal > 0"})
        link = {"entityType": "Notification", "destination": "Webhook", "destinationId": hook["id"]}
        await self.stage.call("POST", "integrationconfigs", body={**link, "name": "Told", "entityId": made["id"]})

    def _take_message(self, got: Got) -> int:
        if self._moods.random() < RECEIVER_FAILS:
            return 500
        self.messages.add(got.payload["new"]["id"])
        return 200

    async def _new_credential(self, key: str) -> str:
        made = await self.stage.call("POST", "integrationcredentials", body=_credential(key))
        if made["status"] != "VALID":
            made = await self.stage.call("POST", "integrationcredentials", made["id"], "check")
        assert made["status"] == "VALID", made
        return str(made["id"])

    async def _new_integration(self, credential: str) -> str:
        made = await self.stage.call(
            "POST",
            "integrationconfigs",
            body={
                "name": f"Invoices {next(self._spare)}",
                "destination": "STRIPE_TEST",
                "entityType": "Bill",
                "integrationCredentialsId": credential,
                "configData": {"finish": "send"},
            },
        )
        return str(made["id"])

    async def _recreate_integration(self) -> None:
        await self.stage.call("DELETE", "integrationconfigs", self.integration)
        self.integration = await self._new_integration(self.credential)
        # What came in between, and what was cancelled, goes out by a person's word.
        await self.stage.call("POST", "integrationconfigs", self.integration, "send")
        self.changes["integration deleted and recreated"] += 1

    async def _enable(self) -> None:
        """What a person does about an integration that its errors disabled: let it go on, with what was held."""
        for each in (await self.stage.call("GET", "integrationconfigs"))["data"]:
            if not each["enabled"]:
                with suppress(NotFound):
                    await self.stage.call("POST", "integrationconfigs", each["id"], "enable", body={"held": "send"})
                    self.changes["integration disabled by its errors, and enabled"] += 1

    async def _replace_secret(self) -> None:
        """The receiver goes on with the one it had, which signs for another day."""
        hook = await self.stage.call("GET", *HOOKS, self._hook)
        await self.stage.call("PUT", *HOOKS, self._hook, body=_hook(hook["url"], NEXT_SECRET))
        self.changes["secret of the webhook replaced"] += 1

    async def _new_key(self) -> str:
        """Another key of the same account."""
        key = f"sk_test_Replaced{next(self._spare)}"
        await self.stage.admin("POST", "keys", {"key": key, "account": "acct_1TollbridgeSandbox"})
        return key

    async def _replace_key(self) -> None:
        """Replace the key, and revoke the old one at once: what is at work with it is refused, held and released."""
        old, self.key = self.key, await self._new_key()
        while True:
            try:
                await self.stage.call("PUT", "integrationcredentials", self.credential, body=_credential(self.key))
                break
            except Conflict:
                # A fault struck the check, so the key was not taken over.
                await asyncio.sleep(0.2)
        await self.stage.admin("DELETE", "keys", {"key": old})
        self.changes["key replaced, the old one revoked"] += 1

    # Bills.

    async def _release(self) -> None:
        """Bills in step with the kills, so that there is always something under way."""
        for number in range(self.bills):
            while self.raging and (self._ahead_of_kills(number) or await self._busy()):  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.2)
            if self.out_of_time:
                return
            await self._put_account(number)
            await self._put(made_up(number, self.dice))
            self._released += 1
            if number % 10 == 7:
                await self._put(made_up(self.dice.randrange(max(0, number - 5), number + 1), self.dice))
                self.changes["bill replaced"] += 1

    def _ahead_of_kills(self, number: int) -> bool:
        return number > self.bills * (self.killed + 1) / max(self.wanted, 1) + IN_FLIGHT

    @property
    def _ahead_of_bills(self) -> bool:
        return self.killed > self.wanted * (self._released + 1) / self.bills

    async def _busy(self) -> bool:
        if self._released % 4:
            return False
        return await self._under_way() >= IN_FLIGHT

    async def _under_way(self, what: str = UNDER_WAY) -> int:
        [row] = await self.stage.fetch(what, list(RESTING))
        return int(row[0])

    async def _put_account(self, number: int) -> None:
        if number % BILLS_PER_ACCOUNT:
            return
        id = account_of(number)
        body = {"id": id, "code": id.upper(), "name": f"Account {id}", "emailAddress": f"{id}@example.com"}
        # A server that was killed may have made it before.
        with suppress(Conflict):
            await self.stage.call("POST", "accounts", body=body)
        if int(id[1:]) % 10 in NAMELESS:
            # A customer whom somebody made without an address: the runs fail, are repaired and replayed.
            made = await self.stage.ask_vendor("/v1/customers", {"name": id})
            with suppress(Conflict):
                await self.stage.call("POST", "externalmappings", body=_mapping(id, made["id"]))
            self._nameless[id] = made["id"]

    async def _put(self, bill: Bill) -> None:
        kept = await self.stage.call("PUT", "bills", bill.id, body=bill.body)
        versions = self.sent.setdefault(bill.id, {})
        versions[max(versions, default=0) + 1] = bill
        assert kept["id"] == bill.id

    async def _replay(self) -> None:
        """What a person does about runs that failed: repair the customer, replay."""
        rows = await self.stage.fetch(FAILED)
        for run_id, account in rows:
            if account in self._nameless:
                customer = self._nameless.pop(account)
                await self.stage.ask_vendor(f"/v1/customers/{customer}", {"email": f"{account}@example.com"})
            try:
                await self.stage.call("POST", "integrationruns", run_id, "replay")
                self.changes["run replayed"] += 1
            except Refusal as refusal:
                if refusal.code not in ("run.under_way", "run.outdated", "run.delivered", "integration.unknown"):
                    raise

    # What goes wrong.

    async def _keep(self, slot: int) -> None:
        """One place for a worker: it dies at a boundary, then at a random moment, then …"""
        for turn in itertools.count(slot):
            if not self.raging:
                # Somebody may be about to check a credential, which needs a worker that lives.
                await self.stage.worker()
                return
            if turn % 2 == 0:
                await self._die_at_boundary()
            else:
                await self._die_at_random()

    async def _die_at_boundary(self) -> None:
        death = self._deaths.popleft()
        worker = await self.stage.worker(death)
        if await worker.dies(BOUNDARY_PATIENCE):
            self._deaths.append(death)
            self.kills[str(death)] += 1
        else:
            # Nothing came that far; its turn comes again soon.
            self._deaths.insert(min(5, len(self._deaths)), death)
            await worker.kill()
            self.kills[RANDOM] += 1

    async def _die_at_random(self) -> None:
        worker = await self.stage.worker()
        await asyncio.sleep(self.dice.uniform(0.4, 2.0))
        # Kills in step with the bills: work must get done between them.
        while self.raging and self._ahead_of_bills and not worker.dead:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        if worker.dead:
            # It found no database when it started: whoever supervises it starts another.
            return
        if self.dice.random() < 0.2:
            await self._freeze(worker)
        await worker.kill()
        self.kills[RANDOM] += 1

    async def _freeze(self, worker: Worker) -> None:
        """Longer than its lease; what it then says is late."""
        self.changes["worker frozen"] += 1
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(LEASE * 1.5)
        worker.signal(signal.SIGCONT)
        await asyncio.sleep(0.5)

    async def _kill_database(self) -> None:
        await self.stage.kill_database()
        self.kills["the database"] += 1

    async def _kill_server(self) -> None:
        await self.stage.kill_server()
        self.kills["the server"] += 1

    async def _switch_faults(self) -> None:
        await self._no_faults()
        if self.dice.random() < 0.6:
            fault = self.dice.choice(FAULTS)
            struck = {"probability": 0.3, "times": 8, "seed": self.dice.randrange(1 << 30)}
            await self.stage.admin("POST", "faults", struck | fault)

    async def _no_faults(self) -> None:
        active = (await self.stage.admin("GET", "faults"))["faults"]
        self.faults += sum(each["struck"] for each in active)
        await self.stage.admin("DELETE", "faults")

    async def _now_and_then(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        while self.raging:
            await asyncio.sleep(self.dice.uniform(0.5, 1.5) * seconds)
            await act()

    async def _by_kills(self, every: int, act: Callable[[], Awaitable[None]]) -> None:
        """Once for so many kills, the first soon."""
        at = self.dice.randint(2, 5)
        while self.raging:
            if self.killed >= at:
                await act()
                at = self.killed + every
            await asyncio.sleep(0.2)

    async def _tell(self) -> None:
        while self.raging:
            say(f"{self.killed} kills, {self._released} bills, {await self._under_way()} under way")
            await asyncio.sleep(5)

    # The end.

    async def _calm_down(self) -> None:
        """No more trouble: wait until every run rests. Waits are cut short by moving all clocks."""
        await self._no_faults()
        for _ in range(2):
            await self.stage.worker()
        least, since, moves = sys.maxsize, time.monotonic(), 0
        while moves < MOVES:
            await self._enable()
            await self._replay()
            # What four attempts did not bring to the receiver, it is sent when somebody says so.
            await self.stage.call("POST", *HOOKS, self._hook, "recover", body={"since": "2026-01-01T00:00:00Z"})
            now = await self._under_way() + await self._under_way(TELLING)
            if now == 0 and not await self.stage.fetch(FAILED):
                return
            if now < least:
                say(f"{now} under way")
                least, since, moves = now, time.monotonic(), 0
            elif time.monotonic() - since > SETTLING:
                await self._move_clocks()
                since, moves = time.monotonic(), moves + 1
            await asyncio.sleep(0.3)
        say("some never come to rest:")
        for run in [*await self.stage.fetch(STUCK, list(RESTING)), *await self.stage.fetch(FAILED)]:
            say("  " + ", ".join(f"{name} {value}" for name, value in run.items() if value is not None))

    async def _move_clocks(self) -> None:
        self.changes["clocks moved"] += 1
        say(f"clocks {FORWARD:.0f} s forward")
        for worker in self.stage.workers:
            await worker.kill()
        await self.stage.admin("POST", "clock", {"forward_seconds": FORWARD})
        self.stage.ahead += FORWARD
        # The queue counts its delays with the database's clock; the sweep makes jobs anew for what is due.
        await self.stage.fetch("DELETE FROM queue.pgqueuer")
        for _ in range(2):
            await self.stage.worker()


def _credential(key: str) -> dict[str, str]:
    return {"destination": "STRIPE_TEST", "name": "Stripe", "apiKey": key}


def _hook(url: str, secret: str) -> dict[str, Any]:
    signed = {"type": TYPE, "apiKey": "crash", "secret": secret}
    return {"name": "Receiver", "description": "Of the proof.", "url": url, "credentials": signed}


def _mapping(account: str, customer: str) -> dict[str, str]:
    return {
        "m3terEntity": "Account",
        "m3terId": account,
        "externalSystem": "Stripe",
        "externalTable": "Customer",
        "externalId": customer,
    }
