"""Supervises the embedded PostgreSQL: whoever finds none running starts it, detached; the others connect.

Two kernel locks decide, never process numbers, which are reused and which a dead child keeps until it is waited for:
`alive` is inherited by every process of the server and so is held exactly as long as one of them lives; `users` is
shared by the processes of ours that use the server. Both are let go by the kernel, whatever a process dies of. A
third, `turn`, lets one process at a time start or stop.

A server whose last user was killed runs on until the next one leaves, or until `tollbridge db stop`.

Blocks while it waits; asynchronous callers run it in a thread. It knows nothing of tables.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tollbridge.domain.errors import Unavailable
from tollbridge.settings import Settings
from tollbridge.store.embedded_files import (
    Place,
    binaries,
    cannot,
    files_explained,
    make_data,
    make_folders,
    make_socket_folder,
    runner_for,
    spawn,
)

# Small, durable, and reachable over the private socket alone.
OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "jit": "off",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
# Replaying the log after a crash takes its time; a clean start takes 50 ms.
LONGEST_START = LONGEST_STOP = 120.0
POLL = 0.01


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of the embedded server; `process` (the postmaster's number) and `dsn` while it runs."""

    state: Literal["running", "changing", "stopped"]
    folder: Path
    process: int | None = None
    dsn: str | None = field(default=None, repr=False)
    used: bool = False
    """Whether a process of ours uses it."""
    kept: bool = False
    """Whether it was started to run until `tollbridge db stop`."""


def start(settings: Settings) -> str:
    """The DSN of the server, which now runs until `stop`; raises Refusal where it cannot be started."""
    place = Place.of(settings)
    with _turn(place):
        _ensure(place, settings)
        _keep(place).touch()
        return place.dsn


@contextmanager
def running(settings: Settings) -> Iterator[str]:
    """The DSN of a server that runs as long as this context; the last to leave stops it, unless `start` kept it."""
    place = Place.of(settings)
    with _turn(place):
        _ensure(place, settings)
        user = _open_lock(place, "users")
        _lock(user, shared=True)
        dsn = place.dsn
    try:
        yield dsn
    finally:
        os.close(user)
        with _turn(place):
            if not _keep(place).exists() and not _held(place, "users"):
                _stop(place)


def revive(settings: Settings) -> bool:
    """Start a server again that died under its users; False, and nothing done, where it was stopped on purpose."""
    place = Place.of(settings)
    with _turn(place):
        # Only a server that stops in order removes this file.
        if not (place.data / "postmaster.pid").exists():
            return False
        _ensure(place, settings)
        return True


def stop(settings: Settings) -> bool:
    """Stop the server, whoever uses it; False where none ran."""
    place = Place.of(settings)
    if not place.folder.exists():
        return False
    with _turn(place):
        _keep(place).unlink(missing_ok=True)
        return _stop(place)


def status(settings: Settings) -> Status:
    """What runs now; changes nothing."""
    place = Place.of(settings)
    if not place.folder.exists():
        return Status("stopped", place.folder)
    with files_explained(place):
        used, kept = _held(place, "users"), _keep(place).exists()
        if _is_ready(place):
            return Status("running", place.folder, _postmaster(place), place.dsn, used, kept)
        return Status("changing" if _held(place, "alive") else "stopped", place.folder, used=used, kept=kept)


@contextmanager
def _turn(place: Place) -> Iterator[None]:
    with files_explained(place):
        make_folders(place)
        turn = _open_lock(place, "turn")
        try:
            _lock(turn)
            yield
        finally:
            os.close(turn)


def _ensure(place: Place, settings: Settings) -> None:
    """Start a server unless one runs; one that is just starting, stopping or dying is waited for."""
    deadline = time.monotonic() + LONGEST_STOP
    while not _is_ready(place):
        alive = _open_lock(place, "alive")
        try:
            if _try_lock(alive):
                _start(place, settings, alive)
                return
        finally:
            os.close(alive)
        _pause(place, deadline, "answer")


def _start(place: Place, settings: Settings, alive: int) -> None:
    runner = runner_for(place, settings)
    programs = binaries(place, runner)
    make_data(place, programs, runner, alive)
    # No process of a server lives, so what one left behind is stale, whoever has its number now.
    (place.data / "postmaster.pid").unlink(missing_ok=True)
    make_socket_folder(place, runner)
    options = OPTIONS | {"unix_socket_directories": f'"{place.sockets}"'}
    arguments = [f"-c{key}={value}" for key, value in options.items()]
    with open(place.log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as log:
        before = log.tell()
        process = spawn(
            [programs / "postgres", "-D", place.data, *arguments],
            runner,
            lock=alive,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    # Waited for, so that a dead server does not stay in the process table as long as we live.
    threading.Thread(target=process.wait, daemon=True).start()
    deadline = time.monotonic() + LONGEST_START
    while not _is_ready(place):
        if process.returncode is not None:
            raise cannot(place, "start", place.log.read_bytes()[before:].decode(errors="replace"))
        _pause(place, deadline, "start")


def _stop(place: Place) -> bool:
    if not _held(place, "alive"):
        return False
    deadline = time.monotonic() + LONGEST_STOP
    asked = False
    while _held(place, "alive"):
        # Only a postmaster that answers is surely the process that its file names.
        if not asked and _is_ready(place) and (process := _postmaster(place)):
            os.kill(process, signal.SIGINT)
            asked = True
        _pause(place, deadline, "stop")
    with suppress(OSError):
        place.sockets.rmdir()
    return True


def _pause(place: Place, deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        raise Unavailable(
            "database.slow",
            f"The embedded database in {place.folder} does not {what} within {LONGEST_START:.0f} seconds.",
            f"Read {place.log}; after a crash it may still be replaying its log: try again later.",
        )
    time.sleep(POLL)


def _is_ready(place: Place) -> bool:
    """Whether the postmaster says that it is ready, and something does listen on its socket."""
    lines = _pid_file(place)
    if len(lines) < 8 or lines[7].strip() != "ready":
        return False
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(place.sockets / ".s.PGSQL.5432")) == 0


def _postmaster(place: Place) -> int | None:
    lines = _pid_file(place)
    return int(lines[0]) if lines else None


def _pid_file(place: Place) -> list[str]:
    with suppress(FileNotFoundError):
        return (place.data / "postmaster.pid").read_text().splitlines()
    return []


def _keep(place: Place) -> Path:
    return place.folder / "keep"


def _open_lock(place: Place, name: str) -> int:
    return os.open(place.folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)


def _lock(descriptor: int, *, shared: bool = False) -> None:
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


def _try_lock(descriptor: int) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _held(place: Place, name: str) -> bool:
    descriptor = _open_lock(place, name)
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)
