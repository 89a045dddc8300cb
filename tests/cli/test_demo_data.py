"""The month of bills that the demo imports is what its script writes, and has everything that a month has."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tollbridge.cli.demo_data import generate
from tollbridge.domain import json_text
from tollbridge.domain.bill_input import read_bill


def bills() -> list[dict[str, Any]]:
    return [json_text.parse(line) for line in (generate.FOLDER / "bills.jsonl").read_bytes().splitlines()]


@pytest.mark.parametrize("name", generate.FILES)
def test_the_file_is_what_the_script_writes(name: str) -> None:
    assert (generate.FOLDER / name).read_text(encoding="utf-8") == generate.text_of(name)


def test_every_bill_is_right_in_itself_and_more_than_zero() -> None:
    read = [read_bill(bill) for bill in bills()]
    assert len(read) == 40
    assert all(bill.total > 0 for bill in read)


def test_the_month_has_all_kinds_of_lines_and_currencies() -> None:
    kinds = {line["lineItemType"] for bill in bills() for line in bill["lineItems"]}
    assert kinds >= {
        "USAGE",
        "STANDING_CHARGE",
        "MINIMUM_SPEND",
        "COMMITMENT_CONSUMED",
        "OVERAGE_USAGE",
        "CREDIT_MEMO",
        "MANUAL_ADJUSTMENT",
    }
    assert {bill["currency"] for bill in bills()} >= {"USD", "EUR", "GBP", "JPY", "KWD"}
    assert max(len(bill["lineItems"]) for bill in bills()) == 240
    prices = [line["averageUnitPrice"] for bill in bills() for line in bill["lineItems"]]
    assert any(Decimal(price).as_tuple().exponent == -4 for price in prices)
    assert any("usagePerPricingBand" in line for bill in bills() for line in bill["lineItems"])


def test_the_bill_that_fails_is_among_them() -> None:
    assert generate.FAILING_ACCOUNT in {bill["accountId"] for bill in bills()}
