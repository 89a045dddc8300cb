"""`tollbridge migrate`: bring the database's schema up to date, compare it, or print the SQL."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from tollbridge.cli.common import AsJson, Exit, answer, read_settings


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Only compare: exit code 1 where this release cannot work on it.")
    ] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Only print the SQL for an empty database.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the database's schema up to date. Any number of processes may call this at once.

    Example: tollbridge migrate --check
    """
    from tollbridge.store import migrate as schema
    from tollbridge.store.db import database_dsn

    if check and sql:
        raise typer.BadParameter("--check and --sql exclude each other.")
    if sql:
        typer.echo(schema.sql())
        return
    with database_dsn(read_settings()) as dsn:
        state = asyncio.run(schema.check(dsn) if check else schema.migrate(dsn))
    usable = state.standing in (schema.Standing.CURRENT, schema.Standing.AHEAD)
    found = state.found or "an empty database"
    texts = {
        schema.Standing.CURRENT: f"The schema is up to date ({state.needed}).",
        schema.Standing.BEHIND: f"The schema is behind: {found}, needed is {state.needed}. Run: tollbridge migrate"
        if check
        else f"Migrated from {found} to {state.needed}.",
        schema.Standing.AHEAD: f"The schema is of a later release: {found}, this release knows {state.needed} and works"
        " on it too. There is nothing to do.",
        schema.Standing.UNKNOWN: f"The schema is of a newer release: {found}, this release knows {state.needed} and"
        " cannot work on it: upgrade this one.",
    }
    data = {
        "standing": state.standing.value,
        "found": state.found,
        "needed": state.needed,
        "migrated": not check and not usable,
    }
    answer(texts[state.standing], data, as_json=as_json)
    if check and not usable:
        raise typer.Exit(Exit.FAILED)
