"""Bills of an account and of a billing period, and the lines of all bills."""

from __future__ import annotations

import httpx
import pytest

from tests.api.entities import ACCOUNT, a_bill, a_line, refused, send


@pytest.fixture(autouse=True)
async def stored(api: httpx.AsyncClient) -> None:
    await send(api, "POST", "accounts", ACCOUNT)
    await send(api, "POST", "accounts", {**ACCOUNT, "id": "other", "code": "O"})
    period = {"startDate": "2026-10-01", "endDate": "2026-11-01", "billingFrequency": "MONTHLY"}
    await send(api, "PUT", "bills/b1", a_bill(a_line(id="l1"), **period))
    await send(api, "PUT", "bills/b2", a_bill(a_line(id="l1", subtotal=10), a_line(id="l2", subtotal=2.5), **period))
    line = a_line(id="l1", lineItemType="COMMITMENT_FEE", commitmentId="c")
    await send(api, "PUT", "bills/b3", a_bill(line, **period, accountId="other"))
    await send(api, "PUT", "bills/b4", a_bill(**{**period, "endDate": "2026-12-01"}))


async def ids(api: httpx.AsyncClient, path: str) -> list[str]:
    return [each["id"] for each in (await send(api, "GET", path))["data"]]


async def test_the_bills_of_an_account(api: httpx.AsyncClient) -> None:
    assert await ids(api, "bills/accountid/acme?pageSize=2&additional=a,b") == ["b4", "b2"]
    assert await ids(api, "bills/accountid/nobody") == []


async def test_the_bills_of_a_period_are_listed_and_approved_by_its_last_day(api: httpx.AsyncClient) -> None:
    period = "bills/billingperiod/2026-10-31/MONTHLY"
    assert await ids(api, period) == ["b3", "b2", "b1"]
    assert (await send(api, "POST", f"{period}/approve"))["message"] == "3 bills approved."
    assert (await send(api, "POST", f"{period}/approve"))["message"] == "0 bills approved."
    assert (await send(api, "GET", "bills/b4"))["status"] == "PENDING"
    assert await ids(api, "bills/billingperiod/2026-10-31/DAILY") == []


@pytest.mark.parametrize(
    ("period", "field"),
    [
        ("soon/MONTHLY", "lastDateInBillingPeriod"),
        ("9999-12-31/MONTHLY", "lastDateInBillingPeriod"),
        ("2026-10-31/LUNAR", "billingFrequency"),
    ],
)
async def test_a_period_that_is_none_is_refused(api: httpx.AsyncClient, period: str, field: str) -> None:
    status, body = await refused(api, "GET", f"bills/billingperiod/{period}")
    assert (status, body["field"]) == (400, field)


async def test_the_lines_of_all_bills_come_newest_bill_first_and_page_by_page(api: httpx.AsyncClient) -> None:
    found, token = [], ""
    while True:
        page = await send(api, "GET", f"lineitems?pageSize=2{token}")
        found += [(line["billId"], line["id"]) for line in page["data"]]
        if "nextToken" not in page:
            break
        token = f"&nextToken={page['nextToken']}"
    assert found[1:] == [("b3", "l1"), ("b2", "l1"), ("b2", "l2"), ("b1", "l1")]
    assert [line["id"] for line in (await send(api, "GET", "lineitems?billId=b2"))["data"]] == ["l1", "l2"]
    for narrow in ("commitmentId=c", "lineItemType=COMMITMENT_FEE"):
        assert [line["billId"] for line in (await send(api, "GET", f"lineitems?{narrow}"))["data"]] == ["b3"]
    for token in ("x", "1.", "1.YQ", "²." + page.get("nextToken", "x")):
        assert (await api.get("lineitems", params={"nextToken": token})).status_code == 400
