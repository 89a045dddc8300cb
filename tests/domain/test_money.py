"""Exact money: nothing is lost, nothing is invented."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tollbridge.domain import money
from tollbridge.domain.money import Money

EXPONENTS = st.sampled_from([0, 2, 3, 4])
AMOUNTS = st.decimals(
    min_value=Decimal(-(10**12)), max_value=Decimal(10**12), allow_nan=False, allow_infinity=False, places=11
)


def test_every_currency_has_an_exponent_of_iso_4217() -> None:
    assert money.exponent("EUR") == 2
    assert money.exponent("JPY") == 0
    assert money.exponent("KWD") == 3
    assert money.exponent("CLF") == 4
    assert {money.exponent(code) for code in money.currencies()} == {0, 2, 3, 4}


def test_what_is_no_currency_has_no_exponent() -> None:
    assert money.exponent("XXX") is None
    assert money.exponent("eur") is None


@pytest.mark.parametrize(
    ("amount", "exponent", "rounded"),
    [
        ("20.52022672899", 2, "20.52"),
        ("0.005", 2, "0.01"),
        ("-0.005", 2, "-0.01"),
        ("0.0049999999999", 2, "0.00"),
        ("1234.5", 0, "1235"),
        ("1.2345", 3, "1.235"),
        ("99999999999999999999999999.995", 2, "100000000000000000000000000.00"),
    ],
)
def test_halves_round_away_from_zero(amount: str, exponent: int, rounded: str) -> None:
    assert money.plain(money.round_half_up(Decimal(amount), exponent)) == rounded


def test_a_sum_of_very_different_amounts_keeps_every_digit() -> None:
    assert money.total_of([Decimal("1E+27"), Decimal("1E-11")]) == Decimal("1000000000000000000000000000.00000000001")


def test_an_amount_is_written_without_exponent() -> None:
    assert money.plain(Decimal("1E-11")) == "0.00000000001"
    assert str(Money(Decimal("1E+3"), "JPY")) == "1000 JPY"


def test_minor_units_refuse_what_they_cannot_hold() -> None:
    assert money.to_minor(Decimal("19.99"), 2) == 1999
    assert money.to_minor(Decimal("19.9900"), 2) == 1999
    with pytest.raises(ValueError, match=r"19\.995 has more than 2 decimals"):
        money.to_minor(Decimal("19.995"), 2)


@given(units=st.integers(-(10**20), 10**20), exponent=EXPONENTS)
def test_minor_units_and_back_is_the_same_amount(units: int, exponent: int) -> None:
    assert money.to_minor(money.from_minor(units, exponent), exponent) == units


@given(amounts=st.lists(AMOUNTS, min_size=1, max_size=40), exponent=EXPONENTS)
def test_apportioned_units_add_up_and_are_less_than_one_unit_off(amounts: list[Decimal], exponent: int) -> None:
    total = money.to_minor(money.round_half_up(money.total_of(amounts), exponent), exponent)
    units = money.apportion(amounts, total, exponent)
    assert sum(units) == total
    for amount, unit in zip(amounts, units, strict=True):
        assert abs(money.from_minor(unit, exponent) - amount) <= money.quantum(exponent)


@given(units=st.lists(st.integers(-(10**9), 10**9), max_size=40), exponent=EXPONENTS)
def test_whole_amounts_are_apportioned_to_themselves(units: list[int], exponent: int) -> None:
    amounts = [money.from_minor(unit, exponent) for unit in units]
    assert money.apportion(amounts, sum(units), exponent) == units


@given(amounts=st.lists(AMOUNTS, min_size=1, max_size=20), off=st.integers(-100, 100), exponent=EXPONENTS)
def test_a_total_beyond_rounding_once_per_line_is_refused(amounts: list[Decimal], off: int, exponent: int) -> None:
    total = money.to_minor(money.round_half_up(money.total_of(amounts), exponent), exponent) + off
    assume(abs(off) > len(amounts))
    with pytest.raises(ValueError, match="cannot be apportioned"):
        money.apportion(amounts, total, exponent)


def test_the_largest_remainder_gets_the_unit_and_the_earlier_among_equals() -> None:
    third = Decimal("0.333")
    assert money.apportion([third, third, Decimal("0.334")], 100, 2) == [33, 33, 34]
    half = Decimal("0.005")
    assert money.apportion([half, half], 1, 2) == [1, 0]
