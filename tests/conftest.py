"""The real database for every test: one embedded server per session, a migrated template, a clone of it per test."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from tollbridge.settings import Settings
from tollbridge.store import embedded, migrate
from tollbridge.store.db import Database, connected

# Set by the session that makes the folder; its workers inherit it.
HOME = "TOLLBRIDGE_TEST_HOME"


def new_home() -> Path:
    """A short path that another user may enter: the server of root's tests runs as one (pytest's own are closed)."""
    home = Path(tempfile.mkdtemp(prefix="tbt-", dir="/tmp"))
    home.chmod(0o755)
    return home


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        os.environ[HOME] = str(new_home())


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        home = Path(os.environ.pop(HOME))
        embedded.stop(Settings(home=home))
        shutil.rmtree(home)


@pytest.fixture
def tmp_home() -> Iterator[Path]:
    """A home of this test's own, for a server of its own; whatever runs there is stopped at the end."""
    home = new_home()
    yield home
    embedded.stop(Settings(home=home))
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def test_server() -> str:
    """The DSN of the session's server, with the migrated database `template` on it."""
    home = Path(os.environ[HOME])
    with _one_at_a_time(home / "template.lock"):
        dsn = embedded.start(Settings(home=home))
        if not (home / "template").exists():
            asyncio.run(_make_template(dsn))
            (home / "template").touch()
    return dsn


@pytest.fixture
async def database_url(test_server: str) -> AsyncIterator[str]:
    """The DSN of a fresh, migrated database; a program given it as TOLLBRIDGE_DATABASE_URL shares it with the test."""
    name = f"test_{uuid4().hex}"
    server = await asyncpg.connect(test_server)
    try:
        await server.execute(f"CREATE DATABASE {name} TEMPLATE template STRATEGY wal_log")
        yield _named(test_server, name)
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await server.close()


@pytest.fixture
async def empty_database_url(test_server: str) -> AsyncIterator[str]:
    """The DSN of a fresh database without a schema."""
    name = f"test_{uuid4().hex}"
    server = await asyncpg.connect(test_server)
    try:
        await server.execute(f"CREATE DATABASE {name} STRATEGY wal_log")
        yield _named(test_server, name)
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await server.close()


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A fresh, migrated database, open."""
    async with connected(database_url) as database:
        yield database


async def _make_template(dsn: str) -> None:
    server = await asyncpg.connect(dsn)
    # Nothing here outlives the session, so nothing need survive the machine.
    await server.execute("ALTER SYSTEM SET fsync = off")
    await server.execute("SELECT pg_reload_conf()")
    await server.execute("CREATE DATABASE template STRATEGY wal_log")
    await server.close()
    await migrate.migrate(_named(dsn, "template"))


def _named(dsn: str, database: str) -> str:
    return urlsplit(dsn)._replace(path=f"/{database}").geturl()


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
