"""Certificates: whom we believe to be who they say."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from tests.outbound.servers import Authority, Names, port_of, serving
from tollbridge.domain.flows import NoReply, Reply, Request, Silence
from tollbridge.outbound.http import WEBHOOK, Http, Policy
from tollbridge.settings import Settings

NAME = "vendor.example"
VENDOR = Policy(timedelta(seconds=20))


def untrusted(why: str) -> NoReply:
    return NoReply(f"The certificate of vendor.example is not valid: {why}.", False, Silence.CERTIFICATE)


async def hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def call(tls: ssl.SSLContext, ca_file: Path | None, policy: Policy = VENDOR) -> Reply | NoReply:
    settings = Settings.read(
        {"TOLLBRIDGE_ALLOW_NETWORKS": "127.0.0.0/8"} | ({"TOLLBRIDGE_CA_FILE": str(ca_file)} if ca_file else {})
    )
    async with serving(hello, tls=tls) as url, Http(settings, Names(vendor_example=[["127.0.0.1"]])) as http:
        return await http.perform(url.replace("127.0.0.1", NAME), Request("POST", "/"), policy)


@pytest.mark.parametrize("policy", [VENDOR, WEBHOOK])
async def test_an_authority_of_our_own_is_trusted(authority: Authority, policy: Policy) -> None:
    reply = await call(authority.server(NAME), authority.file, policy)
    assert isinstance(reply, Reply)
    assert reply.body == b"hello"


@pytest.mark.parametrize("policy", [VENDOR, WEBHOOK])
async def test_an_unknown_authority_is_not_trusted(authority: Authority, policy: Policy) -> None:
    reply = await call(authority.server(NAME), None, policy)
    assert reply == NoReply(
        "The certificate of vendor.example is not valid: unable to get local issuer certificate.",
        False,
        Silence.CERTIFICATE,
    )


async def test_a_certificate_that_signed_itself_is_not_trusted(authority: Authority) -> None:
    reply = await call(authority.server(NAME, self_signed=True), authority.file)
    assert reply == untrusted("self-signed certificate")


async def test_a_certificate_that_has_expired_is_not_trusted(authority: Authority) -> None:
    reply = await call(authority.server(NAME, ends=timedelta(days=-1)), authority.file)
    assert reply == untrusted("certificate has expired")


async def test_a_certificate_of_another_name_is_not_trusted(authority: Authority) -> None:
    reply = await call(authority.server("other.example"), authority.file)
    assert isinstance(reply, NoReply)
    assert not reply.sent
    assert "not valid for 'vendor.example'" in reply.reason


TOO_OLD = b"\x15\x03\x01\x00\x02\x02\x46"
"""A fatal alert, protocol_version: what a server says that knows outdated versions only (RFC 8446 §6)."""


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(TOO_OLD, "No encrypted connection to 127.0.0.1 port "), (b"", "127.0.0.1 closed the connection while")],
)
async def test_a_handshake_that_fails_is_told_and_counts_as_not_sent(answer: bytes, reason: str) -> None:
    async def shake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(shake, "127.0.0.1", 0)
    async with server, Http(Settings()) as http:
        reply = await http.perform(f"https://127.0.0.1:{port_of(server)}", Request("POST", "/"))
    assert isinstance(reply, NoReply)
    assert not reply.sent
    assert reply.reason.startswith(reason)


async def test_a_server_that_does_not_encrypt_gets_nothing() -> None:
    async with serving(hello) as url, Http(Settings()) as http:
        reply = await http.perform(url.replace("http:", "https:"), Request("POST", "/"))
    assert isinstance(reply, NoReply)
    assert not reply.sent
    assert reply.reason.startswith("No encrypted connection to 127.0.0.1 port ")
