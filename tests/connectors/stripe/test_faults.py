"""What Stripe's refusals become."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tollbridge.connectors.stripe.faults import classify, replayed
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Reply


def fault_of(status: int, headers: dict[str, str] | None = None, **error: Any) -> Fault:
    fault = classify(Reply(status, headers or {}, json.dumps({"error": error}).encode()))
    assert fault is not None
    return fault


@pytest.mark.parametrize(
    ("status", "error", "kind", "code"),
    [
        (400, {"code": "resource_missing", "param": "customer"}, FaultKind.UNMAPPED, "resource_missing"),
        (404, {"code": "resource_missing", "message": "No such customer: 'c'"}, FaultKind.UNMAPPED, "resource_missing"),
        (404, {"code": "resource_missing", "param": "id"}, FaultKind.INVALID, "resource_missing"),
        (400, {"code": "invoice_not_editable"}, FaultKind.INVALID, "invoice_not_editable"),
        (400, {"message": "Missing email. In order to …"}, FaultKind.INVALID, "missing_email"),
        (400, {"type": "idempotency_error"}, FaultKind.INVALID, "idempotency_error"),
        (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}, FaultKind.UNAVAILABLE, None),
        (409, {}, FaultKind.UNAVAILABLE, "conflict"),
        (429, {"code": "lock_timeout"}, FaultKind.UNAVAILABLE, "lock_timeout"),
        (400, {"code": "lock_timeout"}, FaultKind.UNAVAILABLE, "lock_timeout"),
        (429, {"code": "rate_limit"}, FaultKind.RATE_LIMITED, "rate_limit"),
        (429, {}, FaultKind.RATE_LIMITED, "rate_limit"),
        (401, {"message": "Invalid API Key"}, FaultKind.UNAUTHORIZED, "unauthorized"),
        (401, {"code": "api_key_expired"}, FaultKind.UNAUTHORIZED, "api_key_expired"),
        (403, {}, FaultKind.UNAUTHORIZED, "forbidden"),
        (500, {"type": "api_error"}, FaultKind.UNAVAILABLE, "unavailable"),
        (400, {"type": "api_error"}, FaultKind.UNAVAILABLE, "unavailable"),
        (402, {"type": "card_error", "code": "card_declined"}, FaultKind.INVALID, "card_declined"),
        (400, {"code": "customer_tax_location_invalid"}, FaultKind.INVALID, "customer_tax_location_invalid"),
    ],
)
def test_a_refusal_becomes_its_fault(status: int, error: dict[str, Any], kind: FaultKind, code: str | None) -> None:
    fault = fault_of(status, **error)
    assert fault.kind is kind
    assert fault.code == f"stripe.{code or error['code']}"
    assert fault.hint.endswith(".")


def test_an_unknown_code_is_not_tried_again_and_keeps_the_words_of_stripe() -> None:
    fault = fault_of(400, {"request-id": "req_1"}, code="brand_new", message="Odd.", param="lines[0]")
    assert fault.kind is FaultKind.INVALID
    assert fault.message == "Stripe answered 400 (unknown brand_new) lines[0]: Odd. [req_1]"


def test_a_parameter_that_people_set_has_a_hint_of_its_own() -> None:
    assert "documentDate" in fault_of(400, param="effective_at", message="too far").hint
    assert "due" in fault_of(400, code="parameter_invalid_integer", param="due_date").hint


@pytest.mark.parametrize(("header", "wait"), [("7", timedelta(seconds=7)), ("soon", None), ("-1", None)])
def test_the_wait_that_stripe_asks_for_is_kept(header: str, wait: timedelta | None) -> None:
    assert fault_of(429, {"retry-after": header}).retry_after == wait


def test_stripe_may_ask_for_another_try_of_what_would_end() -> None:
    assert fault_of(400, {"stripe-should-retry": "true"}, code="new").kind is FaultKind.UNAVAILABLE
    assert fault_of(400, {"stripe-should-retry": "true"}, code="url_invalid").kind is FaultKind.UNAVAILABLE


def test_stripe_may_forbid_another_try_but_not_a_look() -> None:
    forbidden = {"stripe-should-retry": "false"}
    assert fault_of(409, forbidden).kind is FaultKind.INVALID
    assert fault_of(429, forbidden, code="lock_timeout").kind is FaultKind.INVALID
    assert fault_of(429, forbidden).kind is FaultKind.RATE_LIMITED
    assert fault_of(500, forbidden, type="api_error").kind is FaultKind.UNAVAILABLE


@pytest.mark.parametrize("status", [200, 301, 400, 404])
@pytest.mark.parametrize("body", [b"<html>proxy</html>", b"", b"[1]", b"\xff"])
def test_what_is_not_json_of_stripe_is_garbage(status: int, body: bytes) -> None:
    fault = classify(Reply(status, {}, body))
    assert fault is not None
    assert fault.code == "stripe.garbage"
    assert fault.kind is FaultKind.UNAVAILABLE


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, FaultKind.UNAUTHORIZED), (429, FaultKind.RATE_LIMITED), (502, FaultKind.UNAVAILABLE)],
)
def test_a_status_that_says_enough_needs_no_body(status: int, kind: FaultKind) -> None:
    fault = classify(Reply(status, {}, b"<html>"))
    assert fault is not None
    assert fault.kind is kind


def test_a_good_reply_is_no_fault() -> None:
    assert classify(Reply.of({"id": "in_1"})) is None


def test_a_replayed_reply_is_known() -> None:
    assert replayed(Reply(200, {"idempotent-replayed": "true"}))
    assert not replayed(Reply(200, {}))
