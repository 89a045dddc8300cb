"""The guard: keeps URLs that customers give from leading into our own network. Judges; sends nothing.

The same rule is applied when a URL is saved (`resolve_allowed`), before each exchange (`check_url`), and to every
address that is actually dialled (`open_socket`): a name that leads elsewhere later is no way around it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, TypeAlias

from tollbridge.domain import addresses
from tollbridge.domain.addresses import Target
from tollbridge.domain.errors import Invalid
from tollbridge.settings import Settings

RESOLVE_TIMEOUT = 5.0
"""Seconds for one look-up of a name when a URL is saved."""
_REMEMBERED = 4096
"""Addresses and URLs whose judgement is kept."""

Resolve: TypeAlias = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a name; raises OSError where there are none."""
AddressInfo: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]
"""As `socket.getaddrinfo` gives it."""


class ForbiddenAddress(OSError):
    """The address must not be dialled; nothing was sent."""


async def resolve(host: str) -> Sequence[str]:
    """The addresses that this machine finds for the name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Guard:
    """The rule as the settings have it. Where webhooks go through a proxy, it resolves names and judges addresses."""

    def __init__(self, settings: Settings, resolve: Resolve = resolve) -> None:
        self._allowed = settings.allow_networks
        self._allow_http = settings.allow_http
        self._proxied = bool(settings.webhook_proxy)
        self._resolve = resolve
        # What is allowed never changes, so each judgement is made once: microseconds become nanoseconds.
        self._refusal = lru_cache(_REMEMBERED)(self._judge)
        self.refusal_of = lru_cache(_REMEMBERED)(self._refuse_url)

    def check_url(self, url: str, field: str | None = None) -> Target:
        """Whom the URL leads to; raises Invalid where it must not be used. Resolves nothing."""
        return addresses.check_url(url, self._allowed, allow_http=self._allow_http, field=field)

    async def resolve_allowed(self, url: str, field: str | None = "url") -> None:
        """Check the URL and every address of its host; raises Invalid that names the address and the reason."""
        target = self.check_url(url, field)
        if target.address is not None or self._proxied:
            return
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT):
                found = await self._resolve(target.host)
        except (OSError, UnicodeError) as error:
            raise _unknown(target.host, error, field) from None
        if not found:
            raise _unknown(target.host, None, field)
        for each in found:
            addresses.check_address(ip_address(each), self._allowed, host=target.host, field=field)

    def open_socket(self, info: AddressInfo) -> socket.socket:
        """A socket for the address that is about to be dialled; raises ForbiddenAddress. aiohttp's `socket_factory`."""
        family, kind, protocol, _, sockaddr = info
        refusal = self._refusal(sockaddr[0]) if family in (socket.AF_INET, socket.AF_INET6) else "no internet address"
        if refusal is not None:
            raise ForbiddenAddress(refusal)
        return socket.socket(family, kind, protocol)

    def _judge(self, text: str) -> str | None:
        try:
            addresses.check_address(ip_address(text), self._allowed)
        except ValueError:
            return f"{text!r} is no address."
        except Invalid as refusal:
            return refusal.message
        return None

    def _refuse_url(self, url: str) -> str | None:
        try:
            self.check_url(url)
        except Invalid as refusal:
            return refusal.message
        return None


def _unknown(host: str, error: Exception | None, field: str | None) -> Invalid:
    if isinstance(error, TimeoutError) or (isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN):
        return Invalid(
            "url.resolver",
            f"The name {host} could not be looked up now.",
            "Try again; where it stays so, the operator checks the DNS of this server.",
            field,
        )
    return Invalid("url.unresolved", f"The name {host} has no DNS entry.", "Correct it, or create the entry.", field)
