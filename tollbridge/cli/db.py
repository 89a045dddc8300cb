"""`tollbridge db`: start, stop and look at the embedded database of this machine; enter, back up and restore any."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from typing import Any

import typer

from tollbridge.cli import backups
from tollbridge.cli.common import AsJson, Exit, answer, read_settings
from tollbridge.domain.errors import Refusal
from tollbridge.settings import Settings

app = typer.Typer(
    help="The embedded database of this machine; back up and restore any.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
app.command("backup")(backups.backup)
app.command("restore")(backups.restore)
app.command("restored")(backups.restored)


@app.command()
def start(as_json: AsJson = False) -> None:
    """Start the embedded database; it runs until `tollbridge db stop`.

    Example: tollbridge db start
    """
    from tollbridge.store import embedded

    settings = _embedded_settings()
    embedded.start(settings)
    found = embedded.status(settings)
    answer(f"The database runs in {found.folder} (process {found.process}).", _told(found), as_json=as_json)


@app.command()
def stop(as_json: AsJson = False) -> None:
    """Stop the embedded database, also under programs that use it.

    Example: tollbridge db stop
    """
    from tollbridge.store import embedded

    settings = _embedded_settings()
    stopped = embedded.stop(settings)
    text = "The database is stopped." if stopped else "No database ran."
    answer(text, {"stopped": stopped, **_told(embedded.status(settings))}, as_json=as_json)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say where the database is, whether it runs and how its schema stands. Exit code 1 where it does not run.

    Example: tollbridge db status --json
    """
    settings = read_settings()
    if settings.database_url:
        from tollbridge.store.client_programs import without_password
        from tollbridge.store.db import checked_url

        dsn = checked_url(settings.database_url)
        address, _ = without_password(dsn)
        standing = _standing(dsn)
        answer(
            f"The database at {address} answers; its schema is {standing}.",
            {"embedded": False, "state": "running", "url": address, "schema": standing},
            as_json=as_json,
        )
        return
    from tollbridge.store import embedded

    found = embedded.status(settings)
    if not found.dsn:
        answer(f"The embedded database in {found.folder} is {found.state}.", _told(found), as_json=as_json)
        raise typer.Exit(Exit.FAILED)
    standing = _standing(found.dsn)
    until = "`tollbridge db stop`" if found.kept else "the last program that uses it ends"
    answer(
        f"The embedded database in {found.folder} runs (process {found.process}) until {until};"
        f" its schema is {standing}.",
        {**_told(found), "schema": standing},
        as_json=as_json,
    )


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(ctx: typer.Context) -> None:
    """Enter the database with psql; what follows is passed on to it.

    Example: tollbridge db psql -c "SELECT count(*) FROM runs"
    """
    from tollbridge.store.client_programs import address_of, program
    from tollbridge.store.db import database_dsn

    with database_dsn(read_settings()) as dsn:
        address, environment = address_of(dsn)
        # Ctrl-C is for psql, which cancels the query.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = subprocess.call([program("psql"), address, *ctx.args], env=environment)  # noqa: S603
    raise typer.Exit(code)


def _embedded_settings() -> Settings:
    settings = read_settings()
    if settings.database_url:
        raise Refusal(
            "database.not_embedded",
            "TOLLBRIDGE_DATABASE_URL is set, so the embedded database is not used.",
            "Unset it to use the embedded database, or start and stop that server with its own tools.",
            "TOLLBRIDGE_DATABASE_URL",
        )
    return settings


def _standing(dsn: str) -> str:
    from tollbridge.store import migrate

    return asyncio.run(migrate.check(dsn)).standing.value


def _told(found: Any) -> dict[str, Any]:
    return {
        "embedded": True,
        "state": found.state,
        "folder": str(found.folder),
        "process": found.process,
        "used": found.used,
        "kept": found.kept,
    }
