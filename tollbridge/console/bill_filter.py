"""Which bills a page is about: the filters as they stand in the address, and as those who look for bills want them."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends

from tollbridge.console.visit import Form
from tollbridge.domain.billing import BillStatus
from tollbridge.domain.errors import Invalid
from tollbridge.domain.fields import printable, read_day, shown
from tollbridge.store.bills import Filters
from tollbridge.store.deliveries import Wanted

NOT_DELIVERED = "not-delivered"


@dataclass(frozen=True, slots=True)
class BillFilter:
    """The filters as texts, empty where one does not count. `until` is the last day; a month goes before both days."""

    status: str = ""
    account: str = ""
    month: str = ""
    since: str = ""
    until: str = ""
    currency: str = ""
    delivery: str = ""

    @property
    def parameters(self) -> Mapping[str, str]:
        """Those that count, by their names in the address."""
        return {name: value for name, value in asdict(self).items() if value}

    @property
    def query(self) -> str:
        return f"?{urlencode(self.parameters)}" if self.parameters else ""

    @property
    def not_delivered(self) -> bool:
        return self.delivery == NOT_DELIVERED

    def filters(self, account_id: str | None) -> Filters:
        """For who looks for bills; `account_id` is that of the account."""
        start, end = self._days()
        return Filters(
            account_ids=[account_id] if account_id else [],
            status=self.status or None,
            currency=self.currency or None,
            bill_date_start=start,
            bill_date_end=end,
        )

    def wanted(self, account_id: str | None) -> Wanted:
        """For who looks for what became of bills."""
        start, end = self._days()
        return Wanted(
            account_id=account_id,
            status=self.status or None,
            currency=self.currency or None,
            start=start,
            end=end,
        )

    def _days(self) -> tuple[date | None, date | None]:
        """The first day, and the day after the last."""
        if self.month:
            first = _day(f"{self.month}-01", "month", "a month such as 2026-01")
            return first, _next(first.replace(day=monthrange(first.year, first.month)[1]))
        says = "a day such as 2026-01-31"
        until = _day(self.until, "until", says) if self.until else None
        return (_day(self.since, "since", says) if self.since else None, _next(until) if until else None)


def _next(day: date) -> date:
    return day + timedelta(days=1) if day < date.max else day


def _day(text: str, name: str, says: str) -> date:
    found = read_day(text)
    if found is None:
        raise Invalid("filter.day", f"{name} is {shown(text)}, which is not {says}.", f"Give {says}.", name)
    return found


def _made(
    status: str = "",
    account: str = "",
    month: str = "",
    since: str = "",
    until: str = "",
    currency: str = "",
    delivery: str = "",
) -> BillFilter:
    _among("status", status, [each.value for each in BillStatus])
    _among("delivery", delivery, [NOT_DELIVERED])
    made = BillFilter(
        status, account.strip(), month.strip(), since.strip(), until.strip(), currency.strip().upper(), delivery
    )
    for name, value in made.parameters.items():
        printable(value, name)
    made.filters(None)
    return made


def _among(name: str, value: str, able: list[str]) -> None:
    if value and value not in able:
        raise Invalid("filter.value", f"{name} is {shown(value)}.", f"It can be {' or '.join(able)}.", name)


def sent_with(form: Form) -> BillFilter:
    """The filters that a form carries on."""
    return _made(**{name: form.text(name) for name in asdict(BillFilter())})


TheFilter = Annotated[BillFilter, Depends(_made)]
"""The filters of the address."""
