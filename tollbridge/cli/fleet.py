"""Processes of ours that the demo starts and, whatever happens, ends, with a database and a home of their own."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from tollbridge.cli.common import complain, read_settings
from tollbridge.domain.errors import Refusal, Unavailable
from tollbridge.settings import Settings

START = 240.0
"""Seconds until a process is ready, on a machine however busy; one that ends is noticed at once."""
STOP = 15.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Ended(BaseException):
    """SIGTERM came: leave in order."""


@dataclass(slots=True)
class Fleet:
    """Running processes by name; `environ` is what all of them are given."""

    home: Path
    environ: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *arguments: str, **environ: str) -> None:
        """Start `tollbridge` with these arguments in a session of its own, so that Ctrl-C reaches us alone.

        Its standard input is ours to hold: whatever we die of, it ends and the process with it.
        """
        # A process that was started but not yet noted would be nobody's.
        with uninterrupted(), (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(  # noqa: S603 this very program
                [sys.executable, "-m", "tollbridge.cli.main", "--end-with-stdin", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.environ | environ,
                start_new_session=True,
            )

    def first_line(self, name: str) -> str:
        """What the process says once it is ready; raises Unavailable, with the end of its log, where it does not."""
        process = self.processes[name]
        assert process.stdout is not None
        deadline, said = time.monotonic() + START, b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not said.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    break
                some = os.read(process.stdout.fileno(), 4096)
                if not some:
                    break
                said += some
        if not said.endswith(b"\n"):
            raise self._failed(name)
        return said.decode().splitlines()[0]

    def check(self) -> None:
        """Raises Unavailable where one of them has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise self._failed(name)

    def stop(self) -> None:
        """End all of them, the last started first; what does not end in time is killed."""
        for process in reversed(self.processes.values()):
            process.terminate()
        deadline = time.monotonic() + STOP
        for process in self.processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            if process.poll() is None:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        self.processes.clear()

    def log_of(self, name: str) -> str:
        """The end of what the process logged."""
        return (self.home / f"{name}.log").read_text(errors="replace").strip()[-1500:]

    def _failed(self, name: str) -> Unavailable:
        return Unavailable("demo.process", f"The process {name} did not stay up.", "Its log says why.")


@contextmanager
def fleet() -> Iterator[tuple[Fleet, Settings]]:
    """A fleet with an empty home, and the settings for it; at the end, SIGTERM included, nothing of it is left."""
    from tollbridge.store import embedded
    from tollbridge.store.db import database_dsn

    with ExitStack() as stack:
        stack.enter_context(_ending_in_order())
        folder = Path(stack.enter_context(_temporary()))
        home = folder / "home"
        home.mkdir(mode=0o755)
        # Ours are the only settings that count: a database or a key of the surroundings must not come in.
        settings = Settings(home=home, log_level="warning", postgres_user=read_settings().postgres_user)
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith("TOLLBRIDGE_")}
        own = {
            "TOLLBRIDGE_HOME": str(home),
            "TOLLBRIDGE_LOG_LEVEL": settings.log_level,
            "TOLLBRIDGE_POSTGRES_USER": settings.postgres_user,
        }
        # Held all the time, so that the database does not stop between two of the processes.
        # The home is ours alone: whatever was interrupted half-way, the database ends with it.
        stack.callback(embedded.stop, settings)
        with uninterrupted():
            stack.enter_context(database_dsn(settings))
        ships = Fleet(home, surroundings | own)
        stack.callback(ships.stop)
        # Once the end has begun nobody can stop it half-way.
        stack.callback(signal.signal, signal.SIGINT, signal.SIG_IGN)
        try:
            yield ships, settings
        except Refusal:
            # The logs go with the home.
            for name in ships.processes:
                if tail := ships.log_of(name):
                    complain(f"{name}: {tail}")
            raise


@contextmanager
def _temporary() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="tollbridge-demo-")
    # As root the database runs as another user, who must be able to pass.
    os.chmod(folder, 0o711 if hasattr(os, "geteuid") and os.geteuid() == 0 else 0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Signals wait until its end: a database that is half made, or half open, cannot be left in order."""
    came: list[int] = []
    before = {each: signal.signal(each, lambda number, frame: came.append(number)) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    if came:
        signal.raise_signal(came[0])


@contextmanager
def _ending_in_order() -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Ended

    before = {each: signal.getsignal(each) for each in SIGNALS}
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
