"""How Stripe counts money: its own table of currencies, and whole units for lines that add up to the total.

Source of the table: Stripe's page "Supported currencies" (zero-decimal, three-decimal and special cases). Where it
differs from ISO 4217 the table wins; a currency that stands in neither is refused and never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tollbridge.domain import money


@dataclass(frozen=True, slots=True)
class Scale:
    """`exponent` decimals in the integer that Stripe takes, of which only the first `decimals` may be used: KWD has
    three, the last always 0; ISK and UGX have two, always 00."""

    decimals: int
    exponent: int

    def units(self, steps: int) -> int:
        """Smallest usable amounts as Stripe's integer: (123, KWD) → 1230."""
        return steps * int(10 ** (self.exponent - self.decimals))

    def amount(self, units: int) -> Decimal:
        """Stripe's integer in major units."""
        return money.from_minor(units, self.exponent)

    def fits(self, amount: Decimal) -> bool:
        """Whether Stripe can hold the amount to the last digit."""
        return money.round_half_up(amount, self.decimals) == amount

    def apportion(self, exact: Sequence[Decimal], total: Decimal) -> list[int]:
        """Whole units for exact amounts that add up to the total; raises ValueError where the total cannot be reached
        by rounding once."""
        steps = money.apportion(exact, money.to_minor(total, self.decimals), self.decimals)
        return [self.units(step) for step in steps]


_SCALES: dict[str, Scale] = {
    **dict.fromkeys("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split(), Scale(0, 0)),
    **dict.fromkeys("BHD JOD KWD OMR TND".split(), Scale(2, 3)),
    **dict.fromkeys("ISK UGX".split(), Scale(0, 2)),
}


def scale_of(currency: str) -> Scale | None:
    """How Stripe counts the currency; None where neither its table nor two ISO decimals say so."""
    if currency in _SCALES:
        return _SCALES[currency]
    return Scale(2, 2) if money.exponent(currency) == 2 else None
