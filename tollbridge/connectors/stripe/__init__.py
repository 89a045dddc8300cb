"""Stripe and Stripe (Test mode): bills become invoices. See docs.md for what a person should know."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from importlib.resources import files

from tollbridge.connectors.base import Connector, Limits, Sending, System
from tollbridge.connectors.stripe.choices import customers, tax_rates
from tollbridge.connectors.stripe.config import TAX_RATE, StripeCredential, StripeOptions
from tollbridge.connectors.stripe.errors import ERRORS
from tollbridge.connectors.stripe.faults import classify, replayed
from tollbridge.connectors.stripe.flows import check, deliver
from tollbridge.domain.flows import Request

API_VERSION = "2026-08-26.dahlia"

_KEY_LIFETIME = timedelta(hours=24)
"""Stripe may forget an idempotency key once it is at least 24 hours old."""

_LONGEST_REQUEST = timedelta(seconds=80)
"""How long Stripe's own client libraries wait for an answer: no request is meant to run longer."""

LIVE = System(
    key="STRIPE",
    title="Stripe",
    base_url="https://api.stripe.com",
    live=True,
    mapping_system="Stripe",
    limits=Limits(100, 50, _KEY_LIFETIME, _LONGEST_REQUEST),
)
TEST = replace(
    LIVE, key="STRIPE_TEST", title="Stripe (Test mode)", live=False, limits=replace(LIVE.limits, requests_per_second=25)
)


def authorize(request: Request, credential: StripeCredential, sending: Sending) -> Request:
    """The request with the key, the API version, the connected account and, for writes, the idempotency key."""
    headers = [
        ("Authorization", f"Bearer {credential.api_key.get_secret_value()}"),
        ("Stripe-Version", API_VERSION),
    ]
    if credential.stripe_account:
        headers.append(("Stripe-Account", credential.stripe_account))
    if sending.idempotency_key and request.writes:
        headers.append(("Idempotency-Key", sending.idempotency_key))
    return replace(request, headers=(*request.headers, *headers))


connector = Connector(
    key="stripe",
    title="Stripe",
    category="AR",
    systems=(LIVE, TEST),
    entity_types=("Bill",),
    credential_type="STATIC_API_KEY",
    credential=StripeCredential,
    config=StripeOptions,
    mapping_tables={"Account": ("Customer",)},
    authorize=authorize,
    classify=classify,
    errors=ERRORS,
    replayed=replayed,
    deliver=deliver,
    check=check,
    choices={"Customer": customers, TAX_RATE: tax_rates},
    corrects=True,
    redact=frozenset({"client_secret", "confirmation_secret"}),
    docs=files(__name__).joinpath("docs.md").read_text(encoding="utf-8"),
)
