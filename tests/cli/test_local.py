"""The commands about this machine, as processes on the real database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from anyio.from_thread import start_blocking_portal

from tests.outbound.post_office import post_office
from tollbridge.cli import main
from tollbridge.cli.client import Client
from tollbridge.cli.demo_data.generate import FOLDER
from tollbridge.cli.profiles import DEFAULT, read_profile


@dataclass(frozen=True, slots=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def environ(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of this process, with a home, a configuration folder and a database of the test's own."""
    own = {"TOLLBRIDGE_HOME": str(tmp_path), "TOLLBRIDGE_DATABASE_URL": database_url, "XDG_CONFIG_HOME": str(tmp_path)}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    return {**os.environ}


@pytest.fixture
def cli(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Run a command in this process, which saves the start of another."""

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["tollbridge", *arguments])
        with pytest.raises(SystemExit) as end:
            main.run()
        said = capsys.readouterr()
        return Done(int(end.value.code or 0), said.out, said.err)

    return run


@contextmanager
def running(environ: dict[str, str], *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that goes on, and the first line that it says."""
    command = [sys.executable, "-m", "tollbridge.cli.main", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def init(cli: Callable[..., Done], url: str) -> dict[str, Any]:
    done = cli("init", "--name", "Acme", "--url", url, "--force", "--json")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_init_writes_a_profile_with_the_secret_and_does_not_print_it(cli: Callable[..., Done], tmp_path: Path) -> None:
    told = init(cli, "http://127.0.0.1:8400")
    profile = tomllib.loads((tmp_path / "tollbridge" / "profiles.toml").read_text())["default"]
    assert (profile["org"], profile["access_key"]) == (told["orgId"], told["accessKey"])
    assert profile["secret"] not in json.dumps(told)


def test_init_refuses_to_overwrite_a_profile(cli: Callable[..., Done]) -> None:
    init(cli, "http://127.0.0.1:8400")
    done = cli("init")
    assert done.returncode == 2
    assert "--force" in done.stderr


@pytest.mark.parametrize("command", ["serve", "worker", "init"])
def test_a_schema_that_is_not_there_is_refused_by_naming_migrate(
    command: str, environ: dict[str, str], empty_database_url: str
) -> None:
    own = {"TOLLBRIDGE_DATABASE_URL": empty_database_url, "TOLLBRIDGE_PORT": "0"}
    with running(environ | own, command) as (process, _):
        assert process.stderr is not None
        assert "hint: Run: tollbridge migrate" in process.stderr.read()
        assert process.wait(30) == 4


def test_serve_says_where_it_listens_and_ends_in_order_on_sigterm(environ: dict[str, str]) -> None:
    with running(environ, "serve", "--port", "0") as (process, url):
        with urlopen(f"{url}/healthz", timeout=30) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_port_that_is_taken_is_refused_with_its_number(environ: dict[str, str], cli: Callable[..., Done]) -> None:
    with running(environ, "serve", "--port", "0") as (_, url):
        port = url.rpartition(":")[2]
        done = cli("sandbox", "--port", port)
    assert done.returncode == 4
    assert f"port {port}" in done.stderr


def test_files_go_in_and_again_without_change_and_what_is_refused_is_kept(
    environ: dict[str, str], cli: Callable[..., Done], tmp_path: Path
) -> None:
    with running(environ, "serve", "--port", "0") as (_, url):
        init(cli, url)
        for kind, count in (("products", 4), ("accounts", 40)):
            done = cli("import", "--kind", kind, str(FOLDER / f"{kind}.jsonl"))
            assert done.stdout == f"{count} accepted, 0 refused\n", done.stderr
        bills = (FOLDER / "bills.jsonl").read_text()
        file, refused = tmp_path / "bills.jsonl", tmp_path / "refused.jsonl"
        bad = '{"id":"b","accountId":"nobody","billDate":"2026-11-01","currency":"USD","billTotal":0,"lineItems":[]}\n'
        file.write_text(bills + "\n" + bad + "no JSON\n")
        first = cli("import", str(file), "--refused", str(refused))
        again = cli("import", str(file), "--json")
    assert first.returncode == 1
    assert first.stdout == "40 accepted, 2 refused\n"
    assert "line 42: " in first.stderr
    assert "nobody" in first.stderr
    assert "line 43: " in first.stderr
    assert refused.read_text() == bad + "no JSON\n"
    told = json.loads(again.stdout)
    assert (told["accepted"], told["unchanged"], told["refused"]) == (0, 40, 2)
    assert [refusal["line"] for refusal in told["refusals"]] == [42, 43]


def test_what_is_not_there_is_exit_code_3_a_wrong_secret_4_and_nobody_to_ask_2(
    environ: dict[str, str], cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(environ, "serve", "--port", "0") as (_, url):
        init(cli, url)
        missing = cli("runs", "show", "none")
        asked = cli("runs", "replay", "none")
        monkeypatch.setenv("TOLLBRIDGE_SECRET", "wrong")
        wrong = cli("runs", "list")
    assert (missing.returncode, wrong.returncode, asked.returncode) == (3, 4, 2)
    assert "--yes" in asked.stderr


def test_an_integration_is_made_by_names_and_told_what_it_could_send(
    environ: dict[str, str], cli: Callable[..., Done], tmp_path: Path
) -> None:
    with running(environ, "serve", "--port", "0") as (_, url):
        init(cli, url)
        for kind in ("accounts", "bills"):
            assert cli("import", "--kind", kind, str(FOLDER / f"{kind}.jsonl")).returncode == 0
        options = ("--system", "stripe-test", "--name", "Invoices", "--set", 'accountIds=["acc-kitano-motors"]')
        unknown = cli("integrations", "create", *options, "--credential", "Trial")
        made = cli("integrations", "create", *options)
        sent = cli("integrations", "send", "Invoices")
        again = cli("integrations", "send", made.stdout.strip())
    assert (unknown.returncode, "There are no credentials yet." in unknown.stderr) == (2, True)
    assert "Bills here already that could be sent: 1 (85459 JPY)." in made.stderr
    assert (sent.stdout, again.stdout) == ("Bills on their way: 1\n", "Bills on their way: 0\n")


def test_doctor_says_what_is_wrong_with_its_remedy_and_keys_change_without_loss(cli: Callable[..., Done]) -> None:
    init(cli, "http://127.0.0.1:8400")
    done = cli("doctor")
    assert done.returncode == 1
    assert "✓ database: PostgreSQL" in done.stdout
    assert "✗ workers: No worker is alive. → Start one: tollbridge worker" in done.stdout
    told = json.loads(cli("doctor", "--json").stdout)
    assert [each["name"] for each in told["checks"] if not each["ok"]] == ["workers"]
    rotated = json.loads(cli("keys", "rotate", "--json").stdout)
    listed = [json.loads(line) for line in cli("keys", "list", "--json").stdout.splitlines()]
    assert listed[0] == {"fingerprint": rotated["fingerprint"], "place": "1", "sealed": 0}


def test_doctor_starts_no_database_and_says_what_does(
    cli: Callable[..., Done], tmp_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLBRIDGE_DATABASE_URL", "")
    monkeypatch.setenv("TOLLBRIDGE_HOME", str(tmp_home))
    done = cli("doctor")
    assert (done.returncode, done.stdout.startswith("✗ database: ")) == (1, True)
    assert list(tmp_home.iterdir()) == []


def test_a_key_from_the_environment_is_printed_and_not_changed(
    cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLBRIDGE_KEY", "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=")
    done = cli("keys", "rotate")
    name, _, value = done.stdout.strip().partition("=")
    assert name == "TOLLBRIDGE_KEY"
    assert value.endswith(",a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=")
    assert "keys rotate --resume" in done.stderr


def test_a_service_user_is_made_listed_and_kept_out(environ: dict[str, str], cli: Callable[..., Done]) -> None:
    with running(environ, "serve", "--port", "0") as (_, url):
        init(cli, url)
        made = json.loads(cli("service-users", "create", "--name", "Source", "--role", "source", "--json").stdout)
        listed = cli("service-users", "list").stdout
        out = cli("service-users", "deactivate", made["serviceUserId"])
        keys = json.loads(cli("service-users", "keys", made["serviceUserId"], "--json").stdout)
    assert made["apiSecret"]
    assert f"{made['serviceUserId']}\tSource\tsource\t" in listed
    assert out.stdout == f"{made['id']} is not active any more.\n"
    assert keys["active"] is False


def test_a_person_is_invited_let_in_by_the_machine_s_owner_and_told_of_in_the_audit_log(
    environ: dict[str, str], cli: Callable[..., Done]
) -> None:
    with running(environ, "serve", "--port", "0") as (_, url):
        init(cli, url)
        invited = cli("users", "invite", "Jane@acme.example", "--first", "Jane", "--last", "Roe", "--role", "viewer")
        updated = cli("users", "update", "jane@acme.example", "--role", "finance", "--ends", "2099-01-01")
        signed_in = cli("users", "sign-in-link", "jane@acme.example")
        unknown = cli("users", "sign-in-link", "nobody@acme.example")
        nowhere = cli("users", "sessions", "jane@acme.example")
        changes = cli("audit", "--entity", "User").stdout.splitlines()
        deleted = cli("users", "delete", "jane@acme.example")
    assert "/console/links/" in invited.stdout
    assert "\tfinance\tno\t2099-01-01T00:00:00.000Z\n" in updated.stdout
    assert "/console/links/" in signed_in.stdout
    assert (unknown.returncode, "users invite" in unknown.stderr) == (3, True)
    assert "signed in nowhere" in nowhere.stderr
    assert "\tSYSTEM\tMAKE_LINK\tUser\t" in changes[0]
    assert "role: viewer → finance" in changes[1]
    assert deleted.stdout == "jane@acme.example is no user any more.\n"


def test_erasing_asks_first_and_says_what_was_touched(environ: dict[str, str], cli: Callable[..., Done]) -> None:
    with running(environ, "serve", "--port", "0") as (_, url):
        init(cli, url)
        assert cli("import", "--kind", "accounts", str(FOLDER / "accounts.jsonl")).returncode == 0
        asked = cli("accounts", "erase", "acc-kitano-motors")
        done = cli("accounts", "erase", "acc-kitano-motors", "--yes")
    assert (asked.returncode, "cannot be undone" in asked.stderr) == (2, True)
    assert done.stdout == "accounts\t1\nevents\t1\n"


def test_the_shell_is_offered_commands_ids_and_names(environ: dict[str, str], cli: Callable[..., Done]) -> None:
    def offered(words: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "tollbridge.cli.main"],
            capture_output=True,
            text=True,
            timeout=60,
            env={
                **environ,
                "_TOLLBRIDGE_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split(" ")) - 1),
            },
        )
        return done.stdout.split()

    with running(environ, "serve", "--port", "0") as (_, url):
        init(cli, url)
        made = cli("integrations", "create", "--system", "stripe-test", "--name", "Invoices").stdout.strip()
        assert offered("tollbridge runs re") == ["replay"]
        assert offered("tollbridge runs list --integration In") == ["Invoices"]
        assert offered("tollbridge integrations enable ") == [made, "Invoices"]
        assert offered("tollbridge runs list --profile d") == ["default"]
    assert offered("tollbridge runs list --integration In") == []


def test_an_alert_is_listed_taken_noted_and_closed(environ: dict[str, str], cli: Callable[..., Done]) -> None:
    with running(environ, "serve", "--port", "0") as (_, url):
        init(cli, url)
        nothing = cli("alerts", "list")
        made = cli("integrations", "create", "--system", "stripe", "--name", "Bills", "--json")
        Client(read_profile(DEFAULT)).call("POST", "integrationconfigs", json.loads(made.stdout)["id"], "disable")
        listed = json.loads(cli("alerts", "list", "--severity", "warn", "--integration", "Bills", "--json").stdout)
        taken = cli("alerts", "take", listed["id"], "--assignee", "Kim")
        noted = cli("alerts", "note", listed["id"], "Asked the customer.")
        closed = cli("alerts", "close", listed["id"], "--note", "Mended.")
        rest = cli("alerts", "list")
        everything = cli("alerts", "list", "--closed")
        wrong = cli("alerts", "list", "--state", "done")
        unknown = cli("alerts", "show", "none")
    assert (nothing.stdout, nothing.stderr) == ("", "There are no such alerts.\n")
    assert listed["type"] == "INTEGRATION_DISABLED"
    assert "IN_PROGRESS" in taken.stdout.splitlines()[0]
    assert "Who           Kim" in taken.stdout
    assert "Asked the customer." in noted.stdout
    assert "CLOSED" in closed.stdout.splitlines()[0]
    assert "Mended." in closed.stdout
    assert rest.stdout == ""
    assert everything.stdout.startswith(f"{listed['id']}\t")
    assert (wrong.returncode, unknown.returncode) == (2, 3)


def test_a_test_mail_arrives_and_doctor_says_whether_the_mail_server_answers(
    cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    init(cli, "http://127.0.0.1:8400")
    assert "✓ mail: No mail server is configured" in cli("doctor").stdout
    assert cli("alerts", "test-mail", "ops@example.org").returncode == 2
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(post_office()) as office:
        monkeypatch.setenv("TOLLBRIDGE_SMTP_URL", f"smtp+plain://127.0.0.1:{office.port}")
        assert cli("alerts", "test-mail").returncode == 2, "nobody is named"
        assert cli("alerts", "test-mail", "nobody").returncode == 2
        monkeypatch.setenv("TOLLBRIDGE_ALERT_MAIL", "ops@example.org,night@example.org")
        sent = cli("alerts", "test-mail")
        office.refusals["late@example.org"] = ["450 later"]
        refused = cli("alerts", "test-mail", "late@example.org")
        well = cli("doctor")
    assert (sent.returncode, sent.stdout) == (0, "Sent to ops@example.org, night@example.org.\n")
    assert office.recipients == ["ops@example.org", "night@example.org"]
    assert (refused.returncode, "450 later" in refused.stderr) == (1, True)
    assert "✓ mail: 127.0.0.1, port" in well.stdout
    away = cli("doctor")
    assert "✗ mail: 127.0.0.1, port" in away.stdout
    assert "→ Correct TOLLBRIDGE_SMTP_URL" in away.stdout
