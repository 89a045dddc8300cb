"""Signing in and out of the Console, and who is behind a session: all that an edge for people asks.

A session is a random token in the browser; the database has its hash. Nothing here tells whether a mail address has an
account: every refusal of a sign-in is the same, and takes as long.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tollbridge.domain.access import Role
from tollbridge.domain.audit import Action
from tollbridge.domain.errors import Conflict, Forbidden, NotFound, Refusal, TooMany, Unauthenticated
from tollbridge.domain.people import (
    ADDRESS,
    KNOWN_FOR,
    MAIL,
    MAIL_FROM_ADDRESS,
    Allowance,
    Purpose,
    check_password,
    network_of,
)
from tollbridge.services import audit, clock, users
from tollbridge.services.caller import Caller
from tollbridge.services.passwords import Passwords
from tollbridge.services.tokens import hash_token, new_token
from tollbridge.settings import Settings
from tollbridge.store import outbox, records, sign_ins
from tollbridge.store import users as rows
from tollbridge.store.db import Database, Tx, raw
from tollbridge.store.outbox import Channel, Letter
from tollbridge.store.records import Record
from tollbridge.store.schema import users as table

SEEN = timedelta(minutes=1)
"""How exactly it is known when somebody was last here."""
REFUSED_AFTER = 0.25
"""A refusal comes at a multiple of so many seconds after the attempt, so that the time it took tells nothing."""
LONGEST_AGENT = 200

PASSWORD, LINK, SSO = "password", "link", "sso"
"""Ways to sign in."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is behind a session."""

    caller: Caller
    session_id: str
    user_id: str
    name: str
    mail: str
    way: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """What a one-time link is good for; to read it does not use it."""

    purpose: Purpose
    mail: str
    name: str
    expires_at: datetime


