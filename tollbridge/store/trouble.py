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
