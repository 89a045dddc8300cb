"""`tollbridge webhooks test`, `resend`, `recover`, `replay-missing`, `bring-back`: a real worker, a real receiver."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.cli.test_local import Done, cli, environ, init, running
from tests.cli.test_webhooks import PATIENCE, SECRET, receiver

__all__ = ["cli", "environ"]

ALLOWED = {"TOLLBRIDGE_ALLOW_NETWORKS": "127.0.0.0/8", "TOLLBRIDGE_ALLOW_HTTP": "true"}


@pytest.fixture
def server(
    environ: dict[str, str], cli: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """A server with a profile and a rule that fires always; the environment of its workers."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with running(environ | ALLOWED, "serve", "--port", "0") as (_, url):
        init(cli, url)
        assert cli("rules", "create", "all", "--on", "billing.bill.created", "--always").returncode == 0
        yield environ | ALLOWED


@contextmanager
def working(environ: dict[str, str]) -> Iterator[None]:
    """A worker, which says nothing on stdout."""
    command = [sys.executable, "-m", "tollbridge.cli.main", "worker"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environ) as process:
        try:
            yield
        finally:
            process.kill()


def create(cli: Callable[..., Done], url: str) -> None:
    done = cli("webhooks", "create", "--name", "Hook", "--url", url, "--secret-env", "HOOK_SECRET")
    assert done.returncode == 0, done.stderr


def trigger(cli: Callable[..., Done]) -> list[str]:
    """An event on which the rule fires; the runs that follow."""
    told = json.loads(cli("trigger", "billing.bill.created", "--json").stdout)
    return [run["id"] for run in told["runs"]]


def test_each_verb_sends_and_says_what_it_made(server: dict[str, str], cli: Callable[..., Done]) -> None:
    with receiver() as (url, got), working(server):
        create(cli, url)
        done = cli("webhooks", "test", "Hook")
        id, status = done.stdout.strip().split("\t")
        assert (status, f"tollbridge runs watch {id}" in done.stderr) == ("WAITING", True)
        assert got.get(timeout=PATIENCE)[0]["webhook-id"] == f"msg_{id}"
        assert cli("runs", "watch", id).returncode == 0
        again = json.loads(cli("webhooks", "resend", id, "--json").stdout)
        assert (again["replayOf"], again["messageId"]) == (id, f"msg_{id}")
        assert got.get(timeout=PATIENCE)[0]["webhook-id"] == f"msg_{id}"
        assert trigger(cli) == []
        assert cli("webhooks", "link", "all", "Hook").returncode == 0
        said = cli("webhooks", "replay-missing", "Hook", "--since", "1h")
        assert said.stdout == "1 notification sent for the first time.\n", said.stderr
        assert json.loads(got.get(timeout=PATIENCE)[1])["type"] == "billing.bill.created"
        assert json.loads(cli("webhooks", "recover", "hook", "--since", "2026-11-01T00:00:00Z", "--json").stdout) == {
            "runs": 0
        }
    assert cli("webhooks", "recover", "Hook", "--since", "yesterday").returncode == 2
    assert cli("webhooks", "recover", "Hook").returncode == 2
    assert cli("webhooks", "resend", "nothing").returncode == 3
    assert cli("webhooks", "bring-back", "Hook", "--stop").returncode == 4


def test_a_webhook_is_brought_back_and_its_progress_shown(server: dict[str, str], cli: Callable[..., Done]) -> None:
    with receiver() as (url, got):
        create(cli, url)
        cli("webhooks", "link", "all", "Hook")
        cli("webhooks", "deactivate", "Hook")
        runs = [run for _ in range(2) for run in trigger(cli)]
        with working(server):
            done = cli("webhooks", "bring-back", "Hook")
        assert done.returncode == 0, done.stderr
        *_, last = done.stdout.splitlines()
        assert last == "done\t2 of 2 delivered, 0 left"
        test, *sent = [got.get(timeout=PATIENCE)[0]["webhook-id"] for _ in range(3)]
        assert sent == [f"msg_{id}" for id in runs]
        assert test not in sent
    with receiver(410) as (url, _), working(server):
        cli("webhooks", "update", "Hook", "--url", url, "--set", "goneDeactivates=true")
        done = cli("webhooks", "bring-back", "Hook", "--json")
        assert (done.returncode, json.loads(done.stdout)["state"]) == (6, "paused")
        assert "did not arrive" in done.stderr
