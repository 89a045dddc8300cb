"""Signatures as the Standard Webhooks specification (1.0.0) writes them: HMAC-SHA256, scheme v1."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache

from tollbridge.connectors.base import Sending
from tollbridge.connectors.webhook.config import WebhookCredential
from tollbridge.domain.flows import Request

API_KEY_HEADER = "webhook-api-key"
SIGNED_BY = ("webhook-id", "webhook-timestamp", "webhook-signature")
TOLERANCE = timedelta(minutes=5)
"""How far the moment of a message may lie from a receiver's clock, as the libraries have it."""
_PREFIX = "whsec_"


def authorize(request: Request, credential: WebhookCredential, sending: Sending) -> Request:
    """The request with API key, message id, moment and signature; with two signatures while a secret is changed."""
    message_id, timestamp = sending.idempotency_key or "", int(sending.at.timestamp())
    body = request.body or b""
    signatures = sign(credential.secret.get_secret_value(), message_id, timestamp, body)
    previous, until = credential.previous_secret, credential.previous_until
    if previous is not None and until is not None and sending.at < until:
        signatures += " " + sign(previous.get_secret_value(), message_id, timestamp, body)
    return replace(
        request,
        headers=(
            *request.headers,
            (API_KEY_HEADER, credential.api_key),
            ("webhook-id", message_id),
            ("webhook-timestamp", str(timestamp)),
            ("webhook-signature", signatures),
        ),
    )


def complaint(
    secret: str, headers: Mapping[str, str], body: bytes, now: datetime, tolerance: timedelta | None = TOLERANCE
) -> str | None:
    """Why a receiver should not trust a message, in a sentence; None where the secret signed it.

    `headers` have lower-case names. Without tolerance its moment does not matter.
    """
    missing = [name for name in SIGNED_BY if not headers.get(name)]
    if missing:
        return f"It has no {' and no '.join(missing)}."
    message_id, moment, given = (headers[name] for name in SIGNED_BY)
    if not (moment.isascii() and moment.isdecimal() and len(moment) <= 12):
        return f"webhook-timestamp is {moment[:40]!r}, but must be seconds since 1970."
    apart = abs(now.timestamp() - int(moment))
    if tolerance is not None and apart > tolerance.total_seconds():
        return f"It was signed {apart:.0f} s from now; a receiver takes {tolerance.total_seconds():.0f} s at most."
    right = sign(secret, message_id, int(moment), body)
    if any(hmac.compare_digest(right.encode(), each.encode()) for each in given.split(" ")):
        return None
    return "No signature in webhook-signature is that of this secret over this id, moment and body."


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of one secret; `timestamp` is in seconds since 1970."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), signed, "sha256")).decode()


@lru_cache(maxsize=1024)
def key_of(secret: str) -> bytes:
    """The key that a secret stands for: what is behind `whsec_` as base64, any other text as its UTF-8 bytes."""
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode()
