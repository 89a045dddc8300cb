from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.api.entities import ACCOUNT, a_bill, a_line, refused, send
from tollbridge.services import bills

LINE: dict[str, Any] = {
    "id": "l-1",
    "lineItemType": "USAGE",
    "description": "Calls\nin October",
    "quantity": Decimal("1000.5"),
    "units": 1001,
    "unit": "calls",
    "averageUnitPrice": Decimal("0.0125"),
    "subtotal": Decimal("12.50625"),
    "currency": "EUR",
    "conversionRate": 1,
    "convertedSubtotal": Decimal("12.50625"),
    "sequenceNumber": 1,
    "servicePeriodStartDate": "2026-10-01T00:00:00Z",
    "servicePeriodEndDate": "2026-11-01T00:00:00Z",
    "segment": {"region": "eu"},
    "group": {"g": "1"},
    "additional": {"deep": [{"er": Decimal("0.00000000001")}, None, True]},
    "usagePerPricingBand": [
        {
            "bandQuantity": 1,
            "bandSubtotal": 2,
            "bandUnits": 3,
            "convertedBandSubtotal": 4,
            "creditTypeId": "c",
            "fixedPrice": 5,
            "lowerLimit": 0,
            "pricingBandId": "p",
            "unitPrice": Decimal("0.1"),
            "unitSubtotal": 7,
        }
    ],
    **{
        name: name
        for name in (
            "accountingProductCode accountingProductId accountingProductName aggregationId balanceId chargeId "
            "childAccountCode childAccountId commitmentId compoundAggregationId contractId counterId creditTypeId "
            "meterId planGroupId planId pricingId productCode productId productName reasonId referencedBillId "
            "referencedLineItemId"
        ).split()
    },
}
BILL: dict[str, Any] = {
    "accountId": "acme",
    "billDate": "2026-10-31",
    "billFrequencyInterval": 1,
    "billingFrequency": "MONTHLY",
    "billJobId": "job",
    "billTotal": Decimal("12.51"),
    "createdDate": "2026-11-01T00:00:00Z",
    "csvStatementGenerated": False,
    "currency": "EUR",
    "currencyConversions": [{"from": "EUR", "to": "USD", "multiplier": Decimal("1.1")}],
    "dueDate": "2026-11-30",
    "endDate": "2026-11-01",
    "endDateTimeUTC": "2026-11-01T00:00:00Z",
    "externalInvoiceDate": "2026-11-01",
    "externalInvoiceReference": "R",
    "jsonStatementGenerated": True,
    "lastCalculatedDate": "2026-11-01T00:00:00Z",
    "lineItems": [LINE],
    "purchaseOrderNumber": "PO",
    "sequentialInvoiceNumber": "INV-1",
    "startDate": "2026-10-01",
    "startDateTimeUTC": "2026-10-01T00:00:00Z",
    "statementStale": False,
    "timezone": "UTC",
}


@pytest.fixture(autouse=True)
async def account(api: httpx.AsyncClient) -> None:
    await send(api, "POST", "accounts", ACCOUNT)


async def test_every_field_of_a_bill_comes_back_unchanged(api: httpx.AsyncClient) -> None:
    put = await send(api, "PUT", "bills/b-1", BILL)
    assert put.pop("integrations") == []
    assert {name: put[name] for name in BILL} == BILL
    assert (put["id"], put["version"], put["revision"]) == ("b-1", 1, 1)
    assert (put["status"], put["locked"], put["accountCode"]) == ("PENDING", False, "ACME")
    assert put["rounding"] == {"exactTotal": Decimal("12.50625"), "difference": Decimal("0.00375")}
    assert await send(api, "GET", "bills/b-1") == put


async def test_putting_the_same_again_changes_nothing(api: httpx.AsyncClient) -> None:
    await send(api, "PUT", "bills/b-1", BILL)
    await send(api, "POST", "bills/approve", {"billIds": ["b-1"]})
    before = await send(api, "GET", "bills/b-1")
    same = await send(api, "PUT", "bills/b-1", {**BILL, "billTotal": Decimal("12.510")})
    assert same.pop("integrations") == []
    assert same == before
    again = await send(api, "PUT", "bills/b-1", before)
    assert again["version"] == before["version"]


