"""Which accounts a filter lets through, leaves out, and cannot tell of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tollbridge.domain.account_filter import Account, apply, check
from tollbridge.domain.errors import Invalid
from tollbridge.domain.integrations import Filtered

ACME = Account("a", "Acme", "acme", "USD", {"country": "US", "region": "NY"}, {"tier": "gold", "seats": 12})
BARE = Account("b", "Bare", "bare", None, None, None)


@pytest.mark.parametrize(
    ("text", "acme", "bare"),
    [
        ("address.country == US", True, False),
        ("address.country == 'US' AND currency == USD", True, False),
        ("address.country != US", False, True),
        ("IN(address.region, NY, 'NJ')", True, False),
        ("customFields.tier == gold AND customFields.seats * 2 >= 24", True, False),
        ("customFields.seats > 10", True, False),
        ("id == b OR accountCode == 'bare'", False, True),
        ("accountName == 'Acme'", True, False),
        ("isnull(address.country, 'US') == US", True, True),
        ("null", False, False),
    ],
)
def test_an_account_is_let_through_where_the_filter_is_true(text: str, acme: bool, bare: bool) -> None:
    check(text, "configData.accountFilter")
    expected = {account.id for account, let_through in ((ACME, acme), (BARE, bare)) if not let_through}
    assert apply(text, [ACME, BARE]) == Filtered(frozenset(expected), {})


def test_an_account_on_which_the_filter_comes_to_nothing_is_neither_in_nor_out() -> None:
    text = "100 / customFields.seats > 1"
    zero = replace(ACME, id="z", custom_fields={"seats": 0})
    assert apply(text, [ACME, BARE, zero]) == Filtered(
        frozenset({"b"}), {"z": f"division by zero, at line 1, column 5 of {text}"}
    )


def test_a_filter_that_is_no_condition_can_tell_of_nobody() -> None:
    found = apply("customFields.seats", [ACME, BARE])
    assert found.left_out == {"b"}
    assert "a condition is needed" in found.undecided["a"]


def test_a_stored_filter_that_cannot_be_read_any_more_can_tell_of_nobody() -> None:
    assert apply("currency =", [ACME, BARE]).undecided.keys() == {"a", "b"}


@pytest.mark.parametrize("text", ["addres.country == US", "new.amount > 1", "address == null", "US == address.country"])
def test_a_filter_reads_the_fields_of_accounts_only(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        check(text, "configData.accountFilter")
    assert refused.value.field == "configData.accountFilter"
    assert "there is no field" in refused.value.message
