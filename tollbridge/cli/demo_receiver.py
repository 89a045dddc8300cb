"""The demo's receiver of webhooks: a program that somebody else would have, told of bills over 1,000.

It listens on this machine, in a thread of the demo, verifies each message and keeps what was in it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tollbridge.cli.client import Client
from tollbridge.cli.webhooks import HOOKS, RULES, TYPE, new_secret
from tollbridge.connectors.webhook.signature import complaint
from tollbridge.domain import json_text

ALLOWED = {"TOLLBRIDGE_ALLOW_NETWORKS": "127.0.0.1/32", "TOLLBRIDGE_ALLOW_HTTP": "true"}
"""What lets the demo's processes reach a receiver on this machine; a webhook may not, otherwise."""
LIMIT = Decimal(1000)
EVENT = "billing.bill.created"
CALCULATION = f"new.billTotal > {LIMIT}"


@dataclass(slots=True)
class Receiver:
    """What came in, by message id: repeats count once, and what the secret did not sign never."""

    secret: str = field(default_factory=new_secret)
    url: str = ""
    got: dict[str, dict[str, Any]] = field(default_factory=dict)

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """The status with which it answers."""
        if complaint(self.secret, headers, body, datetime.now(UTC)) is not None:
            return 400
        self.got[headers["webhook-id"]] = json_text.parse(body)
        return 204


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens as long as this context."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(receiver.take({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """What came in is told elsewhere."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


def connect(client: Client, receiver: Receiver) -> None:
    """A webhook to the receiver, a rule, and the link between them."""
    signed = {"type": TYPE, "apiKey": "demo", "secret": receiver.secret}
    about = {"name": "Bills over 1,000", "description": "What is large enough to be looked at."}
    hook = client.call("POST", *HOOKS, body={**about, "url": receiver.url, "credentials": signed})
    rule = client.call(
        "POST",
        *RULES.split("/"),
        body={**about, "code": "large-bills", "eventName": EVENT, "calculation": CALCULATION},
    )
    link = {"entityType": "Notification", "destination": "Webhook", "name": about["name"]}
    client.call("POST", "integrationconfigs", body={**link, "entityId": rule["id"], "destinationId": hook["id"]})


def large(bills: dict[str, dict[str, Any]]) -> set[str]:
    """The ids of the bills of which the rule tells."""
    return {id for id, bill in bills.items() if Decimal(bill["billTotal"]) > LIMIT}


def told_of(receiver: Receiver) -> list[str]:
    """The ids of the bills of which messages told, in the order in which they arrived."""
    return [message["new"]["id"] for message in list(receiver.got.values())]


def summary(message: dict[str, Any]) -> str:
    """What a message says, in a few words."""
    new = message["new"]
    return ", ".join(f"{name} {new[name]}" for name in ("id", "billTotal", "currency", "webhookId") if name in new)