async def test_a_replaced_bill_is_pending_again_at_a_new_revision(api: httpx.AsyncClient) -> None:
    await send(api, "PUT", "bills/b-1", a_bill())
    await send(api, "POST", "bills/approve", {"billIds": ["b-1"]})
    replaced = await send(api, "PUT", "bills/b-1", a_bill(dueDate="2026-12-01"))
    assert (replaced["version"], replaced["revision"], replaced["status"]) == (3, 2, "PENDING")
    assert "approvedBy" not in replaced


async def test_bookkeeping_makes_no_new_revision(api: httpx.AsyncClient) -> None:
    await send(api, "PUT", "bills/b-1", a_bill())
    await send(api, "POST", "bills/approve", {"billIds": ["b-1"]})
    changed = await send(api, "PUT", "bills/b-1", a_bill(lastCalculatedDate="2026-11-02T00:00:00Z"))
    assert (changed["version"], changed["revision"], changed["status"]) == (3, 1, "APPROVED")
    assert changed["lastCalculatedDate"] == "2026-11-02T00:00:00Z"


async def test_a_bill_of_an_old_version_is_not_replaced(api: httpx.AsyncClient) -> None:
    await send(api, "PUT", "bills/b-1", a_bill())
    await send(api, "PUT", "bills/b-1", a_bill(dueDate="2026-12-01", version=1))
    status, body = await refused(api, "PUT", "bills/b-1", a_bill(dueDate="2026-12-02", version=1))
    assert (status, body["code"]) == (409, "version.stale")


async def test_a_refused_bill_leaves_nothing_behind(api: httpx.AsyncClient) -> None:
    status, body = await refused(api, "PUT", "bills/b-1", a_bill(a_line(), a_line(subtotal=Decimal("0.01"))))
    assert (status, body["code"]) == (400, "bill.total")
    status, _ = await refused(api, "GET", "bills/b-1")
    assert status == 404


async def test_a_refused_replacement_leaves_the_bill_as_it_was(api: httpx.AsyncClient) -> None:
    await send(api, "PUT", "bills/b-1", a_bill())
    before = await send(api, "GET", "bills/b-1")
    await refused(api, "PUT", "bills/b-1", a_bill(billTotal=13))
    assert await send(api, "GET", "bills/b-1") == before


async def test_a_bill_of_an_unknown_account_is_refused_with_a_way_out(api: httpx.AsyncClient) -> None:
    status, body = await refused(api, "PUT", "bills/b-1", a_bill(accountId="nobody"))
    assert (status, body["field"]) == (400, "accountId")
    assert "nobody" in body["message"]
    assert "Create the account first" in body["hint"]


async def test_the_account_may_be_named_by_its_code(api: httpx.AsyncClient) -> None:
    put = await send(api, "PUT", "bills/b-1", a_bill(accountId=None, accountCode="ACME"))
    assert put["accountId"] == "acme"
    status, body = await refused(api, "PUT", "bills/b-2", a_bill(accountCode="OTHER"))
    assert (status, body["field"]) == (400, "accountCode")


async def test_a_deleted_bill_that_comes_again_does_not_start_at_revision_one(api: httpx.AsyncClient) -> None:
    await send(api, "PUT", "bills/b-1", a_bill())
    deleted = await send(api, "DELETE", "bills/b-1")
    assert deleted["lineItems"][0]["description"] == "Calls"
    again = await send(api, "PUT", "bills/b-1", a_bill())
    assert (again["version"], again["revision"]) == (1, 2)


async def test_a_locked_bill_refuses_changes_deletes_and_replaces(api: httpx.AsyncClient) -> None:
    await send(api, "PUT", "bills/b-1", a_bill())
    status, body = await refused(api, "PUT", "bills/b-1/lock")
    assert (status, body["code"]) == (409, "bill.not_approved")
    await send(api, "PUT", "bills/b-1/status", {"status": "APPROVED"})
    locked = await send(api, "PUT", "bills/b-1/lock")
    assert (locked["locked"], locked["status"]) == (True, "APPROVED")
    assert locked["dtLocked"]
    assert locked["lockedBy"].startswith("SERVICE_USER_")
    for method, path, value in (
        ("PUT", "bills/b-1", a_bill(dueDate="2026-12-01")),
        ("PUT", "bills/b-1", a_bill(billJobId="j")),
        ("PUT", "bills/b-1/status", {"status": "PENDING"}),
        ("DELETE", "bills/b-1", None),
    ):
        status, body = await refused(api, method, path, value)
        assert (status, body["code"]) == (409, "bill.locked")
    assert await send(api, "PUT", "bills/b-1/lock") == locked
    same = await send(api, "PUT", "bills/b-1", a_bill())
    assert same["version"] == locked["version"]


