"""What `tollbridge db backup` and `restore` refuse, and that then nothing is changed; e2e/test_backup is the whole."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from alembic import command as alembic
from anyio.from_thread import start_blocking_portal
from sqlalchemy import Connection
from sqlalchemy.pool import NullPool

from tests.cli.test_local import Done
from tollbridge.cli import main
from tollbridge.services import organizations
from tollbridge.services.sealing import credential_row
from tollbridge.settings import Settings
from tollbridge.store import migrate
from tollbridge.store.client_programs import address_of, program
from tollbridge.store.db import connect, connected, create_engine
from tollbridge.vault import open_vault

KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
OTHER_KEY = "enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6eno="
REPLACE = ("--replace", "--yes")

Cli = Callable[..., Done]


@pytest.fixture
def cli(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run `tollbridge db …` in this process, which saves the start of another."""

    def run(*arguments: str, url: str = database_url, key: str = KEY) -> Done:
        for name, value in (("HOME", str(tmp_path / "home")), ("DATABASE_URL", url), ("KEY", key)):
            monkeypatch.setenv(f"TOLLBRIDGE_{name}", value)
        monkeypatch.setattr(sys, "argv", ["tollbridge", "db", *arguments])
        with pytest.raises(SystemExit) as end:
            main.run()
        said = capsys.readouterr()
        return Done(int(end.value.code or 0), said.out, said.err)

    return run


def ask(dsn: str, statement: str, *values: object) -> Any:
    async def answer() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()

    return asyncio.run(answer())


@contextmanager
def another(database_url: str) -> Iterator[str]:
    """Another, empty database beside this one."""
    name = f"test_{uuid4().hex}"
    ask(database_url, f"CREATE DATABASE {name} TEMPLATE template1 STRATEGY wal_log")
    try:
        yield urlsplit(database_url)._replace(path=f"/{name}").geturl()
    finally:
        ask(database_url, f"DROP DATABASE {name} WITH (FORCE)")


def rename(database_url: str) -> None:
    """Change something that the backup has otherwise."""
    ask(database_url, "UPDATE organizations SET name = 'Changed'")


def name_of(dsn: str) -> str:
    return str(ask(dsn, "SELECT name FROM organizations"))


def dump(dsn: str, file: Path) -> None:
    """What somebody does without us."""
    address, environment = address_of(dsn)
    command: list[str | Path] = [program("pg_dump"), "--format=custom", f"--file={file}", address]
    subprocess.run(command, env=environment, check=True)


@pytest.fixture
def file(cli: Cli, database_url: str, tmp_path: Path) -> Path:
    """A backup of the database, which holds the organization Acme and nothing else."""

    async def create() -> None:
        async with connected(database_url) as db:
            await organizations.create(db, "Acme", "acme")

    asyncio.run(create())
    file = tmp_path / "backup.dump"
    done = cli("backup", str(file), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["file"], told["bytes"], told["schema"]) == (str(file), file.stat().st_size, migrate.compare("").needed)
    assert "The key is not in it" in done.stderr
    return file


def test_a_backup_is_for_its_owner_alone_and_replaces_nothing_unasked(cli: Cli, file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o400)
    again = cli("backup", str(file))
    assert (again.returncode, "exists already" in again.stderr) == (4, True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    assert cli("backup", str(file), "--force").returncode == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert cli("backup", str(file.parent / "nowhere" / "x.dump")).returncode == 3
    assert [each.name for each in file.parent.iterdir() if each.name != "home"] == [file.name]


def test_an_empty_database_is_no_backup(cli: Cli, empty_database_url: str, tmp_path: Path) -> None:
    done = cli("backup", str(tmp_path / "x.dump"), url=empty_database_url)
    assert (done.returncode, "nothing to back up" in done.stderr) == (4, True)
    assert not (tmp_path / "x.dump").exists()


def test_a_database_that_holds_something_is_replaced_only_when_asked_for(
    cli: Cli, file: Path, database_url: str
) -> None:
    rename(database_url)
    refused = cli("restore", str(file))
    assert (refused.returncode, "it holds 1 organization, 0 bills, 0 runs" in refused.stderr) == (4, True)
    asked = cli("restore", str(file), "--replace")
    assert (asked.returncode, "Delete all that the schemas public and queue hold" in asked.stderr) == (2, True)
    assert name_of(database_url) == "Changed"
    done = cli("restore", str(file), *REPLACE, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["organizations"], told["keyOpens"], told["migratedFrom"]) == (1, True, None)
    assert name_of(database_url) == "Acme"
    assert ask(database_url, "SELECT count(*) FROM restores WHERE look_until > now() + interval '6 days'") == 1
    assert ask(database_url, "SELECT after ->> 'lookUntil' FROM audit_log WHERE action = 'RESTORE'")
    # The schema is that of a new database, to whoever may use it.
    owner = "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'public'"
    assert ask(database_url, owner) == "pg_database_owner"


@pytest.mark.parametrize("keep", [0.999, 0.9, 0.5, 0.01])
def test_a_file_that_was_cut_changes_nothing(cli: Cli, file: Path, database_url: str, keep: float) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * keep)])
    rename(database_url)
    done = cli("restore", str(file), *REPLACE)
    assert (done.returncode, f"{file} is no whole backup: " in done.stderr) == (2, True)
    assert name_of(database_url) == "Changed"
    assert ask(database_url, "SELECT count(*) FROM restores") == 0


def test_another_file_is_named_for_what_it_is(cli: Cli, file: Path, database_url: str) -> None:
    other = file.with_name("other.dump")
    other.write_text("-- PostgreSQL database dump\n" * 100)
    done = cli("restore", str(other), *REPLACE)
    assert (done.returncode, "no whole backup" in done.stderr) == (2, True)
    assert cli("restore", str(file.with_name("none.dump"))).returncode == 3
    with another(database_url) as foreign:
        ask(foreign, "CREATE TABLE something (id int)")
        dump(foreign, other)
    done = cli("restore", str(other), *REPLACE)
    assert (done.returncode, "not of a database of Tollbridge" in done.stderr) == (2, True)


