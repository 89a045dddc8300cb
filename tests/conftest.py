"""The real database for every test: one embedded server per session, a migrated template, a clone of it per test."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import settings as hypothesis_settings
from xdist.scheduler import LoadScopeScheduling

from tollbridge.settings import Settings
from tollbridge.store import embedded, migrate
from tollbridge.store.db import Database, connected

BROWSER = "tests/browser/"


class _Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Each test by itself to whoever is free, but those of the browser to one process: one demo serves all of them."""

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER if nodeid.startswith(BROWSER) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _Scheduler(config, log)


# How long an example takes says nothing on a machine that is busy.
hypothesis_settings.register_profile("any machine", deadline=None)
hypothesis_settings.load_profile("any machine")

# Set by the session that makes the folder; its workers inherit it.
HOME = "TOLLBRIDGE_TEST_HOME"


def _sessions_folder() -> Path:
    """Where the sessions' homes lie: in memory where there is room for programs, since every new server is synced."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK):
        found = os.statvfs(memory)
        if not found.f_flag & os.ST_NOEXEC and found.f_bavail * found.f_frsize > 4 * 1024**3:
            return memory
    return Path("/tmp")


SESSIONS = _sessions_folder()
PREFIX = f"tbt-{os.getuid()}-"


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    for lock in SESSIONS.glob(f"{PREFIX}*/session.lock"):
        _remove_unless_in_use(lock.parent)
    session = new_home(SESSIONS, PREFIX)
    # Held until this process ends, however it ends.
    _try_lock(session)
    os.environ[HOME] = str(session)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        remove(Path(os.environ.pop(HOME)))


@pytest.fixture
def tmp_home() -> Iterator[Path]:
    """A home of this test's own, for a server of its own; whatever runs there is stopped at the end."""
    home = new_home(Path(os.environ[HOME]))
    yield home
    remove(home)


def new_home(folder: Path, prefix: str = "") -> Path:
    """A short path that another user may enter: the server of root's tests runs as one (pytest's own are closed)."""
    home = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
    home.chmod(0o755)
    return home


def _remove_unless_in_use(session: Path) -> None:
    try:
        lock = _try_lock(session)
    except BlockingIOError:
        return
    remove(session)
    os.close(lock)


def _try_lock(session: Path) -> int:
    lock = os.open(session / "session.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise
    return lock


def remove(folder: Path) -> None:
    """Stop the servers of all homes in this folder, and delete it."""
    for database in folder.rglob("database"):
        embedded.stop(Settings(home=database.parent))
    shutil.rmtree(folder, ignore_errors=True)


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
    async with _fresh_database(test_server, "template") as url:
        yield url


@pytest.fixture
async def empty_database_url(test_server: str) -> AsyncIterator[str]:
    """The DSN of a fresh database without a schema."""
    async with _fresh_database(test_server, "template1") as url:
        yield url


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A fresh, migrated database, open."""
    async with connected(database_url) as database:
        yield database


@asynccontextmanager
async def _fresh_database(dsn: str, template: str) -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    server = await asyncpg.connect(dsn)
    try:
        await server.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log")
        yield _named(dsn, name)
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await server.close()


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
