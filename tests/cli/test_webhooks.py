"""`tollbridge webhooks`, `trigger` and `listen`, against a server on the real database and a real receiver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from tests.cli.test_local import Done, cli, environ, init, running

__all__ = ["cli", "environ"]

PATIENCE = 60
SECRET, NEWER = "whsec_c2VjcmV0IG9uZQ==", "whsec_c2VjcmV0IHR3bw=="
URL = "http://127.0.0.1:4011/in"


@pytest.fixture
def server(
    environ: dict[str, str], cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """A server whose webhooks may lead to this machine, and a profile of it."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setenv("HOOK_KEY", "the key")
    allowed = {"TOLLBRIDGE_ALLOW_NETWORKS": "127.0.0.0/8", "TOLLBRIDGE_ALLOW_HTTP": "true"}
    with running(environ | allowed, "serve", "--port", "0") as (_, url):
        yield init(cli, url)


@contextmanager
def receiver(status: int = 200) -> Iterator[tuple[str, Queue[tuple[dict[str, str], bytes]]]]:
    """A program of somebody else that takes messages, and what it got."""
    got: Queue[tuple[dict[str, str], bytes]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}/hook?a=b", got
        httpd.shutdown()


def add_rule(cli: Callable[..., Done]) -> str:
    """The id of a rule LARGE that fires on every bill that is created."""
    made = cli("rules", "create", "LARGE", "--on", "billing.bill.created", "--always", "--json")
    return str(json.loads(made.stdout)["id"])


def create(cli: Callable[..., Done], name: str = "ERP hook", *more: str) -> str:
    made = cli("webhooks", "create", "--name", name, "--url", URL, "--secret-env", "HOOK_SECRET", *more)
    assert made.returncode == 0, made.stderr
    return made.stdout.splitlines()[0]


@pytest.mark.usefixtures("server")
def test_webhooks_are_made_listed_changed_and_deleted(cli: Callable[..., Done]) -> None:
    id = create(cli, "ERP hook", "--api-key-env", "HOOK_KEY", "--set", "schedule=patient")
    assert cli("webhooks", "list").stdout.split("\t")[:3] == [id, "ERP hook", "erp_hook"]
    shown = cli("webhooks", "show", "erp_hook")
    assert "patient, 64 at once" in shown.stdout
    assert "0 delivered, 0 failed, 0 pending" in shown.stdout
    assert cli("webhooks", "update", "ERP hook", "--name", "CRM hook", "--set", "ordered=true").returncode == 0
    changed = json.loads(cli("webhooks", "show", id, "--json").stdout)
    assert (changed["name"], changed["schedule"], changed["ordered"]) == ("CRM hook", "patient", True)
    assert cli("webhooks", "update", id).returncode == 2
    assert cli("webhooks", "deactivate", id).returncode == 0
    assert json.loads(cli("webhooks", "activate", id, "--json").stdout)["active"] is not False
    assert cli("webhooks", "show", "nobody").returncode == 2
    assert cli("webhooks", "delete", id).returncode == 2
    assert cli("webhooks", "delete", id, "--yes").returncode == 0
    assert cli("webhooks", "list").stdout == ""


@pytest.mark.usefixtures("server")
def test_a_secret_is_made_or_given_and_both_sign_after_a_change(cli: Callable[..., Done], tmp_path: Path) -> None:
    made = json.loads(cli("webhooks", "create", "--name", "A", "--url", URL, "--generate", "--json").stdout)
    assert made["secret"].startswith("whsec_")
    assert made["apiKey"]
    file = tmp_path / "secret"
    file.write_text(NEWER + "\n")
    done = cli("webhooks", "rotate-secret", "A", "--secret-file", str(file))
    assert "signs too until" in done.stderr
    assert NEWER not in done.stdout + done.stderr
    assert "there already" in cli("webhooks", "rotate-secret", "A", "--secret-file", str(file)).stderr
    assert cli("webhooks", "rotate-secret", "A", "--generate").stdout.startswith("Secret  whsec_")


def test_a_rule_is_linked_and_unlinked(server: dict[str, Any], cli: Callable[..., Done], database_url: str) -> None:
    id = create(cli)
    rule = add_rule(cli)
    link = cli("webhooks", "link", rule, "ERP hook", "--json")
    made = json.loads(link.stdout)
    assert (made["entityId"], made["destinationId"], made["connectionStatus"]) == (rule, id, "CONNECTED")
    assert rule in cli("webhooks", "show", id).stdout
    assert cli("webhooks", "link", "LARGE", "erp_hook").returncode == 4
    assert cli("webhooks", "delete", id, "--yes").returncode == 4
    assert cli("webhooks", "unlink", "LARGE", "erp_hook").returncode == 0
    assert cli("webhooks", "unlink", "LARGE", "erp_hook").returncode == 3


