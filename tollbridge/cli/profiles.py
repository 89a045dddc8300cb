"""Where the commands that speak the REST API go, and as whom.

A profile is an address, an organization and an access key under a name, in a file that only its owner may read.
Environment variables go before the file. It opens no connection.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated

import typer

from tollbridge.domain.errors import Invalid, NotFound

DEFAULT = "default"
VARIABLES = {
    "url": "TOLLBRIDGE_URL",
    "org": "TOLLBRIDGE_ORG",
    "access_key": "TOLLBRIDGE_ACCESS_KEY",
    "secret": "TOLLBRIDGE_SECRET",
}


def complete_profile(incomplete: str) -> list[str]:
    """Names of profiles, for the shell."""
    try:
        return [name for name in _read_file() if name.startswith(incomplete)]
    except (Invalid, OSError):
        return []


ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile",
        "-p",
        envvar="TOLLBRIDGE_PROFILE",
        help="Profile to use; `tollbridge init` makes one.",
        autocompletion=complete_profile,
    ),
]


@dataclass(frozen=True, slots=True)
class Profile:
    """`url` is the server's address without a slash at its end; `org` the organization's id."""

    url: str
    org: str
    access_key: str
    secret: str


def profiles_file() -> Path:
    """The file in the user's configuration folder."""
    from platformdirs import user_config_path

    return user_config_path("tollbridge", appauthor=False) / "profiles.toml"


def read_profile(name: str, environ: Mapping[str, str] | None = None) -> Profile:
    """The profile, with what the environment says put over it; raises NotFound where something is missing."""
    environ = os.environ if environ is None else environ
    given = {key: environ[variable] for key, variable in VARIABLES.items() if environ.get(variable)}
    if len(given) < len(VARIABLES):
        given = _read_file().get(name, {}) | given
    missing = [variable for key, variable in VARIABLES.items() if key not in given]
    if missing:
        raise NotFound(
            "profile.missing",
            f"There is no profile {name!r} in {profiles_file()}, and {missing[0]} is not set.",
            "Run `tollbridge init` on the machine of the server, or set " + ", ".join(VARIABLES.values()) + ".",
        )
    return Profile(**{**given, "url": given["url"].rstrip("/")})


def write_profile(name: str, profile: Profile, *, replace: bool = False) -> Path:
    """Keep a profile and answer the file; raises Invalid for a name that is taken, unless it may be replaced."""
    file = profiles_file()
    check_free(name, replace=replace)
    profiles = _read_file() | {name: asdict(profile)}
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = file.with_suffix(f".{os.getpid()}")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        for each, values in profiles.items():
            out.write(f"[{each}]\n")
            # A JSON string is a basic string of TOML.
            out.writelines(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
            out.write("\n")
    beside.replace(file)
    return file


def check_free(name: str, *, replace: bool) -> None:
    """Raises Invalid for a name that cannot be a profile's, or is one already, unless it may be replaced."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name):
        raise Invalid(
            "profile.name",
            f"{name!r} cannot be the name of a profile.",
            "Use letters, digits, - and _, at most 40.",
            "--profile",
        )
    if not replace and name in _read_file():
        raise Invalid(
            "profile.taken",
            f"The profile {name!r} is there already, in {profiles_file()}.",
            "Choose another name with --profile, or replace it with --force.",
            "--profile",
        )


def _read_file() -> dict[str, dict[str, str]]:
    file = profiles_file()
    try:
        with file.open("rb") as opened:
            found = tomllib.load(opened)
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise Invalid("profile.file", f"{file} is not TOML: {error}", "Repair it, or delete it and run init.") from None
    names = {each.name for each in fields(Profile)}
    return {
        name: {key: value for key, value in values.items() if key in names and isinstance(value, str)}
        for name, values in found.items()
        if isinstance(values, dict)
    }
