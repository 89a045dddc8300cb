"""Whether the parts that a process needs are there."""

from __future__ import annotations

from tollbridge.domain.errors import Refusal, Unavailable
from tollbridge.store import migrate
from tollbridge.store.db import Database


async def check_ready(db: Database) -> None:
    """Raises Unavailable where the database does not answer or has another schema than this release needs."""
    try:
        await migrate.require_current(db.dsn)
    except Refusal as error:
        raise Unavailable(error.code, error.message, error.hint) from error
