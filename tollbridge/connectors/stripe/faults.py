"""What Stripe's refusals become: by code, then by HTTP status; what is unknown is not tried again.

The table of errors stands in errors.py. Sources: Stripe's list of error types, and the retry rule of its own client
library. Here stands no decision about bills.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tollbridge.connectors.stripe import errors
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Reply
from tollbridge.domain.known_errors import KnownError

_BY_CODE = {entry.code.removeprefix("stripe."): entry for entry in errors.BY_CODE}

_PARAMS: dict[str, str] = {
    "currency": "Stripe does not take this currency, at least not for this customer; change the currency of the bill, "
    "or map the account to another customer, " + errors.REPLAY,
    "due_date": "Stripe does not take this due date: set due to days, or correct the bill's due date, " + errors.REPLAY,
    "effective_at": "Stripe does not take this date of issue: choose another documentDate, " + errors.REPLAY,
    "refund_amount": "Stripe holds no payment of this invoice that it could refund: replay the run so that it asks "
    "again, or change changeMoney, and choose the customer's balance or out of band.",
    "email": "Correct the e-mail address of the account, " + errors.REPLAY,
}


def already_paid(what: str) -> Fault:
    """What was to be voided was paid meanwhile."""
    return errors.ALREADY_PAID.fault(f"{what} is paid, and Stripe voids no paid invoice")


def classify(reply: Reply) -> Fault | None:
    """The fault that a reply tells of, None where it is good."""
    body = reply.json
    if reply.ok:
        return None if isinstance(body, dict) else _garbage(reply)
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        return _by_code(reply, error) or _by_status(reply, error)
    return _by_status(reply, {}) if reply.status in (401, 403, 409, 429) or reply.status >= 500 else _garbage(reply)


def replayed(reply: Reply) -> bool:
    """Whether Stripe answered from what it kept under the idempotency key."""
    return reply.headers.get("idempotent-replayed") == "true"


def _by_code(reply: Reply, error: Mapping[str, Any]) -> Fault | None:
    code, param = str(error.get("code") or ""), str(error.get("param") or "")
    said = str(error.get("message") or "").lower()
    if error.get("type") == "idempotency_error" and reply.status != 409:
        return _fault(reply, error, errors.IDEMPOTENCY)
    if "missing email" in said:
        return _fault(reply, error, errors.MISSING_EMAIL)
    if code == "resource_missing" and (param == "customer" or "no such customer" in said):
        return _fault(reply, error, errors.MISSING_CUSTOMER)
    if code not in _BY_CODE:
        return None
    known = _BY_CODE[code]
    if known.kind is FaultKind.INVALID and _should_retry(reply) is True:
        known = replace(known, kind=FaultKind.UNAVAILABLE, remedy=errors.UNAVAILABLE.remedy)
    if known.kind is FaultKind.UNAVAILABLE and reply.status < 500 and _should_retry(reply) is False:
        known = replace(known, kind=FaultKind.INVALID, remedy="Look at the invoice in Stripe, " + errors.REPLAY)
    return _fault(reply, error, known, _PARAMS.get(param) if known.kind is FaultKind.INVALID else None)


def _by_status(reply: Reply, error: Mapping[str, Any]) -> Fault:
    status = reply.status
    if status == 401:
        return _fault(reply, error, errors.UNAUTHORIZED)
    if status == 403:
        return _fault(reply, error, errors.FORBIDDEN)
    if status == 429:
        return _fault(reply, error, errors.RATE_LIMIT)
    # A 5xx is tried again whatever Stripe-Should-Retry says: that header speaks of repeating blindly, while a write
    # whose fate is unknown is looked up here before it is sent under a new key.
    if status >= 500 or error.get("type") == "api_error" or _should_retry(reply) is True:
        return _fault(reply, error, errors.UNAVAILABLE)
    if status == 409 and _should_retry(reply) is not False:
        return _fault(reply, error, errors.CONFLICT)
    code = str(error.get("code") or "unknown")
    unknown = replace(errors.UNKNOWN, code=f"stripe.{code}")
    return _fault(reply, error, unknown, _PARAMS.get(str(error.get("param") or "")), strange="unknown ")


def _garbage(reply: Reply) -> Fault:
    start = reply.body[:200].decode("utf-8", "replace")
    return errors.GARBAGE.fault(
        f"Stripe's address answered {reply.status} with something that is not Stripe's JSON: {start!r}"
    )


def _fault(
    reply: Reply, error: Mapping[str, Any], known: KnownError, hint: str | None = None, strange: str = ""
) -> Fault:
    """The fault, in Stripe's own words: its code, where it gives one, its field, its message and its request id."""
    said = str(error.get("message") or "without a message")
    about = f" {error['param']}" if error.get("param") else ""
    code = error.get("code") or known.code.removeprefix("stripe.")
    request = reply.headers.get("request-id")
    message = f"Stripe answered {reply.status} ({strange}{code}){about}: {said}" + (f" [{request}]" if request else "")
    return known.fault(message, hint, retry_after=_retry_after(reply))


def _retry_after(reply: Reply) -> timedelta | None:
    text = reply.headers.get("retry-after", "")
    return timedelta(seconds=int(text)) if text.isascii() and text.isdecimal() else None


def _should_retry(reply: Reply) -> bool | None:
    return {"true": True, "false": False}.get(reply.headers.get("stripe-should-retry", ""))