async def test_approving_names_how_many_and_counts_none_twice(api: httpx.AsyncClient) -> None:
    for id in ("b-1", "b-2"):
        await send(api, "PUT", f"bills/{id}", a_bill())
    assert (await send(api, "POST", "bills/approve", {"billIds": ["b-1", "b-2"]}))["message"] == "2 bills approved."
    assert (await send(api, "POST", "bills/approve", {"billIds": ["b-1"]}))["message"] == "0 bills approved."
    bill = await send(api, "GET", "bills/b-1")
    assert (bill["status"], bill["version"], bill["revision"]) == ("APPROVED", 2, 1)
    assert bill["dtApproved"]


async def test_approving_an_unknown_bill_approves_none(api: httpx.AsyncClient) -> None:
    await send(api, "PUT", "bills/b-1", a_bill())
    status, body = await refused(api, "POST", "bills/approve", {"billIds": ["b-1", "b-9"]})
    assert (status, "b-9" in body["message"]) == (404, True)
    assert (await send(api, "GET", "bills/b-1"))["status"] == "PENDING"


async def test_bills_are_approved_by_account_and_invoice_date(api: httpx.AsyncClient) -> None:
    await send(api, "POST", "accounts", {**ACCOUNT, "id": "b", "code": "B"})
    await send(api, "PUT", "bills/1", a_bill(externalInvoiceDate="2026-10-31"))
    await send(api, "PUT", "bills/2", a_bill(externalInvoiceDate="2026-11-01"))
    await send(api, "PUT", "bills/3", a_bill(externalInvoiceDate="2026-10-31", accountId="b"))
    query = "accountIds=acme&externalInvoiceDateStart=2026-10-31&externalInvoiceDateEnd=2026-11-01"
    await send(api, "POST", f"bills/approve?{query}")
    approved = (await send(api, "GET", "bills?status=APPROVED"))["data"]
    assert [bill["id"] for bill in approved] == ["1"]
    status, body = await refused(api, "POST", "bills/approve")
    assert (status, body["field"]) == (400, "billIds")


async def test_an_approval_can_be_taken_back(api: httpx.AsyncClient) -> None:
    await send(api, "PUT", "bills/b-1", a_bill())
    assert (await send(api, "PUT", "bills/b-1/status", {"status": "APPROVED"}))["status"] == "APPROVED"
    back = await send(api, "PUT", "bills/b-1/status", {"status": "PENDING"})
    assert (back["status"], back["version"]) == ("PENDING", 3)
    assert "approvedBy" not in back


async def test_lists_filter_as_the_wire_says(api: httpx.AsyncClient) -> None:
    await send(api, "POST", "accounts", {**ACCOUNT, "id": "b", "code": "B"})
    await send(api, "PUT", "bills/1", a_bill(billDate="2026-09-30", billingFrequency="MONTHLY", billJobId="j"))
    await send(api, "PUT", "bills/2", a_bill(externalInvoiceDate="2026-11-01"))
    await send(api, "PUT", "bills/3", a_bill(billDate="2026-11-30", accountId="b"))
    await send(api, "PUT", "bills/3/status", {"status": "APPROVED"})
    await send(api, "PUT", "bills/3/lock")

    async def found(query: str) -> str:
        return "".join(bill["id"] for bill in (await send(api, "GET", f"bills?{query}"))["data"])

    assert await found("") == "321"
    assert await found("accountId=acme") == "21"
    assert await found("ids=1,3") == "31"
    assert await found("status=PENDING") == "21"
    assert await found("locked=true") == "321"
    assert await found("locked=false") == "21"
    assert await found("billDate=2026-10-31") == "2"
    assert await found("billDateStart=2026-10-31") == "32"
    assert await found("billDateEnd=2026-10-31") == "1"
    assert await found("billDateStart=2026-09-30&billDateEnd=2026-11-30") == "21"
    assert await found("billingFrequency=MONTHLY") == "1"
    assert await found("billingFrequency=") == "321"
    assert await found("billJobId=j") == "1"
    assert await found("externalInvoiceDateStart=2026-11-01") == "2"
    assert await found("externalInvoiceDateEnd=2026-11-01") == ""
    status, _ = await refused(api, "GET", "bills?status=DONE")
    assert status == 400
    status, _ = await refused(api, "GET", "bills?billDate=yesterday")
    assert status == 400


