"""The command line as a person meets it first."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tollbridge.cli import common, main, output
from tollbridge.cli.client import Client
from tollbridge.cli.profiles import Profile
from tollbridge.domain.errors import Invalid

HEAVY = {
    "fastapi",
    "sqlalchemy",
    "aiohttp",
    "alembic",
    "asyncpg",
    "pydantic",
    "uvicorn",
    "rich",
    "cryptography",
    "http",
}


def tollbridge(*arguments: str, home: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tollbridge.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "XDG_CONFIG_HOME": str(home), **environ},
    )


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom tollbridge.cli.main import app\n"
        "try:\n    app(['--help'], prog_name='tollbridge')\nexcept SystemExit:\n    pass\n"
        "print('LOADED', *sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert "Usage: tollbridge" in done.stdout
    loaded = set(done.stderr.partition("LOADED")[2].split())
    assert "tollbridge.cli.importing" in loaded
    assert not loaded & HEAVY


def test_alone_it_shows_a_map_that_fits_on_one_screen(tmp_path: Path) -> None:
    done = tollbridge(home=tmp_path)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) <= 24
    assert done.stdout.count("  tollbridge ") == 3


def test_a_mistyped_command_is_met_with_the_right_one(tmp_path: Path) -> None:
    done = tollbridge("imprt", home=tmp_path)
    assert done.returncode == 2
    assert "Did you mean 'import'?" in done.stderr


def test_without_a_profile_the_error_names_init(tmp_path: Path) -> None:
    done = tollbridge("import", "-", home=tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith("error: There is no profile 'default'")
    assert "tollbridge init" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_is_not_there_is_exit_code_5(tmp_path: Path) -> None:
    file = tmp_path / "one.jsonl"
    file.write_text("{}\n")
    environ = {
        "TOLLBRIDGE_URL": "http://127.0.0.1:9",
        "TOLLBRIDGE_ORG": "o",
        "TOLLBRIDGE_ACCESS_KEY": "k",
        "TOLLBRIDGE_SECRET": "s",
    }
    done = tollbridge("import", str(file), home=tmp_path, **environ)
    assert done.returncode == 5
    assert "hint: Start it with `tollbridge serve`" in done.stderr


@pytest.mark.parametrize("url", ["ftp://here", "http://127.0.0.1:99999", "http://[::1", "here"])
def test_a_url_that_is_none_is_refused_with_what_it_should_be(url: str) -> None:
    with pytest.raises(Invalid, match="no address of a server") as refusal:
        Client(Profile(url, "o", "k", "s")).get("bills")
    assert refusal.value.field == "TOLLBRIDGE_URL"


@pytest.mark.parametrize("command", ["serve", "sandbox"])
def test_a_port_that_is_none_is_a_wrong_use(tmp_path: Path, command: str) -> None:
    done = tollbridge(command, "--port", "70000", home=tmp_path)
    assert done.returncode == 2
    assert "--port" in done.stderr


def test_a_file_that_is_not_there_is_exit_code_3(tmp_path: Path) -> None:
    done = tollbridge("import", "nowhere.jsonl", "--dry-run", home=tmp_path)
    assert done.returncode == 3
    assert "nowhere.jsonl" in done.stderr


def test_a_dry_run_needs_no_server_and_keeps_what_is_refused(tmp_path: Path) -> None:
    file, refused = tmp_path / "bills.jsonl", tmp_path / "refused.jsonl"
    good = '{"id":"b1","accountId":"a","currency":"USD","billDate":"2026-11-01","billTotal":0,"lineItems":[]}\n'
    file.write_text(good + '{"id": "b2"}\n')
    done = tollbridge("import", str(file), "--dry-run", "--refused", str(refused), home=tmp_path)
    assert done.returncode == 1
    assert done.stdout == "1 accepted, 1 refused (nothing was sent)\n"
    assert "line 2: billDate is missing" in done.stderr
    assert refused.read_text() == '{"id": "b2"}\n'


def test_a_server_that_meets_an_error_of_its_own_is_exit_code_1(tmp_path: Path) -> None:
    class Broken(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(500)
            self.end_headers()
            self.wfile.write(b'{"message": "Incident 42."}')

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environ = dict.fromkeys(("TOLLBRIDGE_ORG", "TOLLBRIDGE_ACCESS_KEY", "TOLLBRIDGE_SECRET"), "x")
        environ["TOLLBRIDGE_URL"] = f"http://127.0.0.1:{server.server_port}"
        done = tollbridge("runs", "list", home=tmp_path, **environ)
        server.shutdown()
    assert (done.returncode, done.stderr) == (1, "error: Incident 42.\n")


def test_quiet_leaves_out_what_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_text("{}\n" * 1000)
    told = tollbridge("import", "--dry-run", str(file), home=tmp_path)
    quiet = tollbridge("--quiet", "import", "--dry-run", str(file), home=tmp_path)
    assert (quiet.returncode, quiet.stdout) == (told.returncode, told.stdout)
    assert "error: line 1: " in quiet.stderr
    assert " more; --refused FILE" in told.stderr
    assert " more; --refused FILE" not in quiet.stderr


@pytest.mark.parametrize("colourless", [["--no-color"], []])
def test_no_colour_is_shown_where_none_is_wanted(
    colourless: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "" if colourless else "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "argv", ["tollbridge", *colourless])
    with pytest.raises(SystemExit):
        main.run()
    output._table(["status"], ["Status"], [["COMPLETE"]])
    assert "32m" not in capsys.readouterr().out


def test_what_is_printed_to_be_typed_is_this_program_as_it_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "tollbridge"
    installed.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(installed)])
    assert common.program() == str(installed)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert common.program() == "tollbridge"
    monkeypatch.setattr(sys, "argv", ["/x/tollbridge/cli/main.py"])
    assert common.program() == f"{sys.executable} -m tollbridge.cli.main"
