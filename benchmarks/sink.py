"""The vendor that costs least: it answers every request of the Stripe connector with the same invoice.

Run as a process of its own; it says its address on stdout. It keeps the first requests, for those who want to repeat
them, and the moment of each.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from functools import partial
from typing import cast

import uvloop

KEPT = 5000
"""Requests that are kept whole."""
TOTAL = 10_000
"""What every invoice comes to, in the smallest unit."""

_ACCOUNT = {"id": "acct_1Sink", "object": "account", "email": "sink@example.com"}
_INVOICE = {
    "id": "in_1Sink",
    "object": "invoice",
    "status": "open",
    "currency": "eur",
    "customer_email": "someone@example.com",
    "total": TOTAL,
    "total_excluding_tax": TOTAL,
    "hosted_invoice_url": "https://invoice.example/in_1Sink",
}


def _reply(value: object) -> bytes:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


ACCOUNT, INVOICE = _reply(_ACCOUNT), _reply(_INVOICE)


class Books:
    """What came in: the first requests, and the moments of all."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.moments: list[float] = []

    def told(self) -> bytes:
        kept, moments, self.kept, self.moments = self.kept, self.moments, [], []
        return _reply({"requests": [base64.b64encode(each).decode() for each in kept], "moments": moments})


class Sink(asyncio.Protocol):
    """One connection. Knows no more of HTTP than the two clients need that are measured here."""

    def __init__(self, books: Books, latency: float) -> None:
        self._books = books
        self._latency = latency
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        while (head := data.find(b"\r\n\r\n") + 4) >= 4:
            length = data.find(b"Content-Length: ", 0, head)
            end = head if length < 0 else head + int(data[length + 16 : data.index(b"\r", length)])
            if len(data) < end:
                break
            self._answer(data[:end])
            data = data[end:]
        self._rest = data

    def _answer(self, request: bytes) -> None:
        if request.startswith(b"GET /_books"):
            self._transport.write(self._books.told())
            return
        self._books.moments.append(time.monotonic())
        if len(self._books.kept) < KEPT:
            self._books.kept.append(request)
        reply = ACCOUNT if request.startswith(b"GET") else INVOICE
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, self._transport.write, reply)
        else:
            self._transport.write(reply)


async def main(latency: float) -> None:
    server = await asyncio.get_running_loop().create_server(partial(Sink, Books(), latency), "127.0.0.1", 0)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1])))
