"""Connections to the database: one SQLAlchemy engine and one raw asyncpg pool, set up alike.

JSON goes through `domain.json_text` both ways on both, so that amounts stay exact. Knows no tables.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tollbridge.domain import json_text
from tollbridge.domain.errors import Invalid, Refusal, Unavailable
from tollbridge.settings import Settings
from tollbridge.store.trouble import TRANSIENT

Tx: TypeAlias = AsyncConnection
"""An open transaction, as the services pass it on."""
Connection: TypeAlias = asyncpg.Connection
"""A raw connection."""

Revive: TypeAlias = Callable[[], Awaitable[bool]]
"""Brings back a server that died; False where there is nothing to bring back."""

OLDEST_SERVER = 15
POOL_SIZE = 10
CONNECT_TIMEOUT = 10.0
LONGEST_IDLE = "30s"
"""How long a transaction may stand still: a process that is stuck in one must not keep the others from its rows."""
_IDLE = "idle_in_transaction_session_timeout"


@contextmanager
def database_dsn(settings: Settings) -> Iterator[str]:
    """The DSN of the database in the settings; without one the embedded server, which runs as long as this context."""
    if settings.database_url:
        yield checked_url(settings.database_url)
        return
    from tollbridge.store import embedded

    with embedded.running(settings) as dsn:
        yield dsn


def checked_url(url: str) -> str:
    """The URL as asyncpg takes it; raises Invalid for anything but PostgreSQL."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres", "postgresql+asyncpg"}:
        raise Invalid(
            "database.url",
            f"TOLLBRIDGE_DATABASE_URL begins with {parts.scheme or url[:12]!r}, but only PostgreSQL will do.",
            "Write it as postgresql://user:password@host/name.",
            "TOLLBRIDGE_DATABASE_URL",
        )
    return urlunsplit(parts._replace(scheme="postgresql"))


@dataclass(frozen=True, slots=True)
class Database:
    """The open database: `engine` for ordinary work, `pool` (asyncpg) for the hot paths, `dsn` for whoever connects
    anew."""

    dsn: str
    engine: AsyncEngine
    pool: asyncpg.Pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed at the end, rolled back when an exception leaves it."""
        with _unwrapped():
            async with self.engine.begin() as tx:
                yield tx

    @asynccontextmanager
    async def hot(self) -> AsyncIterator[Connection]:
        """One transaction on a raw connection, for the hot paths."""
        async with self.pool.acquire() as connection, connection.transaction():
            yield connection


@contextmanager
def _unwrapped() -> Iterator[None]:
    """Let what passes by itself be known as such: SQLAlchemy hides it in an error of its own."""
    try:
        yield
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig else None
        if isinstance(cause, TRANSIENT):
            raise cause from error
        raise


async def raw(tx: Tx) -> Connection:
    """The raw connection of an open transaction, for statements that the hot paths share.

    JSON must be passed and read as text on it: SQLAlchemy sets codecs of its own.
    """
    # SQLAlchemy begins lazily; before its first statement the raw connection would commit each one by itself.
    await tx.exec_driver_sql("SELECT")
    return (await tx.get_raw_connection()).driver_connection


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Open the database of the settings, starting the embedded one if need be; raises Refusal where it cannot be."""
    revive = None if settings.database_url else partial(_revive, settings)
    async with _in_thread(database_dsn(settings)) as dsn, connected(dsn, revive=revive) as database:
        yield database


@asynccontextmanager
async def _in_thread(server: AbstractContextManager[str]) -> AsyncIterator[str]:
    """Enter and leave in a thread, since starting and stopping a server blocks.

    A thread cannot be cancelled: who is cancelled while it enters leaves again once it has.
    """
    entering = asyncio.create_task(asyncio.to_thread(server.__enter__))
    try:
        yield await asyncio.shield(entering)
    finally:
        await asyncio.wait({entering})
        if entering.exception() is None:
            await asyncio.to_thread(server.__exit__, None, None, None)


@asynccontextmanager
async def connected(dsn: str, *, revive: Revive | None = None) -> AsyncIterator[Database]:
    """Open the database at this address; raises Unavailable where nothing answers, Refusal where it is too old.

    `revive` is asked to bring back a server that does not answer, before a connection is given up.
    """

    async def connect_anew(*_: object, **__: object) -> Connection:
        try:
            return await connect(dsn)
        except Unavailable:
            if revive is None or not await revive():
                raise
            return await connect(dsn)

    await (await connect_anew()).close()
    engine = create_engine(connect_anew, pool_size=POOL_SIZE, max_overflow=0, pool_pre_ping=True)
    async with asyncpg.create_pool(
        dsn, min_size=0, max_size=POOL_SIZE, connect=connect_anew, reset=_nothing_to_reset
    ) as pool:
        try:
            yield Database(dsn, engine, pool)
        finally:
            await engine.dispose()


async def _nothing_to_reset(_: Connection) -> None:
    """Nobody changes a session: transactions end by themselves, listeners are removed by who adds them."""


async def _revive(settings: Settings) -> bool:
    from tollbridge.store import embedded

    return await asyncio.to_thread(embedded.revive, settings)


def create_engine(connect_anew: Callable[[], Awaitable[Connection]], **options: Any) -> AsyncEngine:
    """An engine whose connections are made as all others are."""
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect_anew,
        json_serializer=json_text.dump,
        json_deserializer=json_text.parse_own,
        **options,
    )


async def connect(dsn: str) -> asyncpg.Connection:
    """One raw connection; raises Unavailable where nothing answers, Refusal where the server is too old."""
    # Who looks at the server's sessions sees whose they are; a name in the address goes before ours.
    name = {} if "application_name=" in dsn else {"application_name": process_name(socket.gethostname(), os.getpid())}
    with _explained(dsn):
        # What the address itself sets stays as it is.
        rest = {} if _IDLE in dsn else {_IDLE: LONGEST_IDLE}
        connection: asyncpg.Connection = await asyncpg.connect(
            dsn, timeout=CONNECT_TIMEOUT, server_settings={**name, **rest}
        )
    _check_version(connection.get_server_version())
    await _set_codecs(connection)
    return connection


def process_name(host: str, process: int) -> str:
    """What a process of ours is called at the server."""
    return f"tollbridge on {host[:30]}, process {process}"


async def _set_codecs(connection: asyncpg.Connection) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=json_text.dump, decoder=json_text.parse_own)


def _check_version(version: asyncpg.ServerVersion) -> None:
    if version.major < OLDEST_SERVER:
        raise Refusal(
            "database.too_old",
            f"The database server is PostgreSQL {version.major}.{version.minor}.",
            f"Tollbridge needs PostgreSQL {OLDEST_SERVER} or newer: upgrade the server or take another.",
            "TOLLBRIDGE_DATABASE_URL",
        )


@contextmanager
def _explained(dsn: str) -> Iterator[None]:
    """Turn what asyncpg raises while it connects into a refusal; the password is never repeated."""
    try:
        yield
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        parts = urlsplit(dsn)
        where = f"{parts.hostname or 'its socket'}{parts.path}"
        reason = str(error) or "no answer in time"
        raise Unavailable(
            "database.unreachable",
            f"The database at {where} cannot be reached: {reason}",
            "Check that it runs and that TOLLBRIDGE_DATABASE_URL is right; `tollbridge db status` tells about the"
            " embedded one.",
        ) from error
