"""Accounts and bills are searched by the wire's conditions; values are values, whatever they look like."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.entities import ACCOUNT, a_bill, refused, send

CODES = ["100%", "A_B", "a-b", "x' OR '1'='1"]


@pytest.fixture(autouse=True)
async def stored(api: httpx.AsyncClient) -> None:
    await send(api, "POST", "accounts", {**ACCOUNT, "id": "acme", "currency": "EUR"})
    for n, code in enumerate(CODES):
        account = {**ACCOUNT, "id": f"a{n}", "code": code, "name": f"Premium Ltd {n}", "parentAccountId": "acme"}
        await send(api, "POST", "accounts", account)
    for n in range(1, 4):
        await send(api, "PUT", f"bills/b{n}", a_bill(billDate=f"2026-10-0{n}", dueDate=f"2026-11-1{4 - n}"))
    await send(api, "PUT", "bills/b4", a_bill(accountId="a0", billDate="2026-10-04"))


async def found(api: httpx.AsyncClient, noun: str, query: str, **more: Any) -> list[str]:
    answer = await api.get(f"{noun}/search", params={"searchQuery": query, "sortBy": "id", **more})
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["data"]]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("code:100%", ["a0"]),
        ("code~%", ["a0"]),
        ("code~_", ["a1"]),
        ("code:x' OR '1'='1", ["a3"]),
        ("name:'; DROP TABLE accounts; --", []),
        ("name~premium ltd", ["a0", "a1", "a2", "a3"]),
        ("parentAccountId:acme$name~2", ["a2"]),
        ("currency:EUR", ["acme"]),
        ("ids:a1,acme", ["a1", "acme"]),
        ("codes:A_B,a-b", ["a1", "a2"]),
        ("id>a1$id<=a3", ["a2", "a3"]),
        ("dtCreated>2020-01-01$dtCreated<9000-01-01", ["a0", "a1", "a2", "a3", "acme"]),
        ("dtCreated:2020-01-01", []),
        ("createdBy~service_user", ["a0", "a1", "a2", "a3", "acme"]),
    ],
)
async def test_accounts_are_found_by_conditions(api: httpx.AsyncClient, query: str, ids: list[str]) -> None:
    assert await found(api, "accounts", query) == ids


async def test_one_of_several_conditions_is_enough_where_asked(api: httpx.AsyncClient) -> None:
    assert await found(api, "accounts", "id:a1$currency:EUR") == []
    assert await found(api, "accounts", "id:a1$currency:EUR", operator="OR") == ["a1", "acme"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("billDate>=2026-10-02$billDate<2026-10-04", ["b2", "b3"]),
        ("dueDate:2026-11-13", ["b1"]),
        ("accountId:a0", ["b4"]),
        ("locked:false", ["b1", "b2", "b3", "b4"]),
        ("locked:true", []),
        ("ids:b1,b4,b9", ["b1", "b4"]),
    ],
)
async def test_bills_are_found_by_conditions(api: httpx.AsyncClient, query: str, ids: list[str]) -> None:
    assert await found(api, "bills", query) == ids


async def test_what_is_found_is_sorted_and_comes_in_parts(api: httpx.AsyncClient) -> None:
    assert await found(api, "bills", "", sortBy="dueDate") == ["b3", "b2", "b1", "b4"]
    assert await found(api, "bills", "", sortBy="dueDate", sortOrder="DESC") == ["b1", "b2", "b3", "b4"]
    newest = await api.get("bills/search", params={"pageSize": 3})
    assert [each["id"] for each in newest.json()["data"]] == ["b4", "b3", "b2"]
    assert newest.json()["nextToken"] == "3"
    rest = (await api.get("bills/search", params={"pageSize": 3, "fromDocument": 3})).json()
    assert [each["id"] for each in rest["data"]] == ["b1"]
    assert "nextToken" not in rest


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("searchQuery=bogus:1", "searchQuery"),
        ("sortBy=ids", "sortBy"),
        ("operator=XOR", "operator"),
        ("pageSize=101", "pageSize"),
    ],
)
async def test_a_search_that_is_not_right_is_refused_by_name(api: httpx.AsyncClient, query: str, field: str) -> None:
    status, body = await refused(api, "GET", f"accounts/search?{query}")
    assert (status, body["field"]) == (400, field)


async def test_children_are_listed_by_their_parent(api: httpx.AsyncClient) -> None:
    first = await send(api, "GET", "accounts/acme/children?pageSize=3")
    rest = await send(api, "GET", f"accounts/acme/children?pageSize=3&nextToken={first['nextToken']}")
    assert [each["id"] for each in first["data"] + rest["data"]] == ["a3", "a2", "a1", "a0"]
    assert (await send(api, "GET", "accounts/a1/children"))["data"] == []
    assert (await api.get("accounts/nobody/children")).status_code == 404


async def test_ending_what_is_not_kept_here_is_refused_with_the_reason(api: httpx.AsyncClient) -> None:
    status, body = await refused(api, "PUT", "accounts/acme/enddatebillingentities", {"billingEntities": ["CONTRACT"]})
    assert (status, body["code"]) == (400, "account.billing_entities")
