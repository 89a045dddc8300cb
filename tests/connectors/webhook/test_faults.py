"""What answers of a receiver mean."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tollbridge.connectors.webhook.faults import classify
from tollbridge.domain.flows import Reply

ANSWERED = "Mon, 02 Nov 2026 08:00:00 GMT"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_answer_of_the_two_hundreds_is_success(status: int) -> None:
    assert classify(Reply(status, {}, b"anything")) is None


def test_a_failed_attempt_says_the_status_and_the_beginning_of_the_answer() -> None:
    fault = classify(Reply(500, {}, b"no room left " + b"x" * 20_000))
    assert fault is not None
    assert fault.code == "webhook.http_500"
    assert fault.message.startswith("The receiver answered 500: no room left xxx")
    assert len(fault.message) < 300


def test_an_answer_that_is_no_text_is_told_nevertheless() -> None:
    fault = classify(Reply(500, {}, b"\xff\xfe\x00"))
    assert fault is not None
    assert fault.message.startswith("The receiver answered 500: ")


def test_an_answer_without_body_is_told_by_its_status() -> None:
    fault = classify(Reply(503))
    assert fault is not None
    assert fault.message == "The receiver answered 503."


def test_gone_for_good_has_a_code_of_its_own() -> None:
    fault = classify(Reply(410))
    assert fault is not None
    assert fault.code == "webhook.gone"


def test_a_redirect_is_not_followed_but_explained() -> None:
    fault = classify(Reply(307, {"location": "https://other.example.com"}))
    assert fault is not None
    assert fault.code == "webhook.http_307"
    assert "URL" in fault.hint


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "30"}, timedelta(seconds=30)),
        ({"retry-after": "0"}, timedelta()),
        ({"retry-after": "Mon, 02 Nov 2026 08:00:45 GMT", "date": ANSWERED}, timedelta(seconds=45)),
        ({"retry-after": "Mon, 02 Nov 2026 07:59:00 GMT", "date": ANSWERED}, timedelta()),
        ({"retry-after": "Mon, 02 Nov 2026 08:00:45 GMT"}, None),
        ({"retry-after": "soon", "date": ANSWERED}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Mon, 99 Nov 2026 08:00:45 GMT", "date": ANSWERED}, None),
        ({"retry-after": "Mon, 02 Nov 2026 08:00:45", "date": ANSWERED}, None),
        ({}, None),
    ],
)
def test_the_wait_that_a_receiver_asks_for(headers: dict[str, str], wait: timedelta | None) -> None:
    fault = classify(Reply(429, headers))
    assert fault is not None
    assert fault.retry_after == wait
