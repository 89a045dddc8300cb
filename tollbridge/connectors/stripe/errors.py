"""Stripe's errors that we know, and those that this connector finds by itself: one entry each.

Sources: Stripe's lists of error types and error codes. What a reply becomes is decided in faults.py.
"""

from __future__ import annotations

from tollbridge.domain.errors import FaultKind
from tollbridge.domain.known_errors import KnownError, Mender

REPLAY = "then replay the run."
_KEY = "Put a valid key of this mode into the credential; the runs that wait for it then go on."
_LATER = "Nothing to do: the run is tried again, and looks first whether the earlier attempt took effect."
_FIELD = "Correct the bill, the account or the option that this field comes from, " + REPLAY


def _error(code: str, kind: FaultKind, mender: Mender, cause: str, remedy: str) -> KnownError:
    return KnownError(f"stripe.{code}", kind, cause, mender, remedy)


def _key(code: str, cause: str, remedy: str = _KEY) -> KnownError:
    return _error(code, FaultKind.UNAUTHORIZED, Mender.INTEGRATION, cause, remedy)


def _later(code: str, cause: str) -> KnownError:
    return _error(code, FaultKind.UNAVAILABLE, Mender.NOBODY, cause, _LATER)


def _books(code: str, cause: str, remedy: str) -> KnownError:
    return _error(code, FaultKind.INVALID, Mender.BOOKS, cause, remedy)


def _bill(code: str, cause: str, remedy: str) -> KnownError:
    return _error(code, FaultKind.INVALID, Mender.BILLING, cause, remedy)


def _option(code: str, cause: str, remedy: str) -> KnownError:
    return _error(code, FaultKind.INVALID, Mender.INTEGRATION, cause, remedy)


def _mapping(code: str, cause: str, remedy: str) -> KnownError:
    return _error(code, FaultKind.UNMAPPED, Mender.INTEGRATION, cause, remedy)


RATE_LIMIT = _error(
    "rate_limit",
    FaultKind.RATE_LIMITED,
    Mender.NOBODY,
    "Stripe takes no more requests of this key for a moment.",
    "Nothing to do: the run waits and goes on by itself.",
)