async def test_lists_come_with_or_without_lines_and_totals(api: httpx.AsyncClient) -> None:
    await send(api, "PUT", "bills/b-1", a_bill())
    [full] = (await send(api, "GET", "bills"))["data"]
    assert (len(full["lineItems"]), full["billTotal"]) == (1, Decimal("12.50"))
    [bare] = (await send(api, "GET", "bills?excludeLineItems=true&includeBillTotal=false"))["data"]
    assert not {"lineItems", "billTotal"} & set(bare)


async def test_lists_are_paged(api: httpx.AsyncClient) -> None:
    for id in "123":
        await send(api, "PUT", f"bills/{id}", a_bill())
    first = await send(api, "GET", "bills?pageSize=2")
    rest = await send(api, "GET", f"bills?pageSize=2&nextToken={first['nextToken']}")
    assert [bill["id"] for bill in first["data"] + rest["data"]] == ["3", "2", "1"]


async def test_a_page_of_bills_with_very_many_lines_ends_earlier(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bills, "PAGE_LINES", 20)
    many = [a_line(subtotal=0) for _ in range(9)]
    for id in "123":
        await send(api, "PUT", f"bills/{id}", a_bill(*many, billTotal=0))
    first = await send(api, "GET", "bills")
    assert [bill["id"] for bill in first["data"]] == ["3", "2"]
    rest = await send(api, "GET", f"bills?nextToken={first['nextToken']}")
    assert [bill["id"] for bill in rest["data"]] == ["1"]
    assert "nextToken" not in rest
    assert len((await send(api, "GET", "bills?excludeLineItems=true"))["data"]) == 3


async def test_line_items_are_entities_of_their_own(api: httpx.AsyncClient) -> None:
    bill = await send(api, "PUT", "bills/b-1", BILL)
    line = await send(api, "GET", "bills/b-1/lineitems/l-1")
    assert line["bandUsage"] == LINE["usagePerPricingBand"]
    same = {name: value for name, value in LINE.items() if name != "usagePerPricingBand"}
    assert {name: line[name] for name in same} == same
    assert (line["billId"], line["version"], line["dtCreated"]) == ("b-1", 1, bill["dtCreated"])
    status, body = await refused(api, "GET", "bills/b-1/lineitems/none")
    assert (status, body["code"]) == (404, "line_item.not_found")


async def test_pages_of_lines_go_on_in_the_revision_in_which_they_began(api: httpx.AsyncClient) -> None:
    await send(api, "PUT", "bills/b-1", a_bill(*[a_line(subtotal=0) for _ in range(5)], billTotal=0))
    first = await send(api, "GET", "bills/b-1/lineitems?pageSize=2")
    await send(api, "PUT", "bills/b-1", a_bill())
    second = await send(api, "GET", f"bills/b-1/lineitems?pageSize=2&nextToken={first['nextToken']}")
    third = await send(api, "GET", f"bills/b-1/lineitems?pageSize=2&nextToken={second['nextToken']}")
    assert [line["id"] for page in (first, second, third) for line in page["data"]] == ["1", "2", "3", "4", "5"]
    assert "nextToken" not in third
    for token in ("x", "1.", "1.9999999999999999999", "9999999999999999999.1"):
        status, body = await refused(api, "GET", f"bills/b-1/lineitems?nextToken={token}")
        assert (status, body["field"]) == (400, "nextToken")


async def test_the_latest_bill_of_an_account_is_the_one_of_the_latest_date(api: httpx.AsyncClient) -> None:
    await send(api, "PUT", "bills/new", a_bill())
    await send(api, "PUT", "bills/old", a_bill(billDate="2026-09-30"))
    assert (await send(api, "GET", "bills/latest/acme"))["id"] == "new"
    status, body = await refused(api, "GET", "bills/latest/nobody")
    assert (status, "nobody" in body["message"]) == (404, True)


async def test_a_bill_of_another_organization_is_not_there(api: httpx.AsyncClient) -> None:
    await send(api, "PUT", "bills/b-1", a_bill())
    status, _ = await refused(api, "GET", "/organizations/other/bills/b-1")
    assert status in {403, 404}


@pytest.mark.parametrize("id", ["%ff", "a%ED%A0%80"])
async def test_an_id_that_is_no_utf_8_is_refused_and_not_taken_for_another(api: httpx.AsyncClient, id: str) -> None:
    status, body = await refused(api, "PUT", f"bills/{id}", a_bill())
    assert (status, body["code"]) == (400, "address.encoding")
    assert (await send(api, "GET", "bills"))["data"] == []
