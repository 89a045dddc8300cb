"""What Stripe's refusals mean: one table by code, then by HTTP status; what is unknown is not tried again.

Sources: Stripe's lists of error types and error codes, and the retry rule of its own client library. Here stands no
decision about bills.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Reply

_REPLAY = "then replay the run."
_KEY_HINT = "Put a valid key of this mode into the credential; the runs that wait for it then go on."
_LATER = "Nothing to do: the run is tried again, and looks first whether the earlier attempt took effect."
_CUSTOMER_HINT = "Map the account to a customer that exists in this Stripe account and mode, " + _REPLAY
_PARAMETER_HINT = "Correct the bill, the account or the option that this field comes from, " + _REPLAY

_CODES: dict[str, tuple[FaultKind, str]] = {
    # The key.
    "api_key_expired": (FaultKind.UNAUTHORIZED, _KEY_HINT),
    "platform_api_key_expired": (FaultKind.UNAUTHORIZED, _KEY_HINT),
    "secret_key_required": (FaultKind.UNAUTHORIZED, _KEY_HINT),
    "livemode_mismatch": (FaultKind.UNAUTHORIZED, _KEY_HINT),
    "testmode_charges_only": (FaultKind.UNAUTHORIZED, "Activate the Stripe account, or use Stripe (Test mode)."),
    "account_closed": (FaultKind.UNAUTHORIZED, "The Stripe account is closed; give a key of another account."),
    "account_invalid": (
        FaultKind.UNAUTHORIZED,
        "The key may not act for the connected account; correct stripeAccount in the credential.",
    ),
    "platform_account_required": (FaultKind.UNAUTHORIZED, "Only a platform's key may act for a connected account."),
    # Not now.
    "lock_timeout": (FaultKind.UNAVAILABLE, _LATER),
    "idempotency_key_in_use": (FaultKind.UNAVAILABLE, _LATER),
    "processing_error": (FaultKind.UNAVAILABLE, _LATER),
    "rate_limit": (FaultKind.RATE_LIMITED, "Nothing to do: the run waits and goes on by itself."),
    # The customer.
    "customer_tax_location_invalid": (
        FaultKind.INVALID,
        "Stripe Tax does not know where the customer is: complete the customer's address in Stripe, " + _REPLAY,
    ),
    "email_invalid": (FaultKind.INVALID, "Correct the e-mail address of the account, " + _REPLAY),
    "tax_id_invalid": (
        FaultKind.INVALID,
        "Correct the account's VAT id, or vatIdType of the integration, " + _REPLAY,
    ),
    "tax_id_prohibited": (FaultKind.INVALID, "Empty vatIdField of the integration, " + _REPLAY),
    "country_code_invalid": (
        FaultKind.INVALID,
        "Give the account's country as two letters (ISO 3166-1), or switch sendAddress off, " + _REPLAY,
    ),
    "postal_code_invalid": (FaultKind.INVALID, "Correct the postal code of the account, " + _REPLAY),
    # The invoice.
    "invoice_not_editable": (
        FaultKind.INVALID,
        "Somebody finalised, voided or deleted the invoice in Stripe while the run was at work; look at it there.",
    ),
    "invoice_no_customer_line_items": (
        FaultKind.INVALID,
        "The draft has no lines: somebody removed them in Stripe. Delete the draft there, " + _REPLAY,
    ),
    "amount_too_large": (
        FaultKind.INVALID,
        "Split the bill: Stripe's amounts have at most 8 digits in most currencies.",
    ),
    "amount_too_small": (FaultKind.INVALID, "The total is below Stripe's minimum; join the bill with the next one."),
    "invalid_charge_amount_no_decimal_compatible": (
        FaultKind.INVALID,
        "Stripe takes only whole units of this currency: set inexactTotal to round, " + _REPLAY,
    ),
    "taxes_calculation_failed": (
        FaultKind.INVALID,
        "Complete the set-up of Stripe Tax and the customer's address in Stripe, " + _REPLAY,
    ),
    "resource_already_exists": (FaultKind.INVALID, "Look in Stripe at what stands there already, " + _REPLAY),
    # What was sent.
    "parameter_invalid_empty": (FaultKind.INVALID, _PARAMETER_HINT),
    "parameter_invalid_integer": (FaultKind.INVALID, _PARAMETER_HINT),
    "parameter_invalid_string_blank": (FaultKind.INVALID, _PARAMETER_HINT),
    "parameter_invalid_string_empty": (FaultKind.INVALID, _PARAMETER_HINT),
    "parameter_missing": (FaultKind.INVALID, _PARAMETER_HINT),
    "parameter_unknown": (FaultKind.INVALID, _PARAMETER_HINT),
    "parameters_exclusive": (FaultKind.INVALID, _PARAMETER_HINT),
    "url_invalid": (FaultKind.INVALID, _PARAMETER_HINT),
    "resource_missing": (
        FaultKind.INVALID,
        "It was deleted in Stripe while the run was at work, or an option names it wrongly: correct that, " + _REPLAY,
    ),
}

_PARAMS: dict[str, str] = {
    "currency": "Stripe does not take this currency, at least not for this customer; change the currency of the bill, "
    "or map the account to another customer, " + _REPLAY,
    "due_date": "Stripe does not take this due date: set due to days, or correct the bill's due date, " + _REPLAY,
    "effective_at": "Stripe does not take this date of issue: choose another documentDate, " + _REPLAY,
    "refund_amount": "Stripe holds no payment of this invoice that it could refund: replay the run so that it asks "
    "again, or change changeMoney, and choose the customer's balance or out of band.",
    "email": "Correct the e-mail address of the account, " + _REPLAY,
}

MISSING_EMAIL_HINT = (
    "Give the customer an e-mail address in Stripe, or set finish to finalise or draft in the integration, " + _REPLAY
)


def already_paid(what: str) -> Fault:
    """What was to be voided was paid meanwhile."""
    return Fault(
        FaultKind.ALREADY_PAID,
        "stripe.already_paid",
        f"{what} is paid, and Stripe voids no paid invoice",
        "Choose another way for this run: credit and reissue, a difference, or leave it as it is.",
    )


def invalid(code: str, message: str, hint: str) -> Fault:
    """A fault that this connector finds by itself."""
    return Fault(FaultKind.INVALID, f"stripe.{code}", message, hint)


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
        return _fault(
            reply,
            error,
            FaultKind.INVALID,
            "idempotency_error",
            "An earlier attempt sent something else under the same key. Replay the run: it looks first at what stands "
            "in Stripe.",
        )
    if "missing email" in said:
        return _fault(reply, error, FaultKind.INVALID, "missing_email", MISSING_EMAIL_HINT)
    if code == "resource_missing" and (param == "customer" or "no such customer" in said):
        return _fault(reply, error, FaultKind.UNMAPPED, code, _CUSTOMER_HINT)
    if code not in _CODES:
        return None
    kind, hint = _CODES[code]
    if kind is FaultKind.INVALID and _should_retry(reply) is True:
        kind, hint = FaultKind.UNAVAILABLE, _LATER
    if kind is FaultKind.UNAVAILABLE and reply.status < 500 and _should_retry(reply) is False:
        kind, hint = FaultKind.INVALID, "Look at the invoice in Stripe, " + _REPLAY
    return _fault(reply, error, kind, code, _PARAMS.get(param, hint) if kind is FaultKind.INVALID else hint)


def _by_status(reply: Reply, error: Mapping[str, Any]) -> Fault:
    code, status, param = str(error.get("code") or ""), reply.status, str(error.get("param") or "")
    if status == 401:
        return _fault(reply, error, FaultKind.UNAUTHORIZED, code or "unauthorized", _KEY_HINT)
    if status == 403:
        hint = "Give the key the permission that Stripe names, or use another key in the credential."
        return _fault(reply, error, FaultKind.UNAUTHORIZED, code or "forbidden", hint)
    if status == 429:
        return _fault(reply, error, FaultKind.RATE_LIMITED, code or "rate_limit", _CODES["rate_limit"][1])
    # A 5xx is tried again whatever Stripe-Should-Retry says: that header speaks of repeating blindly, while a write
    # whose fate is unknown is looked up here before it is sent under a new key.
    if status >= 500 or error.get("type") == "api_error" or _should_retry(reply) is True:
        return _fault(reply, error, FaultKind.UNAVAILABLE, code or "unavailable", _LATER)
    if status == 409 and _should_retry(reply) is not False:
        return _fault(reply, error, FaultKind.UNAVAILABLE, code or "conflict", _LATER)
    hint = _PARAMS.get(param) or f"Read Stripe's message, correct what it names, {_REPLAY}"
    return _fault(reply, error, FaultKind.INVALID, code or "unknown", hint, unknown=True)


def _garbage(reply: Reply) -> Fault:
    start = reply.body[:200].decode("utf-8", "replace")
    return Fault(
        FaultKind.UNAVAILABLE,
        "stripe.garbage",
        f"Stripe's address answered {reply.status} with something that is not Stripe's JSON: {start!r}",
        "The run is tried again. If this goes on, look for a proxy between this machine and Stripe.",
    )


def _fault(
    reply: Reply, error: Mapping[str, Any], kind: FaultKind, code: str, hint: str, *, unknown: bool = False
) -> Fault:
    said = str(error.get("message") or "without a message")
    about = f" {error['param']}" if error.get("param") else ""
    strange = "unknown " if unknown else ""
    request = reply.headers.get("request-id")
    message = f"Stripe answered {reply.status} ({strange}{code}){about}: {said}" + (f" [{request}]" if request else "")
    return Fault(kind, f"stripe.{code}", message, hint, retry_after=_retry_after(reply))


def _retry_after(reply: Reply) -> timedelta | None:
    text = reply.headers.get("retry-after", "")
    return timedelta(seconds=int(text)) if text.isascii() and text.isdecimal() else None


def _should_retry(reply: Reply) -> bool | None:
    return {"true": True, "false": False}.get(reply.headers.get("stripe-should-retry", ""))
