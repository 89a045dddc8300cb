"""A receiver of webhooks was down, and is back: what a person does then, with the clicks counted."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Clicks, Demo, OpenTab

MOST_CLICKS = 3
EVENTS = 3
NAME = "Ledger of the branch"
RULE = "of-the-branch"
EVENT = "billing.bill.updated"


@dataclass
class Receiver:
    """Down until it is brought up; `got` are the ids of what it took."""

    url: str = ""
    up: bool = False
    got: set[str] = field(default_factory=set)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if made.up:
                made.got.add(self.headers["webhook-id"])
            self.send_response(204 if made.up else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/in"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


def failing(demo: Demo, receiver: Receiver) -> None:
    """Messages for the receiver, each of which fails in all its attempts."""
    demo.cli("webhooks", "create", "--name", NAME, "--url", receiver.url, "--generate")
    demo.cli("rules", "create", RULE, "--on", EVENT, "--always")
    demo.cli("webhooks", "link", RULE, NAME)
    for _ in range(EVENTS):
        demo.cli("trigger", EVENT)


def test_a_receiver_that_was_down_is_brought_back_in_few_clicks(
    open_tab: OpenTab, demo: Demo, receiver: Receiver
) -> None:
    failing(demo, receiver)
    tab = open_tab()
    page = tab.open("/webhooks")
    page.get_by_role("main").get_by_role("link", name=NAME).click()
    # Each of them was tried to its last attempt: what is tried later would bring the receiver back by itself.
    expect(page.get_by_text(re.compile(f"Down since .*: {EVENTS} failed"))).to_be_visible(timeout=90_000)

    receiver.up = True
    page = open_tab().page
    clicks = Clicks(page)
    page.goto(demo.console + "/")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Outgoing webhooks").click()
    page.get_by_role("main").get_by_role("link", name=NAME).click()
    page.get_by_role("button", name="Bring back").click()
    expect(page.get_by_text("Down since")).to_be_hidden(timeout=60_000)
    expect(page.get_by_role("button", name="Bring back")).to_be_hidden()
    assert len(clicks) <= MOST_CLICKS, clicks.pressed
    # The test that it sends first, and every message.
    expect(page.locator("#webhook")).to_contain_text("Active", timeout=60_000)
    assert len(receiver.got) >= EVENTS
