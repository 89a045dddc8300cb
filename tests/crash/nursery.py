"""Workers that die on command: `python -m tests.crash.nursery` starts one for each line that it reads.

A worker here is the product's own, with the places where it meets the world wrapped: at the chosen boundary of the
chosen step it kills its own process. Everything is imported once and each worker forked, so that a thousand kills do
not spend their time on imports. The product itself knows no such hooks.

Prints the number of each process it started. What a worker died of stands in the file `deaths`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from tollbridge import wiring
from tollbridge.domain.conversation import Entry
from tollbridge.domain.errors import Fault
from tollbridge.domain.flows import NoReply, Outcome, Reply, Request
from tollbridge.domain.runs import Paused
from tollbridge.engine import worker
from tollbridge.engine.drive import Drive
from tollbridge.engine.notifier import Notifier
from tollbridge.services import clock, notifying
from tollbridge.services.settling import Settlement
from tollbridge.services.work import Claimed
from tollbridge.settings import Settings

WRITES = ("customer", "invoice:1", "lines:1:1", "finalise:1", "send:1")
SEARCH = "customer:search"
BOUNDARIES = ("before record", "before send", "after send", "after commit", "after record")


@dataclass(frozen=True, slots=True)
class Death:
    """Where a worker kills itself; None for a worker that does not."""

    boundary: str
    step: str

    def __str__(self) -> str:
        return f"{self.step} {self.boundary}"


def all_deaths() -> list[Death]:
    """Every durable boundary of every step of a delivery, those of the run around them, and those of a notification."""
    writes = [Death(boundary, step) for step in WRITES for boundary in BOUNDARIES]
    # The last reply of a run is recorded with its settlement.
    writes.remove(Death("after record", "send:1"))
    return [
        Death("after", "claim"),
        Death("after commit", SEARCH),
        *writes,
        Death("before", "settlement"),
        Death("after", "settlement"),
        Death("after", "attempt"),
        Death("after", "notification"),
    ]


@dataclass(frozen=True, slots=True)
class Order:
    """One worker: its death, and how many seconds the clock of its machine is ahead."""

    death: Death | None = None
    ahead: float = 0.0

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def of(cls, line: str) -> Order:
        given = json.loads(line)
        return cls(Death(**given["death"]) if given["death"] else None, given["ahead"])


class _Doom:
    """Kills this process where it is its time."""

    def __init__(self, death: Death | None, deaths: Path) -> None:
        self._death, self._deaths = death, deaths

    def strike(self, boundary: str, step: str | None) -> None:
        if self.awaits(boundary, step):
            with self._deaths.open("a") as file:
                file.write(f"{os.getpid()} {self._death}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def awaits(self, boundary: str, step: str | None) -> bool:
        return self._death is not None and (self._death.boundary, self._death.step) == (boundary, step)


def _doomed(doom: _Doom, vendor_url: str) -> tuple[type[worker.Worker], type[worker._Line], type[Notifier]]:
    class DoomedWorker(worker.Worker):
        async def _drive(self, run: Claimed) -> bool:
            doom.strike("after", "claim")
            return await super()._drive(run)

        async def _end(self, run: Claimed, drive: Drive, result: Outcome | Paused | None) -> bool:
            ended = not isinstance(result, (Fault, Paused))
            doom.strike("before", "settlement" if ended else None)
            kept = await super()._end(run, drive, result)
            doom.strike("after", "settlement" if ended else None)
            return kept

    class DoomedLine(worker._Line):
        _sending: str | None = None

        async def record(self, entry: Entry) -> bool:
            self._sending = entry.intent.step_key if entry.intent else None
            doom.strike("before record", self._sending)
            kept = await super().record(entry)
            doom.strike("after record", entry.done.key if entry.done else None)
            return kept

        async def send(self, request: Request) -> Reply | NoReply:
            step, self._sending = self._sending, None
            if request.path == "/v1/customers/search":
                step = SEARCH
            doom.strike("before send", step)
            if doom.awaits("after send", step):
                await _send_and_forget(vendor_url, request)
                doom.strike("after send", step)
            answer = await super().send(request)
            doom.strike("after commit", step)
            return answer

    class DoomedNotifier(Notifier):
        async def _attempt(self, run: notifying.Claimed) -> tuple[Settlement | None, bool]:
            made = await super()._attempt(run)
            doom.strike("after", "attempt")
            return made

        async def _close(self, run: notifying.Claimed, settlement: Settlement) -> None:
            await super()._close(run, settlement)
            doom.strike("after", "notification")

    return DoomedWorker, DoomedLine, DoomedNotifier


async def _send_and_forget(url: str, request: Request) -> None:
    """Hand the whole request to the kernel and wait for nothing: the vendor works on it when we are dead."""
    address = urlsplit(url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    body = urlencode(request.form or ()).encode()
    headers = [
        *request.headers,
        ("Host", address.netloc),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Content-Length", str(len(body))),
    ]
    head = [f"{request.method} {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    writer.write("\r\n".join(head).encode() + body)
    await writer.drain()


def set_clock_ahead(span: timedelta) -> None:
    """Move the clock of this process, as if that of its machine were ahead."""
    real = clock.now

    def ahead() -> datetime:
        return real() + span

    clock.now = ahead


def _work(order: Order, home: Path) -> None:
    settings = Settings.read()
    doom = _Doom(order.death, home / "deaths")
    doomed = _doomed(doom, settings.vendor_urls["STRIPE_TEST"])
    worker.Worker, worker._Line, worker.Notifier = doomed  # type: ignore[attr-defined, misc]
    set_clock_ahead(timedelta(seconds=order.ahead))
    wiring.set_up_logs(settings.log_level)
    asyncio.run(wiring.run_worker(settings))


def main() -> None:
    home = Path(sys.argv[1])
    # The dead need no mourning: who ordered them watches them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in iter(sys.stdin.readline, ""):
        process = os.fork()
        if process == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            try:
                _work(Order.of(line), home)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        print(process, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
