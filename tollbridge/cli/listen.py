"""`tollbridge listen`: events as they happen, sent signed to a program on this machine.

It reads the list of events and posts from here: nothing is set up at the server, and no run is made. What is posted is
what a webhook would get, under ids and with a secret of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tollbridge.cli.output import moment, put, put_json, say, show_moment
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile
from tollbridge.cli.webhooks import SecretEnv
from tollbridge.domain.errors import Invalid, Unavailable
from tollbridge.domain.fields import did_you_mean

if TYPE_CHECKING:
    from tollbridge.cli.client import Client

POLL = 1.0
"""Seconds between two looks."""
LONGEST_WAIT = 15.0
"""Seconds between two looks while the server cannot be reached."""
OVERLAP = timedelta(seconds=5)
"""How far each look goes back: who is slower to commit comes in late, with an earlier moment."""
TIMEOUT = 15.0
"""Seconds that the program has for its answer, as a receiver has."""


def listen(
    forward_to: Annotated[
        str | None, typer.Option(metavar="URL", help="Post each event there. Default: only print them.")
    ] = None,
    events: Annotated[str, typer.Option(help="Types, separated by commas; * stands for anything.")] = "*",
    after: Annotated[str | None, typer.Option(metavar="EVENT", help="Begin after this event. Default: now.")] = None,
    secret_env: SecretEnv = None,
    as_json: Annotated[bool, typer.Option("--print-json", help="Print each event as one JSON object.")] = False,
    profile: ProfileOption = DEFAULT,
) -> None:
    """Print events as they happen, and post them, signed, to a program on this machine. Ends with Ctrl-C.

    Example: tollbridge listen --forward-to http://localhost:8000/hook --events 'billing.*'

    The secret that signs is shown at the start; --secret-env gives one that stays the same.
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    patterns = _patterns(client, events)
    sender = _Sender(forward_to, _secret(secret_env), client.profile.org) if forward_to else None
    feed = _begin(client, after)
    if sender:
        say(f"Messages are signed with {sender.secret}")
    say(f"Listening for {events}; Ctrl-C ends it.")
    try:
        for event in _follow(client, feed):
            if any(fnmatchcase(event["eventName"], pattern) for pattern in patterns):
                _tell(event, sender.send(event) if sender else None, as_json=as_json)
    finally:
        if feed.last:
            say(f"hint: to go on where this ended: --after {feed.last}")


@dataclass(slots=True)
class _Feed:
    """How far the events were read: those of the last seconds by their ids, and the one with which it began."""

    start: tuple[str, str] | None
    last: str | None
    newest: datetime | None
    seen: dict[str, datetime] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> bool:
        """Whether the event was not read before."""
        if event["id"] in self.seen or (self.start and (event["dtCreated"], event["id"]) <= self.start):
            return False
        at = moment(event["dtCreated"]) or datetime.now(UTC)
        self.seen[event["id"]] = at
        self.last = event["id"]
        self.newest = max(at, self.newest or at)
        self.seen = {id: at for id, at in self.seen.items() if at >= self.newest - 2 * OVERLAP}
        return True


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the program said: its status, or why there is none; and after how many milliseconds."""

    status: int | None
    trouble: str | None
    ms: float


@dataclass(frozen=True, slots=True)
class _Sender:
    """Posts events as a webhook would get them."""

    url: str
    secret: str
    org: str

    def send(self, event: dict[str, Any]) -> _Answer:
        from http.client import HTTPConnection, HTTPException, HTTPSConnection
        from urllib.parse import urlsplit

        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid("listen.url", f"{self.url} is no URL.", "Write http://localhost:8000/hook.", "--forward-to")
        headers, body = self._signed(event)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=TIMEOUT)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        began = time.monotonic()
        status, trouble = None, None
        try:
            connection.request("POST", target, body, headers)
            response = connection.getresponse()
            response.read()
            status = response.status
        except (OSError, HTTPException) as error:
            trouble = str(error) or type(error).__name__
        finally:
            connection.close()
        return _Answer(status, trouble, (time.monotonic() - began) * 1000)

    def _signed(self, event: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        from pydantic import SecretStr

        from tollbridge.connectors.base import Sending
        from tollbridge.connectors.webhook.config import WebhookCredential
        from tollbridge.connectors.webhook.flows import deliver
        from tollbridge.connectors.webhook.signature import authorize
        from tollbridge.domain.flows import Step
        from tollbridge.domain.notifications import Notification, Occurrence, SentRule, envelope

        data = event["m3terEvent"]["eventData"]
        at = moment(event["eventTime"])
        assert at is not None
        occurrence = Occurrence(
            event["id"],
            event["eventName"],
            at,
            self.org,
            event.get("accountId"),
            data.get("newDto"),
            data.get("oldDto"),
        )
        message_id = f"msg_{event['id']}"
        text = envelope(message_id, occurrence, SentRule("listen", "listen", "tollbridge listen"))
        step = next(deliver(Notification(message_id, self.url, text.encode())))
        assert isinstance(step, Step)
        credential = WebhookCredential(api_key="listen", secret=SecretStr(self.secret))
        request = authorize(step.request, credential, Sending(message_id, datetime.now(UTC)))
        return dict(request.headers), request.body or b""


def _patterns(client: Client, given: str) -> list[str]:
    """The patterns; raises Invalid for one that no type fits."""
    known = client.get("events", "types")["events"]
    patterns = [each.strip() for each in given.split(",") if each.strip()] or ["*"]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise Invalid(
                "listen.events",
                f"{pattern!r} fits no type of event.",
                did_you_mean(pattern, known) or "tollbridge events types lists them.",
                "--events",
            )
    return patterns


def _begin(client: Client, after: str | None) -> _Feed:
    """After the event that is named, or else after the newest."""
    if after is not None:
        event = client.get("events", after)
    else:
        newest = client.get("events", pageSize=1, includeActioned=True)["data"]
        if not newest:
            return _Feed(None, None, None)
        event = newest[0]
    return _Feed((event["dtCreated"], event["id"]), event["id"], moment(event["dtCreated"]))


def _follow(client: Client, feed: _Feed) -> Iterator[dict[str, Any]]:
    """Every event once, oldest first, for ever; where the server is away, it goes on when it is back."""
    wait = POLL
    while True:
        since = (feed.newest - OVERLAP).isoformat() if feed.newest else None
        try:
            for event in client.pages("events", order="ASC", since=since, includeActioned=True):
                if feed.take(event):
                    yield event
            wait = POLL
        except Unavailable as refusal:
            if wait == POLL:
                say(f"{refusal.message} Trying again …")
            wait = min(wait * 2, LONGEST_WAIT)
        time.sleep(wait)


def _tell(event: dict[str, Any], answer: _Answer | None, *, as_json: bool) -> None:
    if as_json:
        told = {"status": answer.status, "error": answer.trouble, "ms": round(answer.ms)} if answer else None
        put_json({**event, **({"forwarded": told} if told else {})})
        return
    cells = [show_moment(event["eventTime"]), event["eventName"], event["id"]]
    if answer:
        cells += [str(answer.status or answer.trouble), f"{answer.ms:.0f} ms"]
    put("\t".join(cells))


def _secret(variable: str | None) -> str:
    from tollbridge.cli.credentials import read_secret
    from tollbridge.cli.webhooks import new_secret

    return read_secret(variable) if variable else new_secret()
