"""Exact money: decimals with a currency, never floats; minor units by ISO 4217 exponent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, Inexact, localcontext

# ISO 4217 (2026): every active currency that does not have two decimals, then all that do.
_EXPONENTS: dict[str, int] = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
    **dict.fromkeys(
        (
            "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF "
            "CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL "
            "HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU "
            "MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR "
            "SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED "
            "VES WST XCD XCG YER ZAR ZMW ZWG"
        ).split(),
        2,
    ),
}

EXACT = Context(prec=60, traps=[Inexact])
"""Arithmetic that refuses to lose a digit: amounts have at most 40 digits (see `domain.common_fields`)."""


def exponent(currency: str) -> int | None:
    """The number of decimals of the currency's minor unit (ISO 4217), or None for a code that is not a currency."""
    return _EXPONENTS.get(currency)


def currencies() -> list[str]:
    """All active ISO 4217 codes, sorted."""
    return sorted(_EXPONENTS)


def quantum(exponent: int) -> Decimal:
    """The smallest amount with that many decimals: 2 → 0.01."""
    return Decimal(1).scaleb(-exponent)


def round_half_up(amount: Decimal, exponent: int) -> Decimal:
    """Round to that many decimals, halves away from zero, as invoices are commonly rounded."""
    with localcontext(prec=60):
        return amount.quantize(quantum(exponent), rounding=ROUND_HALF_UP)


def total_of(amounts: Sequence[Decimal]) -> Decimal:
    """The exact sum."""
    with localcontext(EXACT):
        return sum(amounts, Decimal(0))


def plain(amount: Decimal) -> str:
    """The amount as text without exponent notation, every digit kept: 1E-11 → 0.00000000001."""
    return format(amount, "f")


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in major units of a currency."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.currency}"


def to_minor(amount: Decimal, exponent: int) -> int:
    """The amount in minor units; raises ValueError where it has more decimals than that."""
    with localcontext(prec=60):
        scaled = amount.scaleb(exponent)
    whole = int(scaled)
    if whole != scaled:
        raise ValueError(f"{plain(amount)} has more than {exponent} decimals")
    return whole


def from_minor(units: int, exponent: int) -> Decimal:
    """Minor units as an amount in major units: (1999, 2) → 19.99."""
    with localcontext(prec=60):
        return Decimal(units).scaleb(-exponent)


def apportion(amounts: Sequence[Decimal], total: int, exponent: int) -> list[int]:
    """Give each exact amount a whole number of minor units so that they add up to `total`.

    Largest remainder: every amount is floored, then the units that are left go, one each, to the amounts with the
    largest remainders, the earlier first among equals. Raises ValueError where the total cannot be reached that way,
    which means that the amounts do not add up to it after rounding once.
    """
    with localcontext(prec=60):
        exact = [amount.scaleb(exponent) for amount in amounts]
        floors = [int(value.to_integral_value(rounding=ROUND_FLOOR)) for value in exact]
        left = total - sum(floors)
        if not 0 <= left <= len(amounts):
            raise ValueError(f"{total} minor units cannot be apportioned over amounts that add up to {sum(exact)}")
        by_remainder = sorted(range(len(amounts)), key=lambda i: (floors[i] - exact[i], i))
    for index in by_remainder[:left]:
        floors[index] += 1
    return floors
