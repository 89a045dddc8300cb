"""What lies in the repository for those who run it: image, units, environment, alert rules, dashboard."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import typer.main
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tollbridge.api.metrics import render
from tollbridge.cli.main import app
from tollbridge.services.metrics import BUCKETS, LABELS, Active, Counted, Standing
from tollbridge.settings import Settings
from tollbridge.store.outbox import Standing as Outbox

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
NOW = datetime(2026, 11, 1, tzinfo=UTC)
COMMANDS = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def exposed() -> dict[str, set[str]]:
    """The samples that /metrics really has where there is something of everything, with the names of their labels."""
    counts: dict[tuple[str, tuple[str, ...]], float] = {
        (name, tuple(BUCKETS[0] if label == "le" else label for label in labels)): 1.0
        for name, labels in LABELS.items()
    }
    standing = Standing(
        NOW,
        [Active("STRIPE", "queued", 1, 1, NOW, NOW)],
        {"1": 1},
        {"STRIPE": 1},
        counts,
        {("ERROR", "NEW"): 1},
        Outbox(1, NOW, None, 1, "550"),
    )
    assert Counted.STEP in LABELS
    found: dict[str, set[str]] = {"up": {"job"}}
    for family in text_string_to_metric_families(render(standing).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {"job"}).update(sample.labels)
    return found


def rules() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())["groups"]:
        yield from group["rules"]


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((DEPLOY / "grafana" / "tollbridge.json").read_text())
    found: list[dict[str, Any]] = dashboard["panels"]
    return found


EXPRESSIONS = [
    *((rule["alert"], rule["expr"]) for rule in rules()),
    *((panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]),
]


@pytest.mark.parametrize("expression", [text for _, text in EXPRESSIONS], ids=[name for name, _ in EXPRESSIONS])
def test_every_rule_and_panel_asks_for_what_metrics_really_tells(expression: str) -> None:
    promql_parser.parse(expression)
    known = exposed()
    named = re.findall(r"\b(tollbridge_\w+|up)\b(?:{([^}]*)})?", expression)
    assert named
    for name, matchers in named:
        assert name in known, f"/metrics has no {name}"
        assert set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)", matchers)) <= known[name], name
    grouped = {label.strip() for labels in re.findall(r"\bby \(([^)]*)\)", expression) for label in labels.split(",")}
    assert grouped <= set().union(*(known[name] for name, _ in named))


def test_the_check_itself_finds_what_is_not_there() -> None:
    assert "tollbridge_step_seconds_bucket" in exposed()
    assert "le" in exposed()["tollbridge_step_seconds_bucket"]
    assert "tollbridge_nothing" not in exposed()
    with pytest.raises(ValueError):
        promql_parser.parse("sum(tollbridge_runs")


def test_every_gauge_and_counter_is_in_the_monitoring_guide() -> None:
    guide = (ROOT / "docs" / "how-to" / "monitor.md").read_text()
    for name in exposed():
        plain = re.sub(r"_(bucket|count|sum|created)$", "", name)
        assert plain == "up" or f"`{plain}`" in guide, name


def test_every_rule_says_what_happened_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, rule
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        for command in re.findall(r"`tollbridge ([\w-]+)", rule["annotations"]["description"]):
            assert command in COMMANDS, rule["alert"]


def test_the_panels_have_places_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


HARDENING = {
    "CapabilityBoundingSet": "",
    "NoNewPrivileges": "true",
    "PrivateTmp": "true",
    "ProtectHome": "true",
    "ProtectSystem": "strict",
    "StateDirectory": "tollbridge",
    "User": "tollbridge",
}
KNOWN = {
    "Unit": set("Description Documentation After Wants".split()),
    "Install": {"WantedBy"},
    "Service": set(HARDENING)
    | set(
        "Group EnvironmentFile Environment ExecStart Restart RestartSec TimeoutStopSec StateDirectoryMode UMask"
        " PrivateDevices ProtectClock ProtectControlGroups ProtectHostname ProtectKernelLogs ProtectKernelModules"
        " ProtectKernelTunables ProtectProc AmbientCapabilities LockPersonality RemoveIPC RestrictAddressFamilies"
        " RestrictNamespaces RestrictRealtime RestrictSUIDSGID SystemCallArchitectures SystemCallFilter"
        " SystemCallErrorNumber LimitNOFILE".split()
    ),
}


def unit_of(path: Path) -> configparser.ConfigParser:
    """A unit; of a key that stands twice, as systemd allows, the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return parser


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_runs_a_command_that_is_there_without_rights(path: Path) -> None:
    unit = unit_of(path)
    assert {name: set(unit[name]) - KNOWN[name] for name in unit.sections()} == {name: set() for name in KNOWN}
    service = unit["Service"]
    assert {name: service[name] for name in HARDENING} == HARDENING
    program, command = service["ExecStart"].split()
    assert (program, command in COMMANDS) == ("/opt/tollbridge/bin/tollbridge", True)
    assert float(service["TimeoutStopSec"]) > Settings().drain.total_seconds()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not on this machine")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_itself_understands_the_unit(path: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if path.stem.rstrip("@") in line]
    assert [line for line in complaints if "is not executable: No such file" not in line] == []


def test_the_environment_file_has_only_settings_that_are_there_and_can_be_read() -> None:
    lines = [line for line in (DEPLOY / "tollbridge.env").read_text().splitlines() if line and line[0] != "#"]
    given = dict(line.split("=", 1) for line in lines)
    known = {f"TOLLBRIDGE_{name.upper()}" for name in Settings.__dataclass_fields__}
    assert set(given) <= known
    read = Settings.read(given)
    assert read.alert_mail == ("ops@example.com",)
    assert read.smtp_url.startswith("smtp://")


INSTRUCTIONS = set("FROM ENV WORKDIR RUN COPY USER VOLUME EXPOSE STOPSIGNAL ENTRYPOINT CMD".split())


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_is_built_from_the_lock_and_runs_without_rights() -> None:
    found = instructions()
    assert {name for name, _ in found} <= INSTRUCTIONS
    bases = [rest.split()[0] for name, rest in found if name == "FROM"]
    assert all(re.fullmatch(r"python:3\.1[1-9]-slim", base) for base in bases), bases
    assert len(set(bases)) == 1, "a virtual environment works with the Python that it was made with"
    last = max(number for number, (name, _) in enumerate(found) if name == "FROM")
    final = found[last:]
    users = [rest for name, rest in final if name == "USER"]
    assert len(users) == 1
    assert int(users[0]) > 0
    assert any("--require-hashes" in rest and "requirements.lock" in rest for name, rest in found if name == "RUN")
    command = json.loads(next(rest for name, rest in final if name == "CMD"))
    assert command[0] in COMMANDS
    assert json.loads(next(rest for name, rest in final if name == "ENTRYPOINT")) == ["tollbridge"]
    given = dict(part.split("=", 1) for name, rest in found if name == "ENV" for part in shlex.split(rest))
    assert {name.removeprefix("TOLLBRIDGE_").lower() for name in given if name.startswith("TOLLBRIDGE_")} <= set(
        Settings.__dataclass_fields__
    )


def test_the_image_is_given_all_that_it_copies_and_nothing_else() -> None:
    copied = {
        source
        for name, rest in instructions()
        if name == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == {source.removeprefix("./") for source in copied}
    assert all((ROOT / source).exists() for source in copied)


def test_the_guide_names_each_file() -> None:
    guide = (ROOT / "docs" / "how-to" / "production.md").read_text()
    for path in (ROOT / "Dockerfile", *UNITS, DEPLOY / "tollbridge.env"):
        assert path.name in guide, path
