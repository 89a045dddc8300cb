"""The embedded server survives what happens to it and to whoever started it, and refuses what it cannot do."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.conftest import HOME, new_home, remove
from tollbridge.domain.errors import Refusal, Unavailable
from tollbridge.settings import Settings
from tollbridge.store import embedded

IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs root, to act as other users and to mount")

NOBODY = pwd.getpwnam("nobody").pw_uid

# A program that uses the server until its stdin ends; as another user only once it has loaded all it needs, because
# that user may not be able to read our Python.
PROGRAM = """
import os, sys
from pathlib import Path
from tollbridge.domain.errors import Refusal
from tollbridge.settings import Settings
from tollbridge.store import embedded
import fcntl
if len(sys.argv) > 2:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
try:
    with embedded.running(Settings(home=Path(sys.argv[1]))) as dsn:
        print(dsn, flush=True)
        sys.stdin.read()
except Refusal as refusal:
    print("refused:", refusal.message, refusal.hint, flush=True)
"""


@pytest.fixture(scope="module")
def shared_home() -> Iterator[Path]:
    home = new_home(Path(os.environ[HOME]))
    with embedded.running(at(home)):
        pass
    yield home
    remove(home)


@pytest.fixture
def home(shared_home: Path) -> Iterator[Path]:
    """A home whose data folder exists and whose server does not run; making one anew takes a second."""
    yield shared_home
    embedded.stop(at(shared_home))


def at(home: Path, **others: Any) -> Settings:
    return Settings(home=home, **others)


def ask(dsn: str, query: str) -> Any:
    async def answer() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(answer())


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.005)


class Program:
    """A process of its own that uses the server of a home, perhaps as another user."""

    def __init__(self, home: Path, user: int | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(home), *([str(user)] if user else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def said(self) -> str:
        """Its next line: the DSN, or why it was refused."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        self.process.communicate()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def postmaster(home: Path) -> int:
    process = embedded.status(at(home)).process
    assert process
    return process


def test_it_runs_as_long_as_anybody_uses_it(home: Path) -> None:
    with embedded.running(at(home)) as dsn:
        other = Program(home)
        assert other.said == dsn
        assert ask(dsn, "SELECT 1") == 1
    assert embedded.status(at(home)).state == "running"
    assert embedded.status(at(home)).used
    other.leave()
    assert embedded.status(at(home)).state == "stopped"


def test_started_by_hand_it_runs_until_it_is_stopped_by_hand(home: Path) -> None:
    dsn = embedded.start(at(home))
    with embedded.running(at(home)) as same:
        assert same == dsn
    assert ask(dsn, "SELECT 1") == 1
    assert embedded.stop(at(home))
    assert embedded.status(at(home)).state == "stopped"
    assert not embedded.stop(at(home))


def test_it_is_private_and_durable(home: Path) -> None:
    with embedded.running(at(home)) as dsn:
        database = home / "database"
        assert stat.S_IMODE((database / "password").stat().st_mode) == 0o600
        assert stat.S_IMODE((database / "data").stat().st_mode) == 0o700
        assert stat.S_IMODE((database / "socket").stat().st_mode) == 0o700
        for option, value in {"listen_addresses": "", "synchronous_commit": "on", "fsync": "on"}.items():
            assert ask(dsn, f"SHOW {option}") == value
        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(dsn.replace("tollbridge:", "tollbridge:wrong", 1), "SELECT 1")


def test_of_four_racing_starters_one_starts_it_and_all_use_it(tmp_home: Path) -> None:
    programs = [Program(tmp_home) for _ in range(4)]
    assert len({program.said for program in programs}) == 1
    for program in programs:
        assert embedded.status(at(tmp_home)).state == "running"
        program.leave()
    assert embedded.status(at(tmp_home)).state == "stopped"
    assert (tmp_home / "database" / "postgres.log").read_text().count("starting PostgreSQL") == 1


def test_after_kill_9_of_the_postmaster_the_next_user_finds_everything_committed(home: Path) -> None:
    with embedded.running(at(home)) as dsn:
        ask(dsn, "CREATE TABLE kept AS SELECT 42 AS n")
        killed = postmaster(home)
        os.kill(killed, signal.SIGKILL)
        until(lambda: embedded.status(at(home)).state != "running")
        with embedded.running(at(home)) as again:
            assert ask(again, "SELECT n FROM kept") == 42
            assert postmaster(home) != killed


