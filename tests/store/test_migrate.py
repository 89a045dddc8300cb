"""The schema is brought up to date once, by any number of callers, wholly or not at all, and never backwards."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Set

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pgqueuer.adapters.persistence.schema_ddl import render_install
from pgqueuer.domain.settings import DBSettings
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from tollbridge.domain.errors import Refusal
from tollbridge.store import migrate
from tollbridge.store.db import Database, connect
from tollbridge.store.migrate import Standing
from tollbridge.store.schema import metadata


async def test_an_empty_database_is_behind_and_then_current(empty_database_url: str) -> None:
    before = await migrate.check(empty_database_url)
    assert (before.standing, before.found) == (Standing.BEHIND, None)
    assert await migrate.migrate(empty_database_url) == before
    after = await migrate.check(empty_database_url)
    assert (after.standing, after.found) == (Standing.CURRENT, before.needed)
    assert await migrate.migrate(empty_database_url) == after


# Ten processes that have loaded everything and so are at the database together.
TEN = """
import asyncio, os, sys
from tollbridge.store import migrate
for _ in range(10):
    if os.fork() == 0:
        os.write(1, asyncio.run(migrate.migrate(sys.argv[1])).standing.encode() + b"\\n")
        os._exit(0)
for _ in range(10):
    assert os.wait()[1] == 0
"""


async def test_ten_processes_may_migrate_at_once_and_one_of_them_does(empty_database_url: str) -> None:
    command = [sys.executable, "-c", TEN, empty_database_url]
    ten = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    assert sorted(ten.stdout.decode().split()) == ["behind"] + ["current"] * 9
    await migrate.require_current(empty_database_url)


async def test_a_schema_that_is_behind_is_refused_with_the_command_to_run(empty_database_url: str) -> None:
    with pytest.raises(Refusal, match="empty") as refusal:
        await migrate.require_current(empty_database_url)
    assert refusal.value.hint == "Run: tollbridge migrate"


async def test_a_schema_of_a_newer_release_is_neither_used_nor_touched(db: Database) -> None:
    await migrate.require_current(db.dsn)
    await db.pool.execute("UPDATE alembic_version SET version_num = '9999'")
    assert (await migrate.check(db.dsn)).standing is Standing.UNKNOWN
    for use in (migrate.require_current, migrate.migrate):
        with pytest.raises(Refusal, match="9999, which this release does not know"):
            await use(db.dsn)
    assert await db.pool.fetchval("SELECT version_num FROM alembic_version") == "9999"


async def test_the_schema_of_a_later_release_is_used_but_not_touched(db: Database) -> None:
    await db.pool.execute("UPDATE alembic_version SET version_num = '0999'")
    for use in (migrate.check, migrate.require_usable, migrate.migrate):
        state = await use(db.dsn)
        assert (state.standing, state.found) == (Standing.AHEAD, "0999")
    with pytest.raises(Refusal, match="0999, which this release does not know"):
        await migrate.require_current(db.dsn)
    assert await db.pool.fetchval("SELECT version_num FROM alembic_version") == "0999"


@pytest.fixture
async def backup(empty_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Reads, as pg_dump does, a table that a migration is to change."""
    connection = await connect(empty_database_url)
    await connection.execute(migrate.sql().partition("-- Running upgrade 0006 -> 0007")[0] + "COMMIT")
    await connection.execute("BEGIN; LOCK TABLE integrations IN ACCESS SHARE MODE")
    yield connection
    await connection.close()


async def test_while_a_table_is_in_use_nobody_waits_behind_the_migration(
    backup: asyncpg.Connection, empty_database_url: str
) -> None:
    migrating = asyncio.create_task(migrate.migrate(empty_database_url))
    while not await backup.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(0.01)
    other = await connect(empty_database_url)
    assert await other.fetchval("SELECT count(*) FROM integrations") == 0
    await other.close()
    assert not migrating.done()
    await backup.execute("COMMIT")
    assert (await migrating).found == "0006"
    await migrate.require_current(empty_database_url)


async def test_a_table_that_stays_in_use_is_named_as_the_cause_and_nothing_changes(
    backup: asyncpg.Connection, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "ATTEMPTS", 2)
    with pytest.raises(Refusal, match="keeps a table in use") as refusal:
        await migrate.migrate(empty_database_url)
    assert refusal.value.code == "schema.in_use"
    assert (await migrate.check(empty_database_url)).found == "0006"
    assert not backup.is_closed()


async def test_a_migration_that_fails_leaves_nothing_behind(empty_database_url: str) -> None:
    connection = await connect(empty_database_url)
    await connection.execute("CREATE SCHEMA queue; CREATE TABLE queue.pgqueuer (mine int)")
    with pytest.raises(ProgrammingError, match="already exists"):
        await migrate.migrate(empty_database_url)
    tables = await connection.fetch("SELECT relname FROM pg_stat_user_tables")
    assert [table["relname"] for table in tables] == ["pgqueuer"]
    await connection.close()


async def test_the_printed_sql_makes_the_same_schema(empty_database_url: str) -> None:
    connection = await connect(empty_database_url)
    await connection.execute(migrate.sql())
    await connection.close()
    await migrate.require_current(empty_database_url)


INDEX_LIKE = {"index", "unique_constraint", "foreign_key_constraint"}


async def test_the_tables_are_as_the_code_sees_them(db: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        # Indexes are the migrations' own affair: no code names them.
        options = {"compare_type": True, "include_object": lambda _o, _n, kind, *_: kind not in INDEX_LIKE}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))

    async with db.transaction() as tx:
        assert await tx.run_sync(differences) == []


async def test_the_queue_is_as_its_library_would_install_it(db: Database, empty_database_url: str) -> None:
    connection = await connect(empty_database_url)
    await connection.execute(render_install(DBSettings(db_schema="queue")))
    installed = await _queue(connection)
    await connection.close()
    async with db.pool.acquire() as ours:
        assert await _queue(ours) == installed
    assert len(installed) > 50


async def _queue(connection: asyncpg.Connection) -> Set[str]:
    rows = await connection.fetch(
        """
        SELECT format('%s.%s %s %s %s', table_name, column_name, udt_name, is_nullable, column_default) AS text
        FROM information_schema.columns WHERE table_schema = 'queue'
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'queue'
        UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'queue'::regnamespace
        UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'queue.pgqueuer'::regclass
        UNION ALL SELECT regexp_replace(pg_get_functiondef(oid), '\\s+', ' ', 'g')
        FROM pg_proc WHERE pronamespace = 'queue'::regnamespace
        UNION ALL SELECT enumtypid::regtype || ' ' || enumsortorder || enumlabel FROM pg_enum
        """
    )
    return {row["text"] for row in rows}
