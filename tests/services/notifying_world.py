"""An organization with rules, webhooks and what links them, written straight into the tables; its clock is moved."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.services.world import CALLER, LEASE, LIMITS, NOW, ORG
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.events import Event
from tollbridge.domain.flows import Delivered, Outcome
from tollbridge.domain.notifications import Receiver
from tollbridge.domain.runs import Change
from tollbridge.services import clock, notifying, work
from tollbridge.services.notifying import Claimed
from tollbridge.services.raising import raise_events
from tollbridge.services.runs import Run, get_run
from tollbridge.services.sealing import seal_fields
from tollbridge.services.work import Settlement
from tollbridge.store import records as rows
from tollbridge.store import schema
from tollbridge.store.db import Database
from tollbridge.vault import Vault

SECRET = "whsec_" + "dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0"
AWAY = Fault(FaultKind.UNAVAILABLE, "webhook.http_503", "The receiver answered 503.", "See its log.")


@dataclass
class NotifyingWorld:
    """`now` is its clock; `fire` lets an event of type `billing.bill.created` happen."""

    db: Database
    vault: Vault = field(default_factory=lambda: Vault([b"k" * 32]))
    now: datetime = NOW

    async def begin(self) -> None:
        async with self.db.transaction() as tx:
            await tx.execute(schema.organizations.insert().values(id=ORG, name="Org", created_at=NOW))

    async def add_webhook(self, id: str = "hook", url: str = "https://receiver.example/in", **options: Any) -> None:
        sealed = seal_fields(self.vault, f"cred-{id}", {"apiKey": "key", "secret": SECRET})
        credential = _record(
            f"cred-{id}",
            name=id,
            type="M3TER_SIGNED_REQUEST",
            system="WEBHOOK",
            status="VALID",
            tenant=f"WEBHOOK:{id}",
            tenant_name=None,
            error=None,
            checked_at=None,
            candidate=None,
            secrets=sealed,
        )
        webhook = _record(
            id,
            options,
            name=id,
            code=id,
            url=url,
            active=True,
            credential_id=f"cred-{id}",
            down_since=None,
            tokens=None,
            refilled_at=None,
        )
        async with self.db.transaction() as tx:
            await rows.add(tx, schema.credentials, credential)
            await rows.add(tx, schema.webhooks, webhook)

    async def add_rule(
        self, id: str = "rule", calculation: str | None = None, event: str = "billing.bill.created"
    ) -> None:
        body = {"alwaysFireEvent": True} if calculation is None else {"calculation": calculation}
        rule = _record(id, body, name=f"Rule {id}", code=id, event_name=event, active=True)
        async with self.db.transaction() as tx:
            await rows.add(tx, schema.rules, rule)

    async def link(self, rule: str = "rule", webhook: str = "hook", *, enabled: bool = True, **config: Any) -> None:
        integration = _record(
            f"{rule}-{webhook}",
            {"destination": "Webhook", "configData": config},
            name=f"{rule} to {webhook}",
            entity_type="Notification",
            entity_id=rule,
            system="WEBHOOK",
            destination_id=webhook,
            credential_id=f"cred-{webhook}",
            enabled=enabled,
            disabled_reason=None,
            failed_at=None,
        )
        async with self.db.transaction() as tx:
            await rows.add(tx, schema.integrations, integration)

    async def change(self, table: str, id: str, **values: Any) -> None:
        changed = schema.metadata.tables[table]
        async with self.db.transaction() as tx:
            await tx.execute(changed.update().where(changed.c.id == id).values(**values))

    async def fire(self, *accounts: str | None, **new: Any) -> list[str]:
        """One event for each of the accounts, in order; the ids of the runs that follow, in order."""
        events = [
            Event(
                ORG,
                clock.new_id(),
                "billing.bill.created",
                "Entity",
                self.now,
                {"eventData": {"newDto": {"id": "b", "accountId": account, **new}}},
                account,
            )
            for account in accounts or ("a",)
        ]
        before = {row["id"] for row in await self.rows("SELECT id FROM runs")}
        async with self.db.hot() as connection:
            await raise_events(connection, events, self.now)
        after = await self.rows("SELECT id FROM runs ORDER BY id")
        return [row["id"] for row in after if row["id"] not in before]

    async def claim(self, room: int = 100, worker: str = "w1", only: list[str] | None = None) -> list[Claimed]:
        def has_room(webhook_id: str, receiver: Receiver) -> int:
            return room

        return await notifying.claim(self.db, self.vault, worker, has_room, self.now, LEASE, only)

    async def settle(self, claimed: Claimed, result: Outcome | None = None) -> Change | None:
        """Settle as delivered, or as given."""
        outcome = result or Delivered(claimed.notification.message_id)
        settlement = Settlement(
            claimed.run_id,
            claimed.fence,
            outcome,
            timedelta(seconds=1),
            self.now,
            0.5,
            schedule=claimed.outlet.receiver.schedule,
        )
        (change,) = await work.settle(self.db, self.vault, [settlement], LIMITS)
        return change

    async def fail(self, attempts: int = 4) -> None:
        """Let all that is due fail for good."""
        for _ in range(attempts):
            for claimed in await self.claim():
                await self.settle(claimed, AWAY)
            self.later(seconds=10)

    async def deliver_all(self) -> list[str]:
        """Deliver until nothing is due; the message ids in the order of delivery."""
        sent: list[str] = []
        while claimed := await self.claim():
            for each in claimed:
                await self.settle(each)
                sent.append(each.notification.message_id)
        return sent

    async def run(self, run_id: str) -> Run:
        async with self.db.transaction() as tx:
            return await get_run(tx, ORG, run_id)

    async def states(self) -> list[str]:
        return [row["state"] for row in await self.rows("SELECT state FROM runs ORDER BY id")]

    async def rows(self, query: str, *values: Any) -> list[Any]:
        return list(await self.db.pool.fetch(query, *values))

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)


def _record(id: str, body: dict[str, Any] | None = None, **columns: Any) -> rows.Record:
    return rows.fresh(ORG, id, NOW, CALLER.principal, body or {}, **columns)