BY_CODE = (
    # The key.
    _key("api_key_expired", "The key has expired or was rolled in Stripe."),
    _key("platform_api_key_expired", "The platform's key has expired or was rolled in Stripe."),
    _key("secret_key_required", "A publishable key was given, where a secret or restricted one is needed."),
    _key("livemode_mismatch", "The key is of the other mode: test for live, or live for test."),
    _key(
        "testmode_charges_only",
        "The Stripe account is not activated, so that it works in test mode alone.",
        "Activate the Stripe account, or use Stripe (Test mode).",
    ),
    _key(
        "account_closed",
        "The Stripe account is closed.",
        "The Stripe account is closed; give a key of another account.",
    ),
    _key(
        "account_invalid",
        "The key may not act for the connected account that the credential names.",
        "The key may not act for the connected account; correct stripeAccount in the credential.",
    ),
    _key(
        "platform_account_required",
        "The credential names a connected account, but its key is no platform's.",
        "Only a platform's key may act for a connected account.",
    ),
    # Not now.
    _later("lock_timeout", "Something else works on the same object in Stripe."),
    _later("idempotency_key_in_use", "An earlier send of the same request is still under way in Stripe."),
    _later("processing_error", "Stripe met an error while it worked."),
    RATE_LIMIT,
    # The customer.
    _books(
        "customer_tax_location_invalid",
        "Stripe Tax does not know where the customer is.",
        "Stripe Tax does not know where the customer is: complete the customer's address in Stripe, " + REPLAY,
    ),
    _bill(
        "email_invalid",
        "Stripe does not take the e-mail address of the account.",
        "Correct the e-mail address of the account, " + REPLAY,
    ),
    _bill(
        "tax_id_invalid",
        "Stripe does not take the account's VAT id: it does not fit its type.",
        "Correct the account's VAT id, or vatIdType of the integration, " + REPLAY,
    ),
    _option(
        "tax_id_prohibited",
        "The Stripe account takes no VAT ids for such customers.",
        "Empty vatIdField of the integration, " + REPLAY,
    ),
    _bill(
        "country_code_invalid",
        "The country of the account's address is not two letters of ISO 3166-1.",
        "Give the account's country as two letters (ISO 3166-1), or switch sendAddress off, " + REPLAY,
    ),
    _bill(
        "postal_code_invalid",
        "Stripe does not take the postal code of the account.",
        "Correct the postal code of the account, " + REPLAY,
    ),
    # The invoice.
    _books(
        "invoice_not_editable",
        "The invoice is a draft no more.",
        "Somebody finalised, voided or deleted the invoice in Stripe while the run was at work; look at it there.",
    ),
    _books(
        "invoice_no_customer_line_items",
        "The draft has no lines, so that nothing can be finalised.",
        "The draft has no lines: somebody removed them in Stripe. Delete the draft there, " + REPLAY,
    ),
    _bill(
        "amount_too_large",
        "An amount is larger than Stripe takes.",
        "Split the bill: Stripe's amounts have at most 8 digits in most currencies.",
    ),
    _bill(
        "amount_too_small",
        "The total is below what Stripe takes in this currency.",
        "The total is below Stripe's minimum; join the bill with the next one.",
    ),
    _option(
        "invalid_charge_amount_no_decimal_compatible",
        "The currency has decimals in name only, and the amount is not a whole number of its units.",
        "Stripe takes only whole units of this currency: set inexactTotal to round, " + REPLAY,
    ),
    _books(
        "taxes_calculation_failed",
        "Stripe Tax could not calculate the taxes of the invoice.",
        "Complete the set-up of Stripe Tax and the customer's address in Stripe, " + REPLAY,
    ),
    _books(
        "resource_already_exists",
        "An object of this id stands in Stripe already.",
        "Look in Stripe at what stands there already, " + REPLAY,
    ),
    # What was sent.
    _bill("parameter_invalid_empty", "A field that Stripe needs is empty.", _FIELD),
    _bill("parameter_invalid_integer", "A number is not one that Stripe takes for this field.", _FIELD),
    _bill("parameter_invalid_string_blank", "A text is made of spaces alone.", _FIELD),
    _bill("parameter_invalid_string_empty", "A text that Stripe needs is empty.", _FIELD),
    _bill("parameter_missing", "A field that Stripe needs is missing.", _FIELD),
    _bill("parameter_unknown", "Stripe does not know a field, or not for this account.", _FIELD),
    _bill("parameters_exclusive", "Two fields were sent of which Stripe takes one.", _FIELD),
    _bill("url_invalid", "An address is none that Stripe takes.", _FIELD),
    _books(
        "resource_missing",
        "What the request names does not exist in this Stripe account and mode.",
        "It was deleted in Stripe while the run was at work, or an option names it wrongly: correct that, " + REPLAY,
    ),
)
"""By Stripe's own error codes."""

MISSING_CUSTOMER = _mapping(
    "resource_missing",
    "The customer to which the account is mapped does not exist in this Stripe account and mode.",
    "Map the account to a customer that exists in this Stripe account and mode, " + REPLAY,
)
"""Also `resource_missing`: of the customer."""

# By type, message or status, where the code says nothing.
IDEMPOTENCY = _books(
    "idempotency_error",
    "An earlier attempt sent something else under the same idempotency key.",
    "Replay the run: it looks first at what stands in Stripe.",
)
MISSING_EMAIL = _books(
    "missing_email",
    "An invoice is to be sent, and its customer has no e-mail address.",
    "Give the customer an e-mail address in Stripe, or set finish to finalise or draft in the integration, " + REPLAY,
)
UNAUTHORIZED = _key("unauthorized", "Stripe does not know the key: it was deleted, rolled or mistyped.")
FORBIDDEN = _key(
    "forbidden",
    "The key lacks a permission; which one stands in Stripe's message.",
    "Give the key the permission that Stripe names, or use another key in the credential.",
)
UNAVAILABLE = _later("unavailable", "Stripe met an error of its own, or is overloaded.")
CONFLICT = _later("conflict", "Something else changes the same object in Stripe at this moment.")
GARBAGE = _error(
    "garbage",
    FaultKind.UNAVAILABLE,
    Mender.OPERATOR,
    "What answers at Stripe's address is not Stripe: the body is not the JSON that Stripe sends.",
    "The run is tried again. If this goes on, look for a proxy between this machine and Stripe.",
)
UNKNOWN = _books(
    "unknown",
    "Stripe refused with a code that Tollbridge does not know; the code of the error is then `stripe.` and "
    "Stripe's own. Its whole reply stands in the run log.",
    f"Read Stripe's message, correct what it names, {REPLAY}",
)

