"""Who is told, and that each is told once: with a real database, a real mail server and a real chat on the loopback."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from tests.outbound.post_office import post_office
from tests.outbound.servers import serving
from tests.services.test_alerts import WRONG, fail
from tests.services.world import CALLER, ORG, World
from tollbridge.domain.alerts import Alert, AlertType, Severity
from tollbridge.engine.lookout import Lookout
from tollbridge.outbound.http import Http
from tollbridge.services import alerts, clock, telling, users, watching
from tollbridge.services.sessions import Sessions
from tollbridge.settings import Settings
from tollbridge.store import outbox
from tollbridge.store.db import Database, connected
from tollbridge.store.outbox import Letter, LetterState

ALERT = Alert(ORG, AlertType.RUN_FAILED, "cause", Severity.ERROR, "It failed.", "Mend it.", integration_id="int")


@pytest.fixture
async def world(db: Database) -> World:
    """At the present moment, with an integration that tells somebody."""
    world = World(db, now=clock.now())
    await world.begin("a", "b")
    await world.add_integration(notifyEmails=["finance@example.org", "OPS@example.org"])
    return world


def settings(port: int, chat: str = "") -> Settings:
    return Settings.read(
        {
            "TOLLBRIDGE_SMTP_URL": f"smtp+plain://127.0.0.1:{port}",
            "TOLLBRIDGE_ALERT_MAIL": "ops@example.org",
            "TOLLBRIDGE_ALERT_WEBHOOK": chat,
            "TOLLBRIDGE_PUBLIC_URL": "https://tollbridge.example",
        }
    )


async def raised(world: World, *found: Alert) -> str:
    async with world.db.hot() as connection:
        await alerts.raise_alerts(connection, found or [ALERT], clock.now())
        return str(await connection.fetchval("SELECT id FROM alerts ORDER BY created_at DESC LIMIT 1"))


async def tell(world: World, given: Settings) -> None:
    async with Http(given) as http:
        await Lookout(given, world.db, http).tell()


async def letters(world: World, alert_id: str) -> Sequence[Letter]:
    return (await alerts.retrieve(world.db, CALLER, alert_id)).letters


async def make_due(world: World) -> None:
    await world.db.pool.execute("UPDATE outbox SET due_at = now() - interval '1 second' WHERE state = 'waiting'")


async def test_from_a_failed_run_to_the_mail_with_a_link_to_everybody_who_is_to_know_once(world: World) -> None:
    async with post_office() as office:
        await fail(world, "one", WRONG)
        await fail(world, "two", WRONG)
        await tell(world, settings(office.port))
    assert sorted(address.lower() for address in office.recipients) == ["finance@example.org", "ops@example.org"]
    mail = office.mails[0]
    assert mail["Subject"] == "[Tollbridge] ERROR int: runs fail"
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    (row,) = await world.rows("SELECT id FROM alerts")
    assert WRONG.message in text
    assert f"https://tollbridge.example/console/alerts/{row['id']}" in text
    assert [letter.state for letter in await letters(world, row["id"])] == [LetterState.SENT] * 2


async def test_who_forgot_their_password_is_mailed_a_link_that_works_and_stands_nowhere(world: World) -> None:
    async with post_office() as office:
        given = settings(office.port)
        invited = await users.invite(
            world.db, given, CALLER, {"email": "jane@example.org", "firstName": "Jane", "lastName": "Roe"}
        )
        sessions = Sessions(world.db, b"k" * 32, given)
        await sessions.use_link(invited.url.rpartition("/")[2], "192.0.2.1", password="correct horse battery")
        await sessions.forgotten("jane@example.org", "192.0.2.1")
        await tell(world, given)
    [mail] = office.mails
    assert (mail["To"], mail["Subject"]) == ("jane@example.org", "[Tollbridge] A new password")
    bodies = [mail.get_body((kind,)) for kind in ("plain", "html")]
    texts = [body.get_content() for body in bodies if body is not None]
    found = [re.findall(r"https://tollbridge\.example/console/links/([\w-]+)", text) for text in texts]
    assert found[0] == found[1]
    [token] = found[0]
    (row,) = await world.rows("SELECT state, content::text FROM outbox")
    assert row["state"] == LetterState.SENT
    assert token not in row["content"]
    await sessions.use_link(token, "192.0.2.1", password="other words entirely")


async def test_opened_closed_and_opened_again_are_three_mails_of_one_thread(world: World) -> None:
    async with post_office() as office:
        given = settings(office.port)
        for _ in range(2):
            await raised(world)
            await tell(world, given)
            async with world.db.hot() as connection:
                await alerts.resolve(connection, ORG, "cause", clock.now(), "it is well.")
            await tell(world, given)
    mine = [mail for mail in office.mails if mail["To"] == "finance@example.org"]
    assert [str(mail["Subject"]).partition("ERROR ")[2] for mail in mine] == [
        "int: runs fail",
        "closed: int: runs fail",
        "again: int: runs fail",
        "closed: int: runs fail",
    ]
    assert len({mail["References"] for mail in mine}) == 1
    assert len({mail["Message-ID"] for mail in office.mails}) == len(office.mails)


async def test_of_several_processes_that_race_one_sends_each_mail(world: World) -> None:
    async with post_office() as office:
        for number in range(10):
            await raised(world, replace(ALERT, cause=f"cause {number}"))

        async def one() -> None:
            async with connected(world.db.dsn) as db, Http(settings(office.port)) as http:
                await Lookout(settings(office.port), db, http).tell()

        await asyncio.gather(*(one() for _ in range(4)))
    assert len(office.mails) == 20
    assert len({mail["Message-ID"] for mail in office.mails}) == 20


async def test_what_a_killed_process_had_claimed_goes_out_later_under_the_same_id(world: World) -> None:
    alert_id = await raised(world)
    async with post_office() as office:
        given = replace(settings(office.port), alert_mail=())
        await telling.address(world.db, given)
        claimed = await telling.claim(world.db, clock.now())
        await tell(world, given)
        assert office.mails == []
        later = await telling.claim(world.db, clock.now() + telling.LEASE)
        assert [letter.id for letter in later] == [letter.id for letter in claimed]
        await telling.sent(world.db, claimed[0], clock.now())
        assert {letter.state for letter in await letters(world, alert_id)} == {LetterState.WAITING}, "too late"
        await make_due(world)
        await tell(world, given)
    assert {str(mail["Message-ID"]) for mail in office.mails} == {f"<{letter.id}@127.0.0.1>" for letter in claimed}


async def test_a_refusal_for_now_is_tried_again_and_one_for_good_is_kept_for_people(world: World) -> None:
    alert_id = await raised(world)
    async with post_office() as office:
        office.refusals = {"ops@example.org": ["451 busy"], "finance@example.org": ["550 nobody here"]}
        office.refusals["OPS@example.org"] = office.refusals["ops@example.org"]
        given = settings(office.port)
        await tell(world, given)
        assert office.mails == []
        await make_due(world)
        await tell(world, given)
        await make_due(world)
        await tell(world, given)
    assert [address.lower() for address in office.recipients] == ["ops@example.org"]
    found = {letter.recipient.lower(): letter for letter in await letters(world, alert_id)}
    assert (found["ops@example.org"].state, found["ops@example.org"].attempts) == (LetterState.SENT, 2)
    refused = found["finance@example.org"]
    assert (refused.state, refused.attempts) == (LetterState.REFUSED, 1)
    notes = (await alerts.retrieve(world.db, CALLER, alert_id)).notes
    assert [note.text for note in notes] == [
        "finance@example.org could not be told: the mail server answered 550 nobody here"
    ]
    async with world.db.hot() as connection:
        standing = await outbox.standing(connection, world.now)
    assert (standing.waiting, standing.refused) == (0, 1)


async def test_a_mail_server_that_is_away_is_waited_for_and_at_last_given_up(world: World) -> None:
    alert_id = await raised(world)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        given = settings(taken.getsockname()[1])
        await tell(world, given)
        waiting = await letters(world, alert_id)
        assert {letter.state for letter in waiting} == {LetterState.WAITING}
        assert all(letter.error and "mail server" in letter.error for letter in waiting)
        await world.db.pool.execute("UPDATE outbox SET created_at = created_at - $1::interval", telling.LONGEST_TRIED)
        await make_due(world)
        await tell(world, given)
    assert {letter.state for letter in await letters(world, alert_id)} == {LetterState.REFUSED}


async def test_the_server_is_back_and_what_waited_goes_out(world: World) -> None:
    await raised(world)
    async with post_office() as office:
        port = office.port
    await tell(world, settings(port))
    async with post_office(port=port) as office:
        await make_due(world)
        await tell(world, settings(port))
    assert len(office.mails) == 2


async def test_names_and_words_of_others_neither_end_a_header_nor_become_html(world: World) -> None:
    evil = 'Übung\r\nBcc: thief@example.org\r\n\r\n<script>alert("1")</script>'
    await world.change("integrations", "int", name=evil)
    await raised(world, replace(ALERT, description=f"Stripe says: {evil}"))
    async with post_office() as office:
        await tell(world, settings(office.port))
    mail = office.mails[0]
    assert mail["Bcc"] is None
    assert "thief@example.org" not in office.recipients
    assert str(mail["Subject"]).startswith("[Tollbridge] ERROR Übung Bcc: thief@example.org")
    page = mail.get_body(("html",))
    assert page is not None
    assert "<script" not in page.get_content()


async def test_an_address_that_is_none_is_refused_without_asking_the_server(world: World) -> None:
    await world.change(
        "integrations", "int", body={"configData": {"notifyEmails": ["a@b\r\nRCPT TO:<c@d>", "ö@x.org"]}}
    )
    alert_id = await raised(world)
    async with post_office() as office:
        await tell(world, settings(office.port))
    assert office.recipients == ["ops@example.org"]
    refused = [letter for letter in await letters(world, alert_id) if letter.state is LetterState.REFUSED]
    assert [letter.error for letter in refused] == ["that is no mail address"] * 2


async def test_where_nothing_is_configured_nothing_is_kept(world: World) -> None:
    alert_id = await raised(world)
    await tell(world, Settings())
    assert await letters(world, alert_id) == []
    assert await world.db.pool.fetchval("SELECT count(*) FROM outbox") == 0


@dataclass
class Chat:
    """A chat's incoming webhook, and what it answers, one after the other."""

    answers: list[int] = field(default_factory=list)
    said: list[Any] = field(default_factory=list)
    url: str = ""

    async def __call__(self, request: web.Request) -> web.Response:
        body = json.loads(await request.text())
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            self.said.append(body)
        return web.Response(status=status)


