"""Whether the parts that a process needs are there."""

from __future__ import annotations

from tollbridge.domain.errors import Refusal, Unavailable
from tollbridge.store import migrate, trouble
from tollbridge.store.db import Database


async def check_ready(db: Database) -> None:
    """Raises Unavailable where the database does not answer or has a schema that this release cannot work on."""
    try:
        await migrate.require_usable(db.dsn)
    except Refusal as error:
        raise Unavailable(error.code, error.message, error.hint) from error


def trouble_of(error: BaseException) -> Unavailable | None:
    """What an error says about the database; None where it is none of the database, or a bug of ours."""
    match trouble.state_of(error):
        case "53100":
            return Unavailable(
                "database.disk_full",
                "The disk of the database is full. Nothing of this was kept.",
                "Make room there, then try again; what was accepted before is not lost.",
            )
        case str(state) if state[:2] in ("08", "53") or state in ("57P01", "57P02", "57P03"):
            return Unavailable(
                "database.unavailable",
                "The database does not work at this moment. Nothing of this was kept.",
                "Try again in a few seconds; `tollbridge doctor` says what is wrong if it goes on.",
            )
    return None
