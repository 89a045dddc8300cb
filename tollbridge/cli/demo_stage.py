"""The demo's stage: processes, settings, a month of bills, and the display of what becomes of them.

Real processes, the real API, a stand-in for Stripe, a receiver of webhooks. Imported by `demo` only when it runs.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from tollbridge.cli import demo_receiver
from tollbridge.cli.client import Client
from tollbridge.cli.common import complain, program
from tollbridge.cli.demo_books import Outcome
from tollbridge.cli.demo_data.generate import FAILING_ACCOUNT, FOLDER
from tollbridge.cli.demo_receiver import ALLOWED, Receiver
from tollbridge.cli.fleet import Fleet
from tollbridge.cli.output import put, put_json, say, style_of
from tollbridge.cli.profiles import Profile
from tollbridge.cli.runs import RESTING
from tollbridge.domain import json_text
from tollbridge.domain.errors import Unavailable

PATIENCE = 120.0
POLL = 0.2
RATE = 100
NAME = "Invoices in Stripe (stand-in)"


@dataclass(frozen=True, slots=True)
class Scene:
    """What the demo has set up."""

    client: Client
    stand_in: str
    key: str
    integration: str
    receiver: Receiver


def set_up(ships: Fleet, profile: Profile, receiver: Receiver) -> Scene:
    ships.start("sandbox", "sandbox", "--system", "stripe", "--port", "0")
    ships.start("serve", "serve", "--port", "0", **ALLOWED)
    stand_in, _, key = ships.first_line("sandbox").partition("\tkey ")
    # Test mode admits 25 requests a second; a demo need not wait for that, so both sides take live mode's rate.
    _ask(stand_in, "POST", "/_admin/limits", json.dumps({"requests_per_second": RATE}))
    ships.start(
        "worker",
        "worker",
        TOLLBRIDGE_VENDOR_URLS=f"STRIPE_TEST={stand_in}",
        TOLLBRIDGE_RATE_LIMITS=f"STRIPE_TEST={RATE}",
        **ALLOWED,
    )
    client = Client(Profile(ships.first_line("serve"), profile.org, profile.access_key, profile.secret))
    for kind in ("products", "accounts"):
        _send_file(client, kind)
    customer = _customer_without_address(stand_in, key)
    client.call("POST", "externalmappings", body=_mapping(customer))
    credential = _credential(client, ships, key)
    integration = client.call(
        "POST",
        "integrationconfigs",
        body={
            "name": NAME,
            "destination": "STRIPE_TEST",
            "entityType": "Bill",
            "integrationCredentialsId": credential["id"],
            "configData": {"finish": "send", "memo": "For {periodStart} to {periodEnd}"},
        },
    )
    demo_receiver.connect(client, receiver)
    return Scene(client, stand_in, key, integration["id"], receiver)


def _credential(client: Client, ships: Fleet, key: str) -> dict[str, Any]:
    """Keep the stand-in's key; it is checked by the worker, which is waited for."""
    deadline = time.monotonic() + PATIENCE
    body = {"name": "Stripe (stand-in)", "destination": "STRIPE_TEST", "apiKey": key}
    while True:
        try:
            made: dict[str, Any] = client.call("POST", "integrationcredentials", body=body)
        except Unavailable:
            ships.check()
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL)
        else:
            if made["status"] != "VALID":
                raise Unavailable("demo.credential", f"The credential is {made['status']}: {made.get('error')}")
            return made


def _customer_without_address(stand_in: str, key: str) -> str:
    """A customer that somebody made in the vendor's own dashboard and gave no e-mail address."""
    form = urlencode({"name": "Harbour Lights Ltd"})
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-www-form-urlencoded"}
    return str(_ask(stand_in, "POST", "/v1/customers", form, headers)["id"])


def _mapping(customer: str) -> dict[str, str]:
    return {
        "m3terEntity": "Account",
        "m3terId": FAILING_ACCOUNT,
        "externalSystem": "Stripe",
        "externalTable": "Customer",
        "externalId": customer,
    }


