"""The client against real servers on the loopback address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

from aiohttp import web

from tollbridge.domain.flows import NoReply, Reply, Request
from tollbridge.outbound.http import Http, Policy
from tollbridge.settings import Settings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LONG = timedelta(seconds=20)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_server(answer: bytes) -> AsyncIterator[str]:
    """Reads a request, writes the answer as it is and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def perform(url: str, request: Request, timeout: timedelta = LONG, max_reply: int = 1000) -> Reply | NoReply:
    async with Http(Settings()) as http:
        return await http.perform(url, request, Policy(timeout, keep=max_reply))


async def echo(request: web.Request) -> web.Response:
    return web.json_response(
        {
            "method": request.method,
            "path": request.raw_path,
            "type": request.headers.get("content-type"),
            "key": request.headers.get("idempotency-key"),
            "body": await request.text(),
        }
    )


async def test_a_form_is_sent_in_brackets_with_its_headers() -> None:
    request = Request(
        "POST",
        "/v1/items",
        query=(("expand[]", "lines"),),
        form=(("lines[0][description]", "Überziehung & mehr"),),
        headers=(("Idempotency-Key", "k1"),),
    )
    async with serving(echo) as url:
        reply = await perform(url, request)
    assert isinstance(reply, Reply)
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.json == {
        "method": "POST",
        "path": "/v1/items?expand%5B%5D=lines",
        "type": "application/x-www-form-urlencoded",
        "key": "k1",
        "body": "lines%5B0%5D%5Bdescription%5D=%C3%9Cberziehung+%26+mehr",
    }


async def test_json_keeps_amounts_exact() -> None:
    async with serving(echo) as url:
        reply = await perform(url, Request("PUT", "/x", json={"amount": Decimal("0.1000000000000000055")}))
    assert isinstance(reply, Reply)
    assert reply["type"] == "application/json"
    assert reply["body"] == '{"amount":0.1000000000000000055}'


async def test_an_encoded_path_is_sent_as_it_stands() -> None:
    async with serving(echo) as url:
        reply = await perform(url, Request("GET", "/v1/things/a%2Fb"))
    assert isinstance(reply, Reply)
    assert reply["path"] == "/v1/things/a%2Fb"


async def test_any_status_is_a_reply() -> None:
    async def unwell(request: web.Request) -> web.Response:
        return web.Response(status=503, text="come back", headers={"Retry-After": "7"})

    async with serving(unwell) as url:
        reply = await perform(url, Request("GET", "/"))
    assert isinstance(reply, Reply)
    assert (reply.status, reply.headers["retry-after"], reply.body) == (503, "7", b"come back")


async def test_redirects_are_not_followed_and_cookies_not_kept() -> None:
    seen: list[str | None] = []

    async def elsewhere(request: web.Request) -> web.Response:
        seen.append(request.headers.get("cookie"))
        return web.Response(status=307, headers={"Location": "/other", "Set-Cookie": "a=b"})

    async with serving(elsewhere) as url, Http(Settings()) as http:
        for _ in range(2):
            reply = await http.perform(url, Request("POST", "/"))
            assert isinstance(reply, Reply)
            assert reply.status == 307
    assert seen == [None, None]


async def test_a_reply_that_does_not_come_in_time_counts_as_sent() -> None:
    given_up = asyncio.Event()

    async def late(request: web.Request) -> web.Response:
        await given_up.wait()
        return web.Response()

    async with serving(late) as url:
        reply = await perform(url, Request("POST", "/"), timeout=timedelta(seconds=0.2))
        given_up.set()
    assert reply == NoReply("No reply within 0.2 seconds.", sent=True)


async def test_a_refused_connection_counts_as_not_sent() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        reply = await perform(f"http://127.0.0.1:{port}", Request("POST", "/"))
    assert isinstance(reply, NoReply)
    assert not reply.sent
    assert str(port) in reply.reason


async def test_an_unknown_name_counts_as_not_sent() -> None:
    reply = await perform("http://nowhere.invalid", Request("POST", "/"))
    assert reply == NoReply("The name nowhere.invalid cannot be resolved.", sent=False)


async def test_a_connection_dropped_after_the_send_counts_as_sent() -> None:
    async with raw_server(b"") as url:
        reply = await perform(url, Request("POST", "/", json={}))
    assert reply == NoReply("The connection was closed before a reply came.", sent=True)


async def test_a_reply_cut_in_the_middle_is_no_reply() -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") as url:
        reply = await perform(url, Request("POST", "/", json={}))
    assert reply == NoReply("The connection was closed in the middle of the reply.", sent=True)


async def test_what_is_not_http_is_no_reply() -> None:
    async with raw_server(b"SSH-2.0-OpenSSH_9.9\r\n") as url:
        reply = await perform(url, Request("POST", "/", json={}))
    assert isinstance(reply, NoReply)
    assert reply.sent


async def test_a_reply_that_is_too_long_is_no_reply() -> None:
    async def long(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 1001)

    async with serving(long) as url:
        reply = await perform(url, Request("GET", "/"))
    assert reply == NoReply("The reply is longer than 1000 bytes.", sent=True)


async def test_a_compressed_reply_is_measured_after_it_is_unpacked() -> None:
    async def bomb(request: web.Request) -> web.Response:
        response = web.Response(body=b"x" * 100_000)
        response.enable_compression()
        return response

    async with serving(bomb) as url:
        reply = await perform(url, Request("GET", "/"))
    assert isinstance(reply, NoReply)
