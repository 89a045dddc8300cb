"""Users: the people who use the Console. They are invited, have a role, and are let go.

How they sign in is `services.sessions`. Programs that use the API are service users, a noun of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tollbridge.domain.access import Role
from tollbridge.domain.audit import Action
from tollbridge.domain.errors import Conflict, Invalid
from tollbridge.domain.fields import Shape, anything, day, list_of, one_of, read_day, read_instant, text
from tollbridge.domain.fields import required as must
from tollbridge.domain.people import LIFETIMES, LONGEST_INVITATION, ROLES, Purpose, mail_address
from tollbridge.services import audit, clock
from tollbridge.services.caller import Caller
from tollbridge.services.entities import check_version, load, missing
from tollbridge.services.tokens import hash_token, new_token
from tollbridge.settings import Settings
from tollbridge.store import bulk, organizations, records
from tollbridge.store import users as rows
from tollbridge.store.db import Database, Tx
from tollbridge.store.records import Page, Record
from tollbridge.store.schema import service_users, users
from tollbridge.store.users import Link, Session

NOUN = "user"
PRINCIPAL = "USER_"
LINK_PATH = "/console/links/"
"""Where the Console takes one-time links; the token follows."""

_NAME = text(least=1, most=100)
_MOMENT_OR_DAY = day()

BODY = Shape(
    {
        "email": must(mail_address()),
        "firstName": must(_NAME),
        "lastName": must(_NAME),
        "contactNumber": text(most=50),
        "role": one_of(ROLES),
        "permissionPolicyIds": list_of(one_of(ROLES), most=1),
        "dtEndAccess": _MOMENT_OR_DAY,
    }
)
"""Without a role one is a viewer. `permissionPolicyIds` names the role as the wire does."""
INVITATION = Shape({**BODY.fields, "dtExpiry": _MOMENT_OR_DAY})
CHANGE = Shape(
    {
        "firstName": _NAME,
        "lastName": _NAME,
        "contactNumber": text(most=50),
        "role": one_of(ROLES),
        "dtEndAccess": _MOMENT_OR_DAY,
        "permissionPolicy": list_of(anything(), most=100),
    }
)
"""What is left out stays what it is; `dtEndAccess: null` lifts an end of access."""

_KEPT = ("email", "firstName", "lastName", "contactNumber", "role", "dtEndAccess")


@dataclass(frozen=True, slots=True)
class MadeLink:
    """A one-time link, shown once and stored nowhere."""

    user: Record
    purpose: Purpose
    url: str
    expires_at: datetime


async def create(db: Database, caller: Caller, body: Any) -> Record:
    """Make a user without any way to sign in yet: by single sign-on, or by a link that is made later."""
    async with db.transaction() as tx:
        return await add(tx, caller, body)


async def add(tx: Tx, caller: Caller, body: Any, **columns: Any) -> Record:
    """The same inside a transaction of the caller's; raises Conflict where the mail address is taken."""
    given = BODY.check(body)
    if await rows.by_mail(tx, given["email"]):
        raise Conflict(
            "user.exists",
            f"There is a user with the mail address {given['email']} already.",
            "A mail address is one person's in the whole installation. Change that user, or take another address.",
            "email",
        )
    role = given.pop("role", None) or next(iter(given.pop("permissionPolicyIds", [])), Role.VIEWER.value)
    kept = {name: value for name, value in {**given, "role": role}.items() if name in _KEPT}
    none = {"password": None, "subject": None, "invited_until": None, "accepted_at": None}
    own = {"mail": given["email"], "role": role, "end_access": _moment(given.get("dtEndAccess")), **none, **columns}
    record = records.fresh(caller.org_id, clock.new_id(), clock.now(), caller.principal, kept, **own)
    await records.add(tx, users, record)
    return record


