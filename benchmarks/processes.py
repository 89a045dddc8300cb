"""Processes that a benchmark starts, and what they cost (read from /proc: Linux only)."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

START = 60.0
TICKS = os.sysconf("SC_CLK_TCK")


class Process:
    """A Python module in a process of its own."""

    def __init__(self, log: Path, module: str, *arguments: str, environ: Mapping[str, str]) -> None:
        self.log = log
        with log.open("ab") as errors:
            self._popen = subprocess.Popen(  # noqa: S603 (this very program)
                [sys.executable, "-m", module, *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                env=dict(environ),
            )
        self.id = self._popen.pid

    def first_line(self) -> str:
        """What it says once it is ready."""
        assert self._popen.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._popen.stdout, selectors.EVENT_READ)
            if not selector.select(START):
                raise TimeoutError(f"{self.log.stem} did not start")
        line = self._popen.stdout.readline().decode().strip()
        if not line:
            raise RuntimeError(f"{self.log.stem} ended: {self.log.read_text()[-1500:]}")
        return line

    def says(self, text: str) -> None:
        """Wait until its log has the text."""
        deadline = time.monotonic() + START
        while text not in self.log.read_text():
            if self._popen.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.log.stem} does not say {text!r}: {self.log.read_text()[-1500:]}")
            time.sleep(0.02)

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    @property
    def cpu(self) -> float:
        """Seconds of CPU so far."""
        return cpu_of(self.id)

    @property
    def peak_memory(self) -> float:
        """The most memory that it held, in MB."""
        lines = Path(f"/proc/{self.id}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024

    def kill(self) -> None:
        """End it as a machine that loses its power does."""
        self._popen.kill()
        self._popen.wait()

    def stop(self) -> None:
        """End it in order."""
        self._popen.send_signal(signal.SIGTERM)
        try:
            self._popen.wait(START)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


@contextmanager
def running(log: Path, module: str, *arguments: str, environ: Mapping[str, str] = os.environ) -> Iterator[Process]:
    process = Process(log, module, *arguments, environ=environ)
    try:
        yield process
    finally:
        process.stop()


def cpu_of(process: int) -> float:
    """Seconds of CPU of a process and of its children that have ended."""
    return sum(_ticks(process)) / TICKS


def cpu_of_family(parent: int) -> float:
    """Seconds of CPU of a process and of all its children."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    alive = 0.0
    for child in children:
        try:
            alive += sum(_ticks(int(child)))
        except FileNotFoundError:
            continue
    return sum(_ticks(parent)) / TICKS + alive / TICKS


def _ticks(process: int) -> list[int]:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return [int(each) for each in fields[11:15]]
