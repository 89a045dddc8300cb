"""The account filter of integrations: a calculation over an account that says whether its bills are sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tollbridge.domain.calculation import Calculation, CalculationError, compile_calculation, place
from tollbridge.domain.catalog import ADDRESS
from tollbridge.domain.errors import Invalid
from tollbridge.domain.integrations import Filtered

FIELDS: Mapping[str, str] = {
    "id": "string",
    "accountName": "string",
    "accountCode": "string",
    "currency": "string",
    **{f"address.{name}": "string" for name in ADDRESS.fields},
    "customFields": "map",
}
"""What a filter can read, with the types."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account as filters see it; the last three as its body has them."""

    id: str
    name: str
    code: str
    currency: str | None
    address: Mapping[str, Any] | None
    custom_fields: Mapping[str, Any] | None


def check(text: str, path: str) -> None:
    """Raises Invalid that shows the place, where the text is no filter. `path` names it in the caller's words."""
    compile_calculation(text, FIELDS, path)


def apply(text: str, accounts: Iterable[Account]) -> Filtered:
    """What the filter says of each of the accounts; an error is an answer."""
    try:
        calculation = _compiled(text)
    except Invalid as refusal:
        # It was right when it was saved: the language has changed since.
        return Filtered(undecided={account.id: refusal.message.rstrip(".") for account in accounts})
    left_out, undecided = set(), {}
    for account in accounts:
        try:
            if not calculation.is_true(_values(account)):
                left_out.add(account.id)
        except CalculationError as error:
            undecided[account.id] = f"{error.message}, at {place(text, error.at)} of {text}"
    return Filtered(frozenset(left_out), undecided)


@lru_cache(maxsize=1024)
def _compiled(text: str) -> Calculation:
    return compile_calculation(text, FIELDS, "accountFilter")


def _values(account: Account) -> Mapping[str, Any]:
    return {
        "id": account.id,
        "accountName": account.name,
        "accountCode": account.code,
        "currency": account.currency,
        "address": account.address,
        "customFields": account.custom_fields,
    }
