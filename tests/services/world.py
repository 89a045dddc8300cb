"""An organization with an account, bills, a credential and integrations, written straight into the tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tollbridge.domain.conversation import Intent
from tollbridge.domain.flows import Delivered, Outcome, Subject
from tollbridge.domain.integrations import BillFacts, Cause
from tollbridge.domain.runs import Paused, RunLimits
from tollbridge.services import work
from tollbridge.services.caller import Caller
from tollbridge.services.dispatch import Decision, dispatch_bills
from tollbridge.services.runs import Run, get_run
from tollbridge.services.sealing import seal_fields
from tollbridge.services.work import Claimed, Settlement
from tollbridge.store import bulk, schema
from tollbridge.store import records as rows
from tollbridge.store.db import Database
from tollbridge.vault import Vault

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=10)
LIMITS = RunLimits(3, timedelta(minutes=30))
ORG = "org"
CALLER = Caller(ORG, "SERVICE_USER_test")
TENANT = "STRIPE_TEST:acct_1"


_EMPTY = "billing_frequency bill_job_id external_invoice_date approved_at approved_by locked_at locked_by".split()


@dataclass
class World:
    """What a test of runs needs; `now` is its clock."""

    db: Database
    vault: Vault = field(default_factory=lambda: Vault([b"k" * 32]))
    now: datetime = NOW

    async def begin(self, *accounts: str) -> None:
        """Make the organization, its accounts and the valid credential `cred`."""
        async with self.db.transaction() as tx:
            await tx.execute(schema.organizations.insert().values(id=ORG, name="Org", created_at=NOW))
            for id in accounts:
                body = {"name": f"Account {id}", "code": id, "emailAddress": f"{id}@example.org"}
                await rows.add(tx, schema.accounts, _record(id, body, code=id, name=body["name"]))
        await self.add_credential("cred", "VALID", TENANT)

    async def add_credential(self, id: str, status: str, tenant: str | None) -> None:
        sealed = seal_fields(self.vault, id, {"apiKey": f"key of {id}"})
        record = _record(
            id,
            {},
            name=id,
            type="STATIC_API_KEY",
            system="STRIPE_TEST",
            status=status,
            tenant=tenant,
            secrets=sealed,
            tenant_name=tenant and "Tenant one",
            error=None,
            checked_at=None,
            candidate=None,
        )
        async with self.db.transaction() as tx:
            await rows.add(tx, schema.credentials, record)

    async def add_integration(
        self, id: str = "int", credential: str | None = "cred", *, enabled: bool = True, **config: Any
    ) -> None:
        record = _record(
            id,
            {"destination": "Stripe", "entityType": "Bill", "configData": config},
            name=id,
            entity_type="Bill",
            entity_id=None,
            system="STRIPE_TEST",
            destination_id=None,
            credential_id=credential,
            enabled=enabled,
            disabled_reason=None,
        )
        async with self.db.transaction() as tx:
            await rows.add(tx, schema.integrations, record)

    async def change(self, table: str, id: str, **values: Any) -> None:
        """Change columns of a row."""
        changed = schema.metadata.tables[table]
        async with self.db.transaction() as tx:
            await tx.execute(changed.update().where(changed.c.id == id).values(**values))

    async def add_bill(self, id: str, account: str, *, revision: int = 1, day: date = date(2026, 10, 31)) -> BillFacts:
        """Store a bill of 10.00 USD, or a newer revision of it."""
        body = {
            "accountId": account,
            "billDate": day.isoformat(),
            "currency": "USD",
            "billTotal": Decimal("10.00"),
        }
        line = {
            "id": "1",
            "lineItemType": "USAGE",
            "description": "Usage",
            "quantity": 2,
            "averageUnitPrice": 5,
            "subtotal": Decimal("10.00"),
            "productId": "prod",
        }
        record = _record(
            id,
            body,
            account_id=account,
            revision=revision,
            content_hash="",
            status="PENDING",
            locked=False,
            currency="USD",
            total=Decimal("10.00"),
            bill_date=day,
            **dict.fromkeys(_EMPTY),
        )
        async with self.db.transaction() as tx:
            await rows.remove(tx, schema.bills, ORG, id)
            await rows.add(tx, schema.bills, record)
            row = {"org_id": ORG, "bill_id": id, "revision": revision, "body": body, "lines": [line], "created_at": NOW}
            await bulk.insert_rows(tx, schema.bill_revisions, [row], returning="bill_id")
        return BillFacts(id, revision, account, day, "PENDING")

    async def dispatch(self, *bills: BillFacts, cause: Cause = Cause.CALCULATED) -> list[Decision]:
        async with self.db.transaction() as tx:
            return await dispatch_bills(tx, ORG, bills, cause, self.now)

    async def send(self, id: str, account: str, revision: int = 1) -> str:
        """Store and dispatch a bill; answers the id of its run for the only integration."""
        (decision,) = await self.dispatch(await self.add_bill(id, account, revision=revision))
        assert decision.run_id is not None
        return decision.run_id

    async def claim(self, *run_ids: str, worker: str = "w1") -> list[Claimed]:
        return await work.claim(self.db, self.vault, run_ids, worker, self.now, LEASE)

    async def settle(self, claimed: Claimed, result: Outcome | Paused) -> bool:
        settlement = Settlement(
            claimed.run_id, claimed.fence, result, timedelta(seconds=1), self.now, 0.5, sealed=claimed.sealed
        )
        (change,) = await work.settle(self.db, self.vault, [settlement], LIMITS)
        return change is not None

    async def deliver(self, run_id: str, external_id: str = "in_1") -> None:
        """Claim the run and settle it as delivered."""
        (claimed,) = await self.claim(run_id)
        assert await self.settle(claimed, Delivered(external_id, total=Decimal("10.00"), currency="USD"))

    async def run(self, run_id: str) -> Run:
        async with self.db.transaction() as tx:
            return await get_run(tx, ORG, run_id)

    async def jobs(self) -> set[str]:
        """The runs that have a job."""
        return {bytes(row["payload"]).decode() for row in await self.rows("SELECT payload FROM queue.pgqueuer")}

    async def drop_jobs(self) -> None:
        await self.db.pool.execute("DELETE FROM queue.pgqueuer")

    async def rows(self, query: str, *values: Any) -> list[Any]:
        return list(await self.db.pool.fetch(query, *values))

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)


def intent(claimed: Claimed, key: str = "invoice", seq: int = 1) -> Intent:
    """A write of the run's own document that is about to be sent."""
    subject = Subject(claimed.entity_type, claimed.entity_id, claimed.revision, claimed.document)
    return Intent(subject, key, 1, NOW, seq, "Create draft invoice", 1, '{"method":"POST"}')


def _record(id: str, body: dict[str, Any], **columns: Any) -> rows.Record:
    return rows.fresh(ORG, id, NOW, "test", body, **columns)
