"""A webhook leads to no address that must not be reached: not when it is saved, not when it is sent."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from ipaddress import ip_network

import pytest
from aiohttp import web

from tests.outbound.servers import Names, serving
from tollbridge.domain.errors import Invalid
from tollbridge.domain.flows import NoReply, Reply, Request, Silence
from tollbridge.outbound import guard
from tollbridge.outbound.guard import ForbiddenAddress, Guard
from tollbridge.outbound.http import WEBHOOK, Http
from tollbridge.settings import Settings

PUBLIC = "93.184.215.14"
POST = Request("POST", "", json={"a": 1})
LOOPBACK = Settings(allow_http=True, allow_networks=(ip_network("127.0.0.0/8"),))

WITHOUT_SPACES = """
https://127.0.0.1/
https://127.0.0.1:8443/
https://127.1/
https://127.0.1/
https://127.255.255.254/
https://2130706433/
https://0x7f000001/
https://0x7f.0x0.0x0.0x1/
https://0x7f.1/
https://0X7F.0.0.1/
https://0177.0.0.1/
https://0177.0.0.01/
https://017700000001/
https://00000000177.0.0.1/
https://127.0.0.1./
https://127.0.0.1../
https://0/
https://0.0.0.0/
https://0x0/
https://4294967295/
https://18446744071562067969/
https://1.2.3.4.5/
https://256.256.256.256/
https://127.0.0.256/
https://127.0.0.08/
https://127.0.0.0x1/
https://127.0.0.1%00.example.com/
https://127.0.0.1%2f@example.com/
https://%31%32%37.0.0.1/
https://１２７.0.0.1/
https://①②⑦.⓪.⓪.①/
https://127。0。0。1/
https://127．0．0．1/
https://127.0.0.1\uff0f@example.com/
https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/
https://localhost/
https://LOCALHOST/
https://localhost./
https://a.localhost/
https://localhost.localdomain/
https://metadata.google.internal/computeMetadata/v1/
https://printer.local/
https://router/
https://[::1]/
https://[::]/
https://[0:0:0:0:0:0:0:1]/
https://[0000:0000:0000:0000:0000:0000:0000:0001]/
https://[::127.0.0.1]/
https://[::ffff:127.0.0.1]/
https://[::ffff:7f00:1]/
https://[::FFFF:A9FE:A9FE]/
https://[0:0:0:0:0:ffff:10.0.0.1]/
https://[::ffff:0:127.0.0.1]/
https://[::ffff:0177.0.0.1]/
https://[64:ff9b::127.0.0.1]/
https://[64:ff9b:1::a9fe:a9fe]/
https://[2002:7f00:1::]/
https://[2001::1]/
https://[fe80::1]/
https://[fe80::1%25eth0]/
https://[fe80::1%eth0]/
https://[2606:4700::1111%25lo]/
https://[fec0::1]/
https://[fd00:ec2::254]/
https://[fc00::1]/
https://[ff02::1]/
https://[100::1]/
https://[5f00::1]/
https://[127.0.0.1]/
https://[localhost]/
https://[example.com]/
https://[v1.127.0.0.1]/
https://[::1/
https://::1/
https://[[::1]]/
https://[::1]x/
https://[::1]:80:443/
https://169.254.169.254/latest/meta-data/
https://169.254.170.2/v2/credentials
https://2852039166/
https://0xa9fea9fe/
https://100.100.100.200/
https://168.63.129.16/
https://192.0.0.192/
https://10.0.0.1/
https://172.31.0.1/
https://192.168.1.1/
https://100.64.0.1/
https://198.18.0.1/
https://240.0.0.1/
https://255.255.255.255/
https://224.0.0.1/
https://example.com@127.0.0.1/
https://127.0.0.1@example.com/
https://example.com:443@127.0.0.1/
https://@127.0.0.1/
https://example.com\\@127.0.0.1/
https:\\\\127.0.0.1/
https:/127.0.0.1/
https:127.0.0.1
https:////127.0.0.1/
https://example.com#@127.0.0.1/
https://127.0.0.1#example.com/
https://127.0.0.1?example.com/
https://127.0.0.1\\.example.com/
https://127.0.0.1:22/
https://example.com:22/
https://example.com:25/
file:///etc/passwd
gopher://127.0.0.1:6379/_x
dict://127.0.0.1:11211/
ftp://127.0.0.1/
unix:///var/run/docker.sock
javascript:alert(1)
data:text/plain,x
//127.0.0.1/
127.0.0.1
https://loopback.example/
https://metadata.example/
https://mapped.example/
https://nat64.example/
https://zoned.example/
https://mixed.example/
https://nowhere.example/
"""
BYPASSES = [
    *WITHOUT_SPACES.split(),
    "https://exa\tmple.com/",
    "https://example.com/\r\nHost:127.0.0.1",
    "\x00https://127.0.0.1/",
    " https://127.0.0.1/",
    "https://127.0.0.1 .example.com/",
    "https://user:pass word@127.0.0.1/",
]


def names() -> Names:
    return Names(
        loopback_example=[["127.0.0.1"]],
        metadata_example=[["169.254.169.254"]],
        mapped_example=[["::ffff:10.0.0.1"]],
        nat64_example=[["64:ff9b::7f00:1"]],
        zoned_example=[["fe80::1%eth0"]],
        mixed_example=[[PUBLIC, "127.0.0.1"]],
        example_com=[[PUBLIC]],
    )


@pytest.mark.parametrize("url", BYPASSES)
async def test_a_way_around_the_guard_is_refused_when_it_is_saved(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        await Guard(Settings(allow_http=True), names()).resolve_allowed(url)
    assert refused.value.code.startswith("url.")
    assert refused.value.field == "url"
    assert refused.value.hint


async def test_no_way_around_the_guard_is_dialled() -> None:
    async with Http(Settings(allow_http=True), names()) as http:
        # One of the addresses of mixed.example is public, and would be dialled.
        replies = {url: await http.perform(url, POST, WEBHOOK) for url in BYPASSES if "mixed" not in url}
    dialled = {
        url: reply
        for url, reply in replies.items()
        if isinstance(reply, Reply) or reply.sent or re.search(r"onnection|exchange", reply.reason)
    }
    assert dialled == {}
    assert len(replies) == len(set(BYPASSES)) - 1


def test_many_ways_around_are_tried() -> None:
    assert len(set(BYPASSES)) >= 60


async def test_a_public_address_passes() -> None:
    await Guard(Settings(), names()).resolve_allowed("https://example.com:8443/hook?x=1")


async def test_a_refusal_names_the_name_the_address_and_the_reason() -> None:
    with pytest.raises(Invalid) as refused:
        await Guard(Settings(), names()).resolve_allowed("https://metadata.example/", field="config.url")
    assert refused.value.message == (
        "metadata.example leads to 169.254.169.254, which must not be reached: cloud metadata."
    )
    assert refused.value.field == "config.url"
    assert "TOLLBRIDGE_ALLOW_NETWORKS" in (refused.value.hint or "")


async def test_one_forbidden_address_among_good_ones_is_refused_when_it_is_saved() -> None:
    with pytest.raises(Invalid, match=r"mixed\.example leads to 127\.0\.0\.1"):
        await Guard(Settings(), names()).resolve_allowed("https://mixed.example/")


async def test_a_name_without_a_dns_entry_is_refused_as_such() -> None:
    with pytest.raises(Invalid) as refused:
        await Guard(Settings(), names()).resolve_allowed("https://nowhere.example/")
    assert (refused.value.code, refused.value.message) == (
        "url.unresolved",
        "The name nowhere.example has no DNS entry.",
    )


async def test_a_name_without_addresses_is_refused() -> None:
    with pytest.raises(Invalid, match="has no DNS entry"):
        await Guard(Settings(), Names(empty_example=[[]])).resolve_allowed("https://empty.example/")


async def test_dns_that_does_not_answer_is_told_from_a_missing_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(host: str) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async def unwell(host: str) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(guard, "RESOLVE_TIMEOUT", 0.05)
    for resolve in (silent, unwell):
        with pytest.raises(Invalid) as refused:
            await Guard(Settings(), resolve).resolve_allowed("https://example.com/")
        assert refused.value.code == "url.resolver"


async def test_this_machines_own_resolver_is_asked() -> None:
    allowed = Settings(allow_networks=(ip_network("127.0.0.0/8"), ip_network("::1/128")))
    await Guard(allowed).resolve_allowed("https://localhost/")
    with pytest.raises(Invalid, match=r"localhost leads to (127|::1)"):
        await Guard(Settings(allow_networks=(ip_network("10.0.0.0/8"),))).resolve_allowed("https://localhost/")


async def test_an_address_needs_no_look_up() -> None:
    dns = names()
    await Guard(Settings(), dns).resolve_allowed(f"https://{PUBLIC}/")
    assert dns.asked == []


class Receiver:
    def __init__(self) -> None:
        self.count = 0

    async def take(self, request: web.Request) -> web.Response:
        self.count += 1
        return web.Response(text="thanks")


async def test_a_name_that_leads_elsewhere_after_it_was_saved_is_not_dialled() -> None:
    dns, receiver = Names(rebound_example=[[PUBLIC], ["127.0.0.1"]]), Receiver()
    settings = Settings(allow_http=True)
    async with serving(receiver.take) as here, Http(settings, dns) as http:
        url = here.replace("127.0.0.1", "rebound.example")
        await Guard(settings, dns).resolve_allowed(url)
        reply = await http.perform(url, POST, WEBHOOK)
    assert reply == NoReply(
        "rebound.example was not called: 127.0.0.1, which must not be reached: loopback.", False, Silence.FORBIDDEN
    )
    assert receiver.count == 0
    assert dns.asked == ["rebound.example"] * 2


async def test_a_name_that_leads_elsewhere_between_two_exchanges_is_not_dialled_again() -> None:
    settings = Settings(allow_http=True, allow_networks=(ip_network("127.0.0.2"),))
    dns, receiver = Names(rebound_example=[["127.0.0.2"], ["127.0.0.1"]]), Receiver()
    async with serving(receiver.take, "0.0.0.0") as anywhere:
        url = anywhere.replace("0.0.0.0", "rebound.example")
        async with Http(settings, dns) as http:
            first = await http.perform(url, POST, WEBHOOK)
        async with Http(settings, dns) as http:
            second = await http.perform(url, POST, WEBHOOK)
    assert isinstance(first, Reply)
    assert isinstance(second, NoReply)
    assert not second.sent
    assert receiver.count == 1


async def test_of_several_addresses_only_the_good_one_is_dialled() -> None:
    settings = Settings(allow_http=True, allow_networks=(ip_network("127.0.0.2"),))
    dns, receiver = Names(mixed_example=[["127.0.0.1", "::1", "127.0.0.2"]]), Receiver()
    async with serving(receiver.take, "127.0.0.2") as here, Http(settings, dns) as http:
        reply = await http.perform(here.replace("127.0.0.2", "mixed.example"), POST, WEBHOOK)
    assert isinstance(reply, Reply)
    assert receiver.count == 1


async def test_a_redirect_to_a_forbidden_address_is_not_followed() -> None:
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=307, headers={"Location": "http://169.254.169.254/latest"})

    async with serving(elsewhere) as url, Http(LOOPBACK) as http:
        reply = await http.perform(f"{url}/hook/", POST, WEBHOOK)
    assert isinstance(reply, Reply)
    assert (reply.status, asked) == (307, ["/hook/"])


async def test_an_allowed_network_is_reached_by_address_and_by_inner_name() -> None:
    receiver = Receiver()
    async with serving(receiver.take) as url, Http(LOOPBACK, Names(billing_internal=[["127.0.0.1"]])) as http:
        for each in (url, url.replace("127.0.0.1", "billing.internal")):
            reply = await http.perform(each, POST, WEBHOOK)
            assert isinstance(reply, Reply)
    assert receiver.count == 2


async def test_http_is_not_sent_unless_it_is_allowed() -> None:
    receiver = Receiver()
    async with serving(receiver.take) as url, Http(Settings(allow_networks=LOOPBACK.allow_networks)) as http:
        reply = await http.perform(url, POST, WEBHOOK)
    assert reply == NoReply(f"'{url}' is not encrypted.", False, Silence.FORBIDDEN)
    assert receiver.count == 0


async def test_vendors_are_not_guarded() -> None:
    receiver = Receiver()
    async with serving(receiver.take) as url, Http(Settings()) as http:
        assert isinstance(await http.perform(url, Request("POST", "/")), Reply)


async def test_a_connection_that_a_vendor_left_open_is_not_used_for_a_webhook() -> None:
    receiver = Receiver()
    async with serving(receiver.take) as url, Http(Settings(allow_http=True), Names(x_example=[["127.0.0.1"]])) as http:
        here = url.replace("127.0.0.1", "x.example")
        assert isinstance(await http.perform(here, Request("POST", "/")), Reply)
        assert isinstance(await http.perform(here, POST, WEBHOOK), NoReply)
    assert receiver.count == 1


@pytest.mark.parametrize(
    "info",
    [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 443)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%eth0", 443, 0, 2)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::ffff:127.0.0.1", 443, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("not an address", 443)),
        (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", ("/var/run/docker.sock",)),
    ],
)
def test_no_socket_is_opened_for_what_is_forbidden_or_not_understood(info: guard.AddressInfo) -> None:
    with pytest.raises(ForbiddenAddress):
        Guard(Settings()).open_socket(info)
