"""Stripe's own view of currencies: decimals, payable steps, minimum charges, and rounding of computed amounts."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext

from tollbridge.sandbox.stripe.errors import StripeError

ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
TWO_DECIMAL = frozenset(
    (
        "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd btn bwp byn bzd cad cdf chf "
        "cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr "
        "isk jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn "
        "nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std svc szl "
        "thb tjs top try ttd twd tzs uah usd uyu uzs wst xcd yer zar zmw"
    ).split()
)
CURRENCIES = ZERO_DECIMAL | TWO_DECIMAL | THREE_DECIMAL

# The least that Stripe charges at once, in minor units, by settlement currency. Others: no minimum here.
MINIMUM_CHARGE = {
    **dict.fromkeys("aud brl cad chf eur inr jpy nzd sgd usd".split(), 50),
    **{"aed": 200, "bgn": 100, "czk": 1500, "dkk": 250, "gbp": 30, "hkd": 400, "huf": 17500, "mxn": 1000, "myr": 200},
    **{"nok": 300, "pln": 200, "ron": 200, "sek": 300, "thb": 1000},
}
# What can be paid: three-decimal currencies in steps of ten, the formerly two-decimal krona in whole units.
PAYABLE_STEP = {**dict.fromkeys(THREE_DECIMAL, 10), "isk": 100}


def currency(code: str, param: str) -> str:
    """The currency's code in lower case; refuses one that Stripe does not support."""
    lower = code.lower()
    if lower not in CURRENCIES:
        message = (
            f"Invalid currency: {lower}. Stripe currently supports these currencies: {', '.join(sorted(CURRENCIES))}"
        )
        raise StripeError(message, param=param)
    return lower


def refuse_unpayable(total: int, code: str) -> None:
    """A total that no payment could settle. Stripe documents the rule for payments; an invoice's total is one."""
    step = PAYABLE_STEP.get(code, 1)
    if total % step:
        message = f"Invalid amount: {total} {code}. Amounts in {code} must be a multiple of {step}."
        raise StripeError(message, code="invalid_charge_amount", param="amount")


def rounded(exact: Decimal) -> int:
    """Whole minor units, halves away from zero."""
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def times(unit_amount: Decimal, quantity: Decimal) -> int:
    """Unit price times quantity in whole minor units."""
    with localcontext(prec=60):
        return rounded(unit_amount * quantity)


def taxes(amount: int, percentage: Decimal, *, inclusive: bool) -> int:
    """The tax in (inclusive) or on (exclusive) one line; Stripe rounds it per line."""
    with localcontext(prec=60):
        base = 100 + percentage if inclusive else Decimal(100)
        return rounded(amount * percentage / base)