async def invite(db: Database, settings: Settings, caller: Caller, body: Any) -> MadeLink:
    """Make a user and the link by which they choose their password; for one who did not accept yet, a new link.

    Raises Conflict where they accepted, or belong to another organization.
    """
    given = INVITATION.check(body)
    now = clock.now()
    until = _moment(given.get("dtExpiry")) or now + LIFETIMES[Purpose.INVITATION]
    if not now < until <= now + LONGEST_INVITATION:
        raise Invalid(
            "invitation.expiry",
            f"dtExpiry is {given['dtExpiry']}, but must lie within the next {LONGEST_INVITATION.days} days.",
            "Leave it out for a week.",
            "dtExpiry",
        )
    async with db.transaction() as tx:
        known = await rows.by_mail(tx, given["email"], lock=True)
        if known is None or known.org_id != caller.org_id or known["invited_until"] is None or known["accepted_at"]:
            user = await add(tx, caller, body, invited_until=until)
        else:
            user = known.changed(now, caller.principal, invited_until=until)
            await records.save(tx, users, user, Action.INVITE)
        return await _make_link(tx, settings, caller, user, Purpose.INVITATION, until - now)


async def retrieve(db: Database, caller: Caller, id: str) -> Record:
    async with db.transaction() as tx:
        return await load(tx, users, caller.org_id, id, NOUN)


async def retrieve_invited(db: Database, caller: Caller, id: str) -> Record:
    """The user, where they were invited."""
    user = await retrieve(db, caller, id)
    if user["invited_until"] is None:
        raise missing("invitation", id)
    return user


async def by_mail(db: Database, mail: str) -> Record | None:
    """The user with this mail address, in whatever organization: for who works on this machine."""
    async with db.transaction() as tx:
        return await rows.by_mail(tx, mail.lower())


async def page(
    db: Database, caller: Caller, size: int, token: str | None, *, ids: Sequence[str] = (), invited: bool = False
) -> Page:
    """One page, newest first: of those ids where given, or of those who were invited."""
    async with db.transaction() as tx:
        return await rows.page(tx, caller.org_id, ids=ids, invited=invited, size=size, token=token)


async def update(db: Database, caller: Caller, id: str, body: Mapping[str, Any]) -> Record:
    """Change name, role or end of access; raises Conflict where nobody would be left who can administer."""
    given = CHANGE.check(body)
    if given.pop("permissionPolicy", None):
        raise Invalid(
            "user.permissions",
            "permissionPolicy cannot be set: what a user may do follows from the role.",
            f"Set role: {', '.join(ROLES)}.",
            "permissionPolicy",
        )

    async def work(tx: Tx) -> Record:
        record = await load(tx, users, caller.org_id, id, NOUN, lock=True)
        check_version(record, body)
        kept = {**record.body, **given}
        if "dtEndAccess" in body and body["dtEndAccess"] is None:
            kept.pop("dtEndAccess", None)
        end = _moment(kept.get("dtEndAccess"))
        if kept["role"] != Role.ADMINISTRATOR or ended(end, clock.now()):
            await _others_administer(tx, caller, record)
        changed = record.changed(clock.now(), caller.principal, body=kept, role=kept["role"], end_access=end)
        await records.save(tx, users, changed)
        return changed

    return await bulk.settle_races(db, work)


async def delete(db: Database, caller: Caller, id: str) -> Record:
    """Delete the user, whose sessions end; raises Conflict where nobody would be left who can administer."""

    async def work(tx: Tx) -> Record:
        record = await load(tx, users, caller.org_id, id, NOUN, lock=True)
        await _others_administer(tx, caller, record)
        await records.remove(tx, users, caller.org_id, id)
        return record

    # Two administrators who delete each other lock one another out; who is second is then the last.
    return await bulk.settle_races(db, work)


async def make_link(db: Database, settings: Settings, caller: Caller, id: str, purpose: Purpose) -> MadeLink:
    """A one-time link by which the user sets a new password, or signs in at once; earlier ones stop working."""
    async with db.transaction() as tx:
        user = await load(tx, users, caller.org_id, id, NOUN)
        return await _make_link(tx, settings, caller, user, purpose, LIFETIMES[purpose])