def _ask(address: str, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> Any:
    connection = HTTPConnection(urlsplit(address).netloc, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise Unavailable("demo.stand_in", f"The stand-in answered {response.status}: {content[:300]!r}")
        return json.loads(content)
    finally:
        connection.close()


def _send_file(client: Client, kind: str) -> dict[str, Any]:
    content = (FOLDER / f"{kind}.jsonl").read_bytes()
    answer: dict[str, Any] = client.send("POST", ("imports", kind), content, "application/x-ndjson")
    for refusal in answer["refusals"]:
        complain(f"{kind}.jsonl, line {refusal['line']}: {refusal['message']}", refusal.get("hint"))
    return answer


def import_month(scene: Scene) -> dict[str, dict[str, Any]]:
    """Import the month; the bills by their ids."""
    _send_file(scene.client, "bills")
    lines = (FOLDER / "bills.jsonl").read_bytes().splitlines()
    return {bill["id"]: bill for bill in map(json_text.parse, lines)}


def follow(scene: Scene, ships: Fleet, expected: int, *, quiet: bool) -> list[dict[str, Any]]:
    """Watch the runs until all of them rest."""
    deadline = time.monotonic() + PATIENCE
    with _display(quiet=quiet) as show:
        while True:
            runs = list(scene.client.pages("integrationruns", integrationId=scene.integration))
            show(runs)
            if len(runs) >= expected and all(run["state"] in RESTING for run in runs):
                return runs
            ships.check()
            if time.monotonic() > deadline:
                return runs
            time.sleep(POLL)


def follow_messages(scene: Scene, ships: Fleet, bills: dict[str, dict[str, Any]]) -> list[str]:
    """Wait until the receiver has been told of every large bill; the ids of those that it was told of."""
    deadline, wanted = time.monotonic() + PATIENCE, demo_receiver.large(bills)
    while wanted - {*(told_of := demo_receiver.told_of(scene.receiver))} and time.monotonic() < deadline:
        ships.check()
        time.sleep(POLL)
    return told_of


@contextmanager
def _display(*, quiet: bool) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    """A live table on a terminal; elsewhere a line for each run that came to rest."""
    if quiet:
        yield lambda runs: None
        return
    if sys.stdout.isatty():
        from rich.live import Live

        with Live(transient=False) as live:
            yield lambda runs: live.update(_table(runs, live.console.height))
        return
    told: set[str] = set()

    def tell(runs: list[dict[str, Any]]) -> None:
        for run in reversed(runs):
            if run["state"] in RESTING and run["id"] not in told:
                told.add(run["id"])
                put(
                    "\t".join(
                        str(run.get(name, "")) for name in ("status", "entityId", "total", "currency", "externalId")
                    )
                )

    yield tell


def _table(runs: list[dict[str, Any]], height: int) -> Any:
    """As many runs as the screen holds, those that moved last on top; trouble first."""
    from rich.table import Table
    from rich.text import Text

    counts = Counter(run["status"] for run in runs)
    table = Table(box=None, header_style="bold", pad_edge=False, expand=True)
    table.title = "   ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    for heading in ("Bill", "Status", "Total", "Invoice"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "Total" else "left")
    table.add_column("Error", no_wrap=True, ratio=1)
    ordered = sorted(runs, key=lambda run: str(run["dtLastModified"]), reverse=True)
    ordered.sort(key=lambda run: run["state"] != "failed")
    for run in ordered[: max(5, height - 6)]:
        total = f"{Decimal(run['total']):,f} {run['currency']}" if "total" in run else ""
        table.add_row(
            run["entityId"],
            Text(run["status"], style_of("status", run["status"])),
            total,
            run.get("externalId", ""),
            run.get("error", ""),
        )
    return table


def books(scene: Scene) -> dict[str, Any]:
    books: dict[str, Any] = _ask(scene.stand_in, "GET", "/_admin/books")
    return books


def report(scene: Scene, runs: list[dict[str, Any]], outcome: Outcome, *, as_json: bool) -> None:
    for run in runs:
        if run["state"] not in ("delivered", "skipped"):
            on_purpose = " (on purpose)" if run.get("accountId") == FAILING_ACCOUNT else ""
            say(f"\n{run['entityId']} is {run['state']}{on_purpose}: {run.get('error', '')}")
            if run.get("hint"):
                say(f"hint: {run['hint']}")
    if as_json:
        put_json(asdict(outcome))
        return
    totals = "every total is the same in both" if outcome.totals_match else "totals differ"
    put(
        f"\n{outcome.delivered} of {outcome.bills} bills are invoices in the stand-in's books after "
        f"{outcome.seconds} s, {outcome.duplicates} of them twice, {outcome.failed} failed; {totals}.\n"
        f"{outcome.webhooks_delivered} of {outcome.webhooks_expected} signed messages about bills over 1,000 reached "
        "the receiver."
    )


def stay(scene: Scene, ships: Fleet, link: str) -> None:
    """Say where everything is, and keep it running until Ctrl-C."""
    profile = scene.client.profile
    say(
        f"\nConsole   {link}   (signs you in once, within ten minutes)\n"
        f"API       {profile.url}   (described at {profile.url}/openapi.json)\n"
        f"Stand-in  {scene.stand_in}   (its books at {scene.stand_in}/_admin/books)\n"
        f"Receiver  {scene.receiver.url}   (told of bills over 1,000; what comes is shown below)\n"
        "Try, in another terminal:\n"
        f"  export TOLLBRIDGE_URL={profile.url} TOLLBRIDGE_ORG={profile.org} \\\n"
        f"    TOLLBRIDGE_ACCESS_KEY={profile.access_key} TOLLBRIDGE_SECRET={profile.secret}\n"
        f"  {program()} runs list --failed\n"
        f"  {program()} runs show 2026-10-{FAILING_ACCOUNT.removeprefix('acc-')}\n"
        f"  {program()} trigger {demo_receiver.EVENT} --set new.billTotal=1234.50\n"
        f"  {program()} webhooks test 'Bills over 1,000'\n"
        "Ctrl-C ends it and removes everything."
    )
    shown = len(scene.receiver.got)
    try:
        while True:
            ships.check()
            for message in list(scene.receiver.got.values())[shown:]:
                shown += 1
                say(f"Receiver  got {message['type']}: {demo_receiver.summary(message)}")
            time.sleep(1)
    except KeyboardInterrupt:
        say("\nEnding …")
