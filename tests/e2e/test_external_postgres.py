"""The main path on a PostgreSQL that is not ours, of the oldest version that we take, by the commands of a person."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.request import urlopen

import pytest

from tests.e2e.stage import KEY, PATIENCE
from tollbridge.cli.demo_data.generate import FOLDER

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
RUNNERS = ("postgres", "nobody")


@pytest.fixture
def postgres(tmp_home: Path) -> Iterator[str]:
    """The DSN of an empty database of PostgreSQL 15, which listens on a socket alone."""
    if not (PROGRAMS / "initdb").exists():
        pytest.skip(f"no PostgreSQL 15 in {PROGRAMS}")
    folder = tmp_home / "pg15"
    folder.mkdir()
    runner: dict[str, Any] = {}
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        known = {user.pw_name: user for user in pwd.getpwall()}
        user = next((known[name] for name in RUNNERS if name in known), None)
        if user is None:
            pytest.skip(f"PostgreSQL does not run as root, and there is no user {' or '.join(RUNNERS)}")
        os.chown(folder, user.pw_uid, user.pw_gid)
        runner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    data, options = folder / "data", f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"

    def run(*command: str | Path) -> None:
        with (tmp_home / "pg15.log").open("ab") as log:
            subprocess.run(command, check=True, timeout=120, cwd="/", stdout=log, stderr=log, **runner)

    run(PROGRAMS / "initdb", "-D", data, "-U", "billing", "-E", "UTF8", "--locale", "C", "--auth", "trust")
    run(PROGRAMS / "pg_ctl", "-D", data, "-w", "-o", options, "-l", folder / "log", "start")
    try:
        yield f"postgresql://billing@/postgres?host={folder}"
    finally:
        run(PROGRAMS / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Person:
    """Somebody who types commands, in a home and a configuration of their own."""

    environ: dict[str, str]
    log: IO[bytes]
    stack: ExitStack = field(default_factory=ExitStack)

    def run(self, *arguments: str, typed: str | None = None, expect: int = 0) -> str:
        done = subprocess.run(
            [*_command(), *arguments], input=typed, capture_output=True, text=True, timeout=PATIENCE, env=self.environ
        )
        assert done.returncode == expect, (done.stdout, done.stderr)
        return done.stdout

    def start(self, *arguments: str) -> IO[str]:
        """A command that goes on; what it says."""
        process = subprocess.Popen(
            [*_command(), *arguments], stdout=subprocess.PIPE, stderr=self.log, text=True, env=self.environ
        )
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        assert process.stdout is not None
        return self.stack.enter_context(process.stdout)


def _command() -> list[str]:
    return [sys.executable, "-m", "tollbridge.cli.main"]


@pytest.fixture
def person(postgres: str, tmp_home: Path) -> Iterator[Person]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TOLLBRIDGE_")} | {
        "TOLLBRIDGE_HOME": str(tmp_home / "home"),
        "TOLLBRIDGE_DATABASE_URL": postgres,
        "TOLLBRIDGE_KEY": KEY,
        "TOLLBRIDGE_RATE_LIMITS": "STRIPE_TEST=1000",
        "XDG_CONFIG_HOME": str(tmp_home / "config"),
    }
    with (tmp_home / "processes.log").open("ab") as log, ExitStack() as stack:
        yield Person(environ, log, stack)


def test_a_month_of_bills_arrives_from_a_postgresql_15_of_ones_own(person: Person) -> None:
    # A database that was never migrated is refused with what to do.
    person.run("init", expect=4)
    assert "schema" in person.run("doctor", expect=1)
    person.run("migrate")
    person.run("migrate", "--check")
    vendor, _, key = person.start("sandbox", "--port", "0").readline().strip().partition("\tkey ")
    person.environ["TOLLBRIDGE_VENDOR_URLS"] = f"STRIPE_TEST={vendor}"
    server = person.start("serve", "--port", "0").readline().strip()
    person.run("init", "--name", "Acme", "--url", server)
    person.start("worker")
    _wait(lambda: "✓ workers" in _doctor(person))
    assert "VALID" in person.run("credentials", "create", "--system", "stripe-test", "--name", "Trial", typed=key)
    person.run("integrations", "create", "--system", "stripe-test", "--name", "Invoices", "--credential", "Trial")
    for kind in ("products", "accounts", "bills"):
        person.run("import", "--kind", kind, str(FOLDER / f"{kind}.jsonl"))
    _wait(lambda: _states(person) == {"delivered": 40})
    with urlopen(f"{vendor}/_admin/books", timeout=PATIENCE) as answer:
        invoices = json.load(answer)["invoices"]
    assert len({each["metadata"]["bill_id"] for each in invoices}) == len(invoices) == 40
    told = json.loads(person.run("doctor", "--json"))
    assert told["ok"], told
    assert "PostgreSQL 15" in told["checks"][0]["text"]


def _doctor(person: Person) -> str:
    done = subprocess.run([*_command(), "doctor"], capture_output=True, text=True, timeout=PATIENCE, env=person.environ)
    return done.stdout


def _states(person: Person) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in json.loads(person.run("status", "--json"))["totals"]:
        found[each["state"]] = found.get(each["state"], 0) + each["count"]
    return found


def _wait(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.3)
