"""`tollbridge db`, `tollbridge migrate` and the frame of the command line, as processes with exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

MAIN = "from tollbridge.cli.main import run; run()"
HEAVY = {
    "sqlalchemy",
    "asyncpg",
    "alembic",
    "pgqueuer",
    "fastapi",
    "starlette",
    "uvicorn",
    "aiohttp",
    "pydantic",
    "rich",
}


def tollbridge(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TOLLBRIDGE_")}
    return subprocess.run(
        [sys.executable, "-c", MAIN, *arguments],
        env=ours | {f"TOLLBRIDGE_{name.upper()}": value for name, value in environment.items()},
        capture_output=True,
        text=True,
        check=False,
    )


def answer(*arguments: str, **environment: str) -> dict[str, Any]:
    found = tollbridge(*arguments, "--json", **environment)
    parsed: dict[str, Any] = json.loads(found.stdout)
    return parsed


def test_the_database_of_this_machine_from_start_to_stop(tmp_home: Path) -> None:
    home = str(tmp_home)
    assert answer("db", "status", home=home)["state"] == "stopped"
    assert tollbridge("db", "start", home=home).returncode == 0
    status = answer("db", "status", home=home)
    assert (status["state"], status["kept"], status["schema"]) == ("running", True, "behind")
    assert tollbridge("migrate", "--check", home=home).returncode == 1
    assert answer("migrate", home=home)["migrated"]
    assert not answer("migrate", home=home)["migrated"]
    assert tollbridge("db", "psql", "-tAc", "SELECT count(*) FROM runs", home=home).stdout == "0\n"
    assert tollbridge("db", "psql", "-c", "SELECT nonsense", home=home).returncode == 1
    assert answer("db", "stop", home=home)["stopped"]
    assert tollbridge("db", "status", home=home).returncode == 1


def test_a_command_that_finds_no_database_running_starts_one_for_itself(tmp_home: Path) -> None:
    home = str(tmp_home)
    assert tollbridge("migrate", home=home).returncode == 0
    assert answer("db", "status", home=home)["state"] == "stopped"


def test_a_given_database_is_shown_without_its_password_and_entered(database_url: str) -> None:
    status = answer("db", "status", database_url=database_url)
    assert status["schema"] == "current"
    assert "tollbridge@" in status["url"]
    inside = tollbridge("db", "psql", "-tAc", "SELECT current_database()", database_url=database_url)
    assert inside.stdout.strip() in database_url


def test_a_given_database_is_not_ours_to_start(database_url: str) -> None:
    for command in ("start", "stop"):
        refused = tollbridge("db", command, database_url=database_url)
        assert refused.returncode == 4
        assert refused.stderr.startswith("error: TOLLBRIDGE_DATABASE_URL is set")


def test_a_database_that_does_not_answer_ends_with_5() -> None:
    found = tollbridge("migrate", database_url="postgresql://me:hush@127.0.0.1:1/bills")
    assert found.returncode == 5
    assert found.stderr.startswith("error: The database at 127.0.0.1/bills cannot be reached")
    assert "\nhint: " in found.stderr
    assert "hush" not in found.stderr
    assert found.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("db", "nonsense"), {}),
        (("migrate", "--check", "--sql"), {}),
        (("db", "status"), {"port": "many"}),
        (("db", "status"), {"database_url": "mysql://localhost/x"}),
    ],
)
def test_wrong_usage_ends_with_2_and_without_a_traceback(
    arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    found = tollbridge(*arguments, **environment)
    assert found.returncode == 2
    assert found.stderr
    assert "Traceback" not in found.stderr


def test_a_traceback_is_shown_when_asked_for() -> None:
    assert "Traceback" in tollbridge("--debug", "db", "status", port="many").stderr


def test_the_sql_is_printed_without_a_database() -> None:
    found = tollbridge("migrate", "--sql", database_url="postgresql://127.0.0.1:1/nowhere")
    assert found.returncode == 0
    assert "CREATE TABLE runs" in found.stdout
    assert "CREATE TABLE queue.pgqueuer" in found.stdout


def test_help_loads_nothing_heavy() -> None:
    listing = f"import atexit, sys; atexit.register(lambda: print('loaded', *sys.modules)); {MAIN}"
    found = subprocess.run([sys.executable, "-c", listing, "--help"], capture_output=True, text=True, check=True)
    helped, _, loaded = found.stdout.partition("loaded ")
    assert "migrate" in helped
    assert not HEAVY & set(loaded.split())


def test_the_version_is_told() -> None:
    assert tollbridge("--version").stdout.startswith("tollbridge 0.")


def test_after_a_restore_it_says_until_when_deliveries_look_first(database_url: str, tmp_path: Path) -> None:
    until = answer("db", "restored", "--days", "14", home=str(tmp_path), database_url=database_url)["lookUntil"]
    ahead = datetime.fromisoformat(until) - datetime.now(UTC)
    assert timedelta(days=13) < ahead <= timedelta(days=14)
