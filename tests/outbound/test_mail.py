"""Mail against real servers on the loopback address."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.outbound.post_office import PASSWORD, USER, certificate, post_office
from tollbridge.outbound.mail import Mail, Mailer, NotSent
from tollbridge.settings import Settings

MAIL = Mail(
    id="0199-1",
    thread="0199-alert",
    recipient="ops@example.org",
    subject="Überfällig: Rechnung",
    text="Grüße",
    html="<p>Grüße</p>",
    at=datetime(2026, 11, 1, 12, tzinfo=UTC),
)
LOGIN = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@"


def mailer(port: int, *, scheme: str = "smtp+plain", login: str = "", ca_file: str = "", sender: str = "") -> Mailer:
    url = f"{scheme}://{login}127.0.0.1:{port}"
    environ = {"TOLLBRIDGE_SMTP_URL": url, "TOLLBRIDGE_CA_FILE": ca_file, "TOLLBRIDGE_MAIL_FROM": sender}
    return Mailer(Settings.read(environ))


async def test_a_mail_arrives_as_text_and_html_with_an_id_that_stays_the_same() -> None:
    async with post_office() as office:
        sending = mailer(office.port, sender="Tollbridge Zürich <bills@acme.example>")
        assert await sending.send(MAIL) is None
        assert await sending.send(MAIL) is None
    first, again = office.mails
    assert first["Message-ID"] == again["Message-ID"] == "<0199-1@acme.example>"
    assert (first["Subject"], first["To"], first["Auto-Submitted"]) == (
        MAIL.subject,
        MAIL.recipient,
        "auto-generated",
    )
    assert first["From"] == "Tollbridge Zürich <bills@acme.example>"
    assert first["References"] == "<0199-alert@acme.example>"
    text, html = (first.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert text.get_content().strip() == "Grüße"
    assert html.get_content().strip() == "<p>Grüße</p>"


@pytest.mark.parametrize(("scheme", "at_once"), [("smtp", False), ("smtps", True)])
async def test_with_tls_user_and_password_go_over_an_encrypted_connection_only(
    tmp_path: Path, scheme: str, at_once: bool
) -> None:
    context, trusted = certificate(tmp_path)
    async with post_office(context, at_once=at_once, sign_in=True) as office:
        sending = mailer(office.port, scheme=scheme, login=LOGIN, ca_file=str(trusted))
        assert await sending.probe() is None
        assert await sending.send(MAIL) is None
    assert office.encrypted == [True]
    assert office.recipients == [MAIL.recipient]


async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(tmp_path: Path) -> None:
    context, _ = certificate(tmp_path)
    async with post_office(context, sign_in=True) as office:
        failed = await mailer(office.port, scheme="smtp", login=LOGIN).send(MAIL)
    assert failed is not None
    assert "certificate" in failed.reason
    assert not failed.final
    assert office.mails == []


async def test_a_certificate_for_another_host_is_not_accepted(tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path, host="192.0.2.1")
    async with post_office(context) as office:
        failed = await mailer(office.port, scheme="smtp", ca_file=str(trusted)).probe()
    assert failed is not None
    assert "127.0.0.1" in failed.reason


async def test_a_server_without_starttls_gets_no_mail_where_encryption_is_asked_for() -> None:
    async with post_office() as office:
        failed = await mailer(office.port, scheme="smtp").send(MAIL)
    assert failed is not None
    assert "STARTTLS" in failed.reason
    assert office.mails == []


async def test_a_wrong_password_is_told_without_it(tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path)
    async with post_office(context, sign_in=True) as office:
        failed = await mailer(office.port, scheme="smtp", login="me:hush@", ca_file=str(trusted)).probe()
    assert failed is not None
    assert "535" in failed.reason
    assert "hush" not in failed.reason


@pytest.mark.parametrize(("answer", "final"), [("450 4.2.1 later", False), ("550 5.1.1 nobody", True)])
@pytest.mark.parametrize("stage", ["recipient", "data"])
async def test_a_refusal_says_whether_it_is_for_good(answer: str, final: bool, stage: str) -> None:
    async with post_office() as office:
        if stage == "recipient":
            office.refusals[MAIL.recipient] = [answer]
        else:
            office.data_refusals = [answer]
        sending = mailer(office.port)
        failed = await sending.send(MAIL)
        assert failed == NotSent(f"the mail server answered {answer}", final)
        assert await sending.send(MAIL) is None


async def test_a_server_that_is_away_is_tried_later() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        failed = await mailer(taken.getsockname()[1]).send(MAIL)
    assert failed is not None
    assert not failed.final


async def test_a_server_that_is_no_mail_server_is_tried_later() -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xff no greeting\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        failed = await mailer(server.sockets[0].getsockname()[1]).send(MAIL)
    assert failed is not None
    assert not failed.final


async def test_a_subject_that_would_begin_another_header_is_refused_for_good() -> None:
    async with post_office() as office:
        failed = await mailer(office.port).send(replace(MAIL, subject="a\r\nBcc: thief@example.org"))
        assert failed is not None
        assert failed.final
    assert office.mails == []


def test_the_password_is_in_no_printed_form() -> None:
    environ = {"TOLLBRIDGE_SMTP_URL": f"smtps://{LOGIN}mail.example.org"}
    settings = Settings.read(environ)
    printed = repr(settings) + repr(vars(Mailer)) + repr(Mailer(settings))
    assert quote(PASSWORD, safe="") not in printed
    assert PASSWORD not in printed
