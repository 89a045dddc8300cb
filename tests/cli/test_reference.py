"""docs/reference/cli.md and settings.md are what the program says of itself: a page that is not is written anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer.main

from tollbridge.cli.common import Exit
from tollbridge.cli.main import app
from tollbridge.settings import Settings

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
WIDTH = 100
CLI = """\
# The command line

What each command says by `--help`. The file is generated: `make test ARGS="-k reference"` writes it anew.

Data goes to stdout, everything else to stderr. `--json` prints one JSON object on a line. `--debug`, `--quiet` and
`--no-color` stand before the command. `tollbridge --install-completion` teaches your shell to complete commands, and
ids and names from the server of the profile.

| exit code | meaning |
|---|---|
"""
EXITS = {
    Exit.OK: "done",
    Exit.FAILED: "it failed, or the server met an error of its own",
    Exit.USAGE: "wrong usage, or input that is not valid",
    Exit.NOT_FOUND: "what was named is not there",
    Exit.REFUSED: "refused: no permission, or in a state that does not allow it",
    Exit.UNREACHABLE: "the server or the database cannot be reached",
    Exit.RUN_FAILED: "the run failed, or needs a person",
    Exit.INTERRUPTED: "interrupted",
}
SETTINGS = """\
# Settings

Each is an environment variable, read once when a process starts. Durations are in seconds, lists are separated by
commas, maps are `KEY=value,…`. The file is generated: `make test ARGS="-k reference"` writes it anew.

| variable | default | what it is |
|---|---|---|
"""
HOME = "the user's data folder; as root `/var/lib/tollbridge`"


def cli_page() -> str:
    rows = "".join(f"| {code.value} | {EXITS[code]} |\n" for code in Exit)
    root = typer.main.get_command(app)
    context = root.context_class(root, info_name="tollbridge", terminal_width=WIDTH)
    return CLI + rows + "".join(f"\n## {title}\n\n```\n{text}\n```\n" for title, text in commands(root, context))


def commands(command: Any, context: Any) -> Iterator[tuple[str, str]]:
    """Each command's name and its help, groups before what they hold."""
    yield context.command_path, command.get_help(context).strip()
    for name in getattr(command, "commands", {}):
        inner = command.get_command(context, name)
        if not inner.hidden:
            yield from commands(inner, inner.context_class(inner, info_name=name, parent=context, terminal_width=WIDTH))


def settings_page() -> str:
    hints = get_type_hints(Settings, include_extras=True)
    lines = []
    for each in fields(Settings):
        sentence = get_args(hints[each.name])[1].replace("|", "\\|")
        lines.append(f"| `TOLLBRIDGE_{each.name.upper()}` | {_default(each)} | {sentence} |\n")
    return SETTINGS + "".join(lines)


def _default(each: Any) -> str:
    if each.name == "home":
        return HOME
    value = each.default_factory() if each.default is MISSING else each.default
    if isinstance(value, timedelta):
        value = f"{value.total_seconds():.0f}"
    if isinstance(value, bool):
        value = str(value).lower()
    return f"`{value}`" if value else ""


@pytest.mark.parametrize(("name", "page"), [("cli.md", cli_page), ("settings.md", settings_page)])
def test_the_reference_is_what_the_program_says(name: str, page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOLLBRIDGE_PROFILE", raising=False)
    file, wanted = FOLDER / name, page()
    if not file.exists() or file.read_text() != wanted:
        file.write_text(wanted)
        pytest.fail(f"docs/reference/{name} was out of date and is written anew: look at it and commit it.")
