"""Which errors of the database pass by themselves: a restart, a lost connection, a deadlock, a full machine."""

from __future__ import annotations

import asyncpg

from tollbridge.domain.errors import Unavailable

TRANSIENT: tuple[type[Exception], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.InterfaceError,
    # Its protocol is out of step where the connection broke in the middle of an answer.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    Unavailable,
)
"""Trying the same transaction again may succeed."""


def state_of(error: BaseException) -> str | None:
    """The SQLSTATE with which the database refused, whoever wrapped it; None where it did not."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, asyncpg.PostgresError):
            state: str | None = seen.sqlstate
            return state
        seen = seen.__cause__
    return None
