"""Which bills go to which integrations: decided when a bill or an integration changes, in the same transaction.

Never the network; the worker starts the runs that are made here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tollbridge.domain.integrations import BillFacts, Cause, Verdict
from tollbridge.services.caller import Caller
from tollbridge.store.db import Database, Tx


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for one bill and one integration; `reason` is a sentence for people."""

    bill_id: str
    integration_id: str
    verdict: Verdict
    run_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class InScope:
    """How many bills an integration would send now: those in its scope that no run carries yet, with sums."""

    count: int
    sums: Mapping[str, Decimal]


async def dispatch_bills(
    tx: Tx, org_id: str, bills: Sequence[BillFacts], cause: Cause, now: datetime
) -> list[Decision]:
    """Make the runs that follow from the change of these bills, and supersede or cancel those not started yet."""
    raise NotImplementedError


async def count_in_scope(tx: Tx, org_id: str, integration_id: str) -> InScope:
    """What `send_existing` would send now."""
    raise NotImplementedError


async def send_existing(db: Database, caller: Caller, integration_id: str) -> int:
    """Make a run for every bill in scope that was never delivered and has none under way; answers how many."""
    raise NotImplementedError
