"""A receiver of webhooks on the loopback: it verifies with the standard library of others, and answers as told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

Answer = Callable[["Got"], "int | float"]
"""The status of the answer; a float is a time in seconds after which 200 is answered."""


@dataclass(frozen=True)
class Got:
    """A message as it came in: verified, or not."""

    at: float
    headers: dict[str, str]
    body: bytes
    payload: Any

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """What came in, oldest first."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    answer: Answer = lambda got: 200

    @property
    def ids(self) -> list[str]:
        return [got.id for got in self.got]


@asynccontextmanager
async def receiving(secret: str, answer: Answer = lambda got: 200) -> AsyncIterator[Receiver]:
    """A receiver that runs. A message whose signature is wrong raises in its handler and is answered by 500."""
    receiver = Receiver(answer=answer)
    verifier = Webhook(secret)

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        got = Got(time.time(), headers, body, verifier.verify(body, headers))
        receiver.got.append(got)
        status = receiver.answer(got)
        if isinstance(status, float):
            await asyncio.sleep(status)
            status = 200
        return web.Response(status=status, text="said the receiver")

    app = web.Application()
    app.router.add_post("/in", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    receiver.url = f"http://127.0.0.1:{port}/in"
    try:
        yield receiver
    finally:
        await runner.cleanup()
