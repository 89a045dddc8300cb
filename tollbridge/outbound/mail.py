"""Mail by SMTP: one message over one connection. The only place that speaks to a mail server.

It knows nothing of alerts, retries nothing and logs nothing: user and password stay in here.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr
from urllib.parse import unquote, urlsplit

import aiosmtplib

from tollbridge.settings import Settings

TIMEOUT = 15.0
"""Seconds for each answer of the server."""
_PORTS = {"smtp": 587, "smtps": 465, "smtp+plain": 25}
_PERMANENT = 500
"""Replies from here on say that the same will not be taken later either (RFC 5321, 4.2.1)."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A message to one recipient. Whoever gets it twice knows it by `id`; mails of one `thread` stand together."""

    id: str
    thread: str
    recipient: str
    subject: str
    text: str
    html: str
    at: datetime


@dataclass(frozen=True, slots=True)
class NotSent:
    """Why the server did not take it; `final` where it never will."""

    reason: str
    final: bool = False


class Mailer:
    """The mail server of the settings; raises ValueError where they name none."""

    def __init__(self, settings: Settings) -> None:
        parts = urlsplit(settings.smtp_url)
        if not parts.hostname:
            raise ValueError("TOLLBRIDGE_SMTP_URL names no mail server.")
        self.host, self.port = parts.hostname, parts.port or _PORTS[parts.scheme]
        self._mode = parts.scheme
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._trust = ssl.create_default_context()
        if settings.ca_file:
            self._trust.load_verify_locations(settings.ca_file)
        name, sender = parseaddr(settings.mail_from)
        self.sender = Address(name or "Tollbridge", addr_spec=sender or f"tollbridge@{self.host}")

    async def send(self, mail: Mail) -> NotSent | None:
        """Hand the message over; None where the server took it."""
        try:
            message = self._message(mail)
            async with self._connected() as server:
                await server.send_message(message, sender=self.sender.addr_spec, recipients=[mail.recipient])
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return _not_sent(error)
        return None

    async def probe(self) -> NotSent | None:
        """Connect, sign in and ask for nothing; None where the server answers."""
        try:
            async with self._connected() as server:
                await server.noop()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return _not_sent(error)
        return None

    def _connected(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self._user or None,
            password=self._password or None,
            use_tls=self._mode == "smtps",
            # Never "where it is offered": whoever stands between could leave the offer out.
            start_tls=self._mode == "smtp",
            tls_context=None if self._mode == "smtp+plain" else self._trust,
            timeout=TIMEOUT,
        )

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage(SMTP_POLICY)
        message["From"] = self.sender
        message["To"] = Address(addr_spec=mail.recipient)
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(mail.at)
        message["Message-ID"] = f"<{mail.id}@{self.sender.domain}>"
        message["References"] = f"<{mail.thread}@{self.sender.domain}>"
        # So that no absence notice comes back (RFC 3834).
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        return message


def _not_sent(error: Exception) -> NotSent:
    """What happened, in the server's own words where it had any."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            refused = error.recipients[0]
            return NotSent(f"the mail server answered {refused.code} {refused.message}", refused.code >= _PERMANENT)
        case aiosmtplib.SMTPAuthenticationError():
            # Whoever runs it mends that, and then the letters go out.
            return NotSent(f"the mail server does not let us in: {error.code} {error.message}")
        case aiosmtplib.SMTPSenderRefused() | aiosmtplib.SMTPDataError() | aiosmtplib.SMTPRecipientRefused():
            return NotSent(f"the mail server answered {error.code} {error.message}", error.code >= _PERMANENT)
        case aiosmtplib.SMTPResponseException():
            return NotSent(f"the mail server answered {error.code} {error.message}")
        case aiosmtplib.SMTPException():
            return NotSent(f"no exchange with the mail server: {error.message}")
        case OSError():
            return NotSent(f"no exchange with the mail server: {error}")
    return NotSent(f"the mail cannot be written: {error}", final=True)
