"""Restores of the database from a backup: until when every delivery looks first what stands at the other side."""

from __future__ import annotations

from datetime import datetime

from tollbridge.store.db import Connection


async def add(connection: Connection, at: datetime, look_until: datetime) -> None:
    """Note a restore."""
    await connection.execute("INSERT INTO restores (at, look_until) VALUES ($1, $2)", at, look_until)


def adding(at: datetime, look_until: datetime) -> str:
    """The same as a statement of a script."""
    return f"INSERT INTO public.restores (at, look_until) VALUES ('{at.isoformat()}', '{look_until.isoformat()}');"  # noqa: S608
