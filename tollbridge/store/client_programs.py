"""PostgreSQL's own programs for clients (`psql`, `pg_dump`, `pg_restore`), and how a password reaches them.

Ours come with the embedded server and speak to older servers too; where this machine has newer ones, these are taken.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from tollbridge.domain.errors import Unavailable
from tollbridge.store.embedded_files import MAJOR, wheel_programs


def program(name: str, server: int = 0) -> Path:
    """The program for a server of that major version; raises Unavailable where what is here is older than the server,
    or nothing is here."""
    ours, found = wheel_programs(), shutil.which(name)
    have = {int(MAJOR): ours / name} if ours else {}
    if found:
        have.setdefault(_major(found), Path(found))
    newest = max(have, default=0)
    if have and newest >= server:
        return have[newest]
    here = f"is of PostgreSQL {newest}" if have else "is not there"
    needed = f"PostgreSQL {server}" if server else "PostgreSQL"
    raise Unavailable(
        "database.no_programs",
        f"The program {name} of {needed} is needed, but on this machine it {here}.",
        f"Install the client programs of {needed} so that {name} is found on PATH.",
    )


def _major(path: str) -> int:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    found = re.search(r"\d+", said)
    return int(found[0]) if found else 0


def without_password(dsn: str) -> tuple[str, str | None]:
    """The DSN as it may be shown and stand in a process list, and its password."""
    parts = urlsplit(dsn)
    if parts.password is None:
        return dsn, None
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}@{host}")), unquote(parts.password)


def address_of(dsn: str) -> tuple[str, dict[str, str]]:
    """The argument that names the database to a program, and the environment that has its password."""
    address, password = without_password(dsn)
    return f"--dbname={address}", os.environ | ({"PGPASSWORD": password} if password else {})
