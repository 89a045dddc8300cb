"""What all stand-ins share: an HTTP server, its administration under /_admin, connections that can be cut.

It knows no vendor: a vendor is an object that answers calls and opens its books. The administration speaks JSON and
asks for no key, so a stand-in belongs on a private address:

    GET    /_admin/books      what it holds
    GET    /_admin/requests   the latest requests and how each was answered
    GET    /_admin/faults     what is switched on, and how often each struck
    POST   /_admin/faults     switch one on: the fields of `faults.Fault`
    DELETE /_admin/faults     switch all off
    POST   /_admin/clock      {"forward_seconds": 3600}
    POST   /_admin/keys       register a credential
    DELETE /_admin/keys       revoke one: {"key": …}
    POST   /_admin/payments   a customer pays on the vendor's page: {"invoice": …}
    POST   /_admin/refunds    somebody gives money back on the vendor's page: {"invoice": …, "amount": 100}
    POST   /_admin/limits     change limits
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

from tollbridge.sandbox.clock import Clock
from tollbridge.sandbox.faults import Faults

JSON = dict[str, Any]
REQUESTS_KEPT = 2000
MAX_BODY = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came over the wire; header names are lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class ConnectionCut(Exception):
    """The connection is to be closed without a reply."""


class StandIn(Protocol):
    """What a vendor's stand-in offers to the server. Each method raises ValueError or TypeError for bad input."""

    clock: Clock
    faults: Faults

    async def answer(self, call: Call) -> Answer:
        """Answer one request of the vendor's API; raises ConnectionCut to hang up."""
        ...

    def books(self, query: Mapping[str, str]) -> JSON:
        """What it holds, for proofs."""
        ...

    def add_key(self, given: JSON) -> JSON:
        """Register a credential."""
        ...

    def revoke_key(self, given: JSON) -> JSON:
        """Let a credential open nothing any more."""
        ...

    def pay(self, given: JSON) -> JSON:
        """Let a customer pay what is owed."""
        ...

    def refund(self, given: JSON) -> JSON:
        """Give money back that was paid."""
        ...

    def set_limits(self, given: JSON) -> JSON:
        """Change its limits."""
        ...

    async def close(self) -> None:
        """Finish what is still under way."""
        ...


@dataclass(slots=True)
class Running:
    """A stand-in that listens. `url` has no slash at its end; `key` opens `account`."""

    url: str
    key: str
    account: str
    stand_in: StandIn
    _runner: web.AppRunner

    async def stop(self) -> None:
        """Close all connections and forget everything."""
        await self.stand_in.close()
        await self._runner.cleanup()


async def listen(stand_in: StandIn, host: str, port: int, *, key: str, account: str) -> Running:
    """Serve a stand-in; port 0 takes a free one."""
    app = web.Application(client_max_size=MAX_BODY)
    requests: deque[JSON] = deque(maxlen=REQUESTS_KEPT)
    app.add_routes(_administration(stand_in, requests))
    app.router.add_route("*", "/{path:.*}", _handler(stand_in, requests))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    bound = runner.addresses[0][1]
    shown = f"[{host}]" if ":" in host else host
    return Running(f"http://{shown}:{bound}", key, account, stand_in, runner)


def serve(running: Awaitable[Running], announce: Callable[[Running], None]) -> None:
    """Run a stand-in in a process of its own until it is interrupted."""

    async def forever() -> None:
        handle = await running
        announce(handle)
        try:
            await asyncio.Event().wait()
        finally:
            await handle.stop()

    try:
        asyncio.run(forever())
    except KeyboardInterrupt:
        return


def _handler(stand_in: StandIn, requests: deque[JSON]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(request.method, request.path, request.query_string, headers, await request.read())
        entry: JSON = {
            "at": stand_in.clock.now(),
            "method": call.method,
            "path": call.path,
            "query": call.query,
            "body": call.body.decode(errors="replace"),
            "headers": {**headers, "authorization": _redacted(headers.get("authorization", ""))},
            "status": None,
        }
        requests.append(entry)
        try:
            answer = await stand_in.answer(call)
        except ConnectionCut:
            entry["status"] = "connection cut"
            if request.transport is not None:
                request.transport.close()
            return web.Response()
        entry["status"] = answer.status
        entry["replayed"] = "Idempotent-Replayed" in answer.headers
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    return handle


def _redacted(authorization: str) -> str:
    return re.sub(r"([a-z]+_[a-z]+_)\S*(\S{4})$", r"\1…\2", authorization)


def _administration(stand_in: StandIn, requests: deque[JSON]) -> list[web.RouteDef]:
    async def get_books(request: web.Request) -> JSON:
        return stand_in.books(request.query)

    async def get_requests(request: web.Request) -> web.Response:
        return _json({"requests": list(requests)})

    async def get_faults(request: web.Request) -> web.Response:
        return _json({"faults": stand_in.faults.active()})

    async def add_fault(given: JSON) -> JSON:
        stand_in.faults.add(given)
        return {"faults": stand_in.faults.active()}

    async def clear_faults(request: web.Request) -> web.Response:
        stand_in.faults.clear()
        return _json({"faults": []})

    async def move_clock(given: JSON) -> JSON:
        stand_in.clock.forward(float(given["forward_seconds"]))
        return {"now": stand_in.clock.now()}

    async def add_key(given: JSON) -> JSON:
        return stand_in.add_key(given)

    async def revoke_key(given: JSON) -> JSON:
        return stand_in.revoke_key(given)

    async def pay(given: JSON) -> JSON:
        return stand_in.pay(given)

    async def refund(given: JSON) -> JSON:
        return stand_in.refund(given)

    async def set_limits(given: JSON) -> JSON:
        return stand_in.set_limits(given)

    return [
        web.get("/_admin/books", _answering(get_books)),
        web.get("/_admin/requests", get_requests),
        web.get("/_admin/faults", get_faults),
        web.post("/_admin/faults", _answering(_taking_json(add_fault))),
        web.delete("/_admin/faults", clear_faults),
        web.post("/_admin/clock", _answering(_taking_json(move_clock))),
        web.post("/_admin/keys", _answering(_taking_json(add_key))),
        web.delete("/_admin/keys", _answering(_taking_json(revoke_key))),
        web.post("/_admin/payments", _answering(_taking_json(pay))),
        web.post("/_admin/refunds", _answering(_taking_json(refund))),
        web.post("/_admin/limits", _answering(_taking_json(set_limits))),
    ]


def _taking_json(act: Callable[[JSON], Awaitable[JSON]]) -> Callable[[web.Request], Awaitable[JSON]]:
    async def handle(request: web.Request) -> JSON:
        given = json.loads(await request.read())
        if not isinstance(given, dict):
            raise TypeError("the body must be a JSON object")
        return await act(given)

    return handle


def _answering(act: Callable[[web.Request], Awaitable[JSON]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            return _json(await act(request))
        except KeyError as missing:
            return _json({"error": f"the field {missing} is missing"}, status=400)
        except (ValueError, TypeError) as refused:
            return _json({"error": str(refused)}, status=400)

    return handle


def _json(value: JSON, status: int = 200) -> web.Response:
    return web.Response(status=status, text=json.dumps(value), content_type="application/json")
