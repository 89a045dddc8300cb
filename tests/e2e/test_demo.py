"""The demo, as a person runs it: one command, real processes, proof from the stand-in's books."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert told == {"bills": 40, "delivered": 39, "failed": 1, "duplicates": 0, "totals_match": True}
    assert "no e-mail address" in done.stderr
    assert "hint: " in done.stderr
    assert list(tmp_home.iterdir()) == []


def test_sigterm_ends_it_with_all_its_processes(environ: dict[str, str], tmp_home: Path) -> None:
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
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
    assert list(tmp_home.iterdir()) == []


def _children_of(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