def test_a_stale_process_number_that_somebody_else_has_now_does_not_matter(home: Path) -> None:
    embedded.start(at(home))
    data = home / "database" / "data"
    pid_file = (data / "postmaster.pid").read_text()
    embedded.stop(at(home))
    owner = {"user": data.stat().st_uid} if IS_ROOT else {}
    with subprocess.Popen(["sleep", "60"], cwd="/", **owner) as stranger:  # type: ignore[call-overload]
        _, _, rest = pid_file.partition("\n")
        (data / "postmaster.pid").write_text(f"{stranger.pid}\n{rest}")
        with embedded.running(at(home)) as dsn:
            assert ask(dsn, "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.kill()


def test_after_kill_9_of_whoever_started_it_the_others_go_on(home: Path) -> None:
    starter = Program(home)
    dsn = starter.said
    first = postmaster(home)
    starter.kill()
    assert ask(dsn, "SELECT 1") == 1
    with embedded.running(at(home)):
        assert postmaster(home) == first
    assert embedded.status(at(home)).state == "stopped"


def test_after_kill_9_while_the_data_folder_was_made_the_next_one_makes_it_anew(tmp_home: Path) -> None:
    starter = Program(tmp_home)
    until((tmp_home / "database" / "data.partial" / "PG_VERSION").exists)
    starter.kill()
    assert not (tmp_home / "database" / "data").exists()
    with embedded.running(at(tmp_home)) as dsn:
        assert ask(dsn, "SELECT 1") == 1


@pytest.mark.parametrize("name", ["with two spaces", "a,b 100% ü's", "long " * 30 + "end"])
def test_the_path_may_have_spaces_and_be_long(tmp_home: Path, name: str) -> None:
    with embedded.running(at(tmp_home / name)) as dsn:
        assert ask(dsn, "SELECT 1") == 1


def test_a_data_folder_of_another_major_version_is_refused_and_left_alone(tmp_home: Path) -> None:
    data = tmp_home / "database" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("15\n")
    with pytest.raises(Refusal, match=r"is of PostgreSQL 15, .* is 18") as refusal:
        embedded.start(at(tmp_home))
    assert refusal.value.hint
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_a_lost_password_is_refused(home: Path) -> None:
    password = home / "database" / "password"
    aside = password.rename(password.with_name("aside"))
    with pytest.raises(Refusal, match="password"):
        embedded.start(at(home))
    aside.rename(password)


def test_damaged_data_are_refused_in_the_words_of_postgresql(tmp_home: Path) -> None:
    with embedded.running(at(tmp_home)):
        pass
    (tmp_home / "database" / "data" / "global" / "pg_control").unlink()
    with pytest.raises(Unavailable, match=r"cannot start: .*pg_control") as refusal:
        embedded.start(at(tmp_home))
    assert str(tmp_home / "database" / "postgres.log") in (refusal.value.hint or "")


def test_a_folder_that_may_not_be_written_is_refused(tmp_home: Path) -> None:
    tmp_home.chmod(0o555)
    program = Program(tmp_home, NOBODY if IS_ROOT else None)
    assert re.search("refused: .*may not be written.* Set TOLLBRIDGE_HOME to", program.said)
    program.leave()
    tmp_home.chmod(0o755)


@needs_root
def test_a_home_that_the_server_s_user_may_not_enter_is_refused(tmp_home: Path) -> None:
    tmp_home.chmod(0o700)
    with pytest.raises(Refusal, match="may not run") as refusal:
        embedded.start(at(tmp_home))
    assert "TOLLBRIDGE_HOME" in (refusal.value.hint or "")


@needs_root
@pytest.mark.parametrize("name", ["root", "no-such-user"])
def test_a_user_that_cannot_run_it_is_refused(tmp_home: Path, name: str) -> None:
    with pytest.raises(Refusal, match=name):
        embedded.start(at(tmp_home, postgres_user=name))


@needs_root
def test_root_runs_it_as_the_user_that_was_set_and_later_as_the_owner_of_the_data(tmp_home: Path) -> None:
    for settings in (at(tmp_home, postgres_user="nobody"), at(tmp_home)):
        with embedded.running(settings) as dsn:
            assert ask(dsn, "SELECT 1") == 1
            assert Path(f"/proc/{postmaster(tmp_home)}").stat().st_uid == NOBODY


@needs_root
def test_two_users_of_the_machine_run_their_own_at_the_same_time(home: Path, tmp_home: Path) -> None:
    if not all(folder.stat().st_mode & 0o001 for folder in Path(sys.prefix).parents):
        pytest.skip("another user may not enter this checkout")
    os.chown(tmp_home, NOBODY, NOBODY)
    with embedded.running(at(home)) as ours:
        program = Program(tmp_home, NOBODY)
        theirs = program.said
        assert ask(theirs, "SELECT 1") == ask(ours, "SELECT 1") == 1
        assert Path(f"/proc/{postmaster(tmp_home)}").stat().st_uid == NOBODY
        program.leave()
        assert embedded.status(at(tmp_home)).state == "stopped"
        assert ask(ours, "SELECT 1") == 1


@needs_root
@pytest.mark.parametrize("megabytes", [20, 60])
def test_a_disk_that_is_full_while_it_is_set_up_is_named(tmp_home: Path, megabytes: int) -> None:
    with small_disk(tmp_home, megabytes):
        with pytest.raises(Unavailable, match=r"disk .* is full") as refusal:
            embedded.start(at(tmp_home))
        assert "Free at least" in (refusal.value.hint or "")
        assert not (tmp_home / "database" / "data").exists()


@needs_root
def test_a_disk_that_is_full_when_it_starts_is_named_and_room_helps(tmp_home: Path) -> None:
    with small_disk(tmp_home, 150):
        with embedded.running(at(tmp_home)) as dsn:
            ask(dsn, "CREATE TABLE kept AS SELECT 42 AS n")
        filler = tmp_home / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        with pytest.raises(Unavailable, match=r"disk .* is full"):
            embedded.start(at(tmp_home))
        filler.unlink()
        with embedded.running(at(tmp_home)) as dsn:
            assert ask(dsn, "SELECT n FROM kept") == 42


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """A file system of this size at `folder`."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("may not mount a small file system here")
    try:
        yield
    finally:
        embedded.stop(at(folder))
        subprocess.run(["umount", str(folder)], check=True)
