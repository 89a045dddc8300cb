"""What every use case about a stored entity needs: find it or say that it is not there, and compare versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollbridge.domain.errors import Conflict, NotFound
from tollbridge.domain.fields import integer, shown
from tollbridge.store import records
from tollbridge.store.db import Tx
from tollbridge.store.records import Record, RecordTable


def missing(noun: str, id: str) -> NotFound:
    """There is no such thing in this organization: `noun` is its name in words, such as `service user`."""
    return NotFound(
        f"{noun.replace(' ', '_')}.not_found",
        f"There is no {noun} {shown(id)}.",
        "Check the id; ids are case-sensitive.",
    )


async def load(tx: Tx, table: RecordTable, org_id: str, id: str, noun: str, *, lock: bool = False) -> Record:
    """The record, locked where asked; raises NotFound."""
    record = await records.get(tx, table, org_id, id, lock=lock)
    if record is None:
        raise missing(noun, id)
    return record


def check_version(record: Record, body: Any) -> None:
    """Raises Conflict where the body names another version than the stored one; a body without version passes."""
    given = body.get("version") if isinstance(body, Mapping) else None
    if given is None:
        return
    version = integer(least=0).check(given, "version")
    if version != record.version:
        raise Conflict(
            "version.stale",
            f"version is {version}, but {record.id} is at version {record.version}: it was changed meanwhile.",
            "Read it again and repeat the change with its present version.",
            "version",
        )