async def sessions(db: Database, caller: Caller, id: str) -> Sequence[Session]:
    """Where the user is signed in, newest first."""
    async with db.transaction() as tx:
        await load(tx, users, caller.org_id, id, NOUN)
        return await rows.sessions(tx, caller.org_id, id, clock.now())


async def end_sessions(
    db: Database, caller: Caller, id: str, session_id: str | None = None, *, but: str | None = None
) -> int:
    """Sign the user out there, or everywhere but in one session; answers of how many sessions."""
    async with db.transaction() as tx:
        await load(tx, users, caller.org_id, id, NOUN)
        count = await rows.end_sessions(tx, caller.org_id, id, clock.now(), id=session_id, but=but)
        if count:
            await audit.note(tx, caller, Action.END_SESSION, "User", id, after={"sessions": count})
        return count


def link_url(settings: Settings, token: str) -> str:
    """Where a one-time link leads."""
    return f"{settings.people_url}{LINK_PATH}{token}"


def ended(end_access: datetime | None, now: datetime) -> bool:
    """Whether access is over by now."""
    return end_access is not None and end_access <= now


def full_name(user: Record) -> str:
    return " ".join(user.body[name] for name in ("firstName", "lastName") if user.body.get(name))


def is_own(caller: Caller, id: str) -> bool:
    """Whether the caller is this user."""
    return caller.principal == f"{PRINCIPAL}{id}"


async def _make_link(
    tx: Tx, settings: Settings, caller: Caller, user: Record, purpose: Purpose, lifetime: timedelta
) -> MadeLink:
    token, now = new_token(), clock.now()
    until = now + lifetime
    await rows.put_link(tx, Link(user.org_id, user.id, purpose, hash_token(token), now, caller.principal, until))
    await audit.note(tx, caller, Action.MAKE_LINK, "User", user.id, after={"purpose": purpose, "expires": until})
    return MadeLink(user, purpose, link_url(settings, token), until)


async def _others_administer(tx: Tx, caller: Caller, record: Record) -> None:
    """Raises Conflict where a person would leave no person who administers. A service user that asks is left itself."""
    if record["role"] != Role.ADMINISTRATOR or not caller.principal.startswith(PRINCIPAL):
        return
    now = clock.now()
    administrators = await rows.lock_with_role(tx, caller.org_id, Role.ADMINISTRATOR)
    able = [
        each for each in administrators if (each["password"] or each["subject"]) and not ended(each["end_access"], now)
    ]
    if not [each for each in able if each.id != record.id]:
        raise Conflict(
            "user.last_administrator",
            f"{record['mail']} is the last administrator who can sign in.",
            "Make somebody else administrator first.",
        )


def _moment(value: str | None) -> datetime | None:
    """The moment; of a day its midnight in UTC."""
    if value is None:
        return None
    found = read_instant(value)
    if found is None and read_day(value):
        found = read_instant(f"{value[:10]}T00:00:00Z")
    return found


@dataclass(frozen=True, slots=True)
class Me:
    """Who asks, and in which organization: a user or a service user."""

    org_id: str
    org_name: str
    org_created_at: datetime
    user: Record | None
    service_user: Record | None


async def me(db: Database, caller: Caller) -> Me:
    """The caller."""
    kind, _, id = caller.principal.rpartition("USER_")
    async with db.transaction() as tx:
        name, made = await organizations.name_of(tx, caller.org_id), await organizations.created_at(tx, caller.org_id)
        service_user = await records.get(tx, service_users, caller.org_id, id) if kind else None
        user = None if kind else await records.get(tx, users, caller.org_id, id)
    assert name is not None
    assert made is not None
    return Me(caller.org_id, name, made, user, service_user)
