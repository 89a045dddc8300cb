"""The events of bills: whoever writes bills tells here what stood and what stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tollbridge.services import wire_form
from tollbridge.services.raising import raise_changes
from tollbridge.services.wire_form import change_of
from tollbridge.store import catalog
from tollbridge.store.db import Tx
from tollbridge.store.records import Record


async def tell(
    tx: Tx,
    org_id: str,
    changes: Sequence[tuple[Record | None, Record | None]],
    now: datetime,
    codes: Mapping[str, str] | None = None,
) -> None:
    """Raise the events of bills that were just written; `codes` are those of their accounts, where they are known.

    Events carry no line items: a bill may have thousands, and those of a revision are kept with it.
    """
    if codes is None:
        ids = {bill["account_id"] for change in changes for bill in change if bill is not None}
        codes = await catalog.account_codes(tx, org_id, ids)
    known = codes

    def to_wire(bill: Record) -> dict[str, Any]:
        return wire_form.bill(bill, known[bill["account_id"]])

    told = [change_of(old, new, lambda bill: str(bill["account_id"]), to_wire) for old, new in changes]
    await raise_changes(tx, org_id, "bill", told, now)
