from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.api.entities import ACCOUNT, a_bill, refused, send

FULL: dict[str, Any] = {
    **ACCOUNT,
    "address": {
        "addressLine1": "1 High St",
        "addressLine2": "Floor 2",
        "addressLine3": "c/o",
        "addressLine4": "x",
        "locality": "London",
        "region": "Greater London",
        "postCode": "N1 1AA",
        "country": "GB",
    },
    "autoGenerateStatementMode": "JSON",
    "billEpoch": "2026-01-01",
    "creditApplicationOrder": ["PREPAYMENT", "BALANCE"],
    "currency": "GBP",
    "customFields": {"vat": "GB123", "score": Decimal("1.10")},
    "daysBeforeBillDue": 14,
    "parentAccountId": "parent",
    "purchaseOrderNumber": "PO 1",
    "statementDefinitionId": "s",
}


async def test_every_field_of_an_account_comes_back_unchanged(api: httpx.AsyncClient) -> None:
    created = await send(api, "POST", "accounts", FULL)
    assert {name: created[name] for name in FULL} == FULL
    assert created["version"] == 1
    assert created["createdBy"].startswith("SERVICE_USER_")
    assert created["dtCreated"].endswith("Z")
    assert await send(api, "GET", "accounts/acme") == created


async def test_an_account_without_id_is_given_one(api: httpx.AsyncClient) -> None:
    created = await send(api, "POST", "accounts", {**ACCOUNT, "id": None})
    assert len(created["id"]) == 36


async def test_an_update_replaces_the_whole_account_and_raises_the_version(api: httpx.AsyncClient) -> None:
    created = await send(api, "POST", "accounts", FULL)
    changed = await send(api, "PUT", "accounts/acme", {**created, "name": "New", "currency": None})
    assert (changed["name"], changed["version"]) == ("New", 2)
    assert "currency" not in changed
    assert await send(api, "GET", "accounts/acme") == changed


async def test_an_update_of_an_old_version_is_refused(api: httpx.AsyncClient) -> None:
    await send(api, "POST", "accounts", ACCOUNT)
    await send(api, "PUT", "accounts/acme", {**ACCOUNT, "name": "New", "version": 1})
    status, body = await refused(api, "PUT", "accounts/acme", {**ACCOUNT, "name": "Other", "version": 1})
    assert (status, body["code"]) == (409, "version.stale")
    assert (await send(api, "GET", "accounts/acme"))["name"] == "New"


async def test_a_code_is_taken_once(api: httpx.AsyncClient) -> None:
    await send(api, "POST", "accounts", ACCOUNT)
    status, body = await refused(api, "POST", "accounts", {**ACCOUNT, "id": "other"})
    assert (status, body["field"]) == (409, "code")
    assert "ACME" in body["message"]
    assert "acme" in body["message"]


async def test_a_code_of_another_account_is_refused_in_an_update(api: httpx.AsyncClient) -> None:
    await send(api, "POST", "accounts", ACCOUNT)
    await send(api, "POST", "accounts", {**ACCOUNT, "id": "b", "code": "B"})
    status, _ = await refused(api, "PUT", "accounts/b", ACCOUNT)
    assert status == 409


async def test_an_id_is_taken_once(api: httpx.AsyncClient) -> None:
    await send(api, "POST", "accounts", ACCOUNT)
    status, body = await refused(api, "POST", "accounts", {**ACCOUNT, "code": "B"})
    assert (status, body["field"]) == (409, "id")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"code": None}, "code"),
        ({"code": " A"}, "code"),
        ({"code": "x" * 81}, "code"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"emailAddress": "nobody"}, "emailAddress"),
        ({"currency": "EUX"}, "currency"),
        ({"daysBeforeBillDue": 0}, "daysBeforeBillDue"),
        ({"address": {"postCode": "x" * 21}}, "address.postCode"),
        ({"customFields": {"a": []}}, "customFields.a"),
        ({"customFields": {str(n): n for n in range(101)}}, "customFields"),
        ({"id": "a/b"}, "id"),
        ({"id": "search"}, "id"),
    ],
)
async def test_a_field_that_cannot_be_kept_is_refused(
    api: httpx.AsyncClient, changes: dict[str, Any], field: str
) -> None:
    status, body = await refused(api, "POST", "accounts", {**ACCOUNT, **changes})
    assert (status, body["field"]) == (400, field)
    assert (await send(api, "GET", "accounts"))["data"] == []


async def test_lists_find_by_ids_and_codes_page_by_page(api: httpx.AsyncClient) -> None:
    for name in "abc":
        await send(api, "POST", "accounts", {**ACCOUNT, "id": name, "code": name.upper()})
    first = await send(api, "GET", "accounts?pageSize=2")
    assert [account["id"] for account in first["data"]] == ["c", "b"]
    rest = await send(api, "GET", f"accounts?pageSize=2&nextToken={first['nextToken']}")
    assert [account["id"] for account in rest["data"]] == ["a"]
    assert "nextToken" not in rest
    assert [account["id"] for account in (await send(api, "GET", "accounts?ids=a,c"))["data"]] == ["c", "a"]
    assert [account["id"] for account in (await send(api, "GET", "accounts?codes=B"))["data"]] == ["b"]


async def test_an_account_with_bills_stays(api: httpx.AsyncClient) -> None:
    await send(api, "POST", "accounts", ACCOUNT)
    await send(api, "PUT", "bills/b-1", a_bill())
    status, body = await refused(api, "DELETE", "accounts/acme")
    assert (status, body["code"]) == (409, "account.in_use")
    await send(api, "DELETE", "bills/b-1")
    assert (await send(api, "DELETE", "accounts/acme"))["id"] == "acme"
    status, _ = await refused(api, "GET", "accounts/acme")
    assert status == 404


async def test_products_are_kept_like_accounts(api: httpx.AsyncClient) -> None:
    product = {"id": "p", "code": "P", "name": "Calls", "customFields": {"sku": "7"}}
    created = await send(api, "POST", "products", product)
    assert {name: created[name] for name in product} == product
    changed = await send(api, "PUT", "products/p", {**product, "name": "Minutes"})
    assert (await send(api, "GET", "products?codes=P"))["data"] == [changed]
    status, _ = await refused(api, "POST", "products", {**product, "id": "q"})
    assert status == 409
    await send(api, "DELETE", "products/p")
    status, body = await refused(api, "GET", "products/p")
    assert (status, body["code"]) == (404, "product.not_found")
