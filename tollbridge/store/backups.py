"""Backups of the whole database: archives of `pg_dump` in its custom format, which `pg_restore` reads without us too.

Nothing of ours is in the file but the rows. Blocks while PostgreSQL's programs run; raises Refusal for what they say.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, TypeAlias

from tollbridge.domain.errors import Conflict, Invalid, NotFound, Refusal, Unavailable
from tollbridge.store.client_programs import address_of, program
from tollbridge.store.db import connect, process_name
from tollbridge.store.migrate import LOCK

SCHEMAS = ("public", "queue")
"""All that is ours; what others keep in the same database is neither backed up nor touched."""
PROGRESS_EVERY = 0.2
CHUNK = 1024 * 1024
LONGEST_HEAD = 200
"""Lines before the first thing that a script makes in a schema."""
LEFT_OUT = (b"SET transaction_timeout = 0;\n", b"CREATE SCHEMA public;\n")
"""Lines of the head: the first is written for whatever server, but one before 17 refuses it; the second is there."""
_FOR_GOOD = "\\set ON_ERROR_STOP 0"
"""From here on nothing can be taken back, so that nothing may look as if it had failed."""
COMMON = ("--no-owner", "--no-privileges", "--no-publications", "--no-subscriptions", "--no-tablespaces")

Command: TypeAlias = Sequence[str | Path]
Told: TypeAlias = Callable[[int], None]
"""Is told, now and then, how many bytes are done."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A backup in a file: when it was begun, the revision of its schema, its size in bytes.

    All that was committed before `at` is in it. The time is of the clock of the machine that made it.
    """

    file: Path
    at: datetime
    revision: str
    size: int


@dataclass(frozen=True, slots=True)
class Target:
    """What a restore would meet: what the database holds, and who uses it now."""

    server: int
    empty: bool
    organizations: int
    bills: int
    runs: int
    users: tuple[str, ...]


def write(dsn: str, server: int, file: Path, told: Told, *, replace: bool = False) -> Archive:
    """Back the database up into the file, which only its owner may read. It gets its name when it is whole.

    `server` is the major version of the server. Raises Conflict where the file exists, unless it may be replaced.
    """
    if file.exists() and not replace:
        raise Conflict("backup.exists", f"The file {file} exists already.", "Name another, or pass --force.")
    beside = file.with_name(f".{file.name}.{os.getpid()}.partial")
    address, environment = address_of(dsn)
    schemas = [f"--schema={name}" for name in SCHEMAS]
    # Into a file by its name: only so it writes where in the file each table is.
    target = f"--file={beside}"
    command: Command = [
        program("pg_dump", server),
        "--format=custom",
        *COMMON,
        *schemas,
        "--no-password",
        target,
        address,
    ]
    with _file_explained(file):
        try:
            os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            with _running(command, environment) as (process, said):
                while _still(process):
                    told(beside.stat().st_size)
                if process.returncode:
                    raise Unavailable(
                        "backup.failed",
                        f"The database could not be backed up: {_reason(said)}",
                        f"Nothing was written to {file}.",
                    )
            whole = read(beside)
            beside.rename(file)
            _sync_folder(file.parent)
        finally:
            beside.unlink(missing_ok=True)
    return Archive(file, whole.at, whole.revision, whole.size)


def read(file: Path) -> Archive:
    """What the backup says of itself; raises NotFound where there is none, Invalid for any other file."""
    with _file_explained(file):
        size = file.stat().st_size
    listed = _ask(file, "--list")
    made = re.search(r"^;\s*Archive created at (\S+ \S+)", listed, re.MULTILINE)
    revision = re.search(
        r"^COPY public\.alembic_version .*\n(\S+)\n\\\.$",
        _ask(file, "--data-only", "--table=alembic_version", "--file=-"),
        re.MULTILINE,
    )
    if made is None or revision is None:
        raise Invalid(
            "backup.foreign",
            f"{file} is an archive of PostgreSQL, but not of a database of Tollbridge.",
            "Name a file that `tollbridge db backup` made, or `pg_dump --format=custom` of the whole database.",
            "file",
        )
    return Archive(file, datetime.fromisoformat(made[1]).replace(tzinfo=UTC), revision[1], size)


async def examine(dsn: str, silence: timedelta) -> Target:
    """Look at the database into which a backup is to go; a worker counts as alive that gave a sign within `silence`."""
    connection = await connect(dsn)
    try:
        relations, queue, revision = await connection.fetchrow(
            """
            SELECT (SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
                AND relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname = ANY($1))),
              to_regnamespace('queue') IS NOT NULL, to_regclass('public.alembic_version') IS NOT NULL
            """,
            SCHEMAS,
        )
        counts = (0, 0, 0)
        users = set(await _sessions(connection))
        if revision:
            counts = tuple(
                await connection.fetchrow(
                    "SELECT (SELECT count(*) FROM public.organizations), (SELECT count(*) FROM public.bills),"
                    " (SELECT count(*) FROM public.runs)"
                )
            )
            alive = await connection.fetch(
                "SELECT host, pid FROM public.workers WHERE seen_at > clock_timestamp() - $1::interval", silence
            )
            users |= {process_name(row["host"], row["pid"]) for row in alive}
        server = connection.get_server_version().major
        return Target(server, not relations and not queue, *counts, tuple(sorted(users)))
    finally:
        await connection.close()


async def _sessions(connection: Any) -> list[str]:
    """Who else is connected as we are: tools that watch the server have roles of their own."""
    rows = await connection.fetch(
        """
        SELECT coalesce(nullif(application_name, ''), 'a program without a name') AS name,
          CASE WHEN client_addr IS NULL THEN '' ELSE ' at ' || host(client_addr) END AS place, min(pid) AS pid
        FROM pg_stat_activity
        WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
          AND backend_type = 'client backend'
        GROUP BY 1, 2
        """
    )
    return [
        row["name"]
        if row["name"].startswith("tollbridge on ")
        else f"{row['name']}{row['place']}, session {row['pid']}"
        for row in rows
    ]


def restore(dsn: str, archive: Archive, told: Told, *, replace: bool, afterwards: Sequence[str] = ()) -> None:
    """Put the backup into the database, with these statements behind it, in one transaction: all of it or nothing.

    `replace`: what the database holds of Tollbridge is deleted first. Raises Invalid for a file that is damaged,
    Refusal for what the server refuses; then the database is as it was.
    """
    address, environment = address_of(dsn)
    reader: Command = [program("pg_restore"), *COMMON, "--no-security-labels", "--file=-", archive.file]
    writer: Command = [
        program("psql"),
        address,
        "--no-psqlrc",
        "--quiet",
        "--no-password",
        "--set=ON_ERROR_STOP=1",
        "--output=/dev/null",
    ]
    before, after = _opening(replace), ["", *afterwards, "COMMIT;", _FOR_GOOD, "ANALYZE;", ""]
    with (
        _running(writer, environment, stdin=subprocess.PIPE) as (database, refused),
        _running(reader, _plain(), stdout=subprocess.PIPE) as (source, unread),
    ):
        assert database.stdin is not None
        assert source.stdout is not None
        # Where the server refused something, psql has ended and takes no more; its exit status tells.
        with suppress(BrokenPipeError):
            database.stdin.write(before.encode())
            _carry(source.stdout, database.stdin, told)
            if source.wait() == 0:
                database.stdin.write("\n".join(after).encode())
        with suppress(BrokenPipeError):
            # At the end of its input without a COMMIT, psql leaves and the server takes everything back.
            database.stdin.close()
        source.stdout.close()
        ended = database.wait()
        if ended:
            raise Refusal(
                "backup.refused",
                f"The backup could not be restored: {_reason(refused)}",
                "The database is as it was. Restore into an empty database of its own, as a user who owns it.",
            )
        if source.wait():
            raise _damaged(archive.file, _reason(unread))


def _opening(replace: bool) -> str:
    """What comes before the backup. The lock is that of migrations: whoever would migrate meanwhile waits."""
    lines = [
        "BEGIN;",
        "SET client_min_messages = warning;",
        "SET lock_timeout = '10s';",
        f"SELECT pg_catalog.pg_advisory_xact_lock({LOCK});",
    ]
    if replace:
        lines += [
            "DROP SCHEMA IF EXISTS queue CASCADE;",
            "DROP SCHEMA IF EXISTS public CASCADE;",
            # As it is in a new database.
            "CREATE SCHEMA public AUTHORIZATION pg_database_owner;",
            "GRANT USAGE ON SCHEMA public TO PUBLIC;",
        ]
    return "\n".join([*lines, ""])


def _carry(source: IO[bytes], target: IO[bytes], told: Told) -> None:
    done = 0
    for _ in range(LONGEST_HEAD):
        line = source.readline()
        if line not in LEFT_OUT:
            target.write(line)
        done += len(line)
        if line.startswith(b"CREATE ") and not line.startswith(b"CREATE SCHEMA "):
            break
    while chunk := source.read(CHUNK):
        target.write(chunk)
        told(done := done + len(chunk))


@contextmanager
def _running(
    command: Command, environment: dict[str, str], **pipes: Any
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """A program, and the file into which it complains; it does not outlive the context."""
    with tempfile.TemporaryFile() as said:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **pipes}
        process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 (our own arguments, no shell)
            command, env=environment | _plain(), stderr=said, text=False, **pipes
        )
        try:
            yield process, said
        finally:
            process.kill()
            process.wait()


def _still(process: subprocess.Popen[bytes]) -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(PROGRESS_EVERY)
    return process.returncode is None


def _ask(file: Path, *question: str) -> str:
    """What pg_restore says of the file."""
    with tempfile.TemporaryFile() as answer:
        command: Command = [program("pg_restore"), *question, file]
        with _running(command, _plain(), stdout=answer) as (process, said):
            if process.wait():
                raise _damaged(file, _reason(said))
        answer.seek(0)
        return answer.read().decode(errors="replace")


def _plain() -> dict[str, str]:
    """An environment in which what the programs say can be read; archives tell their times in the local one."""
    return {name: value for name, value in os.environ.items() if name == "PATH"} | {"LC_ALL": "C", "TZ": "UTC"}


def _damaged(file: Path, reason: str) -> Refusal:
    return Invalid(
        "backup.damaged",
        f"{file} is no whole backup: {reason}",
        "The database is as it was. Name a file that `tollbridge db backup` made, whole.",
        "file",
    )


def _reason(said: IO[bytes]) -> str:
    """The first complaint, without the program that made it."""
    said.seek(0)
    lines = [line.strip() for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    wrong = [line for line in lines if re.search(r"error|fatal", line, re.IGNORECASE)] or lines[-1:]
    told = (
        re.sub(r"^\S*(psql|pg_dump|pg_restore)\S*:( *\S*:\d+:)? *(error: +)?", "", wrong[0]) if wrong else "no reason"
    )
    return re.sub(r"^(ERROR|FATAL): +", "", told).rstrip(".") + "."


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _file_explained(file: Path) -> Iterator[None]:
    """Turn what the file system refuses into a refusal that names the file."""
    try:
        yield
    except FileNotFoundError as error:
        what = "file" if file.parent.is_dir() else "folder"
        where = file if file.parent.is_dir() else file.parent
        raise NotFound("backup.file", f"There is no {what} {where}.", "Name another file.", "file") from error
    except OSError as error:
        raise Refusal(
            "backup.file", f"{file} cannot be used: {error.strerror}.", "Name another file, or make room.", "file"
        ) from error
