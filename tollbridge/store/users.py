"""Rows of people, of their one-time links and of their sessions. Of tokens only hashes are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, exists, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tollbridge.store import records
from tollbridge.store.db import Connection, Tx
from tollbridge.store.records import Page, Record
from tollbridge.store.schema import user_links, user_sessions, users


async def by_mail(tx: Tx, mail: str, *, lock: bool = False) -> Record | None:
    """The person with this mail address, in whatever organization."""
    return await _one(tx, users.c.mail == mail, lock=lock)


async def by_subject(tx: Tx, subject: str) -> Record | None:
    """The person whom single sign-on knows by this subject, locked."""
    return await _one(tx, users.c.subject == subject, lock=True)


async def _one(tx: Tx, condition: ColumnElement[bool], *, lock: bool) -> Record | None:
    query = select(users).where(condition)
    row = (await tx.execute(query.with_for_update() if lock else query)).first()
    return records.read(users, row) if row else None


async def page(
    tx: Tx, org_id: str, *, ids: Sequence[str] = (), invited: bool = False, size: int, token: str | None
) -> Page:
    """One page of people: of those ids where given, or of those who were invited."""
    conditions = ([users.c.id.in_(ids)] if ids else []) + ([users.c.invited_until.is_not(None)] if invited else [])
    return await records.page(tx, users, org_id, conditions, size=size, token=token)


async def known(tx: Tx, org_id: str, ids: Sequence[str]) -> set[str]:
    """Those of the ids that are people of the organization."""
    query = select(users.c.id).where(users.c.org_id == org_id, users.c.id.in_(ids))
    return set((await tx.execute(query)).scalars())


async def lock_with_role(tx: Tx, org_id: str, role: str) -> list[Record]:
    """Everyone of that role, locked: two who leave it at the same moment wait for each other."""
    query = select(users).where(users.c.org_id == org_id, users.c.role == role).order_by(users.c.id).with_for_update()
    return [records.read(users, row) for row in await tx.execute(query)]


@dataclass(frozen=True, slots=True)
class Link:
    """A one-time link of a person; a newer one for the same purpose takes its place."""

    org_id: str
    user_id: str
    purpose: str
    token_hash: bytes
    created_at: datetime
    created_by: str
    expires_at: datetime


async def put_link(tx: Tx, link: Link) -> None:
    values = asdict(link)
    await tx.execute(
        upsert(user_links)
        .values(values)
        .on_conflict_do_update(index_elements=list(user_links.primary_key), set_=values)
    )


async def link(tx: Tx, token_hash: bytes, *, lock: bool = False) -> Link | None:
    """The link, whether or not its time is over."""
    query = select(user_links).where(user_links.c.token_hash == token_hash)
    row = (await tx.execute(query.with_for_update() if lock else query)).first()
    return Link(**row._mapping) if row else None


async def drop_links(tx: Tx, org_id: str, user_id: str, purposes: Sequence[str]) -> None:
    """Make the person's links for these purposes useless."""
    c = user_links.c
    await tx.execute(delete(user_links).where(c.org_id == org_id, c.user_id == user_id, c.purpose.in_(purposes)))


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in: by which way, from where, with what program. It is over at `ends_at`."""

    id: str
    org_id: str
    user_id: str
    token_hash: bytes
    way: str
    address: str
    agent: str
    created_at: datetime
    seen_at: datetime
    ends_at: datetime


async def add_session(tx: Tx, session: Session) -> None:
    await tx.execute(insert(user_sessions).values(asdict(session)))


async def session(tx: Tx, token_hash: bytes) -> tuple[Session, Record] | None:
    """The session and its person."""
    row = (await tx.execute(select(user_sessions).where(user_sessions.c.token_hash == token_hash))).first()
    if row is None:
        return None
    found = Session(**row._mapping)
    person = await records.get(tx, users, found.org_id, found.user_id)
    return (found, person) if person else None


async def see(tx: Tx, id: str, at: datetime) -> None:
    await tx.execute(update(user_sessions).where(user_sessions.c.id == id).values(seen_at=at))


async def sessions(tx: Tx, org_id: str, user_id: str, now: datetime) -> list[Session]:
    """The person's sessions that are not over, newest first."""
    c = user_sessions.c
    query = select(user_sessions).where(c.org_id == org_id, c.user_id == user_id, c.ends_at > now)
    return [Session(**row._mapping) for row in await tx.execute(query.order_by(c.created_at.desc(), c.id.desc()))]


async def end_sessions(
    tx: Tx, org_id: str, user_id: str, now: datetime, *, id: str | None = None, but: str | None = None
) -> int:
    """End the one session, or all of the person but one; answers how many were not over."""
    c = user_sessions.c
    conditions = [c.org_id == org_id, c.user_id == user_id, c.ends_at > now]
    conditions += [c.id == id] if id else []
    conditions += [c.id != but] if but else []
    return (await tx.execute(update(user_sessions).where(*conditions).values(ends_at=now))).rowcount


async def was_at(tx: Tx, org_id: str, user_id: str, address: str, since: datetime) -> bool:
    """Whether the person was signed in from this address since then."""
    c = user_sessions.c
    query = exists().where(c.org_id == org_id, c.user_id == user_id, c.address == address, c.created_at >= since)
    return bool((await tx.execute(select(query))).scalar())


async def forget(connection: Connection, now: datetime, known_for: timedelta) -> None:
    """Delete what is of no use any more: links and unfinished sign-ins whose time is over, sessions that tell no
    longer where a person is known, limits that are full again."""
    await connection.execute("DELETE FROM user_links WHERE expires_at < $1", now)
    await connection.execute("DELETE FROM sso_sign_ins WHERE expires_at < $1", now)
    await connection.execute("DELETE FROM user_sessions WHERE ends_at < $1", now - known_for)
    await connection.execute("DELETE FROM sign_in_limits WHERE refilled_at < $1", now - timedelta(days=1))
