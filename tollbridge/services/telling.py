"""Who is told of an alert's change, what a letter about a forgotten password brings, and what became of each letter.
Sends nothing: `engine.lookout` does.

A change is written down as one notice in its own transaction. Here each notice becomes, in one transaction, one letter
for each who is told: the organization-wide list, the integration's `notifyEmails`, the chat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tollbridge.domain.alerts import AlertType, Severity, Told
from tollbridge.domain.letters import Subject
from tollbridge.domain.people import Purpose
from tollbridge.domain.retry import backoff
from tollbridge.services import clock
from tollbridge.services.alerts import SYSTEM
from tollbridge.services.caller import Caller
from tollbridge.services.users import PRINCIPAL, MadeLink, make_link
from tollbridge.settings import Settings
from tollbridge.store import alerts as alert_rows
from tollbridge.store import outbox, watching
from tollbridge.store.alerts import Note
from tollbridge.store.db import Database
from tollbridge.store.outbox import Channel, Letter, LetterState

NOTICES_AT_ONCE = 100
LETTERS_AT_ONCE = 5
"""They are sent side by side, each within `engine.lookout.PATIENCE`, and all well before their lease ends."""
LEASE = timedelta(minutes=2)
LONGEST_TRIED = timedelta(hours=24)
"""For how long a letter is tried that the other side does not take for now."""
FORGOTTEN_AT_ONCE = 1000
CHAT = "chat"
"""The recipient that stands for the chat: its address is a secret and stays in the settings."""
ALERT_PATH = "/console/alerts/"
"""Where a person finds an alert, below TOLLBRIDGE_PUBLIC_URL."""


async def address(db: Database, settings: Settings) -> int:
    """Make letters of the notices; answers how many notices there were. Where nobody is to be told, nothing is kept."""
    async with db.hot() as connection:
        notices = await outbox.take_notices(connection, NOTICES_AT_ONCE)
        if not notices:
            return 0
        keys = [(each.org_id, str(each.content["integrationId"])) for each in notices]
        told = await watching.addressees(connection, keys, clock.now())
        names = await watching.organizations(connection)
        letters = []
        for notice, key in zip(notices, keys, strict=True):
            found = told.get(key)
            content = dict(notice.content) | {
                "integration": found.name if found else None,
                "organization": None if notice.content["everywhere"] else names.get(notice.org_id),
            }
            letters += _letters(replace(notice, content=content), found.emails if found else (), settings)
        await outbox.add(connection, letters)
        return len(notices)


def _letters(notice: Letter, emails: Sequence[str], settings: Settings) -> list[Letter]:
    found = []
    if settings.smtp_url:
        # Whoever stands on both lists is told once.
        recipients = {email.lower(): email for email in (*settings.alert_mail, *emails)}
        found += [replace(notice, channel=Channel.MAIL, recipient=email) for email in recipients.values()]
    if settings.alert_webhook:
        found.append(replace(notice, channel=Channel.CHAT, recipient=CHAT))
    return [replace(letter, id=clock.new_id()) for letter in found]


async def claim(db: Database, now: datetime) -> list[Letter]:
    """Letters that are due; nobody else gets them while they are sent."""
    async with db.hot() as connection:
        return await outbox.claim(connection, now, now + LEASE, LETTERS_AT_ONCE)


async def sent(db: Database, letter: Letter, now: datetime) -> None:
    """The other side took the letter."""
    async with db.hot() as connection:
        await outbox.save(connection, replace(letter, state=LetterState.SENT, error=None, ended_at=now, due_at=now))


async def not_sent(db: Database, letter: Letter, reason: str, *, final: bool, now: datetime, jitter: float) -> None:
    """The other side did not take it: it is tried again, unless it never will be, or too long has passed.

    What is given up stands on the alert, where people see it.
    """
    if not final and now - letter.created_at < LONGEST_TRIED:
        due_at = now + backoff(letter.attempts, jitter)
        async with db.hot() as connection:
            await outbox.save(connection, replace(letter, error=reason, due_at=due_at))
        return
    async with db.hot() as connection:
        refused = replace(letter, state=LetterState.REFUSED, error=reason, ended_at=now, due_at=now)
        if await outbox.save(connection, refused) and letter.alert_id:
            text = f"{letter.recipient} could not be told: {reason}"
            note = Note(letter.org_id, letter.alert_id, clock.new_id(), now, SYSTEM, text)
            await alert_rows.add_notes(connection, [note])


async def forget(db: Database, before: datetime) -> None:
    """Forget letters that ended before that moment, in small transactions."""
    more = True
    while more:
        async with db.hot() as connection:
            more = await outbox.forget(connection, before, FORGOTTEN_AT_ONCE)


async def new_link(db: Database, settings: Settings, letter: Letter) -> MadeLink:
    """The link that the letter brings; those before it stop working. Raises NotFound where its user was deleted."""
    user_id = letter.content["userId"]
    asking = Caller(letter.org_id, f"{PRINCIPAL}{user_id}")
    return await make_link(db, settings, asking, user_id, Purpose.RESET)


def subject_of(letter: Letter, settings: Settings) -> Subject:
    """What the letter is about."""
    content = letter.content
    base = settings.public_url.rstrip("/")
    return Subject(
        alert_id=letter.alert_id,
        told=Told(content["told"]),
        type=AlertType(content["type"]),
        severity=Severity(content["severity"]),
        description=content["description"],
        remedy=content["remedy"],
        count=content["count"],
        opened_at=datetime.fromisoformat(content["openedAt"]),
        organization=content["organization"],
        integration=content["integration"],
        link=f"{base}{ALERT_PATH}{letter.alert_id}" if base else None,
    )