class Sessions:
    """`address` is where the browser is, `agent` what it says of itself, `replacing` the token that it held before."""

    def __init__(self, db: Database, key: bytes, settings: Settings) -> None:
        self._db = db
        self._key = key
        self._settings = settings
        self._passwords = Passwords()

    async def sign_in(
        self, mail: str, password: str, address: str, *, agent: str = "", replacing: str | None = None
    ) -> str:
        """The token of a new session; raises Unauthenticated, TooMany with the wait, and Forbidden where passwords are
        switched off."""
        self._need_local()
        began = time.monotonic()
        try:
            return await self._sign_in(mail.strip().lower(), password, network_of(address), address, agent, replacing)
        except Refusal:
            taken = time.monotonic() - began
            await asyncio.sleep(REFUSED_AFTER - taken % REFUSED_AFTER)
            raise

    async def _sign_in(
        self, mail: str, password: str, network: str, address: str, agent: str, replacing: str | None
    ) -> str:
        now = clock.now()
        async with self._db.transaction() as tx:
            user = await rows.by_mail(tx, mail)
            at_home = user is not None and await rows.was_at(tx, user.org_id, user.id, network, now - KNOWN_FOR)
            limits = _limits(mail, network, at_home=at_home)
            wait = await sign_ins.take(tx, limits, now)
        if wait is not None:
            seconds = int(wait.total_seconds()) + 1
            raise TooMany(
                "sign_in.too_many",
                "There were too many attempts to sign in.",
                f"Try again in {seconds} seconds, or ask an administrator for a link.",
            )
        kept = user["password"] if user else None
        right = await self._passwords.matches(kept, password[:10_000])
        if user is None or not right or users.ended(user["end_access"], now):
            if user is not None:
                await self._note_refused(user)
            raise Unauthenticated(
                "sign_in.wrong",
                "The mail address and the password do not match, or access has ended.",
                "Check both, or ask an administrator for a link to set a new password.",
            )
        async with self._db.transaction() as tx:
            fresh = await records.get(tx, table, user.org_id, user.id, lock=True)
            if fresh is None or fresh["password"] != kept:
                raise Unauthenticated("sign_in.wrong", "The password was changed at this moment.", "Try again.")
            await sign_ins.give_back(tx, list(limits))
            return await self.open(tx, fresh, PASSWORD, address, agent, replacing)

    async def open(self, tx: Tx, user: Record, way: str, address: str, agent: str, replacing: str | None = None) -> str:
        """A new session of the person, in a transaction of the caller's; the one that it replaces ends."""
        token, id, now = new_token(), clock.new_id(), clock.now()
        if replacing:
            old = await rows.session(tx, hash_token(replacing))
            if old:
                await rows.end_sessions(tx, old[0].org_id, old[0].user_id, now, id=old[0].id)
        ends = now + self._settings.session_lifetime
        await rows.add_session(
            tx,
            rows.Session(
                id,
                user.org_id,
                user.id,
                hash_token(token),
                way,
                network_of(address),
                agent[:LONGEST_AGENT],
                now,
                now,
                ends,
            ),
        )
        caller = _caller(user)
        await audit.note(tx, caller, Action.SIGN_IN, "User", user.id, after={"way": way, "from": address})
        return token

    async def who(self, token: str) -> Caller:
        """The caller; raises Unauthenticated where the session is over."""
        return (await self.visitor(token)).caller

    async def visitor(self, token: str, *, acts: bool = True) -> Visitor:
        """The caller with what a page shows of them; raises Unauthenticated where the session is over. Where `acts` is
        false, somebody only has a page open, which keeps no session alive."""
        now = clock.now()
        async with self._db.transaction() as tx:
            found = await rows.session(tx, hash_token(token))
            if found is None:
                raise _signed_out()
            session, user = found
            idle = now - session.seen_at
            if session.ends_at <= now or idle > self._settings.session_idle or users.ended(user["end_access"], now):
                raise _signed_out()
            if acts and idle > SEEN:
                await rows.see(tx, session.id, now)
        return Visitor(
            _caller(user), session.id, user.id, users.full_name(user), user["mail"], session.way, session.ends_at
        )

    async def sign_out(self, token: str) -> None:
        """End the session, if it is one."""
        async with self._db.transaction() as tx:
            found = await rows.session(tx, hash_token(token))
            if found is None:
                return
            session, user = found
            if await rows.end_sessions(tx, session.org_id, session.user_id, clock.now(), id=session.id):
                await audit.note(tx, _caller(user), Action.SIGN_OUT, "User", user.id)

    def csrf(self, token: str) -> str:
        """What every form of the session carries; also of a token that is no session yet, as on the sign-in page."""
        return hmac.new(self._key, hash_token(token), hashlib.sha256).hexdigest()

    def check_csrf(self, token: str, given: str) -> None:
        """Raises Forbidden where the form was not made for this session."""
        if not hmac.compare_digest(self.csrf(token).encode(), given.encode("utf-8", "surrogatepass")):
            raise Forbidden("session.form", "The form is not of this session.", "Open the page again and repeat.")

    async def link(self, token: str) -> LinkFacts:
        """What the link is good for, unused; raises NotFound where it was used or its time is over."""
        async with self._db.transaction() as tx:
            link, user = await self._link(tx, token)
        return LinkFacts(Purpose(link.purpose), user["mail"], users.full_name(user), link.expires_at)

    async def use_link(
        self,
        token: str,
        address: str,
        *,
        password: str | None = None,
        agent: str = "",
        replacing: str | None = None,
    ) -> str:
        """Use a link up: accept an invitation or set a new password, which ends all other sessions, or sign in at once.

        Answers the token of a session. Raises NotFound, Invalid for a weak password, and Forbidden where passwords are
        switched off: then only a link to sign in works.
        """
        facts = await self.link(token)
        kept = None
        if facts.purpose is not Purpose.SIGN_IN:
            self._need_local()
            kept = await self._passwords.hash(check_password(password or "", facts.mail))
        async with self._db.transaction() as tx:
            link, user = await self._link(tx, token, lock=True)
            # A link that was left lying about must not undo a new password.
            used = [link.purpose] if kept is None else list(Purpose)
            await rows.drop_links(tx, user.org_id, user.id, used)
            if kept is not None:
                user = await self._set_password(tx, user, kept)
            return await self.open(tx, user, LINK, address, agent, replacing)

    async def change_password(self, token: str, present: str, new: str) -> None:
        """Set another password, knowing the present one; all other sessions end."""
        self._need_local()
        visitor = await self.visitor(token)
        async with self._db.transaction() as tx:
            user = await records.get(tx, table, visitor.caller.org_id, visitor.user_id)
            wait = await sign_ins.take(tx, {_key("change", visitor.user_id): MAIL_FROM_ADDRESS}, clock.now())
        if user is None:
            raise _signed_out()
        if wait is not None:
            raise TooMany("sign_in.too_many", "There were too many attempts.", "Try again in a minute.")
        if not await self._passwords.matches(user["password"], present[:10_000]):
            raise Forbidden("password.present", "The present password is another.", None, "present")
        kept = await self._passwords.hash(check_password(new, visitor.mail))
        async with self._db.transaction() as tx:
            fresh = await records.get(tx, table, user.org_id, user.id, lock=True)
            if fresh is None:
                raise _signed_out()
            await rows.drop_links(tx, user.org_id, user.id, list(Purpose))
            await self._set_password(tx, fresh, kept, but=visitor.session_id)

    async def forgotten(self, mail: str, address: str) -> None:
        """Have a link to set a new password mailed to its user, if there is one; whoever asks is not told which, and
        waits for no mail. Raises TooMany, and Conflict where no mail is sent from here."""
        self._need_local()
        if not self._settings.smtp_url:
            raise Conflict("mail.off", "No mail is sent from here.", "Ask an administrator for a link.")
        mail, now = mail.strip().lower(), clock.now()
        async with self._db.transaction() as tx:
            limits = {_key("forgotten", mail): MAIL_FROM_ADDRESS, _key("address", network_of(address)): ADDRESS}
            if await sign_ins.take(tx, limits, now) is not None:
                raise TooMany("sign_in.too_many", "There were too many attempts.", "Try again in a minute.")
            user = await rows.by_mail(tx, mail)
            if user is not None and user["accepted_at"] is not None and not users.ended(user["end_access"], now):
                letter = Letter(
                    clock.new_id(), user.org_id, "", Channel.LINK, user["mail"], {"userId": user.id}, created_at=now
                )
                await outbox.add(await raw(tx), [letter])

    async def _set_password(self, tx: Tx, user: Record, kept: bytes, but: str | None = None) -> Record:
        now, caller = clock.now(), _caller(user)
        changed = user.changed(now, caller.principal, password=kept, accepted_at=user["accepted_at"] or now)
        await records.save(tx, table, changed, Action.SET_PASSWORD)
        await rows.end_sessions(tx, user.org_id, user.id, now, but=but)
        return changed

    async def _link(self, tx: Tx, token: str, *, lock: bool = False) -> tuple[rows.Link, Record]:
        now = clock.now()
        link = await rows.link(tx, hash_token(token), lock=lock)
        user = await records.get(tx, table, link.org_id, link.user_id, lock=lock) if link else None
        if link is None or user is None or link.expires_at <= now or users.ended(user["end_access"], now):
            raise NotFound(
                "link.over",
                "The link was used already, or its time is over.",
                "Ask for a new one.",
            )
        return link, user

    async def _note_refused(self, user: Record) -> None:
        async with self._db.transaction() as tx:
            await audit.note(tx, Caller(user.org_id, "ANONYMOUS"), Action.SIGN_IN_REFUSED, "User", user.id)

    def _need_local(self) -> None:
        if not self._settings.local_sign_in:
            raise Forbidden(
                "sign_in.local_off",
                "Signing in with a password is switched off here.",
                "Use single sign-on. Who owns the machine gets in with: tollbridge users sign-in-link",
            )


def _caller(user: Record) -> Caller:
    return Caller(user.org_id, f"{users.PRINCIPAL}{user.id}", Role(user["role"]))


def _limits(mail: str, network: str, *, at_home: bool) -> Mapping[str, Allowance]:
    limits = {_key("mail and address", mail, network): MAIL_FROM_ADDRESS, _key("address", network): ADDRESS}
    return limits if at_home else {**limits, _key("mail", mail): MAIL}


def _key(*parts: str) -> str:
    """No mail address is kept of those who only tried."""
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _signed_out() -> Unauthenticated:
    return Unauthenticated("session.over", "You are signed out.", "Sign in.")
