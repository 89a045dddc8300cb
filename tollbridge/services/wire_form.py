"""Entities as the wire shows them: in answers, and as `newDto` and `oldDto` of events, so that both say the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from tollbridge.domain.events import Changed
from tollbridge.domain.notifications import moment as written
from tollbridge.store.records import Record


def timestamp(moment: datetime | None) -> str | None:
    """A moment as the wire writes it: UTC with milliseconds and Z."""
    return written(moment) if moment else None


def entity(record: Record, **computed: Any) -> dict[str, Any]:
    """A record on the wire: its body, then identity, version and audit fields, then computed ones that are not None."""
    return {
        **record.body,
        "id": record.id,
        "version": record.version,
        "dtCreated": timestamp(record.created_at),
        "createdBy": record.created_by,
        "dtLastModified": timestamp(record.updated_at),
        "lastModifiedBy": record.updated_by,
        **{name: value for name, value in computed.items() if value is not None},
    }


def bill(record: Record, account_code: str, **computed: Any) -> dict[str, Any]:
    """A bill on the wire, without its line items; `account_code` is the account's present one."""
    return entity(
        record,
        revision=record["revision"],
        accountCode=account_code,
        status=record["status"],
        approvedBy=record["approved_by"],
        dtApproved=timestamp(record["approved_at"]),
        locked=record["locked"],
        lockedBy=record["locked_by"],
        dtLocked=timestamp(record["locked_at"]),
        **computed,
    )


def change_of(
    old: Record | None,
    new: Record | None,
    account_of: Callable[[Record], str | None],
    to_wire: Callable[[Record], dict[str, Any]] = entity,
) -> Changed:
    """What became of a record, as its event tells it; one of both is there."""
    record = new or old
    assert record is not None
    return Changed(
        record.id,
        account_of(record),
        to_wire(old) if old is not None else None,
        to_wire(new) if new is not None else None,
    )
