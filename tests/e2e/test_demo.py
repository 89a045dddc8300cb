"""The demo, as a person runs it: one command, real processes, proof from the stand-in's books."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO
from urllib.request import Request, urlopen

import pytest

from tollbridge.cli.demo_data.generate import FAILING_ACCOUNT
from tollbridge.sandbox.stripe import KEY

BILL = f"2026-10-{FAILING_ACCOUNT.removeprefix('acc-')}"
WEBHOOKS = {"webhooks_expected": 19, "webhooks_delivered": 19}
"""The month has so many bills over 1,000."""
COMMAND = [sys.executable, "-m", "tollbridge.cli.main", "demo"]


@pytest.fixture
def environ(tmp_home: Path) -> dict[str, str]:
    """Everything that the demo makes goes below a folder of this test's own."""
    return {**os.environ, "TMPDIR": str(tmp_home)}


def test_the_month_arrives_once_with_every_total_and_the_one_failure_says_what_to_do(
    environ: dict[str, str], tmp_home: Path
) -> None:
    done = subprocess.run([*COMMAND, "--once", "--json"], capture_output=True, text=True, timeout=240, env=environ)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    assert told.pop("seconds") > 0
    assert told == {"bills": 40, "delivered": 39, "failed": 1, "duplicates": 0, "totals_match": True} | WEBHOOKS
    assert "no e-mail address" in done.stderr
    assert "hint: " in done.stderr
    assert list(tmp_home.iterdir()) == []


def test_it_stays_to_be_tried_and_sigterm_ends_it_with_all_its_processes(
    environ: dict[str, str], tmp_home: Path
) -> None:
    process = subprocess.Popen(COMMAND, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environ)
    with process:
        assert process.stderr is not None
        said = ""
        while "Ctrl-C ends it" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        children = _children_of(process.pid)
        assert len(children) >= 3
        _repair_and_replay(said, environ)
        _tell_the_receiver(process.stderr, said, environ)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
    assert list(tmp_home.iterdir()) == []


def test_when_it_is_killed_its_processes_end_and_the_database_with_them(
    environ: dict[str, str], tmp_home: Path
) -> None:
    process = subprocess.Popen(COMMAND, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environ)
    with process:
        assert process.stderr is not None
        while "Ctrl-C ends it" not in (line := process.stderr.readline()):
            assert line
        children = _children_of(process.pid)
        process.kill()
        process.wait()
        deadline = time.monotonic() + 60
        while [child for child in children if _lives(child)]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _lives(process: int) -> bool:
    # One that nobody has waited for yet is dead all the same.
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _repair_and_replay(said: str, environ: dict[str, str]) -> None:
    """What a person does with the failed run, by the commands and the address that the demo names."""
    exports = dict(re.findall(r"(TOLLBRIDGE_\w+)=(\S+)", said))

    def runs(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tollbridge.cli.main", "runs", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ | exports)

    (failed,) = (json.loads(line) for line in runs("list", "--failed", "--json").stdout.splitlines())
    shown = runs("show", BILL)
    assert "Create the draft invoice" in shown.stdout
    assert "hint: Give the customer an e-mail address" in shown.stdout
    watched = runs("watch", failed["id"])
    assert (watched.returncode, "no e-mail address" in watched.stderr) == (6, True)

    _ask_where_it_stands(environ | exports)

    (customer,) = re.findall(r"customer (cus_\w+)", failed["error"])
    (stand_in,) = re.findall(r"Stand-in  (\S+)", said)
    repair = Request(f"{stand_in}/v1/customers/{customer}", b"email=billing%40harbour-lights.example")
    repair.add_header("Authorization", f"Bearer {KEY}")
    with urlopen(repair, timeout=30) as answer:
        assert answer.status == 200

    replayed = runs("replay", "--failed", "--since", "2h", "--yes", "--json")
    again = json.loads(replayed.stdout)
    assert again["replayOf"] == failed["id"]
    assert runs("watch", again["id"]).returncode == 0
    assert runs("list", "--failed", "--json").stdout == ""
    with urlopen(f"{stand_in}/_admin/books", timeout=30) as answer:
        invoices = json.loads(answer.read())["invoices"]
    (invoice,) = [each for each in invoices if each["metadata"]["bill_id"] == BILL]
    assert (invoice["status"], invoice["emails"]) == ("open", 1)


def _tell_the_receiver(stderr: IO[str], said: str, environ: dict[str, str]) -> None:
    """What a person tries with the rule, by the commands that the demo names: what arrives is shown."""
    exports = dict(re.findall(r"(TOLLBRIDGE_\w+)=(\S+)", said))
    for command, shown in (("trigger", "billTotal 1234.5"), ("webhooks", "got webhook.test")):
        (named,) = re.findall(rf"^  \S.* {command} (.*)$", said, re.MULTILINE)
        arguments = [*COMMAND[:-1], command, *shlex.split(named)]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, env=environ | exports)
        assert done.returncode == 0, done.stderr
        while shown not in (line := stderr.readline()):
            assert line, shown


def _ask_where_it_stands(environ: dict[str, str]) -> None:
    def ask(*arguments: str) -> str:
        command = [sys.executable, "-m", "tollbridge.cli.main", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    summary = json.loads(ask("status", "--period", "2026-11", "--json"))
    assert sum(each["count"] for each in summary["totals"]) == 40
    assert [each["count"] for each in summary["totals"] if each["state"] == "failed"] == [1]
    assert "\tfailed\t1\t" in ask("status")
    (listed,) = ask("bills", "list", "--state", "failed").splitlines()
    assert listed.startswith(f"{BILL}\t")
    (delivery,) = json.loads(ask("bills", "show", BILL, "--json"))["deliveries"]
    assert (delivery["state"], "no e-mail address" in delivery["reason"]) == ("failed", True)
    preview = ask("preview", BILL, "--integration", delivery["integrationName"])
    assert "POST /v1/invoices   not sent" in preview
    assert "It would fail: customer" in preview
    drafted = ask("preview", BILL, "--integration", delivery["integrationName"], "--set", "finish=draft")
    assert "It would be delivered with a total of" in drafted


def _children_of(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
