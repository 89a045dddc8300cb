"""Speaks our REST API with the standard library alone: a token, then calls; errors become refusals.

It knows no route: the commands do. One connection per call keeps it free of state that could go stale.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from tollbridge.cli.common import Failure
from tollbridge.cli.profiles import Profile
from tollbridge.domain import json_text
from tollbridge.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Refusal,
    TooMany,
    Unauthenticated,
    Unavailable,
)

TIMEOUT = 120.0
PAGE_SIZE = 100

_BY_STATUS: dict[int, type[Refusal]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: Invalid,
    422: Invalid,
    429: TooMany,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


class Client:
    """The API of one organization, as the profile's access key."""

    def __init__(self, profile: Profile, timeout: float = TIMEOUT) -> None:
        self.profile = profile
        self._timeout = timeout
        self._token = ""
        self._token_ends = 0.0

    def get(self, *path: str, **query: object) -> Any:
        """Read one thing; `path` are the segments below the organization."""
        return self.call("GET", *path, query=query)

    def pages(self, *path: str, **query: object) -> Iterator[dict[str, Any]]:
        """Everything that a list holds, page by page."""
        while True:
            page = self.get(*path, **{"pageSize": PAGE_SIZE, **query})
            yield from page["data"]
            if not page.get("nextToken"):
                return
            query["nextToken"] = page["nextToken"]

    def call(self, method: str, *path: str, body: Any = None, query: Mapping[str, object] | None = None) -> Any:
        """One call with a JSON body; raises Refusal for every answer but success, Unavailable where none came."""
        content = None if body is None else json_text.dump(body).encode()
        return self.send(method, path, content, "application/json", query)

    def send(
        self,
        method: str,
        path: tuple[str, ...],
        content: bytes | None,
        content_type: str,
        query: Mapping[str, object] | None = None,
    ) -> Any:
        """One call with a body as it is."""
        target = "/".join(quote(segment, safe="") for segment in ("organizations", self.profile.org, *path))
        given = {name: _query_text(value) for name, value in (query or {}).items() if value is not None}
        headers = {"Authorization": f"Bearer {self._bearer()}", "Content-Type": content_type}
        return self._exchange(method, f"/{target}" + (f"?{urlencode(given)}" if given else ""), content, headers)

    def _bearer(self) -> str:
        if time.monotonic() >= self._token_ends:
            pair = base64.b64encode(f"{self.profile.access_key}:{self.profile.secret}".encode()).decode()
            answer = self._exchange(
                "POST",
                "/oauth/token",
                b'{"grant_type":"client_credentials"}',
                {"Authorization": f"Basic {pair}", "Content-Type": "application/json"},
            )
            self._token = answer["access_token"]
            self._token_ends = time.monotonic() + answer["expires_in"] * 0.9
        return self._token

    def _exchange(self, method: str, target: str, content: bytes | None, headers: Mapping[str, str]) -> Any:
        parts, host, port = self._address()
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(host, port, timeout=self._timeout)
        try:
            connection.request(method, parts.path + target, content, {**headers, "Accept": "application/json"})
            response = connection.getresponse()
            return _read(response, response.read(), f"{method} {self.profile.url}{target}")
        except (OSError, HTTPException) as error:
            raise Unavailable(
                "server.unreachable",
                f"The server at {self.profile.url} cannot be reached: {error or type(error).__name__}",
                "Start it with `tollbridge serve`, or name another address with TOLLBRIDGE_URL or --profile.",
            ) from error
        finally:
            connection.close()

    def _address(self) -> tuple[SplitResult, str, int | None]:
        """The server's address, its host and port; raises Invalid where it is none."""
        try:
            parts = urlsplit(self.profile.url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https"):
            raise Invalid(
                "profile.url",
                f"The profile's url is {self.profile.url!r}, which is no address of a server.",
                "Write it as http://127.0.0.1:8400.",
                "TOLLBRIDGE_URL",
            )
        return parts, host, port


def _query_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value)


def _read(response: HTTPResponse, content: bytes, what: str) -> Any:
    try:
        value = json_text.parse(content) if content else None
    except ValueError:
        value = None
    if 200 <= response.status < 300 and (value is not None or not content):
        return value
    told = value if isinstance(value, dict) else {}
    raise _BY_STATUS.get(response.status, Failure if response.status >= 500 else Refusal)(
        str(told.get("code") or f"http.{response.status}"),
        str(
            told.get("message") or f"{what} answered {response.status} {response.reason}, which is not from Tollbridge."
        ),
        told.get("hint") or (None if told else "Is the address right? `tollbridge init` writes the profile."),
        told.get("field"),
    )
