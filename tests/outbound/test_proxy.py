"""Proxies: vendors through one, webhooks through another that judges for itself."""

from __future__ import annotations

import base64
import socket
from ipaddress import ip_network

import pytest
from aiohttp import web

from tests.outbound.servers import Authority, Names, proxy, serving
from tollbridge.domain.errors import Invalid
from tollbridge.domain.flows import NoReply, Reply, Request, Silence
from tollbridge.outbound.guard import Guard
from tollbridge.outbound.http import WEBHOOK, Http
from tollbridge.settings import Settings

POST = Request("POST", "/", json={"a": 1})


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"hello {request.host.partition(':')[0]}")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def test_a_vendor_is_reached_through_the_proxy_which_resolves_its_name(authority: Authority) -> None:
    seen: list[tuple[str, str | None]] = []
    async with serving(hello, tls=authority.server("vendor.example")) as there, proxy(seen) as way:
        url = there.replace("127.0.0.1", "vendor.example")
        settings = Settings(proxy=way.replace("//", "//user:p%40ss@"), ca_file=str(authority.file))
        async with Http(settings, dns := Names()) as http:
            replies = [await http.perform(url, POST) for _ in range(2)]
    for reply in replies:
        assert isinstance(reply, Reply)
        assert reply.body == b"hello vendor.example"
    credentials = base64.b64encode(b"user:p@ss").decode().lower()
    # One tunnel serves both: connections are kept through a proxy as well.
    assert seen == [(f"CONNECT vendor.example:{url.rpartition(':')[2]} HTTP/1.1", f"basic {credentials}")]
    assert "vendor.example" not in dns.asked


async def test_the_certificate_of_a_vendor_is_checked_through_a_proxy_too(authority: Authority) -> None:
    async with (
        serving(hello, tls=authority.server("other.example")) as there,
        proxy([]) as way,
        Http(Settings(proxy=way, ca_file=str(authority.file))) as http,
    ):
        reply = await http.perform(there.replace("127.0.0.1", "vendor.example"), POST)
    assert isinstance(reply, NoReply)
    assert not reply.sent
    assert "not valid for 'vendor.example'" in reply.reason


async def test_what_a_proxy_refuses_was_not_sent() -> None:
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    async with proxy([], answer) as way, Http(Settings(proxy=way)) as http:
        reply = await http.perform("https://vendor.example", POST)
    reason = "The proxy refused the connection: 407 Proxy Authentication Required."
    assert reply == NoReply(reason, False, Silence.PROXY)


async def test_a_proxy_that_is_not_there_is_named() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with Http(Settings(proxy=f"http://user:hunter2@127.0.0.1:{port}")) as http:
            reply = await http.perform("https://vendor.example", POST)
    assert isinstance(reply, NoReply)
    assert not reply.sent
    assert reply.reason.startswith(f"The proxy 127.0.0.1 port {port} does not accept connections")
    assert "hunter2" not in reply.reason


async def test_a_stand_in_on_this_machine_is_reached_without_the_proxy() -> None:
    seen: list[tuple[str, str | None]] = []
    async with serving(hello) as url, proxy(seen) as way, Http(Settings(proxy=way)) as http:
        reply = await http.perform(url, POST)
    assert isinstance(reply, Reply)
    assert seen == []


@pytest.mark.parametrize("excepted", ["vendor.example", "Example", ".example", "*.example", "*"])
async def test_a_host_that_is_excepted_is_reached_without_the_proxy(excepted: str) -> None:
    seen: list[tuple[str, str | None]] = []
    async with serving(hello) as there, proxy(seen) as way:
        settings = Settings(proxy=way, no_proxy=("other", excepted))
        async with Http(settings, Names(vendor_example=[["127.0.0.1"]])) as http:
            reply = await http.perform(there.replace("127.0.0.1", "vendor.example"), POST)
    assert isinstance(reply, Reply)
    assert seen == []


@pytest.mark.parametrize("excepted", ["endor.example", "10.0.0.0/8", "below.vendor.example"])
async def test_a_host_that_only_looks_like_an_excepted_one_goes_through_the_proxy(excepted: str) -> None:
    seen: list[tuple[str, str | None]] = []
    async with (
        serving(hello) as there,
        proxy(seen) as way,
        Http(Settings(proxy=way, no_proxy=(excepted,))) as http,
    ):
        await http.perform(there.replace("127.0.0.1", "vendor.example"), POST)
    assert len(seen) == 1


@pytest.mark.parametrize("excepted", ["127.0.0.2", "127.0.0.0/30"])
async def test_an_address_is_excepted_by_itself_or_by_its_network(excepted: str) -> None:
    seen: list[tuple[str, str | None]] = []
    async with proxy(seen) as way, Http(Settings(proxy=way, no_proxy=(excepted,))) as http:
        reply = await http.perform("http://127.0.0.2:1", POST)
    assert isinstance(reply, NoReply)
    assert reply.silence is Silence.UNREACHABLE
    assert seen == []


async def test_what_webhooks_use_is_not_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(hello) as url, Http(Settings()) as http:
        assert isinstance(await http.perform(url, POST), Reply)


async def test_a_webhook_does_not_go_through_the_proxy_for_vendors() -> None:
    seen: list[tuple[str, str | None]] = []
    async with serving(hello) as there, proxy(seen) as way:
        settings = Settings(proxy=way, allow_http=True, allow_networks=(ip_network("127.0.0.1"),))
        async with Http(settings, Names(hook_example=[["127.0.0.1"]])) as http:
            reply = await http.perform(there.replace("127.0.0.1", "hook.example"), POST, WEBHOOK)
    assert isinstance(reply, Reply)
    assert seen == []


async def test_a_webhook_goes_through_its_own_proxy_which_resolves_the_name(authority: Authority) -> None:
    seen: list[tuple[str, str | None]] = []
    async with serving(hello, tls=authority.server("hook.example")) as there, proxy(seen) as way:
        url = there.replace("127.0.0.1", "hook.example")
        settings = Settings(webhook_proxy=way, ca_file=str(authority.file))
        await Guard(settings, dns := Names()).resolve_allowed(url)
        async with Http(settings, dns) as http:
            reply = await http.perform(url, POST, WEBHOOK)
    assert isinstance(reply, Reply)
    assert [line for line, _ in seen] == [f"CONNECT hook.example:{url.rpartition(':')[2]} HTTP/1.1"]
    assert "hook.example" not in dns.asked


@pytest.mark.parametrize("url", ["https://169.254.169.254/", "https://[::ffff:10.0.0.1]/", "https://localhost/"])
async def test_an_address_that_must_not_be_reached_is_not_asked_of_a_proxy_either(url: str) -> None:
    seen: list[tuple[str, str | None]] = []
    async with proxy(seen) as way:
        settings = Settings(webhook_proxy=way)
        with pytest.raises(Invalid):
            await Guard(settings).resolve_allowed(url)
        async with Http(settings) as http:
            reply = await http.perform(url, POST, WEBHOOK)
    assert isinstance(reply, NoReply)
    assert not reply.sent
    assert seen == []
