"""The credential and the options: what is taken, and what is refused with a way out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from tollbridge.connectors import stripe
from tollbridge.connectors.base import Sending, System, read_credential
from tollbridge.connectors.stripe.config import StripeCredential, StripeOptions
from tollbridge.domain.flows import Request


@pytest.mark.parametrize(
    ("system", "key"),
    [(stripe.LIVE, "sk_live_1"), (stripe.LIVE, "rk_live_1"), (stripe.TEST, "sk_test_1"), (stripe.TEST, "rk_test_1")],
)
def test_a_key_of_the_mode_is_taken(system: System, key: str) -> None:
    credential = read_credential(stripe.connector, system, {"apiKey": key})
    assert isinstance(credential, StripeCredential)
    assert credential.api_key.get_secret_value() == key
    assert key not in repr(credential)


@pytest.mark.parametrize(
    ("system", "key", "why"),
    [
        (stripe.LIVE, "sk_test_1", r"a test key, but the credential is for Stripe; use a live key"),
        (stripe.TEST, "rk_live_1", r"a live key, but the credential is for Stripe \(Test mode\); use a test key"),
        (stripe.TEST, "pk_test_1", "a publishable key"),
        (stripe.TEST, " sk_test_1", "white space"),
        (stripe.TEST, "hello", "its form is unknown"),
    ],
)
def test_a_wrong_key_is_refused_with_the_reason_and_not_repeated(system: System, key: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why) as refused:
        read_credential(stripe.connector, system, {"apiKey": key})
    assert key.strip() not in str(refused.value)


def test_a_connected_account_looks_like_one() -> None:
    with pytest.raises(ValidationError, match="stripeAccount"):
        read_credential(stripe.connector, stripe.TEST, {"apiKey": "sk_test_1", "stripeAccount": "cus_1"})


def headers_of(request: Request, credential: StripeCredential, key: str | None) -> dict[str, str]:
    return dict(stripe.authorize(request, credential, Sending(key, datetime(2026, 11, 1, tzinfo=UTC))).headers)


def test_a_write_carries_key_version_and_idempotency_key() -> None:
    credential = StripeCredential(api_key=SecretStr("sk_test_1"))
    assert headers_of(Request("POST", "/v1/invoices"), credential, "k1") == {
        "Authorization": "Bearer sk_test_1",
        "Stripe-Version": "2026-08-26.dahlia",
        "Idempotency-Key": "k1",
    }


def test_a_read_carries_no_idempotency_key_and_a_platform_names_the_account() -> None:
    credential = StripeCredential(api_key=SecretStr("sk_test_1"), stripe_account="acct_1")
    headers = headers_of(Request("GET", "/v1/account"), credential, "k1")
    assert "Idempotency-Key" not in headers
    assert headers["Stripe-Account"] == "acct_1"


def test_the_defaults_bind_nobody() -> None:
    options = StripeOptions()
    assert options.finish == "draft"
    assert options.inexact_total == "refuse"
    assert options.negative_total == "refuse"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"finish": "send", "collectionMethod": "charge_automatically"}, "set finish to finalise"),
        ({"tax": "rates"}, "taxRates is empty"),
        ({"taxRates": {"*": ["19"]}}, "txr_"),
        ({"memo": "for {acountName}"}, r"\{acountName\} is no field; known are billId"),
        ({"memo": "for {accountName"}, "a brace stands alone"),
        ({"reference": "{{billId}}"}, "a brace stands alone"),
        ({"daysUntilDue": -1}, "daysUntilDue"),
        ({"finalize": True}, "finalize"),
        ({"finish": "post"}, "'draft', 'finalise' or 'send'"),
    ],
)
def test_options_that_cannot_work_are_refused_when_saved(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        StripeOptions.model_validate(given)
