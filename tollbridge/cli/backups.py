"""`tollbridge db backup`, `restore` and `restored`: the whole database into a file and back, and what to say after a
restore by other tools."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tollbridge.cli.common import AsJson, Exit, answer, complain, confirm, read_settings
from tollbridge.cli.output import say
from tollbridge.settings import Settings

if TYPE_CHECKING:
    from tollbridge.store.backups import Archive

LookDays = Annotated[
    int | None,
    typer.Option(
        "--days",
        min=1,
        max=365,
        help="For how long deliveries look first, in days: until your source has sent its bills again."
        " Default: as long as the backup is old, at least 7.",
    ),
]


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; only you may read it.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file where it exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Back up the whole database into a file, while everything goes on. The key that seals secrets is not in it.

    The file is an archive of pg_dump in its custom format. It gets its name when it is whole.

    Example: tollbridge db backup tollbridge-2026-11-26.dump
    """
    from tollbridge.store import backups
    from tollbridge.store.db import database_dsn

    settings = read_settings()
    begun = time.monotonic()
    with database_dsn(settings) as dsn, _progress("Written") as told:
        server = asyncio.run(_server_to_back_up(dsn))
        made = backups.write(dsn, server, file.absolute(), told, replace=force)
    answer(
        f"{file}: {size_text(made.size)}, the database as of {_moment(made.at)}.",
        {
            "file": str(file),
            "bytes": made.size,
            "at": made.at.isoformat(),
            "schema": made.revision,
            "seconds": round(time.monotonic() - begun, 1),
        },
        as_json=as_json,
    )
    say(
        f"The key is not in it. Keep it apart ({_place_of_key(settings)}): without it, secrets of vendors and webhooks"
        " must be entered again."
    )


def restore(
    file: Annotated[Path, typer.Argument(help="The backup.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete what the database holds. Without it, it must be empty.")
    ] = False,
    days: LookDays = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Restore the database from a backup: all of it or nothing. No server and no worker may run meanwhile.

    An older schema is brought up to date. What was sent since the backup is forgotten: for some days every delivery
    looks first what stands in the other system. Exit code 1 where it is restored, but the key that is here does not
    open its secrets.

    Example: tollbridge db restore tollbridge-2026-11-26.dump
    """
    from tollbridge.services import restores
    from tollbridge.store import backups
    from tollbridge.store.db import database_dsn
    from tollbridge.vault import open_present

    settings = read_settings()
    archive = backups.read(file.absolute())
    vault = open_present(settings)
    with database_dsn(settings) as dsn:
        target = asyncio.run(restores.examine(dsn, archive, replace=replace))
        if not target.empty:
            held = restores.holdings(target)
            question = f"Delete all that the schemas public and queue hold ({held}), and restore {_told(archive)}?"
            confirm(question, yes=yes)
        begun = time.monotonic()
        span = timedelta(days=days) if days else restores.look_for(archive)
        with _progress("Restored") as told:
            done = asyncio.run(restores.restore(dsn, archive, span, vault, told, replace=not target.empty))
    standing = done.standing
    migrated = f" Its schema was brought up from {done.migrated_from}." if done.migrated_from else ""
    answer(
        f"Restored {_told(archive)}: {restores.holdings(standing)}.{migrated}\n{_until(done.look_until)}",
        {
            "file": str(file),
            "at": archive.at.isoformat(),
            "organizations": standing.organizations,
            "bills": standing.bills,
            "runs": standing.runs,
            "migratedFrom": done.migrated_from,
            "lookUntil": done.look_until.isoformat(),
            "keyOpens": done.key.ok,
            "seconds": round(time.monotonic() - begun, 1),
        },
        as_json=as_json,
    )
    say(f"Start the servers, let your source send again what it sent since {_moment(archive.at)}, then start workers.")
    if not done.key.ok:
        complain(done.key.text, done.key.remedy)
        raise typer.Exit(Exit.FAILED)


def restored(
    days: Annotated[
        int, typer.Option(min=1, max=365, help="For how long, in days: until your source has sent its bills again.")
    ] = 7,
    as_json: AsJson = False,
) -> None:
    """Say that the database was restored by other tools; call it before the first worker starts.

    What was sent since the backup is forgotten: for some days every delivery looks first what stands in the other
    system. `tollbridge db restore` does this by itself.

    Example: tollbridge db restored --days 14
    """
    until = asyncio.run(_look_first(read_settings(), timedelta(days=days)))
    answer(_until(until), {"lookUntil": until.isoformat()}, as_json=as_json)


def size_text(size: int) -> str:
    """A size for people."""
    amount = float(size)
    for unit in ("bytes", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} GB"


async def _server_to_back_up(dsn: str) -> int:
    """The major version of the server; raises Conflict where there is nothing to back up."""
    from tollbridge.domain.errors import Conflict
    from tollbridge.store import migrate
    from tollbridge.store.db import connect

    if (await migrate.check(dsn)).found is None:
        raise Conflict(
            "backup.empty", "The database is empty: there is nothing to back up.", "Is TOLLBRIDGE_DATABASE_URL right?"
        )
    connection = await connect(dsn)
    try:
        return int(connection.get_server_version().major)
    finally:
        await connection.close()


async def _look_first(settings: Settings, span: timedelta) -> datetime:
    from tollbridge.services import restores
    from tollbridge.store.db import open_database
    from tollbridge.store.migrate import require_usable

    async with open_database(settings) as db:
        await require_usable(db.dsn)
        return await restores.note(db, span)


def _place_of_key(settings: Settings) -> str:
    from tollbridge.vault import key_file

    return "TOLLBRIDGE_KEY" if settings.key else str(key_file(settings))


def _told(archive: Archive) -> str:
    return f"the backup of {_moment(archive.at)}"


def _until(moment: datetime) -> str:
    return f"Until {moment:%Y-%m-%d %H:%M} UTC every delivery looks first what stands in the other system."


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], None]]:
    """How many bytes are done, on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{what}: nothing yet") as line:
        yield lambda done: line.update(f"{what}: {size_text(done)}")
