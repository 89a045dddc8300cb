"""What the commands share: the settings, the exit codes, and how answers and refusals are printed.

Data goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import os
import shutil
import sys
from enum import IntEnum
from typing import Annotated, Any

import typer

from tollbridge.domain.errors import Invalid, NotFound, Refusal, Unavailable
from tollbridge.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON object on stdout.")]


class Exit(IntEnum):
    """What the exit code of a command says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNREACHABLE = 5
    RUN_FAILED = 6
    INTERRUPTED = 130


class Failure(Refusal):
    """Nothing is wrong with what was asked for: the server met an error of its own."""


def exit_code(refusal: Refusal) -> Exit:
    """The exit code that tells this refusal."""
    match refusal:
        case NotFound():
            return Exit.NOT_FOUND
        case Unavailable():
            return Exit.UNREACHABLE
        case Invalid():
            return Exit.USAGE
        case Failure():
            return Exit.FAILED
        case _:
            return Exit.REFUSED


def read_settings() -> Settings:
    """The settings of the environment; raises Invalid that names the variable."""
    try:
        return Settings.read()
    except ValueError as error:
        raise Invalid("settings.malformed", f"{error}.", "Correct this environment variable or unset it.") from error


def program() -> str:
    """This command as it was called, so that what is printed works as it is typed."""
    called = sys.argv[0]
    if not os.path.basename(called).startswith("tollbridge"):
        return f"{sys.executable} -m tollbridge.cli.main"
    found = shutil.which("tollbridge")
    return "tollbridge" if found and os.path.samefile(found, called) else called


def answer(text: str, data: dict[str, Any], *, as_json: bool) -> None:
    """Print an answer on stdout: `text` for people, or `data` as one line of JSON."""
    from tollbridge.domain import json_text

    typer.echo(json_text.dump(data) if as_json else text)


def complain(message: str, hint: str | None = None) -> None:
    """Print what went wrong, and the way out, on stderr."""
    print(f"error: {message}", file=sys.stderr)  # noqa: T201
    if hint:
        print(f"hint: {hint}", file=sys.stderr)  # noqa: T201


def confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{question} Nobody can be asked here: pass --yes")
    if not typer.confirm(question, err=True):
        raise typer.Exit(Exit.FAILED)
