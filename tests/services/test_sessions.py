"""Signing in: with a password, by a link; what a session is; and what nobody learns by trying."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from tollbridge.domain.access import Role
from tollbridge.domain.errors import Conflict, Forbidden, Invalid, NotFound, Refusal, TooMany, Unauthenticated
from tollbridge.domain.people import MAIL, MAIL_FROM_ADDRESS, Purpose
from tollbridge.services import organizations, users
from tollbridge.services.caller import Caller
from tollbridge.services.sessions import Sessions
from tollbridge.settings import Settings
from tollbridge.store.db import Database

OWNER = Caller("org", "SYSTEM")
GOOD = "correct horse battery"
JANE = {"email": "Jane@Acme.example", "firstName": "Jane", "lastName": "Roe", "role": "operator"}
HERE, THERE = "192.0.2.1", "198.51.100.7"

Invite = Callable[..., Awaitable[str]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, public_url="https://bills.example/")


@pytest.fixture
async def sessions(db: Database, settings: Settings) -> Sessions:
    await organizations.create(db, "Acme", "org")
    return Sessions(db, b"k" * 32, settings)


@pytest.fixture
def invite(db: Database, settings: Settings, sessions: Sessions) -> Invite:
    """Somebody who accepted their invitation; answers their id."""

    async def make(**changes: Any) -> str:
        made = await users.invite(db, settings, OWNER, JANE | changes)
        await sessions.use_link(token_of(made.url), HERE, password=GOOD)
        return made.user.id

    return make


def token_of(url: str) -> str:
    return url.rpartition("/")[2]


async def everywhere(db: Database) -> str:
    """All that the database holds of people, as text."""
    tables = ("users", "user_links", "user_sessions", "sign_in_limits", "audit_log")
    return str([[dict(row) for row in await db.pool.fetch(f"SELECT * FROM {table}")] for table in tables])


async def test_an_invitation_is_accepted_once_and_signs_in(
    db: Database, settings: Settings, sessions: Sessions
) -> None:
    made = await users.invite(db, settings, OWNER, JANE)
    assert made.url.startswith("https://bills.example/console/links/")
    token = token_of(made.url)
    facts = await sessions.link(token)
    assert (facts.purpose, facts.mail, facts.name) == (Purpose.INVITATION, "jane@acme.example", "Jane Roe")
    session = await sessions.use_link(token, HERE, password=GOOD)
    assert await sessions.who(session) == Caller("org", f"USER_{made.user.id}", Role.OPERATOR)
    with pytest.raises(NotFound):
        await sessions.use_link(token, HERE, password=GOOD)
    assert await sessions.who(await sessions.sign_in(" JANE@acme.example", GOOD, HERE)) == await sessions.who(session)


async def test_tokens_and_passwords_are_kept_as_hashes_only(
    db: Database, settings: Settings, sessions: Sessions
) -> None:
    made = await users.invite(db, settings, OWNER, JANE)
    link = token_of(made.url)
    kept = await everywhere(db)
    session = await sessions.use_link(link, HERE, password=GOOD)
    kept += await everywhere(db)
    assert not [secret for secret in (link, session, GOOD) if secret in kept]
    assert kept.count("argon2id") == 1


async def test_a_newer_invitation_takes_the_place_of_the_older_until_one_is_accepted(
    db: Database, settings: Settings, sessions: Sessions
) -> None:
    first, second = [token_of((await users.invite(db, settings, OWNER, JANE)).url) for _ in range(2)]
    with pytest.raises(NotFound):
        await sessions.link(first)
    await sessions.use_link(second, HERE, password=GOOD)
    with pytest.raises(Conflict, match="already"):
        await users.invite(db, settings, OWNER, JANE)


async def test_a_link_ends_with_its_time(db: Database, settings: Settings, sessions: Sessions) -> None:
    token = token_of((await users.invite(db, settings, OWNER, JANE)).url)
    await db.pool.execute("UPDATE user_links SET expires_at = now() - interval '1 second'")
    with pytest.raises(NotFound):
        await sessions.use_link(token, HERE, password=GOOD)


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "jane@acme.example", "x" * 201, ""])
async def test_a_password_that_would_be_guessed_is_refused_and_the_link_still_works(
    db: Database, settings: Settings, sessions: Sessions, password: str
) -> None:
    token = token_of((await users.invite(db, settings, OWNER, JANE)).url)
    with pytest.raises(Invalid):
        await sessions.use_link(token, HERE, password=password)
    await sessions.use_link(token, HERE, password=GOOD)


async def test_a_refusal_is_the_same_whether_or_not_there_is_an_account(
    sessions: Sessions, invite: Invite, db: Database
) -> None:
    await invite()
    await users.create(db, OWNER, JANE | {"email": "new@acme.example"})
    told = set()
    for mail in ("jane@acme.example", "new@acme.example", "nobody@acme.example"):
        with pytest.raises(Unauthenticated) as refused:
            await sessions.sign_in(mail, "wrong horse battery", THERE)
        told.add((refused.value.code, refused.value.message, refused.value.hint))
    assert len(told) == 1


async def test_a_refusal_comes_at_a_beat_that_tells_nothing(sessions: Sessions) -> None:
    began = time.monotonic()
    with pytest.raises(Unauthenticated):
        await sessions.sign_in("nobody@acme.example", "wrong horse battery", HERE)
    assert time.monotonic() - began >= 0.25


async def try_in(sessions: Sessions, address: str, mail: str = "jane@acme.example", password: str = "wrong") -> str:
    try:
        await sessions.sign_in(mail, password, address)
    except Refusal as refusal:
        return type(refusal).__name__
    return "in"


async def test_tries_are_limited_for_a_mail_address_at_a_place_whether_or_not_it_exists(
    sessions: Sessions, invite: Invite
) -> None:
    await invite()
    for mail in ("jane@acme.example", "nobody@acme.example"):
        at_once = await asyncio.gather(*(try_in(sessions, THERE, mail) for _ in range(MAIL_FROM_ADDRESS.burst + 3)))
        assert sorted(set(at_once)) == ["TooMany", "Unauthenticated"]
        assert at_once.count("Unauthenticated") == MAIL_FROM_ADDRESS.burst
        assert await try_in(sessions, THERE, mail, GOOD) == "TooMany"
    assert await try_in(sessions, HERE, password=GOOD) == "in"


async def test_the_limit_passes_by_itself_however_often_it_is_run_into(
    sessions: Sessions, invite: Invite, db: Database
) -> None:
    await invite()
    for _ in range(MAIL_FROM_ADDRESS.burst):
        await try_in(sessions, THERE)
    with pytest.raises(TooMany, match="too many") as refused:
        await sessions.sign_in("jane@acme.example", GOOD, THERE)
    assert "seconds" in str(refused.value.hint)
    await db.pool.execute("UPDATE sign_in_limits SET refilled_at = refilled_at - interval '61 seconds'")
    assert await try_in(sessions, THERE, password=GOOD) == "in"


async def test_many_attackers_keep_nobody_out_of_where_they_usually_are(
    sessions: Sessions, invite: Invite, db: Database
) -> None:
    await invite()
    # As if it had been tried from everywhere; whose limit it is cannot be told from its key.
    for _ in range(2):
        assert await try_in(sessions, THERE) == "Unauthenticated"
    await db.pool.execute("UPDATE sign_in_limits SET tokens = 0 WHERE tokens > $1", float(MAIL.burst) - 5)
    assert await try_in(sessions, "203.0.113.9", password=GOOD) == "TooMany"
    assert await try_in(sessions, HERE, password=GOOD) == "in"


async def test_a_good_sign_in_uses_up_no_try(sessions: Sessions, invite: Invite) -> None:
    await invite()
    for _ in range(MAIL_FROM_ADDRESS.burst + 2):
        assert await try_in(sessions, HERE, password=GOOD) == "in"


async def test_an_ipv6_customer_is_one_place(sessions: Sessions) -> None:
    tries = [await try_in(sessions, f"2001:db8::{n}") for n in range(MAIL_FROM_ADDRESS.burst + 1)]
    assert tries[-1] == "TooMany"
    assert await try_in(sessions, "2001:db8:1::1") == "Unauthenticated"


async def test_a_session_ends_when_nothing_is_done_when_its_time_is_over_and_by_signing_out(
    sessions: Sessions, invite: Invite, db: Database
) -> None:
    await invite()
    idle, old, out = [await sessions.sign_in("jane@acme.example", GOOD, HERE) for _ in range(3)]
    before = (await sessions.visitor(idle)).session_id
    await db.pool.execute("UPDATE user_sessions SET seen_at = now() - interval '12 hours' WHERE id = $1", before)
    await db.pool.execute(
        "UPDATE user_sessions SET ends_at = now() WHERE id = $1", (await sessions.visitor(old)).session_id
    )
    await sessions.sign_out(out)
    for token in (idle, old, out, "made up"):
        with pytest.raises(Unauthenticated):
            await sessions.who(token)


async def test_to_be_here_keeps_a_session_alive(sessions: Sessions, invite: Invite, db: Database) -> None:
    await invite()
    token = await sessions.sign_in("jane@acme.example", GOOD, HERE)
    await db.pool.execute("UPDATE user_sessions SET seen_at = seen_at - interval '11 hours'")
    await sessions.who(token)
    await db.pool.execute("UPDATE user_sessions SET seen_at = seen_at - interval '11 hours'")
    await sessions.who(token)


async def test_signing_in_gives_another_token_and_ends_the_one_it_replaces(sessions: Sessions, invite: Invite) -> None:
    await invite()
    old = await sessions.sign_in("jane@acme.example", GOOD, HERE)
    new = await sessions.sign_in("jane@acme.example", GOOD, HERE, replacing=old)
    assert old != new
    with pytest.raises(Unauthenticated):
        await sessions.who(old)


async def test_sessions_are_listed_and_ended_one_by_one_or_all(
    sessions: Sessions, invite: Invite, db: Database
) -> None:
    id = await invite()
    token = await sessions.sign_in("jane@acme.example", GOOD, HERE, agent="Firefox")
    newest, _ = await users.sessions(db, OWNER, id)
    assert (newest.id, newest.agent, newest.way) == ((await sessions.visitor(token)).session_id, "Firefox", "password")
    assert await users.end_sessions(db, OWNER, id, newest.id) == 1
    with pytest.raises(Unauthenticated):
        await sessions.who(token)
    assert await users.end_sessions(db, OWNER, id) == 1
    assert await users.sessions(db, OWNER, id) == []


async def test_a_new_role_and_an_end_of_access_count_at_once(sessions: Sessions, invite: Invite, db: Database) -> None:
    id = await invite()
    token = await sessions.sign_in("jane@acme.example", GOOD, HERE)
    await users.update(db, OWNER, id, {"role": "viewer"})
    assert (await sessions.who(token)).role is Role.VIEWER
    await users.update(db, OWNER, id, {"dtEndAccess": "2026-01-01"})
    with pytest.raises(Unauthenticated):
        await sessions.who(token)
    assert await try_in(sessions, HERE, password=GOOD) == "Unauthenticated"
    await users.update(db, OWNER, id, {"dtEndAccess": None})
    assert await try_in(sessions, HERE, password=GOOD) == "in"


async def test_a_reset_sets_another_password_and_ends_all_sessions_and_links(
    sessions: Sessions, invite: Invite, db: Database, settings: Settings
) -> None:
    id = await invite()
    old = await sessions.sign_in("jane@acme.example", GOOD, HERE)
    sign_in = await users.make_link(db, settings, OWNER, id, Purpose.SIGN_IN)
    made = await users.make_link(db, settings, OWNER, id, Purpose.RESET)
    new = await sessions.use_link(token_of(made.url), HERE, password="other words entirely")
    assert (await sessions.who(new)).principal == f"USER_{id}"
    with pytest.raises(Unauthenticated):
        await sessions.who(old)
    with pytest.raises(NotFound):
        await sessions.use_link(token_of(sign_in.url), HERE)
    assert await try_in(sessions, HERE, password=GOOD) == "Unauthenticated"


async def test_a_link_is_mailed_to_who_forgot_the_password_and_to_nobody_else(
    sessions: Sessions, invite: Invite, db: Database, settings: Settings
) -> None:
    id = await invite()
    await users.invite(db, settings, OWNER, JANE | {"email": "never@acme.example"})
    mailing = Sessions(db, b"k" * 32, replace(settings, smtp_url="smtp://mail.example"))
    for mail in (" Jane@Acme.example ", "nobody@acme.example", "never@acme.example"):
        await mailing.forgotten(mail, HERE)
    [letter] = await db.pool.fetch("SELECT channel, recipient, content::text FROM outbox")
    assert tuple(letter) == ("link", "jane@acme.example", f'{{"userId": "{id}"}}')
    with pytest.raises(Conflict, match="No mail is sent from here"):
        await sessions.forgotten("jane@acme.example", HERE)


async def test_a_page_that_is_only_open_keeps_no_session_alive(
    sessions: Sessions, invite: Invite, db: Database
) -> None:
    await invite()
    token = await sessions.sign_in("jane@acme.example", GOOD, HERE)

    async def seen() -> datetime:
        await db.pool.execute("UPDATE user_sessions SET seen_at = seen_at - interval '10 minutes'")
        before = await db.pool.fetchval("SELECT max(seen_at) FROM user_sessions")
        return cast(datetime, before)

    before = await seen()
    await sessions.visitor(token, acts=False)
    assert await db.pool.fetchval("SELECT max(seen_at) FROM user_sessions") == before
    await sessions.visitor(token)
    assert await db.pool.fetchval("SELECT max(seen_at) FROM user_sessions") > before


async def test_a_password_is_changed_by_who_knows_the_present_one(sessions: Sessions, invite: Invite) -> None:
    await invite()
    other = await sessions.sign_in("jane@acme.example", GOOD, HERE)
    token = await sessions.sign_in("jane@acme.example", GOOD, HERE)
    with pytest.raises(Forbidden):
        await sessions.change_password(token, "wrong horse battery", "other words entirely")
    await sessions.change_password(token, GOOD, "other words entirely")
    await sessions.who(token)
    with pytest.raises(Unauthenticated):
        await sessions.who(other)


async def test_passwords_can_be_switched_off_and_the_machine_s_owner_still_gets_in(
    db: Database, settings: Settings, sessions: Sessions, invite: Invite
) -> None:
    id = await invite()
    closed = Sessions(db, b"k" * 32, replace(settings, local_sign_in=False))
    reset = await users.make_link(db, settings, OWNER, id, Purpose.RESET)
    for attempt in (
        closed.sign_in("jane@acme.example", GOOD, HERE),
        closed.use_link(token_of(reset.url), HERE, password=GOOD),
        closed.forgotten("jane@acme.example", HERE),
    ):
        with pytest.raises(Forbidden, match="switched off"):
            await attempt
    made = await users.make_link(db, settings, OWNER, id, Purpose.SIGN_IN)
    assert made.expires_at - made.user.updated_at < timedelta(hours=1)
    token = await closed.use_link(token_of(made.url), HERE)
    assert (await closed.who(token)).principal == f"USER_{id}"
    with pytest.raises(NotFound):
        await closed.use_link(token_of(made.url), HERE)


async def test_a_form_is_of_one_session(sessions: Sessions, invite: Invite) -> None:
    await invite()
    mine, other = [await sessions.sign_in("jane@acme.example", GOOD, HERE) for _ in range(2)]
    sessions.check_csrf(mine, sessions.csrf(mine))
    for given in (sessions.csrf(other), "", "ü"):
        with pytest.raises(Forbidden):
            sessions.check_csrf(mine, given)


async def test_the_last_administrator_can_neither_leave_nor_be_left_out(invite: Invite, db: Database) -> None:
    first = await invite(role="administrator")
    me = Caller("org", f"USER_{first}")
    for change in ({"role": "viewer"}, {"dtEndAccess": "2026-01-01"}):
        with pytest.raises(Conflict, match="last administrator"):
            await users.update(db, me, first, change)
    with pytest.raises(Conflict, match="last administrator"):
        await users.delete(db, me, first)
    # Who never signed in yet cannot administer.
    await users.create(db, OWNER, JANE | {"email": "new@acme.example", "role": "administrator"})
    with pytest.raises(Conflict):
        await users.delete(db, me, first)
    second = await invite(email="second@acme.example", role="administrator")
    both = (users.delete(db, Caller("org", f"USER_{id}"), id) for id in (first, second))
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["Conflict", "Record"]


async def test_a_mail_address_is_one_person_s_in_the_whole_installation(db: Database, invite: Invite) -> None:
    await invite()
    await organizations.create(db, "Other", "other")
    with pytest.raises(Conflict, match="mail address"):
        await users.create(db, Caller("other", "SYSTEM"), JANE)


async def test_sign_ins_are_in_the_audit_log(sessions: Sessions, invite: Invite, db: Database) -> None:
    id = await invite()
    token = await sessions.sign_in("jane@acme.example", GOOD, HERE)
    await try_in(sessions, THERE)
    await sessions.sign_out(token)
    rows = await db.pool.fetch("SELECT principal, action FROM audit_log WHERE entity = 'User' ORDER BY at, id")
    assert [row["action"] for row in rows] == [
        "CREATE", "MAKE_LINK", "SET_PASSWORD", "SIGN_IN", "SIGN_IN", "SIGN_IN_REFUSED", "SIGN_OUT",
    ]  # fmt: skip
    assert {row["principal"] for row in rows} == {"SYSTEM", f"USER_{id}", "ANONYMOUS"}
