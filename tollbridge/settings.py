"""One frozen Settings, read once from the environment; every key has a default and a sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, get_args, get_type_hints

LOG_LEVELS = ("debug", "info", "warning", "error")
_RATES = "TOLLBRIDGE_RATE_LIMITS"
_PROXY = re.compile(r"http://([^\s/?#@]*@)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?/?")
_HOST = r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?"
_URLS = {
    "TOLLBRIDGE_SMTP_URL": (
        re.compile(rf"(smtp|smtps|smtp\+plain)://([^\s/?#@:]*:[^\s/?#@]*@)?{_HOST}/?"),
        "smtp://user:password@mail.example.com:587, smtps://… or smtp+plain://…; signs such as @ : / in user or"
        " password as %40 %3A %2F",
    ),
    "TOLLBRIDGE_PUBLIC_URL": (re.compile(rf"https?://{_HOST}(/[^\s?#]*)?"), "https://tollbridge.example.com"),
    "TOLLBRIDGE_SSO_ISSUER": (re.compile(rf"https?://{_HOST}(/[^\s?#]*)?"), "https://login.example.com/realms/us"),
    "TOLLBRIDGE_SUPPORT_URL": (re.compile(rf"https?://{_HOST}(/[^\s#]*)?"), "https://support.example.com/portal"),
    "TOLLBRIDGE_ALERT_WEBHOOK": (re.compile(rf"https?://{_HOST}/[^\s#]*"), "https://hooks.example.com/services/…"),
}
_SWITCH = {"true": True, "yes": True, "false": False, "no": False}
_SSO_ROLES = "TOLLBRIDGE_SSO_ROLES"
_EXAMPLES = {
    _RATES: "STRIPE=100",
    _SSO_ROLES: "Accounting=finance",
    "TOLLBRIDGE_VENDOR_URLS": "STRIPE_TEST=http://127.0.0.1:4010",
}
_ELSEWHERE = {"proxy": ("HTTPS_PROXY", "https_proxy"), "no_proxy": ("NO_PROXY", "no_proxy")}
"""Variables of others that are read where ours is not set, even to nothing."""
_FOR_EVER = "TOLLBRIDGE_KEEP_"
"""Where 0 means for ever."""
_LEAST, _MOST = 0.001, 10**9
_BOUNDS = {
    "TOLLBRIDGE_PORT": (0, 65_535),
    # Leases that end later than ten minutes from now are taken for those of a clock that ran ahead.
    "TOLLBRIDGE_LEASE": (_LEAST, 300),
    "TOLLBRIDGE_LONGEST_BODY": (1024, 1024 * 1024),
    "TOLLBRIDGE_LONGEST_REPLY": (64 * 1024, 64 * 1024 * 1024),
    "TOLLBRIDGE_DISABLE_AFTER": (0, 1_000_000),
}


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
    allow_networks: Annotated[
        tuple[IPv4Network | IPv6Network, ...],
        "Networks of your own that webhooks may reach although they are not public: 10.20.0.0/16,fd12:3456::/32.",
    ] = ()
    trusted_proxies: Annotated[
        tuple[IPv4Network | IPv6Network, ...],
        "Where your reverse proxies are: who asked is taken from their X-Forwarded-For. Nobody else's is believed.",
    ] = (IPv4Network("127.0.0.1/32"),)
    allow_http: Annotated[bool, "true: webhooks may use http:// as well."] = False
    echo_webhook_secrets: Annotated[
        bool,
        "true: answers about webhooks contain their API key and secret, as m3ter's Terraform provider expects. Whoever"
        " may read webhooks then reads their secrets.",
    ] = False
    proxy: Annotated[
        str,
        "Proxy through which vendors are reached, as http://user:password@host:3128. Addresses of this machine are"
        " reached without it. Where this is not set, HTTPS_PROXY counts.",
    ] = field(default="", repr=False)
    no_proxy: Annotated[
        tuple[str, ...],
        "Hosts that are reached without that proxy; a name means all below it as well. Where this is not set, NO_PROXY"
        " counts.",
    ] = ()
    webhook_proxy: Annotated[
        str, "Proxy through which webhooks are sent. It resolves their names and must itself refuse inner addresses."
    ] = field(default="", repr=False)
    ca_file: Annotated[
        str, "Certificates, as PEM, of authorities that are trusted besides those of the operating system."
    ] = ""
    smtp_url: Annotated[
        str,
        "Mail server, as smtp://user:password@host:587 (STARTTLS), smtps://… (TLS from the start) or smtp+plain://…"
        " (unencrypted). Empty: no mail is sent.",
    ] = field(default="", repr=False)
    mail_from: Annotated[str, "Sender of mails. Empty: tollbridge at the mail server's name."] = ""
    alert_mail: Annotated[
        tuple[str, ...], "Addresses that are told of every alert from WARN on, of whatever organization."
    ] = ()
    alert_webhook: Annotated[
        str, 'Incoming webhook of a chat, as Slack has it, that is told the same: JSON {"text": …}.'
    ] = field(default="", repr=False)
    keep_mails: Annotated[timedelta, "How long it is kept which mails were sent or refused."] = timedelta(days=30)
    queue_patience: Annotated[
        timedelta, "A queue is stuck where runs could have started so long ago and none has moved since."
    ] = timedelta(minutes=5)
    undelivered_after: Annotated[timedelta, "Age from which a bill that is not delivered is an alert."] = timedelta(
        hours=4
    )
    database_lag: Annotated[
        timedelta, "Longest answer to the smallest question, and largest difference of the clocks."
    ] = timedelta(seconds=2)
    replication_lag: Annotated[timedelta, "How far the slowest replica of the database may be behind."] = timedelta(
        minutes=1
    )
    silence_factor: Annotated[int, "A source is silent after so many times its usual longest pause."] = 3
    silence_least: Annotated[timedelta, "A source is never called silent before that."] = timedelta(days=1)
    silence_history: Annotated[timedelta, "How far the usual pauses of a source are looked back for."] = timedelta(
        days=120
    )
    request_timeout: Annotated[timedelta, "Longest time for one request to a vendor."] = timedelta(seconds=60)
    longest_reply: Annotated[
        int,
        "Bytes of a vendor's reply that are taken, unpacked, from 65,536 to 67,108,864; a longer one counts as none.",
    ] = 8 * 1024 * 1024
    run_timeout: Annotated[timedelta, "Longest working time of one run; waiting does not count."] = timedelta(
        minutes=30
    )
    run_attempts: Annotated[int, "Attempts of a run whose vendor is unavailable before it fails."] = 8
    disable_after: Annotated[
        int, "Error events in succession after which an integration is disabled, if it says nothing itself. 0: never."
    ] = 10
    probe_after: Annotated[
        timedelta,
        "How long after errors disabled an integration one held run is tried, where it probes; doubled each time.",
    ] = timedelta(minutes=5)
    lease: Annotated[timedelta, "How long a worker holds a run without a sign of life, at most 300."] = timedelta(
        seconds=10
    )
    drain: Annotated[timedelta, "How long a worker finishes its runs after SIGTERM."] = timedelta(seconds=30)
    concurrency: Annotated[int, "Runs that one worker drives at once."] = 200
    keep_bodies: Annotated[
        timedelta,
        "How long the run log keeps requests and replies; steps, times and errors stay. 13 months, so that last year's"
        " close can be looked up. 0: for ever.",
    ] = timedelta(days=396)
    keep_events: Annotated[timedelta, "How long events are kept, from the moment they came in."] = timedelta(days=28)
    longest_body: Annotated[
        int,
        "Characters of a request and of a reply that the run log keeps, from 1,024 to 1,048,576; of a longer one the"
        " beginning.",
    ] = 32 * 1024
    keep_ledger: Annotated[
        timedelta, "How long the ledger keeps what was delivered; older documents may be sent again. 0: for ever."
    ] = timedelta(days=3653)
    keep_audit: Annotated[timedelta, "How long the audit log keeps its lines. 0: for ever."] = timedelta(days=3653)
    max_body: Annotated[int, "Largest request body in bytes, except for bulk imports."] = 10 * 1024 * 1024
    token_lifetime: Annotated[timedelta, "Lifetime of an access token."] = timedelta(hours=5)
    public_url: Annotated[
        str, "Address under which people reach this installation, for links. Empty: where serve listens."
    ] = ""
    support_url: Annotated[str, "Portal where people ask for help; the Console links to it. Empty: no such link."] = ""
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
            for name in (f"TOLLBRIDGE_{key.upper()}", *_ELSEWHERE.get(key, ())):
                if name in environ:
                    values[key] = _parse(name, environ[name], kind)
                    break
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
    if kind is timedelta:
        return timedelta(seconds=_number(name, text, "a number of seconds"))
    if kind is Path:
        return Path(text).expanduser().absolute()
    if kind is bool:
        return _switch(name, text)
    if kind == tuple[IPv4Network | IPv6Network, ...]:
        return _networks(name, text)
    if kind == tuple[str, ...]:
        return tuple(filter(None, (part.strip() for part in text.split(","))))
    if kind == Mapping[str, str]:
        return _map(name, text)
    if name in _URLS:
        return _url(name, text)
    if name in ("TOLLBRIDGE_PROXY", "TOLLBRIDGE_WEBHOOK_PROXY", *_ELSEWHERE["proxy"]):
        return _proxy(name, text)
    if name == "TOLLBRIDGE_CA_FILE":
        return _certificates(name, text)
    if name == "TOLLBRIDGE_LOG_LEVEL" and text not in LOG_LEVELS:
        raise ValueError(f"{name} is {text!r}, but must be one of {', '.join(LOG_LEVELS)}")
    return text


def _number(name: str, text: str, expected: str) -> float:
    """A number that works: a worker without room or with a lease of no length would seem to live and do nothing."""
    lowest = 0 if name.startswith(_FOR_EVER) else _LEAST if "seconds" in expected else 1
    least, most = _BOUNDS.get(name, (lowest, _MOST))
    try:
        value = float(text) if "seconds" in expected else int(text)
    except ValueError as error:
        raise ValueError(f"{name} is {text!r}, but must be {expected}") from error
    if not least <= value <= most:
        raise ValueError(f"{name} is {text!r}, but must be {expected} from {least} to {most}")
    return value


def _switch(name: str, text: str) -> bool:
    if text.lower() not in _SWITCH:
        raise ValueError(f"{name} is {text!r}, but must be true or false")
    return _SWITCH[text.lower()]


def _networks(name: str, text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    found = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append(ip_network(entry))
        except ValueError as error:
            raise ValueError(f"{name} has the entry {entry!r}, but each must be as 10.20.0.0/16 ({error})") from error
    return tuple(found)


def _proxy(name: str, text: str) -> str:
    ours = name.startswith("TOLLBRIDGE_")
    if text and not ours and "://" not in text:
        # So it stands in many an environment, since curl takes it.
        text = f"http://{text}"
    if text and not _PROXY.fullmatch(text):
        # The value is not repeated: it may hold a password.
        way_out = "" if ours else ". TOLLBRIDGE_PROXY goes before it, also where it is empty"
        example = "http://user:password@proxy.example.com:3128"
        raise ValueError(f"{name} is not well-formed: it must be as {example}{way_out}")
    return text


def _url(name: str, text: str) -> str:
    pattern, example = _URLS[name]
    if text and not pattern.fullmatch(text):
        # The value is not repeated: it may hold a password.
        raise ValueError(f"{name} is not well-formed: it must be as {example}")
    return text


def _certificates(name: str, text: str) -> str:
    if text:
        import ssl

        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=text)
        except OSError as error:
            raise ValueError(f"{name} is {text!r}, but must be a file of certificates as PEM ({error})") from error
    return text


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
