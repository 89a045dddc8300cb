"""What a letter about an alert, or with a link to a new password, says: to mail as text and HTML, to a chat as text.
Words of others are escaped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from html import escape

from tollbridge.domain.alerts import AlertType, Severity, Told

LONGEST_SUBJECT = 150
LINK_SUBJECT = "[Tollbridge] A new password"
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
_ASKED = "Somebody asked for a new password for you. Choose one here:"
_CHANGES = {Told.OPENED: "", Told.REOPENED: "again: ", Told.WORSE: "worse: ", Told.CLOSED: "closed: "}
_TITLES = {
    AlertType.RUN_FAILED: "runs fail",
    AlertType.INTEGRATION_DISABLED: "an integration is disabled",
    AlertType.INTEGRATION_FAILING: "errors in succession",
    AlertType.INTEGRATION_FAILED: "a webhook does not take notifications",
    AlertType.CREDENTIAL_INVALID: "a credential does not work",
    AlertType.CREDENTIAL_EXPIRING: "a credential expires",
    AlertType.QUEUE_STUCK: "the queue does not move",
    AlertType.DATABASE_LAG: "the database lags",
    AlertType.BILL_UNDELIVERED: "bills are not delivered",
    AlertType.SOURCE_SILENT: "no bills come in",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a letter is about: an alert at one change. `integration` is its name, `organization` that of whom it
    concerns or None where it is all of them; `link` leads to the alert, where this server's address is known."""

    alert_id: str
    told: Told
    type: AlertType
    severity: Severity
    description: str
    remedy: str
    count: int
    opened_at: datetime
    organization: str | None
    integration: str | None
    link: str | None


def is_address(text: str) -> bool:
    """Whether mail can be sent to it: a plain address of ASCII characters, nothing around it."""
    return len(text) <= 254 and _ADDRESS.fullmatch(text) is not None


def one_line(text: str) -> str:
    """The text as it may stand in a header: whatever could end one is a space."""
    return " ".join(_CONTROLS.sub(" ", text).split())


def subject_line(about: Subject) -> str:
    """The subject of a mail; what names bring along cannot begin another header."""
    what = about.integration or about.organization or "Tollbridge"
    line = one_line(f"[Tollbridge] {about.severity} {_CHANGES[about.told]}{what}: {_TITLES[about.type]}")
    return line if len(line) <= LONGEST_SUBJECT else line[: LONGEST_SUBJECT - 1] + "…"


def plain(about: Subject) -> str:
    """The body of a mail as text."""
    lines = [about.description, "", *([] if about.told is Told.CLOSED else [about.remedy, ""])]
    lines += [f"{name + ':':<14}{one_line(value)}" for name, value in _facts(about)]
    return "\n".join([*lines, "", _ways(about), ""])


def html(about: Subject) -> str:
    """The same as HTML: no image, no script, no style but its own."""
    rows = "".join(
        f'<tr><td style="padding:2px 12px 2px 0;color:#555">{escape(name)}</td><td>{escape(value)}</td></tr>'
        for name, value in _facts(about)
    )
    remedy = "" if about.told is Told.CLOSED else f"<p>{_escaped(about.remedy)}</p>"
    link = f'<p><a href="{escape(about.link)}">Open the alert</a></p>' if about.link else ""
    return _page(
        f"<p><strong>{_escaped(about.description)}</strong></p>{remedy}<table>{rows}</table>{link}"
        f"<p><code>{escape(_command(about))}</code></p>"
    )


def chat(about: Subject) -> str:
    """The same as one message to a chat; Slack's own signs are escaped as it asks (&, <, >)."""
    told = f"{subject_line(about)}\n{about.description}"
    remedy = "" if about.told is Told.CLOSED else f"\n{about.remedy}"
    text = (told + remedy).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{text}\n{about.link or _command(about)}"


def link_plain(url: str, until: datetime) -> str:
    """The body, as text, of a mail to somebody who forgot their password."""
    return f"{_ASKED}\n\n{url}\n\n{_until(until)}\n"


def link_html(url: str, until: datetime) -> str:
    """The same as HTML."""
    return _page(f'<p>{_ASKED}</p><p><a href="{escape(url)}">Choose a new password</a></p><p>{_until(until)}</p>')


def _until(until: datetime) -> str:
    return f"It works once, until {until:%Y-%m-%d %H:%M} UTC. If it was not you, nothing needs to be done."


def _page(body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"></head>'
        f'<body style="font-family:sans-serif;color:#111">{body}</body></html>'
    )


def _facts(about: Subject) -> list[tuple[str, str]]:
    facts = [
        ("State", {Told.CLOSED: "closed by itself"}.get(about.told, about.told)),
        ("Severity", about.severity),
        ("Organization", about.organization or "all"),
        ("Integration", about.integration or ""),
        ("How many", str(about.count)),
        ("Open since", f"{about.opened_at:%Y-%m-%d %H:%M} UTC"),
    ]
    return [(name, str(value)) for name, value in facts if value]


def _ways(about: Subject) -> str:
    return f"{about.link}\n{_command(about)}" if about.link else _command(about)


def _command(about: Subject) -> str:
    return f"tollbridge alerts show {about.alert_id}"


def _escaped(text: str) -> str:
    return escape(text).replace("\n", "<br>")
