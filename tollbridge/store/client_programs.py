"""PostgreSQL's own programs for clients (`psql`, `pg_dump`, `pg_restore`), and how a password reaches them.

Ours come with the embedded server and speak to older servers too; where this machine has newer ones, these are taken.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from tollbridge.domain.errors import Unavailable
from tollbridge.store.embedded_files import MAJOR, wheel_programs

_OF_CONNECTION = frozenset(
    "application_name connect_timeout dbname gsslib host hostaddr krbsrvname options passfile password port service"
    " servicefile sslcert sslcrl sslkey sslmode sslnegotiation sslpassword sslrootcert ssl_max_protocol_version"
    " ssl_min_protocol_version target_session_attrs user".split()
)
"""Names in the query of an address that say how to connect; any other is a setting of the session."""


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
    given = parse_qsl(parts.query, keep_blank_values=True)
    passwords = [value for name, value in given if name == "password"]
    if parts.password is None and not passwords:
        return dsn, None
    user, at, host = parts.netloc.rpartition("@")
    query = urlencode([(name, value) for name, value in given if name != "password"], quote_via=quote)
    address = parts._replace(netloc=f"{user.partition(':')[0]}{at}{host}", query=query if passwords else parts.query)
    return urlunsplit(address), unquote(parts.password) if parts.password is not None else passwords[-1]


def address_of(dsn: str) -> tuple[str, dict[str, str]]:
    """The argument that names the database to a program, and the environment that has its password.

    What the address sets of the session stands in it as asyncpg takes it; these programs want it as `options`.
    """
    address, password = without_password(dsn)
    parts = urlsplit(address)
    given = parse_qsl(parts.query, keep_blank_values=True)
    if settings := [(name, value) for name, value in given if name not in _OF_CONNECTION]:
        options = [value for name, value in given if name == "options"]
        options += [f"-c {name}={_escaped(value)}" for name, value in settings]
        kept = [(name, value) for name, value in given if name in _OF_CONNECTION and name != "options"]
        query = urlencode([*kept, ("options", " ".join(options))], quote_via=quote)
        address = urlunsplit(parts._replace(query=query))
    return f"--dbname={address}", os.environ | ({"PGPASSWORD": password} if password else {})


def _escaped(value: str) -> str:
    """The value as `options` of libpq takes it, where a blank ends one."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
