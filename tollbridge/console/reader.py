"""How one reader has moments, numbers and money written: by their browser's language and their time zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError, dates, numbers
from fastapi import Request

from tollbridge.services import clock

ZONE = "tollbridge_zone"
"""The cookie in which our script says the browser's time zone."""
_SUBUNITS = 12
"""Digits after the point that are shown at most, should an amount have them."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader's language and time zone. The words of the Console are English; figures are the reader's own."""

    locale: Locale
    zone: ZoneInfo

    @classmethod
    def of(cls, request: Request) -> Reader:
        return cls(_locale(request.headers.get("accept-language", "")[:200]), _zone(request.cookies.get(ZONE, "")))

    def moment(self, at: datetime | None) -> str:
        """Day and time, such as `26 Nov 2026, 14:05:09`."""
        return "" if at is None else dates.format_datetime(at, "medium", self.zone, self.locale)

    def utc(self, at: datetime) -> str:
        """The exact moment in UTC, for titles and machines."""
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def ago(self, at: datetime | None) -> str:
        """How long ago, or in how long; in English, as it stands within sentences."""
        if at is None:
            return "never"
        away = at - clock.now()
        words = dates.format_timedelta(abs(away), granularity="second", threshold=1.2, locale=_ENGLISH)
        return f"in {words}" if away > timedelta() else f"{words} ago"

    def day(self, day: date | None) -> str:
        return "" if day is None else dates.format_date(day, "medium", self.locale)

    def span(self, span: timedelta | None) -> str:
        """A duration: `0.21 s`, `3 min`, `31 h`."""
        if span is None:
            return ""
        seconds = span.total_seconds()
        if seconds < 60:
            return f"{self.number(Decimal(str(round(seconds, 2))))} s"
        return (
            f"{self.number(round(seconds / 60))} min" if seconds < 7200 else f"{self.number(round(seconds / 3600))} h"
        )

    def number(self, value: int | Decimal) -> str:
        return numbers.format_decimal(value, locale=self.locale, decimal_quantization=False)

    def money(self, amount: Decimal | None, currency: str | None) -> str:
        """The amount to its last digit, with the currency's code: `41,220.00 EUR`."""
        if amount is None:
            return ""
        least = numbers.get_currency_precision(currency or "XXX")
        pattern = f"#,##0.{'0' * least}{'#' * (_SUBUNITS - least)}"
        written = numbers.format_decimal(amount, pattern, self.locale, decimal_quantization=False)
        return f"{written} {currency}" if currency else written

    def sums(self, sums: Mapping[str, Decimal]) -> str:
        """Amounts by currency, in one line."""
        return ", ".join(self.money(amount, currency) for currency, amount in sorted(sums.items()))


_ENGLISH = Locale("en")


@lru_cache(1000)
def _locale(accepted: str) -> Locale:
    for entry in accepted.split(","):
        tag = entry.partition(";")[0].strip()
        try:
            if tag:
                return Locale.parse(tag, sep="-")
        except (ValueError, UnknownLocaleError):
            continue
    return Locale("en", "GB")


@lru_cache(1000)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")
