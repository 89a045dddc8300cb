"""What letters about alerts say, and that nobody's words become anything but words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbridge.domain.alerts import AlertType, Severity, Told
from tollbridge.domain.letters import LONGEST_SUBJECT, Subject, chat, html, is_address, plain, subject_line

ABOUT = Subject(
    alert_id="0199-a",
    told=Told.OPENED,
    type=AlertType.RUN_FAILED,
    severity=Severity.ERROR,
    description="Stripe has no customer for the account Müller & Söhne.",
    remedy="Map the account.",
    count=3,
    opened_at=datetime(2026, 11, 1, 12, tzinfo=UTC),
    organization="Acme",
    integration="Invoices",
    link="https://tollbridge.example/console/alerts/0199-a",
)


def test_a_letter_says_what_is_wrong_what_to_do_and_where_to_look() -> None:
    assert subject_line(ABOUT) == "[Tollbridge] ERROR Invoices: runs fail"
    for text in (plain(ABOUT), html(ABOUT), chat(ABOUT)):
        assert "Map the account." in text
        assert ABOUT.link is not None
        assert ABOUT.link in text
    assert "tollbridge alerts show 0199-a" in plain(ABOUT)
    assert "Open since:   2026-11-01 12:00 UTC" in plain(ABOUT)


def test_a_letter_about_a_closed_alert_asks_for_nothing() -> None:
    closed = replace(ABOUT, told=Told.CLOSED)
    assert subject_line(closed) == "[Tollbridge] ERROR closed: Invoices: runs fail"
    assert not any("Map the account." in text for text in (plain(closed), html(closed), chat(closed)))


def test_what_is_opened_again_says_so() -> None:
    assert "again: Invoices" in subject_line(replace(ABOUT, told=Told.REOPENED))


def test_without_an_address_of_the_server_a_letter_names_the_command() -> None:
    bare = replace(ABOUT, link=None)
    assert "href" not in html(bare)
    assert chat(bare).endswith("tollbridge alerts show 0199-a")


def test_names_are_escaped_in_html_and_in_chats() -> None:
    evil = replace(ABOUT, integration="<script>alert(1)</script>", description="<!channel> & <b>")
    assert "<script" not in html(evil)
    assert "<b>" not in html(evil)
    assert "&lt;!channel&gt; &amp; &lt;b&gt;" in chat(evil)


@given(st.text(max_size=400), st.text(max_size=400))
def test_no_name_can_end_the_subject(integration: str, organization: str) -> None:
    line = subject_line(replace(ABOUT, integration=integration or None, organization=organization))
    assert len(line) <= LONGEST_SUBJECT
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("text", ["ops@example.org", "first.last+tag@mail.example.co.uk", "root@localhost"])
def test_plain_addresses_are_addresses(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ops",
        "@example.org",
        "a@b@c",
        "Ops <ops@example.org>",
        "ops@example.org, thief@example.org",
        "ops@example.org\r\nBcc: thief@example.org",
        "ops@example.org\n",
        "ö@example.org",
        "a" * 65 + "@example.org",
        "a@" + "b." * 130 + "org",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert not is_address(text)
