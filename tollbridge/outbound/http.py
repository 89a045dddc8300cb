"""Requests to other systems: one HTTP client for all of them. The only place that opens sockets to them.

It performs exactly the request that it is given: no redirects, no cookies, no proxy but the settings'. It knows no
vendor, no credential and no run.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from importlib.metadata import version
from ipaddress import ip_address, ip_network
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from tollbridge.domain import json_text
from tollbridge.domain.flows import NoReply, Reply, Request, Silence
from tollbridge.outbound.guard import ForbiddenAddress, Guard
from tollbridge.settings import Settings

KEEP_ALIVE = 15.0
"""Seconds that an idle connection is kept; shorter than what servers keep, so that few sends meet a closed one."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How an exchange is done. What is not said is as for vendors.

    `timeout` covers the whole exchange, to the last byte of the answer that is kept; `connect` name, connection and TLS
    together. `keep` are the bytes of the answer's body, unpacked, that are kept: a longer body is cut there where `cut`
    says so, and counts as no reply otherwise. A guarded exchange goes to a URL that a customer gave.
    """

    timeout: timedelta
    connect: timedelta = timedelta(seconds=5)
    guarded: bool = False
    keep: int = 1024 * 1024
    cut: bool = False


WEBHOOK = Policy(timedelta(seconds=15), guarded=True, keep=16 * 1024, cut=True)


class Http:
    """The client; used inside its own context: `async with Http(settings) as http`."""

    def __init__(self, settings: Settings, resolver: AbstractResolver | None = None) -> None:
        self._settings = settings
        self._resolver = resolver
        self._vendor = Policy(settings.request_timeout, keep=settings.longest_reply)
        self._guard = Guard(settings)

    async def __aenter__(self) -> Http:
        trust = ssl.create_default_context()
        if self._settings.ca_file:
            trust.load_verify_locations(self._settings.ca_file)
        # Through a proxy, the proxy is all that is dialled: it judges in our place.
        factory = None if self._settings.webhook_proxy else self._guard.open_socket
        self._open = self._session(trust)
        self._guarded = self._session(trust, socket_factory=factory)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.close()
        await self._guarded.close()

    async def perform(self, base_url: str, request: Request, policy: Policy | None = None) -> Reply | NoReply:
        """Send the request to the path below the base address and read the reply, whatever its status.

        The path of a webhook is empty: its URL is used as it stands.
        """
        policy = policy or self._vendor
        address = base_url.rstrip("/") + request.path if request.path else base_url
        if policy.guarded and (refusal := self._guard.refusal_of(address)):
            return NoReply(refusal, False, Silence.FORBIDDEN)
        url = URL(address)
        headers, body = _encode(request)
        try:
            async with (self._guarded if policy.guarded else self._open).request(
                request.method,
                url.update_query(request.query) if request.query else url,
                headers=headers,
                data=body,
                allow_redirects=False,
                timeout=_timeout(policy),
                proxy=self._proxy(url, policy),
            ) as response:
                return await _read(response, policy)
        # Only what surely happened before there was a connection was surely not sent.
        except aiohttp.ConnectionTimeoutError:
            reason = f"No connection within {policy.connect.total_seconds():g} seconds."
            return NoReply(reason, False, Silence.UNREACHABLE)
        except TimeoutError:
            return NoReply(f"No reply within {policy.timeout.total_seconds():g} seconds.", True, Silence.TIMEOUT)
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            silence, reason = _reason(error)
            return NoReply(reason, not isinstance(error, _NOT_SENT), silence)

    def _session(self, trust: ssl.SSLContext, **more: Any) -> aiohttp.ClientSession:
        # Permits bound what is in flight, so the connector itself does not.
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=KEEP_ALIVE, ssl=trust, resolver=self._resolver, **more
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            headers={"User-Agent": f"Tollbridge/{version('tollbridge')}"},
        )

    def _proxy(self, url: URL, policy: Policy) -> str | None:
        if policy.guarded:
            return self._settings.webhook_proxy or None
        # A stand-in on this machine is nothing that a proxy elsewhere could reach.
        host = url.host or ""
        if host in _HERE or any(_covers(each.lower(), host) for each in self._settings.no_proxy):
            return None
        return self._settings.proxy or None


_HERE = ("127.0.0.1", "::1", "localhost")
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.InvalidURL)


def _covers(entry: str, host: str) -> bool:
    """Whether an entry of NO_PROXY means the host: `*`, a name and all below it, an address, a network."""
    with suppress(ValueError):
        return ip_address(host) in ip_network(entry, strict=False)
    name = entry.removeprefix("*").removeprefix(".")
    return entry == "*" or host == name or host.endswith(f".{name}")


async def _read(response: aiohttp.ClientResponse, policy: Policy) -> Reply | NoReply:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > policy.keep:
            # Not read to the end: the connection is of no more use.
            response.close()
            if not policy.cut:
                return NoReply(f"The reply is longer than {policy.keep} bytes.", True, Silence.TOO_LARGE)
            del content[policy.keep :]
            break
    names = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status, names, bytes(content))


@lru_cache
def _timeout(policy: Policy) -> aiohttp.ClientTimeout:
    total = policy.timeout.total_seconds()
    # The threshold is where aiohttp begins to round up to whole seconds.
    return aiohttp.ClientTimeout(total, connect=policy.connect.total_seconds(), ceil_threshold=total + 1)


def _encode(request: Request) -> tuple[list[tuple[str, str]], bytes | None]:
    headers = list(request.headers)
    if request.form is not None:
        # The query of a URL is written by the same rules; yarl does it in C.
        form = URL.build(query=request.form).raw_query_string.encode()
        return [*headers, ("Content-Type", "application/x-www-form-urlencoded")], form
    if request.json is not None:
        return [*headers, ("Content-Type", "application/json")], json_text.dump(request.json).encode()
    return headers, request.body


def _reason(error: Exception) -> tuple[Silence, str]:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return Silence.NAME, f"The name {error.host} cannot be resolved."
        case aiohttp.ClientConnectorCertificateError():
            cause = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
            return Silence.CERTIFICATE, f"The certificate of {error.host} is not valid: {cause.rstrip('.')}."
        case aiohttp.ClientConnectorSSLError():
            reason = f"No encrypted connection to {error.host} port {error.port} ({error.os_error})."
            return Silence.CERTIFICATE, reason
        case aiohttp.ClientConnectorError() if isinstance(error.os_error, ForbiddenAddress):
            return Silence.FORBIDDEN, f"{error.host} was not called: {error.os_error}"
        case aiohttp.ClientProxyConnectionError():
            reason = f"The proxy {error.host} port {error.port} does not accept connections ({error.os_error})."
            return Silence.PROXY, reason
        case aiohttp.ClientConnectorError() if isinstance(error.os_error, ConnectionResetError):
            return Silence.UNREACHABLE, f"{error.host} closed the connection while it was being made."
        case aiohttp.ClientConnectorError():
            why = error.strerror or error.os_error
            return Silence.UNREACHABLE, f"{error.host} port {error.port} does not accept connections ({why})."
        case aiohttp.ClientHttpProxyError():
            return Silence.PROXY, f"The proxy refused the connection: {error.status} {error.message}."
        case aiohttp.InvalidURL():
            return Silence.UNREACHABLE, f"The exchange failed: {error or type(error).__name__}."
        case aiohttp.ServerDisconnectedError() | ConnectionResetError():
            return Silence.NO_REPLY, "The connection was closed before a reply came."
        case aiohttp.ClientPayloadError() if isinstance(error.__cause__, ContentEncodingError):
            return Silence.MALFORMED, "The body of the reply is not packed as its Content-Encoding says."
        case aiohttp.ClientPayloadError():
            return Silence.NO_REPLY, "The connection was closed in the middle of the reply."
        case aiohttp.ClientResponseError():
            # Its text would repeat the URL; the parser's own message has the bytes on further lines.
            what = error.message.partition(chr(10))[0].rstrip(":.")
            return Silence.MALFORMED, f"The reply is not well-formed HTTP: {what}."
        case _:
            return Silence.NO_REPLY, f"The exchange failed: {error or type(error).__name__}."
