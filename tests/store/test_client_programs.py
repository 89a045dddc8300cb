"""Which of PostgreSQL's programs are taken, and that no password stands in a command line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tollbridge.domain.errors import Unavailable
from tollbridge.store import client_programs
from tollbridge.store.client_programs import address_of, program
from tollbridge.store.embedded_files import MAJOR


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put(folder: Path, version: str) -> Path:
    file = folder / "pg_dump"
    file.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
    file.chmod(0o755)
    return file


def test_ours_are_taken_for_every_server_that_is_not_newer(on_path: Path) -> None:
    put(on_path, "17.5 (Debian 17.5-1)")
    for server in (15, int(MAJOR)):
        assert f"pginstall{MAJOR}" in str(program("pg_dump", server))


def test_newer_ones_of_this_machine_go_before_ours(on_path: Path) -> None:
    file = put(on_path, "99.1")
    assert program("pg_dump", 99) == file
    assert program("pg_dump") == file


def test_a_server_that_is_newer_than_all_is_refused_with_what_to_install(on_path: Path) -> None:
    with pytest.raises(Unavailable) as refused:
        program("pg_dump", 99)
    assert refused.value.message == (
        f"The program pg_dump of PostgreSQL 99 is needed, but on this machine it is of PostgreSQL {MAJOR}."
    )
    assert "PATH" in (refused.value.hint or "")


def test_where_nothing_is_here_it_says_so(on_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_programs, "wheel_programs", lambda: None)
    with pytest.raises(Unavailable, match="is not there"):
        program("pg_dump")


def test_the_password_goes_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    address, environment = address_of("postgresql://me:p%40ss@db.example:5433/bills?sslmode=require")
    assert address == "--dbname=postgresql://me@db.example:5433/bills?sslmode=require"
    assert environment["PGPASSWORD"] == "p@ss"
    _, environment = address_of("postgresql://me@db.example/bills")
    assert "PGPASSWORD" not in environment


def test_so_does_a_password_in_the_query(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    address, environment = address_of("postgresql://db.example/bills?user=me&password=p%40ss")
    assert address == "--dbname=postgresql://db.example/bills?user=me"
    assert environment["PGPASSWORD"] == "p@ss"


def test_what_the_address_sets_of_the_session_is_said_as_these_programs_want_it(database_url: str) -> None:
    setting = f"{'&' if '?' in database_url else '?'}idle_in_transaction_session_timeout=1min&search_path=public, queue"
    address, environment = address_of(database_url + setting)
    shown: list[str | Path] = [
        program("psql"),
        address,
        "-Atc",
        "SHOW idle_in_transaction_session_timeout",
        "-c",
        "SHOW search_path",
    ]
    told = subprocess.run(shown, env=environment, capture_output=True, text=True, check=False)
    assert (told.stdout, told.stderr) == ("1min\npublic, queue\n", "")
