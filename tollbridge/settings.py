"""One frozen Settings, read once from the environment; every key has a default and a sentence."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Annotated, get_args, get_type_hints

LOG_LEVELS = ("debug", "info", "warning", "error")
_RATES = "TOLLBRIDGE_RATE_LIMITS"
_SSO_ROLES = "TOLLBRIDGE_SSO_ROLES"
_EXAMPLES = {
    _RATES: "STRIPE=100",
    _SSO_ROLES: "Accounting=finance",
    "TOLLBRIDGE_VENDOR_URLS": "STRIPE_TEST=http://127.0.0.1:4010",
}
_URLS = frozenset({"TOLLBRIDGE_PUBLIC_URL", "TOLLBRIDGE_SSO_ISSUER"})
_FOR_EVER = "TOLLBRIDGE_KEEP_"
"""Where 0 means for ever."""
_LEAST, _MOST = 0.001, 10**9


def default_home() -> Path:
    """The platform's user data folder; as root `/var/lib/tollbridge`."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/tollbridge")
    from platformdirs import user_data_path

    return user_data_path("tollbridge", appauthor=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """Read from `TOLLBRIDGE_<NAME>`. Durations are seconds, lists are separated by commas, maps are `KEY=value,…`."""

    home: Annotated[Path, "Folder of the embedded database, the key file and the log files."] = field(
        default_factory=default_home
    )
    database_url: Annotated[
        str, "PostgreSQL 15 or newer, as postgresql://user:password@host/name. Empty: the embedded database."
    ] = ""
    key: Annotated[
        str,
        "Keys that seal secrets, each 32 bytes as base64: the first seals, all open. Empty: the file `key` in the home"
        " folder, one on a line.",
    ] = field(default="", repr=False)
    host: Annotated[str, "Address on which `serve` listens."] = "127.0.0.1"
    port: Annotated[int, "Port on which `serve` listens."] = 8400
    postgres_user: Annotated[
        str, "User that runs the embedded database where we are root. Empty: tollbridge, postgres or nobody."
    ] = ""
    vendor_urls: Annotated[
        Mapping[str, str], "Other addresses for systems, such as stand-ins: STRIPE_TEST=http://127.0.0.1:4010."
    ] = field(default_factory=dict)
    rate_limits: Annotated[
        Mapping[str, str], "Other rate limits for systems, in requests per second per credential: STRIPE=100."
    ] = field(default_factory=dict)
    request_timeout: Annotated[timedelta, "Longest time for one request to a vendor."] = timedelta(seconds=60)
    run_timeout: Annotated[timedelta, "Longest working time of one run; waiting does not count."] = timedelta(
        minutes=30
    )
    run_attempts: Annotated[int, "Attempts of a run whose vendor is unavailable before it fails."] = 8
    lease: Annotated[timedelta, "How long a worker holds a run without a sign of life."] = timedelta(seconds=10)
    drain: Annotated[timedelta, "How long a worker finishes its runs after SIGTERM."] = timedelta(seconds=30)
    concurrency: Annotated[int, "Runs that one worker drives at once."] = 200
    keep_bodies: Annotated[
        timedelta,
        "How long the run log keeps requests and replies, each cut at 32,768 characters; steps, times and errors stay."
        " 13 months, so that last year's close can be looked up. 0: for ever.",
    ] = timedelta(days=396)
    keep_ledger: Annotated[
        timedelta, "How long the ledger keeps what was delivered; older documents may be sent again. 0: for ever."
    ] = timedelta(days=3653)
    keep_audit: Annotated[timedelta, "How long the audit log keeps its lines. 0: for ever."] = timedelta(days=3653)
    max_body: Annotated[int, "Largest request body in bytes, except for bulk imports."] = 10 * 1024 * 1024
    token_lifetime: Annotated[timedelta, "Lifetime of an access token."] = timedelta(hours=5)
    public_url: Annotated[
        str, "Address under which people reach this installation, for links. Empty: where serve listens."
    ] = ""
    local_sign_in: Annotated[
        bool, "Whether people may sign in with a password. no: by single sign-on alone, and by links made here."
    ] = True
    session_idle: Annotated[timedelta, "How long a person stays signed in without doing anything."] = timedelta(
        hours=12
    )
    session_lifetime: Annotated[timedelta, "How long a person stays signed in at most."] = timedelta(days=7)
    sso_issuer: Annotated[str, "Issuer of the OpenID Connect provider. Empty: no single sign-on."] = ""
    sso_client_id: Annotated[str, "Our client id at the provider."] = ""
    sso_client_secret: Annotated[str, "Our client secret at the provider."] = field(default="", repr=False)
    sso_scopes: Annotated[str, "Scopes that are asked for, separated by spaces."] = "openid email profile"
    sso_groups_claim: Annotated[str, "Claim of the ID token that lists a person's groups."] = "groups"
    sso_roles: Annotated[
        Mapping[str, str],
        "Roles by group: Billing admins=administrator,Accounting=finance. People with such a group need no invitation."
        " Empty: only people who were invited come in, with the role they have.",
    ] = field(default_factory=dict)
    sso_organization: Annotated[
        str, "Id of the organization that people come into by single sign-on. Empty: the only one there is."
    ] = ""
    metrics_token: Annotated[str, "Bearer token with which /metrics is read. Empty: it answers this machine alone."] = (
        field(default="", repr=False)
    )
    log_level: Annotated[str, "debug, info, warning or error."] = "info"

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the environment; raises ValueError that names the variable, its value and what is expected."""
        environ = os.environ if environ is None else environ
        values: dict[str, object] = {}
        for key, kind in _kinds().items():
            name = f"TOLLBRIDGE_{key.upper()}"
            if name in environ:
                values[key] = _parse(name, environ[name], kind)
        return cls(**values)  # type: ignore[arg-type]

    @property
    def local_url(self) -> str:
        """Where this machine reaches a server that listens as the settings say."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 a name, not a socket
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def people_url(self) -> str:
        """The address under which people reach us, without a slash at its end."""
        return (self.public_url or self.local_url).rstrip("/")


def _kinds() -> dict[str, object]:
    hints = get_type_hints(Settings, include_extras=True)
    return {each.name: get_args(hints[each.name])[0] for each in fields(Settings)}


def _parse(name: str, text: str, kind: object) -> object:
    if kind is int:
        return int(_number(name, text, "a whole number"))
    if kind is bool:
        if text not in ("yes", "no"):
            raise ValueError(f"{name} is {text!r}, but must be yes or no")
        return text == "yes"
    if kind is timedelta:
        return timedelta(seconds=_number(name, text, "a number of seconds"))
    if kind is Path:
        return Path(text).expanduser().absolute()
    if kind == Mapping[str, str]:
        return _map(name, text)
    if name in _URLS and text and not text.startswith(("http://", "https://")):
        raise ValueError(f"{name} is {text!r}, but must be an address that begins with https://")
    if name == "TOLLBRIDGE_LOG_LEVEL" and text not in LOG_LEVELS:
        raise ValueError(f"{name} is {text!r}, but must be one of {', '.join(LOG_LEVELS)}")
    return text


def _number(name: str, text: str, expected: str) -> float:
    """A number that works: a worker without room or with a lease of no length would seem to live and do nothing."""
    least = 0 if name == "TOLLBRIDGE_PORT" or name.startswith(_FOR_EVER) else _LEAST if "seconds" in expected else 1
    most = 65_535 if name == "TOLLBRIDGE_PORT" else _MOST
    try:
        value = float(text) if "seconds" in expected else int(text)
    except ValueError as error:
        raise ValueError(f"{name} is {text!r}, but must be {expected}") from error
    if not least <= value <= most:
        raise ValueError(f"{name} is {text!r}, but must be {expected} from {least} to {most}")
    return value


def _map(name: str, text: str) -> dict[str, str]:
    """Values by system, or by group. Which there are is not known here."""
    found: dict[str, str] = {}
    for entry in filter(None, text.split(",")):
        key, equals, value = (part.strip() for part in entry.partition("="))
        if not key or not equals or not _fits(name, value):
            raise ValueError(f"{name} has the entry {entry!r}, but each must be as {_EXAMPLES[name]}")
        found[key if name == _SSO_ROLES else key.upper()] = value
    return found


def _fits(name: str, value: str) -> bool:
    if name == _SSO_ROLES:
        return value.isalpha()
    if name == _RATES:
        return value.replace(".", "", 1).isdecimal() and float(value) > 0
    return value.startswith(("http://", "https://"))
