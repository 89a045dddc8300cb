"""Rules that several nouns share and that know our own words: amounts, currencies, days, ids the caller brings.

Built from `domain.fields`, which knows no noun. Must not read a database.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tollbridge.domain.errors import Invalid
from tollbridge.domain.fields import Rule, day, did_you_mean, exact_number, identifier, refuse, shown
from tollbridge.domain.money import currencies, exponent

MAX_WHOLE_DIGITS = 20
"""Digits of an amount before the point."""

MAX_DECIMALS = 20
"""Digits of an amount after the point, trailing zeros included."""

RESERVED_IDS = frozenset(
    {"accountid", "approve", "billingperiod", "download", "latest", "logs", "preview", "search", "steps"}
)
"""Words that stand where an id could stand in the addresses of the wire."""


def amount(*, above: Decimal | None = None) -> Rule:
    """An exact decimal of at most 20 digits before and 20 after the point, more than `above`."""
    bound = f" above {above}" if above is not None else ""
    expected = f"a number{bound} with at most {MAX_WHOLE_DIGITS} digits before and {MAX_DECIMALS} after the point"

    def check(value: Any, path: str) -> Any:
        if isinstance(value, str):
            refuse(path, value, expected, "Write it as a JSON number, without quotes.")
        exact = exact_number(value, path, expected)
        decimals = -exact.as_tuple().exponent  # type: ignore[operator]  # finite, so never a letter
        if decimals > MAX_DECIMALS or exact.adjusted() >= MAX_WHOLE_DIGITS or (above is not None and exact <= above):
            refuse(path, value, expected)
        return value

    return Rule(check, {"type": "number"}, expected=expected)


def currency() -> Rule:
    """A currency of ISO 4217, by its three capital letters."""
    expected = "the code of an ISO 4217 currency, such as EUR"

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, str) or exponent(value) is None:
            hint = did_you_mean(value, currencies()) or "Write the three capital letters of an active currency."
            raise Invalid("field.currency", f"{path} is {shown(value)}, but must be {expected}.", hint, path)
        return value

    return Rule(check, {"type": "string", "minLength": 3, "maxLength": 3}, expected=expected)


def calendar_day() -> Rule:
    """A calendar day; of a moment, which the wire's clients also send, its day is kept."""
    inner = day()
    return Rule(lambda value, path: inner.check(value, path)[:10], inner.schema, expected=inner.expected)


def own_id(*reserved: str) -> Rule:
    """An id that the caller brings for an entity with an address of its own; `reserved` are more words that mean
    something there."""
    inner = identifier()

    def check(value: Any, path: str) -> Any:
        inner.check(value, path)
        if value in RESERVED_IDS or value in reserved:
            raise Invalid(
                "field.id",
                f"{path} is {shown(value)}, a word that has a meaning of its own in addresses.",
                "Choose another id.",
                path,
            )
        return value

    return Rule(check, inner.schema, expected=inner.expected)