def test_a_dump_that_pg_dump_itself_made_is_restored_too(cli: Cli, file: Path, database_url: str) -> None:
    other = file.with_name("plain.dump")
    ask(database_url, "CREATE SCHEMA theirs")
    dump(database_url, other)
    with another(database_url) as dsn:
        done = cli("restore", str(other), url=dsn)
        assert done.returncode == 0, done.stderr
        assert name_of(dsn) == "Acme"
    # What the server refuses changes nothing.
    rename(database_url)
    done = cli("restore", str(other), *REPLACE)
    assert (done.returncode, 'could not be restored: schema "theirs" already exists.' in done.stderr) == (4, True)
    assert name_of(database_url) == "Changed"


def test_what_others_keep_in_the_same_database_stays(cli: Cli, file: Path, database_url: str) -> None:
    ask(database_url, "CREATE SCHEMA theirs")
    ask(database_url, "CREATE TABLE theirs.something (id int)")
    assert cli("restore", str(file), *REPLACE).returncode == 0
    assert ask(database_url, "SELECT count(*) FROM theirs.something") == 0


def test_nothing_is_restored_under_a_process_that_is_connected(cli: Cli, file: Path, database_url: str) -> None:
    name = f"tollbridge on {socket.gethostname()[:30]}, process {os.getpid()}"
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(connected(database_url)) as db,
        portal.wrap_async_context_manager(db.hot()),
    ):
        done = cli("restore", str(file), *REPLACE)
    assert (done.returncode, f"in use by: {name}." in done.stderr) == (4, True)


def test_a_worker_counts_as_there_from_its_last_sign_of_life_on(cli: Cli, file: Path, database_url: str) -> None:
    ask(
        database_url,
        "INSERT INTO workers (id, host, pid, version, started_at, seen_at)"
        " VALUES ('w', 'far', 7, '1', now(), now()), ('old', 'gone', 8, '1', now(), now() - interval '1 minute')",
    )
    done = cli("restore", str(file), *REPLACE)
    assert (done.returncode, "in use by: tollbridge on far, process 7." in done.stderr) == (4, True)


def test_a_backup_of_a_newer_release_is_refused(cli: Cli, file: Path, database_url: str) -> None:
    ask(database_url, "UPDATE alembic_version SET version_num = '9999'")
    newer = file.with_name("newer.dump")
    assert cli("backup", str(newer)).returncode == 0
    with another(database_url) as dsn:
        done = cli("restore", str(newer), url=dsn)
        assert (done.returncode, "The backup's schema is at 9999" in done.stderr) == (4, True)
        assert ask(dsn, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0


def test_a_backup_of_an_older_release_is_brought_up_to_date(
    cli: Cli, empty_database_url: str, tmp_path: Path, database_url: str
) -> None:
    file = tmp_path / "older.dump"
    asyncio.run(migrate_to(empty_database_url, "0003"))
    assert cli("backup", str(file), url=empty_database_url).returncode == 0
    with another(database_url) as dsn:
        done = cli("restore", str(file), "--json", url=dsn)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["migratedFrom"] == "0003"
        assert asyncio.run(migrate.check(dsn)).standing is migrate.Standing.CURRENT


async def migrate_to(dsn: str, revision: str) -> None:
    """Bring an empty database to the schema of an earlier release."""

    def upgrade(connection: Connection) -> None:
        config = migrate._config()
        config.attributes["connection"] = connection
        alembic.upgrade(config, revision)

    async with create_engine(partial(connect, dsn), poolclass=NullPool).begin() as connection:
        await connection.run_sync(upgrade)


def test_a_key_that_does_not_open_the_secrets_is_said_at_once(cli: Cli, file: Path, database_url: str) -> None:
    seal_something(database_url)
    assert cli("backup", str(file), "--force").returncode == 0
    right = cli("restore", str(file), *REPLACE, "--json")
    assert (right.returncode, json.loads(right.stdout)["keyOpens"]) == (0, True)
    wrong = cli("restore", str(file), *REPLACE, "--json", key=OTHER_KEY)
    assert (wrong.returncode, json.loads(wrong.stdout)["keyOpens"]) == (1, False)
    assert "1 of 1 stored secrets cannot be opened" in wrong.stderr
    none = cli("restore", str(file), *REPLACE, key="")
    assert (none.returncode, "There is no key" in none.stderr) == (1, True)


def seal_something(database_url: str) -> None:
    """A credential, of which only the secrets matter."""
    sealed = open_vault(Settings(key=KEY)).seal(b"{}", credential_row("c1"))
    needed = ask(
        database_url,
        "SELECT json_object_agg(column_name, data_type)::text FROM information_schema.columns"
        " WHERE table_name = 'credentials' AND is_nullable = 'NO' AND column_default IS NULL",
    )
    fill = {"text": "'c1'", "bytea": "$1", "jsonb": "'{}'", "bigint": "1"}
    columns = json.loads(needed)
    values = ", ".join(fill.get(kind, "now()") for kind in columns.values())
    ask(database_url, f"INSERT INTO credentials ({', '.join(columns)}) VALUES ({values})", sealed)


def test_days_that_are_given_go_before_the_age_of_the_backup(cli: Cli, file: Path, database_url: str) -> None:
    assert cli("restore", str(file), *REPLACE, "--days", "30").returncode == 0
    assert ask(database_url, "SELECT count(*) FROM restores WHERE look_until > now() + interval '29 days'") == 1
