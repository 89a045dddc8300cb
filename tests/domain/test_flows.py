"""Requests, replies and idempotency keys as values."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tollbridge.domain.flows import Reply, Request, Subject, idempotency_key

REQUEST = Request("POST", "/v1/invoices", form=(("customer", "cus_1"),))
SUBJECT = Subject("Bill", "b1", 1, "invoice")


@pytest.mark.parametrize(("method", "writes"), [("GET", False), ("HEAD", False), ("POST", True), ("DELETE", True)])
def test_only_get_and_head_are_safe(method: str, writes: bool) -> None:
    assert replace(REQUEST, method=method).writes is writes


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, method="PUT"),
        replace(REQUEST, path="/v1/invoices/in_1"),
        replace(REQUEST, query=(("a", "b"),)),
        replace(REQUEST, form=(("customer", "cus_2"),)),
        replace(REQUEST, form=()),
        replace(REQUEST, form=None, json={"customer": "cus_1"}),
        replace(REQUEST, form=None, body=b"customer=cus_1"),
        replace(REQUEST, headers=(("Accept", "*/*"),)),
    ],
)
def test_the_hash_tells_different_requests_apart(other: Request) -> None:
    assert other.hash != REQUEST.hash


def test_the_hash_of_the_same_request_is_the_same() -> None:
    assert Request("POST", "/v1/invoices", form=(("customer", "cus_1"),)).hash == REQUEST.hash


def test_a_reply_reads_numbers_exactly() -> None:
    assert Reply(200, {}, b'{"price": 0.1000}')["price"] == Decimal("0.1000")


def test_a_reply_that_is_not_json_has_no_json() -> None:
    assert Reply(200, {}, b"<html>").json is None
    assert Reply(200, {}, b"\xff\xfe").json is None
    assert Reply(200, {}, b"").json is None


def test_a_made_reply_reads_back_as_the_value() -> None:
    reply = Reply.of({"id": "in_1", "total": Decimal("10.10")})
    assert reply.ok
    assert reply.json == {"id": "in_1", "total": Decimal("10.10")}


def test_the_key_of_one_effect_is_always_the_same() -> None:
    assert idempotency_key("t", SUBJECT, "invoice", 1) == idempotency_key("t", replace(SUBJECT), "invoice", 1)


@pytest.mark.parametrize(
    "other",
    [
        idempotency_key("u", SUBJECT, "invoice", 1),
        idempotency_key("t", replace(SUBJECT, entity_type="Account"), "invoice", 1),
        idempotency_key("t", replace(SUBJECT, entity_id="b2"), "invoice", 1),
        idempotency_key("t", replace(SUBJECT, version=2), "invoice", 1),
        idempotency_key("t", replace(SUBJECT, document="credit note"), "invoice", 1),
        idempotency_key("t", SUBJECT, "lines", 1),
        idempotency_key("t", SUBJECT, "invoice", 2),
        idempotency_key("t", replace(SUBJECT, entity_id="b", version=11), "invoice", 1),
    ],
)
def test_the_key_of_another_effect_is_another(other: str) -> None:
    assert other != idempotency_key("t", SUBJECT, "invoice", 1)


def test_a_key_fits_the_shortest_limit_of_the_vendors() -> None:
    key = idempotency_key("t" * 500, SUBJECT, "s" * 500, 12345)
    assert len(key) == 32
    assert set(key) <= set("0123456789abcdef")
