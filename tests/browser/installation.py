"""An installation of a test's own, as processes: server, worker, database, a stand-in for Stripe, and real mail."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from anyio.from_thread import start_blocking_portal
from playwright.sync_api import Page, expect

from tests.browser.conftest import Clicks
from tests.outbound.post_office import PostOffice, post_office
from tollbridge.cli.client import Client
from tollbridge.cli.fleet import fleet
from tollbridge.cli.init import make_organization
from tollbridge.cli.profiles import Profile
from tollbridge.cli.users import link_for_a_new_person
from tollbridge.domain import json_text
from tollbridge.settings import Settings
from tollbridge.store.db import open_database

ON_CALL = "ops@example.org"
PASSWORD = "correct horse battery staple"
PATIENCE = 240
"""Seconds after which what should happen counts as not happening."""


@dataclass(frozen=True, slots=True)
class Installation:
    """A new one. `key` opens the stand-in; `mails` is where its mail arrives."""

    url: str
    org_id: str
    client: Client
    stand_in: str
    key: str
    office: PostOffice
    settings: Settings
    apart: ThreadPoolExecutor
    """The browser's own loop runs in the thread of the test; ours run here."""

    def link_of_an_administrator(self) -> str:
        """Signs somebody new in, once."""
        made = link_for_a_new_person(self.settings, self.org_id, self.url)
        return self.apart.submit(lambda: asyncio.run(made)).result()

    def sql(self, statement: str) -> list[Mapping[str, Any]]:
        """What the database says, or does."""

        async def ask() -> list[Mapping[str, Any]]:
            async with open_database(self.settings) as db:
                return [dict(row) for row in await db.pool.fetch(statement)]

        return self.apart.submit(lambda: asyncio.run(ask())).result()

    def runs_are(self, state: str, count: int) -> None:
        """Wait until so many deliveries are in that state."""
        until = time.monotonic() + PATIENCE
        while (found := self._states()).get(state) != count:
            assert time.monotonic() < until, found
            time.sleep(0.5)

    def _states(self) -> Mapping[str, int]:
        rows = self.sql("SELECT state, count(*) FROM runs WHERE flow = 'deliver' GROUP BY state")
        return {row["state"]: row["count"] for row in rows}

    def send(self, noun: str, values: Iterable[Mapping[str, Any]]) -> None:
        """What the billing platform sends."""
        lines = "\n".join(json_text.dump(value) for value in values).encode()
        answer = self.client.send("POST", ("imports", noun), lines, "application/x-ndjson")
        assert answer["refusals"] == [], answer["refusals"][:3]

    def at_vendor(self, method: str, path: str, body: Any = None) -> Any:
        """The administration of the stand-in."""
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.stand_in}/_admin/{path}", content, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def customer(self, name: str, mail: str) -> str:
        """A customer whom Stripe has already; answers its id."""
        form = urllib.parse.urlencode({"name": name, "email": mail}).encode()
        request = urllib.request.Request(f"{self.stand_in}/v1/customers", form, {"Authorization": f"Bearer {self.key}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(json.load(answer)["id"])

    def choose_a_password(self, page: Page) -> None:
        """Somebody who is on call is invited, and signs out again."""
        names = {"firstName": "Ada", "lastName": "Bill"}
        invited = self.client.call("POST", "invitations", body={"email": ON_CALL, **names, "role": "operator"})
        page.goto(invited["link"])
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_label("The same again").fill(PASSWORD)
        page.get_by_role("button", name="Set the password and sign in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        page.context.clear_cookies()

    def mailed_link(self, subject: str) -> str:
        """Where the mail leads that has these words in its subject, once it is here."""
        until = time.monotonic() + PATIENCE
        while not (found := [mail for mail in self.office.mails if subject in mail["Subject"]]):
            assert time.monotonic() < until, [mail["Subject"] for mail in self.office.mails]
            time.sleep(0.5)
        body = found[0].get_body(("plain",))
        assert body is not None
        (link,) = re.findall(re.escape(self.url) + r"/console/\S+", body.get_content())
        return str(link)

    def come_by_mail(self, page: Page, clicks: Clicks, subject: str) -> None:
        """Open the link of the mail, and sign in."""
        clicks.follow(self.mailed_link(subject))
        page.get_by_label("Mail address").fill(ON_CALL)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("main").get_by_role("button", name="Sign in").click()


@contextmanager
def installed() -> Iterator[Installation]:
    """One that runs, whose trouble is mailed, with a stand-in that takes as many requests as come."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(post_office()) as office,
        fleet() as (ships, settings),
        ThreadPoolExecutor(1) as apart,
    ):
        made = apart.submit(lambda: asyncio.run(make_organization(settings, "New"))).result()
        ships.start("sandbox", "sandbox", "--system", "stripe", "--port", "0")
        port = free_port()
        told = {
            "TOLLBRIDGE_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "TOLLBRIDGE_SMTP_URL": f"smtp+plain://127.0.0.1:{office.port}",
            "TOLLBRIDGE_ALERT_MAIL": ON_CALL,
        }
        ships.start("serve", "serve", "--port", str(port), **told)
        stand_in, _, key = ships.first_line("sandbox").partition("\tkey ")
        vendor = {"TOLLBRIDGE_VENDOR_URLS": f"STRIPE_TEST={stand_in}", "TOLLBRIDGE_RATE_LIMITS": "STRIPE_TEST=1000"}
        ships.start("worker", "worker", **told, **vendor)
        url = ships.first_line("serve")
        client = Client(Profile(url, made.org_id, made.key_id, made.secret))
        here = Installation(url, made.org_id, client, stand_in, key, office, settings, apart)
        here.at_vendor("POST", "limits", {"requests_per_second": 0})
        yield here


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def account(id: str) -> Mapping[str, Any]:
    return {"id": id, "code": id.upper(), "name": f"{id.capitalize()} Ltd", "emailAddress": f"ap@{id}.example"}


def bill(id: str, account: str, day: str, total: str, currency: str = "EUR") -> Mapping[str, Any]:
    amount = Decimal(total)
    line = {"description": "Seats", "lineItemType": "STANDING_CHARGE", "quantity": 1, "subtotal": amount}
    of = {"id": id, "accountId": account, "billDate": day, "currency": currency}
    return {**of, "billTotal": amount, "lineItems": [line]}
