"""What a worker asks of the database: claim runs, record their conversation, settle them, stay alive.

Every function takes a list and is one transaction, so that concurrent runs share commits. Never the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tollbridge.domain.billing import Bill
from tollbridge.domain.conversation import Entry, LedgerKey, LedgerRow, Recorded, StepDone
from tollbridge.domain.flows import Outcome
from tollbridge.domain.integrations import Mappings
from tollbridge.domain.runs import Flow, Paused, RunLimits
from tollbridge.store.db import Database
from tollbridge.vault import Vault


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run with all that its flow needs, leased to one worker.

    `fence` must come back with every record and settlement. `bill` is prepared (usage lines joined, accounting product
    put in) and None for checks. `tenant` is empty for checks. `worked` is the working time so far. `ledgers` has the
    rows of the entity and of its account in this tenant.
    """

    run_id: str
    org_id: str
    integration_id: str | None
    credential_id: str
    fence: int
    flow: Flow
    system: str
    entity_type: str
    entity_id: str
    revision: int
    account_id: str | None
    document: str
    tenant: str
    secrets: Mapping[str, Any]
    config: Mapping[str, Any]
    mappings: Mappings
    bill: Bill | None
    started_at: datetime
    attempt: int
    worked: timedelta
    look_first: bool
    next_seq: int
    records: Mapping[str, Recorded]
    ledgers: Mapping[LedgerKey, LedgerRow]


@dataclass(frozen=True, slots=True)
class Settlement:
    """How far a run came: its outcome, or the pause it asked for, with the last step where that is not recorded yet.

    `worked` is the working time since the claim. `jitter` lies in [0, 1).
    """

    run_id: str
    fence: int
    result: Outcome | Paused
    worked: timedelta
    now: datetime
    jitter: float
    done: StepDone | None = None


async def claim(
    db: Database, vault: Vault, run_ids: Sequence[str], worker_id: str, now: datetime, lease: timedelta
) -> list[Claimed]:
    """Lease those of the runs that may start now; runs that must not are held, skipped or left alone."""
    raise NotImplementedError


async def record(db: Database, vault: Vault, entries: Sequence[Entry]) -> list[bool]:
    """Make the entries durable; False for each whose fence is stale, of which nothing is kept."""
    raise NotImplementedError


async def settle(db: Database, vault: Vault, settlements: Sequence[Settlement], limits: RunLimits) -> list[bool]:
    """Apply what follows from each settlement; False for each whose fence is stale, which changes nothing."""
    raise NotImplementedError


async def heartbeat(
    db: Database, worker_id: str, fences: Sequence[tuple[str, int]], now: datetime, lease: timedelta
) -> set[str]:
    """Extend the leases of (run id, fence) and answer the ids of runs that are lost."""
    raise NotImplementedError


async def sweep(db: Database, now: datetime) -> int:
    """Enqueue every due run that has no job, runs with an expired lease among them; answers how many."""
    raise NotImplementedError


async def register_worker(db: Database, worker_id: str, host: str, pid: int, version: str, now: datetime) -> None:
    """Announce a worker; rows of workers long gone are removed."""
    raise NotImplementedError


async def leave(db: Database, worker_id: str) -> None:
    """Take a worker that drained off the list, with the slots it leased."""
    raise NotImplementedError


async def permits(
    db: Database,
    credential_id: str,
    worker_id: str,
    *,
    want_tokens: int,
    want_slots: int,
    rate: float,
    burst: int,
    concurrency: int,
    now: datetime,
) -> tuple[int, int, timedelta]:
    """Lease requests and slots of a credential to a worker: (tokens, slots, wait until the next token).

    `want_slots` is how many the worker wants altogether; 0 gives them back. Slots are leased for `SLOT_LEASE`, so that
    a killed worker's come free: ask again before.
    """
    raise NotImplementedError


async def block_until(db: Database, credential_id: str, until: datetime) -> None:
    """Lease no more requests of the credential before that moment: the other side asked for the wait."""
    raise NotImplementedError