# verify


@pytest.fixture
def message(tmp_path: Path) -> tuple[Path, Path, dict[str, str]]:
    """A body, its headers as a file, and the headers, signed by the library of others."""
    from datetime import UTC, datetime

    body, at = tmp_path / "body.json", datetime.now(UTC)
    body.write_bytes(b'{"a":1}\n')
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", at, body.read_text()),
    }
    file = tmp_path / "headers.txt"
    file.write_text("HTTP/1.1 200 OK\r\n" + "".join(f"{name.title()}: {value}\r\n" for name, value in headers.items()))
    return body, file, headers


def test_a_message_is_verified_with_its_headers_from_a_file_or_given(
    cli: Callable[..., Done], message: tuple[Path, Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    body, file, headers = message
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    verify = ("webhooks", "verify", str(body), "--secret-env", "HOOK_SECRET")
    assert cli(*verify, "--headers", str(file)).stdout == "The secret signed it.\n"
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    assert json.loads(cli(*verify, *given, "--json").stdout) == {"verified": True, "reason": None}
    file.write_text(json.dumps(headers))
    assert cli(*verify, "--headers", str(file)).returncode == 0


@pytest.mark.parametrize("spoilt", ["body", "secret", "time", "id", "headers"])
def test_a_message_that_is_not_what_it_claims_is_exit_code_one(
    cli: Callable[..., Done],
    message: tuple[Path, Path, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    spoilt: str,
) -> None:
    body, file, _ = message
    monkeypatch.setenv("HOOK_SECRET", NEWER if spoilt == "secret" else SECRET)
    if spoilt == "body":
        body.write_bytes(b'{"a":1}')
    change = {"time": ("webhook-timestamp", "1000"), "id": ("webhook-id", "msg_2"), "headers": ("webhook-id", "")}
    given = [part for name, value in [change.get(spoilt, ("x", "y"))] for part in ("-H", f"{name}:{value}")]
    done = cli("webhooks", "verify", str(body), "--headers", str(file), *given, "--secret-env", "HOOK_SECRET")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")


def test_an_old_message_is_verified_where_its_time_does_not_matter(
    cli: Callable[..., Done], message: tuple[Path, Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime

    body, _, _ = message
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    old = datetime(2026, 1, 1, tzinfo=UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(old.timestamp())),
        "webhook-signature": "v1,bm8= " + Webhook(SECRET).sign("msg_1", old, body.read_text()),
    }
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    verify = ("webhooks", "verify", str(body), *given, "--secret-env", "HOOK_SECRET")
    assert cli(*verify).returncode == 1
    assert cli(*verify, "--any-time").returncode == 0


# trigger and listen


def test_an_example_event_fires_rules_and_shows_what_it_caused(
    server: dict[str, Any], cli: Callable[..., Done], database_url: str
) -> None:
    done = cli("trigger", "billing.bill.created", "--set", "new.billTotal=12.50", "--set", "new.rounding.mode=UP")
    assert "No rule fired on it." in done.stderr, done.stderr
    id = done.stdout.split("\t")[0]
    event = json.loads(cli("events", "show", id, "--json").stdout)
    new = event["m3terEvent"]["eventData"]["newDto"]
    assert (new["billTotal"], new["currency"], new["rounding"]) == (12.5, "EUR", {"mode": "UP"})
    hook = create(cli)
    rule = add_rule(cli)
    assert "lead to no webhook: LARGE" in cli("trigger", "billing.bill.created").stderr
    from tollbridge.cli.client import Client
    from tollbridge.cli.profiles import read_profile

    link = {
        "entityType": "Notification",
        "entityId": rule,
        "destination": "Webhook",
        "destinationId": hook,
    }
    Client(read_profile("default")).call("POST", "integrationconfigs", body=link)
    told = json.loads(cli("trigger", "billing.bill.created", "--json").stdout)
    [run] = told["runs"]
    assert (run["eventId"], run["destinationId"], run["status"]) == (told["event"]["id"], hook, "WAITING")
    assert run["messageId"] == f"msg_{run['id']}"


@pytest.mark.usefixtures("server")
def test_what_cannot_be_triggered_is_refused_with_a_way_out(cli: Callable[..., Done]) -> None:
    assert cli("trigger").returncode == 2
    assert "billing.bill.created" in cli("trigger", "billing.bil.created").stderr
    assert "billTotal" in cli("trigger", "billing.bill.created", "--set", "new.billTotl=1").stderr
    assert cli("trigger", "billing.bill.created", "--set", "new.currency.x=1").returncode == 2
    assert cli("trigger", "integration.perform.error").returncode == 2
    listed = cli("trigger", "--list").stdout.split()
    assert "configuration.contract.created" in listed
    assert "integration.perform.error" not in listed


@contextmanager
def listening(environ: dict[str, str], *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Queue[str]]]:
    """`tollbridge listen` in a process of its own, once it listens; what it prints, line by line."""
    command = [sys.executable, "-m", "tollbridge.cli.main", "listen", *arguments]
    printed: Queue[str] = Queue()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environ
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        out = process.stdout
        for line in process.stderr:
            if line.startswith("Listening"):
                break

        def read() -> None:
            for line in out:
                printed.put(line)

        threading.Thread(target=read, daemon=True).start()
        try:
            yield process, printed
        finally:
            process.kill()


@pytest.mark.usefixtures("server")
def test_events_reach_a_program_on_this_machine_signed_as_they_happen(
    environ: dict[str, str], cli: Callable[..., Done]
) -> None:
    cli("trigger", "billing.bill.created")
    to = ("--events", "billing.*, configuration.account.*", "--secret-env", "HOOK_SECRET")
    with receiver(204) as (url, got), listening(environ, "--forward-to", url, *to) as (_, printed):
        cli("trigger", "configuration.product.created")
        first = cli("trigger", "billing.bill.updated").stdout.split("\t")[0]
        second = cli("trigger", "configuration.account.created").stdout.split("\t")[0]
        for id in (first, second):
            headers, body = got.get(timeout=PATIENCE)
            payload = Webhook(SECRET).verify(body, headers)
            assert payload["event"]["id"] == id
            assert (payload["version"], payload["id"]) == ("1", headers["webhook-id"])
            when, name, printed_id, status, latency = printed.get(timeout=PATIENCE).strip().split("\t")
            assert (printed_id, status, name) == (id, "204", payload["type"])
            assert latency.endswith(" ms")
            assert when
        assert payload["new"]["emailAddress"] == "accounts@nordlicht.example"
        assert got.empty()


@pytest.mark.usefixtures("server")
def test_listening_goes_on_after_an_event_and_prints_json_without_a_receiver(
    environ: dict[str, str], cli: Callable[..., Done]
) -> None:
    ids = [cli("trigger", "billing.bill.created").stdout.split("\t")[0] for _ in range(3)]
    with listening(environ, "--after", ids[0], "--print-json") as (_, printed):
        assert [json.loads(printed.get(timeout=PATIENCE))["id"] for _ in range(2)] == ids[1:]
        later = cli("trigger", "billing.bill.created").stdout.split("\t")[0]
        assert json.loads(printed.get(timeout=PATIENCE))["id"] == later


@pytest.mark.usefixtures("server")
def test_a_program_that_is_not_there_is_told_and_listening_goes_on(
    environ: dict[str, str], cli: Callable[..., Done]
) -> None:
    with listening(environ, "--forward-to", "http://127.0.0.1:1/hook") as (_, printed):
        for _ in range(2):
            cli("trigger", "billing.bill.created")
            assert "refused" in printed.get(timeout=PATIENCE)


def test_listening_survives_a_restart_of_the_server(environ: dict[str, str], cli: Callable[..., Done]) -> None:
    with running(environ, "serve", "--port", "0") as (_, url):
        init(cli, url)
        port = url.rpartition(":")[2]
        first = cli("trigger", "billing.bill.created").stdout.split("\t")[0]
        listener = listening(environ, "--print-json")
        process, printed = listener.__enter__()
    try:
        assert process.poll() is None
        with running(environ, "serve", "--port", port):
            later = cli("trigger", "billing.bill.created").stdout.split("\t")[0]
            assert later != first
            assert json.loads(printed.get(timeout=PATIENCE))["id"] == later
    finally:
        process.kill()
        listener.__exit__(None, None, None)


@pytest.mark.usefixtures("server")
def test_what_nobody_can_listen_for_is_refused(cli: Callable[..., Done]) -> None:
    done = cli("listen", "--events", "biling.bill.created")
    assert done.returncode == 2
    assert "billing.bill.created" in done.stderr
    assert cli("listen", "--after", "nothing").returncode == 3
