"""The usual build for the same job: a Celery task that signs and posts with requests, with Redis as broker.

Not pinned and not needed: it runs where celery, redis and requests can be imported and redis-server is installed. It
counts its attempts in Redis and keeps no record of them, which is kinder to it than to us.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.ceiling import SECRET
from tollbridge.connectors.webhook.signature import sign

AT_ONCE = 8
PATIENCE = 300.0
BROKER = "BENCHMARK_BROKER"
NEEDED = ("celery", "redis", "requests")
DONE = "done"


def missing() -> list[str]:
    """What is not installed of what it needs."""
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    return absent if shutil.which("redis-server") else [*absent, "redis-server"]


def make_app() -> Any:
    import celery
    import redis
    import requests

    app = celery.Celery("benchmark", broker=os.environ[BROKER])
    app.conf.update(task_ignore_result=True, task_acks_late=True, worker_prefetch_multiplier=16)
    session, books = requests.Session(), redis.Redis.from_url(os.environ[BROKER])

    def deliver(url: str, id: str, body: str) -> None:
        content, timestamp = body.encode(), int(time.time())
        headers = {
            "Content-Type": "application/json",
            "webhook-api-key": "key",
            "webhook-id": id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(SECRET, id, timestamp, content),
        }
        answer = session.post(url, data=content, headers=headers, timeout=15, allow_redirects=False)
        answer.raise_for_status()
        books.incr(DONE)

    app.task(deliver, name="deliver")
    return app


def per_second(folder: Path, url: str, body: str, count: int) -> float:
    """How many it delivers in a second of those that are queued before."""
    import redis

    with _redis(folder) as address:
        os.environ[BROKER] = address
        deliver = make_app().tasks["deliver"]
        for number in range(count):
            deliver.delay(url, f"msg_{number}", body)
        books = redis.Redis.from_url(address)
        with _worker(folder, address):
            _wait(books, 1)
            began, before = time.monotonic(), int(books.get(DONE) or 0)
            _wait(books, count)
            return (count - before) / (time.monotonic() - began)


def _wait(books: Any, count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while int(books.get(DONE) or 0) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Celery delivered {books.get(DONE)} of {count}")
        time.sleep(0.02)


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(folder), "--bind", "127.0.0.1"]
    with _process([shutil.which(command[0]) or command[0], *command[1:]], folder / "redis.log"):
        for _ in range(500):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _worker(folder: Path, address: str) -> Iterator[None]:
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.celery_worker", "worker", "-c", str(AT_ONCE)]
    with _process([*command, "--without-gossip", "--without-mingle", "-l", "error"], folder / "celery.log"):
        yield


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[None]:
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)  # noqa: S603 (what is installed here)
    try:
        yield
    finally:
        process.terminate()
        process.wait()
