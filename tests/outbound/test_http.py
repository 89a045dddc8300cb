"""The client against real servers on the loopback address."""

from __future__ import annotations

import asyncio
import gzip
import socket
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from aiohttp import web

from tests.outbound.servers import raw_server, serving
from tollbridge.domain.flows import NoReply, Reply, Request, Silence
from tollbridge.outbound.http import WEBHOOK, Http, Policy
from tollbridge.settings import Settings

LONG = timedelta(seconds=20)


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
    assert reply == NoReply("No reply within 0.2 seconds.", True, Silence.TIMEOUT)


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
    assert reply == NoReply("The name nowhere.invalid cannot be resolved.", False, Silence.NAME)


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
    assert reply == NoReply("The reply is longer than 1000 bytes.", True, Silence.TOO_LARGE)


async def test_a_compressed_reply_is_measured_after_it_is_unpacked() -> None:
    async def bomb(request: web.Request) -> web.Response:
        response = web.Response(body=b"x" * 100_000)
        response.enable_compression()
        return response

    async with serving(bomb) as url:
        reply = await perform(url, Request("GET", "/"))
    assert isinstance(reply, NoReply)


HOOK = Policy(timedelta(seconds=20), keep=16 * 1024, cut=True)
"""As webhooks are sent, without the guard."""
SHORT = Policy(timedelta(seconds=0.5), keep=16 * 1024, cut=True)
OK = b"HTTP/1.1 200 OK\r\n"


async def exchange(url: str, policy: Policy) -> Reply | NoReply:
    async with Http(Settings()) as http:
        return await http.perform(url, Request("POST", "/", json={}), policy)


def test_webhooks_have_15_seconds_in_all_and_keep_16_kilobytes() -> None:
    assert Policy(timedelta(seconds=15), connect=timedelta(seconds=5), guarded=True, keep=16_384, cut=True) == WEBHOOK


async def test_vendors_have_the_time_that_the_settings_say() -> None:
    given_up = asyncio.Event()

    async def late(request: web.Request) -> web.Response:
        await given_up.wait()
        return web.Response()

    async with serving(late) as url, Http(Settings(request_timeout=timedelta(seconds=0.2))) as http:
        reply = await http.perform(url, Request("GET", "/"))
        given_up.set()
    assert reply == NoReply("No reply within 0.2 seconds.", True, Silence.TIMEOUT)


@pytest.mark.parametrize(("length", "kept"), [(0, 0), (16_384, 16_384), (16_385, 16_384)])
async def test_a_webhook_keeps_the_beginning_of_an_answer(length: int, kept: int) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=202, body=b"x" * length)

    async with serving(answer) as url:
        reply = await exchange(url, HOOK)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (202, b"x" * kept)


@pytest.mark.parametrize("cut", [True, False])
async def test_an_answer_of_100_megabytes_is_not_read_to_the_end(cut: bool) -> None:
    written = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(OK + b"Content-Length: 100000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x" * 100_000)
            await writer.drain()
            written += 100_000

    async with raw_server(flood) as url:
        reply = await exchange(url, replace(HOOK, cut=cut))
    if cut:
        assert isinstance(reply, Reply)
        assert (reply.status, len(reply.body)) == (200, 16_384)
    else:
        assert reply == NoReply("The reply is longer than 16384 bytes.", True, Silence.TOO_LARGE)
    # What is on its way in the buffers of two sockets is a few megabytes.
    assert written < 20_000_000


async def test_an_answer_that_trickles_is_given_up_when_the_time_for_all_of_it_is_over() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Content-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with raw_server(trickle) as url:
        reply = await exchange(url, SHORT)
    assert reply == NoReply("No reply within 0.5 seconds.", True, Silence.TIMEOUT)


