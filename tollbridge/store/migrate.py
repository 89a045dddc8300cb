"""Brings the database's schema to the one this release knows, and says how the two compare.

The migrations are Alembic's, in `migrations/`. Everything runs in one transaction under an advisory lock, so that any
number of processes may call at once: the first migrates, the others find nothing left to do.

Revisions are numbers that grow. A migration leaves standing what older code needs, so that a release works on the
schema of a later one too: an upgrade needs no pause. One that cannot begins with the next digit (1000), and older code
refuses it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from io import StringIO
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from tollbridge.domain.errors import Refusal
from tollbridge.store.db import connect, create_engine
from tollbridge.store.trouble import state_of

FOLDER = Path(__file__).parent / "migrations"
LOCK = 0x746F6C6C  # "toll"
LONGEST_WAIT = "2s"
"""For a lock on a table: who waits for one makes everybody wait who comes later."""
ATTEMPTS, PAUSE = 20, 1.0
"""How often a migration is begun, and the seconds between, while a table is in use."""
_IN_USE = (asyncpg.LockNotAvailableError.sqlstate, asyncpg.DeadlockDetectedError.sqlstate)


class Standing(StrEnum):
    """How the schema of a database compares with the one this release knows."""

    CURRENT = "current"
    BEHIND = "behind"
    AHEAD = "ahead"
    """A later release made it, and this one works on it."""
    UNKNOWN = "unknown"
    """This release cannot work on it: a much later one made it, or none."""


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The revision found in a database (None where it is empty) and the one that this release needs."""

    standing: Standing
    found: str | None
    needed: str


async def migrate(dsn: str) -> SchemaState:
    """Bring the schema up to date and answer what was found before; a later one stays as it is.

    Raises Refusal for a schema that is not known, and where a table is in use for too long.
    """
    for _ in range(ATTEMPTS):
        try:
            return await _migrate(dsn)
        except DBAPIError as error:
            if state_of(error) not in _IN_USE:
                raise
        await asyncio.sleep(PAUSE)
    raise Refusal(
        "schema.in_use",
        "The schema cannot be migrated: a long transaction, perhaps a backup, keeps a table in use. Nothing changed.",
        "Wait until it is over (pg_stat_activity shows it), then run again: tollbridge migrate",
    )


async def _migrate(dsn: str) -> SchemaState:
    engine = create_engine(partial(connect, dsn), poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        await connection.execute(text(f"SET LOCAL lock_timeout = '{LONGEST_WAIT}'"))
        return await connection.run_sync(_upgrade)


async def check(dsn: str) -> SchemaState:
    """Compare the schema of a database with this release; changes nothing."""
    engine = create_engine(partial(connect, dsn), poolclass=NullPool)
    async with engine.connect() as connection:
        return await connection.run_sync(_compare)


async def require_usable(dsn: str) -> SchemaState:
    """Raise Refusal unless this release can work on the schema."""
    state = await check(dsn)
    if state.standing is Standing.BEHIND:
        found = f"at {state.found}" if state.found else "empty"
        raise Refusal(
            "schema.behind",
            f"The database's schema is {found}, but this release needs {state.needed}.",
            "Run: tollbridge migrate",
        )
    refuse_unknown(state)
    return state


async def require_current(dsn: str) -> None:
    """Raise Refusal unless the schema is exactly the one of this release: for what must know every table."""
    state = await require_usable(dsn)
    if state.standing is Standing.AHEAD:
        raise _newer(state)


def sql() -> str:
    """The SQL that makes the whole schema on an empty database."""
    printed = StringIO()
    command.upgrade(_config(output=printed), "head", sql=True)
    return printed.getvalue()


def _upgrade(connection: Connection) -> SchemaState:
    state = _compare(connection)
    refuse_unknown(state)
    if state.standing is Standing.BEHIND:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return state


def _compare(connection: Connection) -> SchemaState:
    return compare(MigrationContext.configure(connection).get_current_revision())


def compare(found: str | None) -> SchemaState:
    """Compare a revision, wherever it was found, with the one of this release."""
    script = ScriptDirectory.from_config(_config())
    needed = script.get_current_head()
    assert needed is not None, "there is at least one migration"
    if found == needed:
        return SchemaState(Standing.CURRENT, found, needed)
    if found is None or found in {each.revision for each in script.walk_revisions()}:
        return SchemaState(Standing.BEHIND, found, needed)
    later = found.isdecimal() and found > needed and found[0] == needed[0]
    return SchemaState(Standing.AHEAD if later else Standing.UNKNOWN, found, needed)


def refuse_unknown(state: SchemaState, what: str = "The database") -> None:
    """Raise Refusal for a schema that this release does not know; `what` has it."""
    if state.standing is Standing.UNKNOWN:
        raise _newer(state, what)


def _newer(state: SchemaState, what: str = "The database") -> Refusal:
    return Refusal(
        "schema.unknown",
        f"{what}'s schema is at {state.found}, which this release does not know; it knows {state.needed}.",
        "A newer release of Tollbridge made it: upgrade this one. `tollbridge migrate --check` shows what the database"
        " has.",
    )


def _config(output: StringIO | None = None) -> Config:
    config = Config(output_buffer=output) if output else Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config
