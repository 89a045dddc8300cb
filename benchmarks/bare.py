"""What the same requests cost without Tollbridge: a loop over aiohttp that sends them and records nothing.

Run as a process of its own: reads {"url", "bills", "at_once"} on stdin, where a bill is a list of requests as they
were sent once; writes {"seconds", "cpu"} to stdout.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
import uvloop

OWN = ("host", "content-length", "accept", "accept-encoding")
"""Headers that the client writes itself."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, sent: bytes) -> Request:
        head, _, body = sent.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, path, _ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        return cls(method, path, {name: headers[name] for name in headers if name.lower() not in OWN}, body)


async def send(session: aiohttp.ClientSession, url: str, bills: Iterator[list[Request]]) -> None:
    for bill in bills:
        for request in bill:
            async with session.request(
                request.method, url + request.path, headers=request.headers, data=request.body
            ) as response:
                await response.read()


async def main() -> None:
    order = json.load(sys.stdin)
    bills = [[Request.of(base64.b64decode(each)) for each in bill] for bill in order["bills"]]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        cpu, start, rest = time.process_time(), time.monotonic(), iter(bills)
        await asyncio.gather(*(send(session, order["url"], rest) for _ in range(order["at_once"])))
        sys.stdout.write(json.dumps({"seconds": time.monotonic() - start, "cpu": time.process_time() - cpu}) + "\n")


if __name__ == "__main__":
    uvloop.run(main())