@asynccontextmanager
async def chatting(*answers: int) -> AsyncIterator[Chat]:
    chat = Chat(list(answers))
    async with serving(chat) as url:
        chat.url = f"{url}/services/secret"
        yield chat


@pytest.mark.parametrize(
    ("answers", "said", "state"), [((), 1, "sent"), ((503, 429), 1, "sent"), ((404,), 0, "refused")]
)
async def test_a_chat_is_told_the_same(world: World, answers: tuple[int, ...], said: int, state: str) -> None:
    alert_id = await raised(world, replace(ALERT, description="<!channel> Müller & Co"))
    async with chatting(*answers) as chat:
        given = replace(settings(1, chat.url), smtp_url="")
        for _ in range(3):
            await tell(world, given)
            await make_due(world)
    assert len(chat.said) == said
    assert [(letter.channel, letter.state) for letter in await letters(world, alert_id)] == [("chat", state)]
    assert "secret" not in str(await letters(world, alert_id))
    if said:
        assert list(chat.said[0]) == ["text"]
        assert "&lt;!channel&gt; Müller &amp; Co" in chat.said[0]["text"]


async def test_what_was_sent_is_forgotten_after_a_while_and_what_waits_is_not(world: World) -> None:
    await raised(world)
    async with post_office() as office:
        await tell(world, settings(office.port))
    await raised(world, replace(ALERT, cause="other"))
    await telling.forget(world.db, clock.now() + timedelta(seconds=1))
    rows = await world.rows("SELECT state, channel FROM outbox")
    assert [tuple(row) for row in rows] == [("waiting", "notice")]


async def test_a_process_that_lives_looks_and_tells_by_itself(world: World) -> None:
    await world.send("one", "a")
    await world.db.pool.execute("UPDATE runs SET due_at = due_at - interval '1 hour'")
    async with post_office() as office, Http(settings(office.port)) as http:
        process = asyncio.create_task(Lookout(settings(office.port), world.db, http).run())
        while len(office.mails) < 1:
            assert not process.done()
            await asyncio.sleep(0.05)
        process.cancel()
    assert office.mails[0]["Subject"] == "[Tollbridge] ERROR Tollbridge: the queue does not move"
    assert not await watching.watch(world.db, Settings(), clock.now()), "the process has looked"
