"""Something that stands before a vendor and passes on what it is asked, but spoils the answers that a test names.

The vendor does its work each time: what is spoilt is only what the worker gets to see. While the gate is shut, new
drafts wait before it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
MEGABYTE = b" " * 1024 * 1024


@dataclass
class Front:
    """`spoils` are the answers given instead, one for each of the next drafts; `url` is where the worker is sent;
    `waiting` drafts are at the gate."""

    vendor: str
    url: str = ""
    spoils: list[Answer] = field(default_factory=list)
    asked: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        draft = request.method == "POST" and request.path == "/v1/invoices"
        if draft:
            self.waiting += 1
            await self.gate.wait()
            self.waiting -= 1
        headers = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "te")}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as web_,
            web_.request(
                request.method, self.vendor + request.path_qs, headers=headers, data=await request.read()
            ) as reply,
        ):
            body = await reply.read()
            if draft and self.spoils:
                return await self.spoils.pop(0)(request)
            kept = {name: value for name, value in reply.headers.items() if name.lower() in _KEPT}
            return web.Response(status=reply.status, body=body, headers=kept)


_KEPT = ("content-type", "idempotent-replayed", "request-id", "retry-after", "stripe-should-retry")


@asynccontextmanager
async def standing_before(vendor: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Front]:
    """A front that listens on this machine; with `tls` under the name localhost."""
    front = Front(vendor)
    front.gate.set()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", front.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    front.url = f"{'https://localhost' if tls else 'http://127.0.0.1'}:{runner.addresses[0][1]}"
    try:
        yield front
    finally:
        await runner.cleanup()


async def hundred_megabytes(request: web.Request) -> web.StreamResponse:
    """A reply of JSON that does not end before 100 MB."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = 100 * len(MEGABYTE) + 2
    with suppress(ConnectionError):
        await response.prepare(request)
        for _ in range(100):
            await response.write(MEGABYTE)
        await response.write(b"{}")
    return response


async def one_byte_a_second(request: web.Request) -> web.StreamResponse:
    """A reply that never stands still and never comes to its end."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = 1000
    with suppress(ConnectionError):
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b" ")
            await asyncio.sleep(1)
    return response


async def a_page(request: web.Request) -> web.StreamResponse:
    """HTML that is called JSON."""
    return web.Response(body=b"<html>Welcome to the portal</html>", content_type="application/json")


async def not_packed(request: web.Request) -> web.StreamResponse:
    """Text that is called gzip."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    return web.Response(body=b'{"id": "in_1"}', headers=headers)


async def half_a_reply(request: web.Request) -> web.StreamResponse:
    """JSON that ends in the middle, though its length is right."""
    return web.Response(body=b'{"id": "in_', content_type="application/json")