# What the connector finds by itself, before or between its requests.
ALREADY_PAID = _error(
    "already_paid",
    FaultKind.ALREADY_PAID,
    Mender.BOOKS,
    "An invoice that was to be voided was paid meanwhile, and Stripe voids no paid invoice.",
    "Choose another way for this run: credit and reissue, a difference, or leave it as it is.",
)
UNMAPPED_CUSTOMER = _mapping(
    "unmapped_customer",
    "The account is mapped to no customer, and missingCustomer is refuse.",
    "Map the account to a customer, or set missingCustomer to create.",
)
SEVERAL_CUSTOMERS = _mapping(
    "several_customers",
    "Several customers in Stripe carry the id of the account in their metadata.",
    "Map the account to the right one of them.",
)
CUSTOMER_DELETED = _mapping(
    "customer_deleted",
    "The customer to which the account is mapped was deleted in Stripe.",
    "Map the account to another customer, then replay the run.",
)
TOTAL_DIFFERS = _books(
    "total_differs",
    "Stripe's total of the draft is not the bill's total; nothing was finalised.",
    "Look for inclusive taxes, discounts or lines that others added; correct the cause, delete the draft in Stripe, "
    + REPLAY,
)
TOO_MANY_LINES = _option(
    "too_many_lines",
    "The bill has more lines than an invoice of Stripe takes, also rolled up.",
    "Set overflow to split or roll_up, or split the bill.",
)
TAX_RATE = _option(
    "tax_rate",
    "No rate is set in taxRates for the product or type of a line.",
    "Add its product code, its type or * to taxRates of the integration, then replay the run.",
)
CURRENCY = _bill("currency", "Stripe has no such currency.", "Bill the account in a currency that Stripe takes.")
INEXACT_TOTAL = _option(
    "inexact_total",
    "The total has more decimals than Stripe holds in this currency.",
    "Set inexactTotal to round, or correct the bill.",
)
NEGATIVE_TOTAL = _option(
    "negative_total",
    "The bill adds up to less than zero, and negativeTotal is refuse.",
    "Set negativeTotal to send if the customer's balance in Stripe shall be credited, or correct the bill.",
)
DOCUMENT_DATE = _bill(
    "document_date",
    "The bill lacks the date that documentDate names.",
    "Give the bill this date, or choose another documentDate.",
)
TOTAL = _bill(
    "total",
    "The lines do not add up to the bill's total.",
    "Correct the bill: lines may differ from the total only by what rounding once explains.",
)
NEGATIVE_PART = _option(
    "negative_part",
    "Split over several invoices, one of them would add up to less than zero.",
    "Set overflow to roll_up, or order the lines so that credits stand beside charges.",
)
VAT_ID_TYPE = _option(
    "vat_id_type",
    "The account has a VAT id, and its type does not follow from the country.",
    "Set vatIdType of the integration, or give the account's address a two-letter country.",
)

ERRORS = (
    *BY_CODE,
    IDEMPOTENCY,
    MISSING_EMAIL,
    UNAUTHORIZED,
    FORBIDDEN,
    UNAVAILABLE,
    CONFLICT,
    GARBAGE,
    ALREADY_PAID,
    UNMAPPED_CUSTOMER,
    SEVERAL_CUSTOMERS,
    CUSTOMER_DELETED,
    TOTAL_DIFFERS,
    TOO_MANY_LINES,
    TAX_RATE,
    CURRENCY,
    INEXACT_TOTAL,
    NEGATIVE_TOTAL,
    DOCUMENT_DATE,
    TOTAL,
    NEGATIVE_PART,
    VAT_ID_TYPE,
    UNKNOWN,
)
"""Every error of this connector, each code once."""
