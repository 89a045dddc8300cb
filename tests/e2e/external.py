"""A PostgreSQL that is not ours, of the oldest version that we take, and somebody who types commands."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

from tests.e2e.stage import KEY, PATIENCE

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
RUNNERS = ("postgres", "nobody")


@dataclass
class External:
    """A server of PostgreSQL 15, which listens on a socket alone."""

    folder: Path
    log: Path
    runner: Mapping[str, Any]

    def dsn(self, database: str = "postgres", user: str = "billing") -> str:
        """Of a database; `billing` is who may do everything."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def run(self, *command: str | Path) -> None:
        """A program of PostgreSQL, as the user who runs the server."""
        with self.log.open("ab") as log:
            subprocess.run(command, check=True, timeout=120, cwd="/", stdout=log, stderr=log, **self.runner)

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off"
        self.control("-o", options, "-l", str(self.folder / "log"), "start")

    def control(self, *arguments: str) -> None:
        self.run(PROGRAMS / "pg_ctl", "-D", self.folder / "data", "-w", *arguments)

    def sql(self, *statements: str) -> None:
        commands = [f"--command={each}" for each in statements]
        self.run(PROGRAMS / "psql", "-X", "--set=ON_ERROR_STOP=1", *commands, f"--dbname={self.dsn()}")


@contextmanager
def external_postgres(home: Path) -> Iterator[External]:
    """A server with nothing in it, as long as this context."""
    if not (PROGRAMS / "initdb").exists():
        pytest.skip(f"no PostgreSQL 15 in {PROGRAMS}")
    folder = home / "pg15"
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
    server = External(folder, home / "pg15.log", runner)
    server.run(
        *(PROGRAMS / "initdb", "-D", folder / "data", "-U", "billing", "-E", "UTF8", "--locale", "C", "--auth", "trust")
    )
    server.start()
    try:
        yield server
    finally:
        server.control("-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Person:
    """Somebody who types commands, in a home and a configuration of their own."""

    environ: dict[str, str]
    log: IO[bytes]
    stack: ExitStack = field(default_factory=ExitStack)

    def run(self, *arguments: str, typed: str | None = None, expect: int = 0) -> str:
        done = self.done(*arguments, typed=typed)
        assert done.returncode == expect, (done.stdout, done.stderr)
        return done.stdout

    def done(self, *arguments: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
        """A command, and all that it said."""
        return subprocess.run(
            [*_command(), *arguments], input=typed, capture_output=True, text=True, timeout=PATIENCE, env=self.environ
        )

    def start(self, *arguments: str) -> Started:
        """A command that goes on."""
        process = subprocess.Popen(
            [*_command(), *arguments], stdout=subprocess.PIPE, stderr=self.log, text=True, env=self.environ
        )
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        assert process.stdout is not None
        self.stack.enter_context(process.stdout)
        return Started(process)


@dataclass(frozen=True)
class Started:
    """A command that goes on."""

    process: subprocess.Popen[str]

    def line(self) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """Kill it, as the machine's memory manager would."""
        self.process.kill()
        self.process.wait()


@contextmanager
def somebody(home: Path, **variables: str) -> Iterator[Person]:
    """A person with these variables in their environment; what they started ends with this context."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TOLLBRIDGE_")} | {
        "TOLLBRIDGE_HOME": str(home / "home"),
        "TOLLBRIDGE_KEY": KEY,
        "TOLLBRIDGE_RATE_LIMITS": "STRIPE_TEST=1000",
        "XDG_CONFIG_HOME": str(home / "config"),
        **variables,
    }
    with (home / "processes.log").open("ab") as log, ExitStack() as stack:
        yield Person(environ, log, stack)


def wait(condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def _command() -> list[str]:
    return [sys.executable, "-m", "tollbridge.cli.main"]