async def test_a_head_that_trickles_is_given_up_too() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        while True:
            writer.write(b"X: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with raw_server(trickle) as url:
        reply = await exchange(url, SHORT)
    assert reply == NoReply("No reply within 0.5 seconds.", True, Silence.TIMEOUT)


async def test_interim_answers_without_end_are_given_up_too() -> None:
    async def interim(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with raw_server(interim) as url:
        reply = await exchange(url, SHORT)
    assert reply == NoReply("No reply within 0.5 seconds.", True, Silence.TIMEOUT)


CLOSED = "The connection was closed in the middle of the reply."


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(OK + b"X: " + b"a" * 10_000_000, "Got more than 8190 bytes", id="endless header"),
        pytest.param(OK + b"X: " + b"a" * 9000 + b"\r\n\r\n", "Got more than 8190 bytes", id="long header"),
        pytest.param(OK + b"X: a\r\n" * 500 + b"\r\n", "Too many headers", id="many headers"),
        pytest.param(b"HTTP/1.1 200 " + b"a" * 9000 + b"\r\n\r\n", "Got more than 8190 bytes", id="long status"),
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", "Bad status line", id="no status"),
        pytest.param(b"hello\r\n", "Bad status line", id="no HTTP"),
        pytest.param(OK + b"Content-Length: 9\r\n\r\nhello", CLOSED, id="shorter than Content-Length"),
        pytest.param(OK + b"Content-Length: 2\r\n\r\nhello", "not well-formed", id="longer than Content-Length"),
        pytest.param(OK + b"Content-Length: -2\r\n\r\nhello", "Content-Length", id="negative Content-Length"),
        pytest.param(OK + b"Content-Length: 2\r\nContent-Length: 5\r\n\r\nhello", "Content-Length", id="two lengths"),
        pytest.param(
            OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "Transfer-Encoding can't be present with Content-Length",
            id="length and chunks",
        ),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n", "chunk size", id="bad chunk"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", CLOSED, id="half a chunk"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", CLOSED, id="no last chunk"),
        pytest.param(OK + b"X: y\r\n", "closed before a reply", id="half a head"),
        pytest.param(
            OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
            "not packed as its Content-Encoding says",
            id="not gzip",
        ),
        pytest.param(
            OK + b"Content-Encoding: br\r\nContent-Length: 5\r\n\r\nhello", "Can not decode", id="not asked for"
        ),
    ],
)
async def test_an_answer_that_is_not_what_it_says_is_no_reply(answer: bytes, reason: str) -> None:
    async with raw_server(answer) as url:
        reply = await exchange(f"{url}/?token=secret", HOOK)
    assert isinstance(reply, NoReply)
    assert reply.sent
    assert reason in reply.reason
    assert "secret" not in reply.reason
    assert len(reply.reason) < 300


@pytest.mark.parametrize("body", [b"<html>", b"\xff\xfe{", b'{"a": ', b""])
async def test_a_body_that_is_not_the_json_that_it_says_is_kept_as_bytes(body: bytes) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Type": "application/json; charset=nonsense"})

    async with serving(answer) as url:
        reply = await exchange(url, HOOK)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body, reply.json) == (200, body, None)


async def test_what_follows_an_answer_is_not_the_answer_to_the_next_request() -> None:
    async def two_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Content-Length: 5\r\n\r\nfirst" + b"HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\nforged")
        await writer.drain()
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")

    async with raw_server(two_at_once) as url, Http(Settings()) as http:
        for _ in range(3):
            reply = await http.perform(url, Request("GET", "/"), HOOK)
            assert isinstance(reply, Reply)
            assert reply.body == b"first"


@pytest.mark.parametrize("cut", [True, False])
async def test_a_compressed_answer_is_unpacked_only_as_far_as_it_is_kept(cut: bool) -> None:
    packed = gzip.compress(bytes(200_000_000), 1)
    answer = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    async with raw_server(answer) as url:
        tracemalloc.start()
        reply = await exchange(url, replace(HOOK, cut=cut))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    if cut:
        assert isinstance(reply, Reply)
        assert reply.body == bytes(16_384)
    else:
        assert reply == NoReply("The reply is longer than 16384 bytes.", True, Silence.TOO_LARGE)
    assert peak < 20_000_000


async def test_a_url_without_a_path_of_its_own_is_used_as_it_stands() -> None:
    asked: list[str] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.Response()

    async with serving(note) as url, Http(Settings()) as http:
        for each in ("/hook/", "/hook", "/a%2Fb/?x=1&y=%5B2%5D", ""):
            await http.perform(url + each, Request("POST", ""), HOOK)
    assert asked == ["/hook/", "/hook", "/a%2Fb/?x=1&y=%5B2%5D", "/"]
