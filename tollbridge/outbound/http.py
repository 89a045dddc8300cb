"""Requests to vendors: one HTTP client for all of them. The only place that opens sockets to other systems.

It performs exactly the request that it is given: no redirects, no cookies, no proxy from the environment. It knows no
vendor, no credential and no run.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from importlib.metadata import version

import aiohttp
from yarl import URL

from tollbridge.domain import json_text
from tollbridge.domain.flows import NoReply, Reply, Request

CONNECT_TIMEOUT = 5.0
"""Seconds for name, connection and TLS together."""
MAX_REPLY = 8 * 1024 * 1024
"""Bytes of a reply's body that are read; a longer one counts as no reply."""
KEEP_ALIVE = 15.0
"""Seconds that an idle connection is kept; shorter than what servers keep, so that few sends meet a closed one."""


class Http:
    """The client; used inside its own context: `async with Http(timeout) as http`."""

    def __init__(self, timeout: timedelta, max_reply: int = MAX_REPLY) -> None:
        self._timeout = timeout
        self._max_reply = max_reply

    async def __aenter__(self) -> Http:
        self._session = aiohttp.ClientSession(
            # Permits bound what is in flight, so the connector itself does not.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout.total_seconds(), connect=CONNECT_TIMEOUT),
            trust_env=False,
            headers={"User-Agent": f"Tollbridge/{version('tollbridge')}"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def perform(self, base_url: str, request: Request) -> Reply | NoReply:
        """Send the request to the path below the base address and read the whole reply, whatever its status."""
        url = URL(base_url.rstrip("/") + request.path)
        headers, body = _encode(request)
        try:
            async with self._session.request(
                request.method,
                url.update_query(request.query) if request.query else url,
                headers=headers,
                data=body,
                allow_redirects=False,
            ) as response:
                content = bytearray()
                async for chunk in response.content.iter_any():
                    content += chunk
                    if len(content) > self._max_reply:
                        response.close()
                        return NoReply(f"The reply is longer than {self._max_reply} bytes.", sent=True)
                names = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status, names, bytes(content))
        # Only what surely happened before there was a connection was surely not sent.
        except aiohttp.ConnectionTimeoutError:
            return NoReply(f"No connection within {CONNECT_TIMEOUT:g} seconds.", sent=False)
        except TimeoutError:
            return NoReply(f"No reply within {self._timeout.total_seconds():g} seconds.", sent=True)
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            return NoReply(_reason(error), sent=not isinstance(error, aiohttp.ClientConnectorError))


def _encode(request: Request) -> tuple[list[tuple[str, str]], bytes | None]:
    headers = list(request.headers)
    if request.form is not None:
        # The query of a URL is written by the same rules; yarl does it in C.
        form = URL.build(query=request.form).raw_query_string.encode()
        return [*headers, ("Content-Type", "application/x-www-form-urlencoded")], form
    if request.json is not None:
        return [*headers, ("Content-Type", "application/json")], json_text.dump(request.json).encode()
    return headers, request.body


def _reason(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"The name {error.host} cannot be resolved."
        case aiohttp.ClientConnectorCertificateError():
            return f"The certificate of {error.host} is not valid."
        case aiohttp.ClientConnectorError():
            return f"{error.host} port {error.port} does not accept connections ({error.strerror or error.os_error})."
        case aiohttp.ServerDisconnectedError() | ConnectionResetError():
            return "The connection was closed before a reply came."
        case aiohttp.ClientPayloadError():
            return "The connection was closed in the middle of the reply."
        case _:
            return f"The exchange failed: {error or type(error).__name__}."
