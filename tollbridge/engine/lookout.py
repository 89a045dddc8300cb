"""The lookout: looks for trouble, and tells those who are to know. Every process has one, so that somebody looks also
where no worker is alive; they share the work through the database.

Joins services to the network; decides neither what is trouble nor who is told.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from tollbridge.domain.errors import NotFound
from tollbridge.domain.flows import NoReply, Request
from tollbridge.domain.letters import LINK_SUBJECT, chat, html, is_address, link_html, link_plain, plain, subject_line
from tollbridge.outbound.http import Http, Policy
from tollbridge.outbound.mail import Mail, Mailer, NotSent
from tollbridge.services import clock, telling, watching
from tollbridge.settings import Settings
from tollbridge.store.db import Database
from tollbridge.store.outbox import Channel, Letter
from tollbridge.store.trouble import TRANSIENT

log = structlog.get_logger(__name__)

WATCH = timedelta(seconds=15)
"""How often a process asks whether it is time to look; `services.watching` has the period."""
TELL = timedelta(seconds=5)
PATIENCE = 60.0
"""Seconds for one letter, whatever its receiver does; shorter than the lease of letters."""
CHAT = Policy(timedelta(seconds=15), keep=1024, cut=True)
_FOR_GOOD = frozenset(range(400, 500)) - {408, 425, 429}
"""Statuses which say that the same request will not be taken later either."""


class Lookout:
    """Its two chores; `run` does both for as long as the process lives."""

    def __init__(self, settings: Settings, db: Database, http: Http) -> None:
        self._settings = settings
        self._db = db
        self._http = http
        self._mailer = Mailer(settings) if settings.smtp_url else None
        self._random = random.SystemRandom()

    async def run(self) -> None:
        """Both chores until cancelled; a database that is away is waited for."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_every(WATCH, self.watch))
            group.create_task(_every(TELL, self.tell))

    async def watch(self) -> None:
        """Look for trouble, where it is time and nobody else does."""
        now = clock.now()
        if await watching.watch(self._db, self._settings, now):
            await telling.forget(self._db, now - self._settings.keep_mails)

    async def tell(self) -> None:
        """Send what is due, until nothing is."""
        while await telling.address(self._db, self._settings):
            pass
        while letters := await telling.claim(self._db, clock.now()):
            await asyncio.gather(*map(self._deliver, letters))

    async def _deliver(self, letter: Letter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                failed = await (self._post(letter) if letter.channel is Channel.CHAT else self._mail(letter))
        except TimeoutError:
            failed = NotSent(f"no end within {PATIENCE:g} seconds")
        if failed is None:
            log.info("told", letter=letter.id, alert=letter.alert_id, channel=letter.channel)
            await telling.sent(self._db, letter, clock.now())
            return
        log.warning("not told", letter=letter.id, channel=letter.channel, reason=failed.reason, final=failed.final)
        jitter = self._random.random()
        await telling.not_sent(self._db, letter, failed.reason, final=failed.final, now=clock.now(), jitter=jitter)

    async def _mail(self, letter: Letter) -> NotSent | None:
        if self._mailer is None:
            return NotSent("this process knows no mail server (TOLLBRIDGE_SMTP_URL)")
        if not is_address(letter.recipient):
            return NotSent("that is no mail address", final=True)
        try:
            subject, text, as_html = await self._written(letter)
        except NotFound as gone:
            return NotSent(str(gone), final=True)
        return await self._mailer.send(
            Mail(
                id=letter.id,
                thread=letter.alert_id or letter.id,
                recipient=letter.recipient,
                subject=subject,
                text=text,
                html=as_html,
                at=letter.created_at,
            )
        )

    async def _written(self, letter: Letter) -> tuple[str, str, str]:
        """Subject, text and HTML."""
        if letter.channel is Channel.LINK:
            made = await telling.new_link(self._db, self._settings, letter)
            return LINK_SUBJECT, link_plain(made.url, made.expires_at), link_html(made.url, made.expires_at)
        about = telling.subject_of(letter, self._settings)
        return subject_line(about), plain(about), html(about)

    async def _post(self, letter: Letter) -> NotSent | None:
        if not self._settings.alert_webhook:
            return NotSent("this process knows no chat (TOLLBRIDGE_ALERT_WEBHOOK)")
        text = chat(telling.subject_of(letter, self._settings))
        reply = await self._http.perform(self._settings.alert_webhook, Request("POST", "", json={"text": text}), CHAT)
        if isinstance(reply, NoReply):
            return NotSent(reply.reason)
        if 200 <= reply.status < 300:
            return None
        return NotSent(f"the chat answered {reply.status}", reply.status in _FOR_GOOD)


async def _every(period: timedelta, task: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await task()
        except TRANSIENT as error:
            log.warning("database not there", error=repr(error))
        except Exception:
            # It stands beside what delivers bills: a bug in here must not end that, and is told by the log.
            log.exception("the lookout met a bug")
        await asyncio.sleep(period.total_seconds())
