"""Bills approved or locked by a filter: counted first, and only what was counted is then done.

Between the question and the answer bills come and change; where they did, nothing is done and the new numbers are told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from tollbridge.domain.billing import BillStatus
from tollbridge.domain.errors import Conflict, Invalid
from tollbridge.domain.fingerprints import fingerprint
from tollbridge.services.bills import approve_all, lock_all
from tollbridge.services.caller import Caller
from tollbridge.store import bills, bulk
from tollbridge.store.bills import Filters, Sum
from tollbridge.store.db import Database, Tx

MOST = 20_000
"""Bills that one confirmation may be about: all of them change in one transaction."""


class Deed(StrEnum):
    """What is done to the bills."""

    APPROVE = "approve"
    LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Batch:
    """The bills that the deed would change."""

    by_currency: Sequence[Sum]

    @property
    def count(self) -> int:
        return sum(each.count for each in self.by_currency)

    @property
    def sums(self) -> Mapping[str, Decimal]:
        return {each.currency: each.total for each in self.by_currency}

    @property
    def mark(self) -> str:
        """Another one for other counts or sums; whoever confirms sends it back."""
        return fingerprint({each.currency: [each.count, each.total] for each in self.by_currency})


async def count(db: Database, caller: Caller, deed: Deed, filters: Filters) -> Batch:
    """What the deed would change of the bills that the filters find."""
    async with db.transaction() as tx:
        return await _count(tx, caller, deed, filters)


async def perform(db: Database, caller: Caller, deed: Deed, filters: Filters, mark: str) -> Batch:
    """Do to all of them what was confirmed, or to none: raises Conflict where they are others by now, and Invalid where
    they are too many."""

    async def work(tx: Tx) -> Batch:
        found = await bills.lock(tx, caller.org_id, _narrowed(deed, filters)) if _possible(deed, filters) else []
        batch = await _count(tx, caller, deed, filters)
        if batch.mark != mark:
            raise Conflict(
                "bills.changed",
                f"The filter finds other bills by now: {batch.count}. Nothing was done.",
                "Look at the new numbers and confirm them.",
            )
        if batch.count > MOST:
            raise Invalid(
                "bills.too_many",
                f"These are {batch.count} bills, but one confirmation may be about {MOST}.",
                "Narrow the filter, for example to a month or an account.",
            )
        if deed is Deed.APPROVE:
            await approve_all(tx, caller, found)
        else:
            await lock_all(tx, caller, found)
        return batch

    return await bulk.settle_races(db, work)


async def _count(tx: Tx, caller: Caller, deed: Deed, filters: Filters) -> Batch:
    if not _possible(deed, filters):
        return Batch([])
    return Batch(await bills.sums(tx, caller.org_id, _narrowed(deed, filters)))


def _from(deed: Deed) -> str:
    """The status of bills to which it can be done."""
    return BillStatus.PENDING if deed is Deed.APPROVE else BillStatus.APPROVED


def _possible(deed: Deed, filters: Filters) -> bool:
    return filters.status in (None, _from(deed))


def _narrowed(deed: Deed, filters: Filters) -> Filters:
    return replace(filters, status=_from(deed), locked=False if deed is Deed.LOCK else filters.locked)
