"""The lock date: bills dated on or before it stay as they are."""

from __future__ import annotations

import httpx
import pytest

from tests.api.entities import ACCOUNT, a_bill, ndjson, refused, send


@pytest.fixture(autouse=True)
async def stored(api: httpx.AsyncClient) -> None:
    await send(api, "POST", "accounts", ACCOUNT)
    await send(api, "PUT", "bills/old", a_bill(billDate="2026-10-31"))
    await send(api, "PUT", "bills/new", a_bill(billDate="2026-11-01"))


async def test_there_is_always_one_and_it_is_changed_by_version(api: httpx.AsyncClient) -> None:
    assert (await send(api, "GET", "billconfig"))["version"] == 0
    first = await send(api, "PUT", "billconfig", {"billLockDate": "2025-12-31", "version": 0})
    assert (first["billLockDate"], first["version"]) == ("2025-12-31", 1)
    assert await send(api, "GET", "billconfig") == first
    status, body = await refused(api, "PUT", "billconfig", {"billLockDate": "2026-12-31", "version": 0})
    assert (status, body["code"]) == (409, "version.stale")
    assert "billLockDate" not in await send(api, "PUT", "billconfig", {"version": 1})


async def test_bills_dated_up_to_the_lock_date_are_locked_and_no_more_are_taken_in(api: httpx.AsyncClient) -> None:
    before = await send(api, "GET", "bills/old")
    await send(api, "PUT", "billconfig", {"billLockDate": "2026-10-31"})
    locked = await send(api, "GET", "bills/old")
    assert (locked["locked"], locked["version"]) == (True, before["version"] + 1)
    assert (await send(api, "GET", "bills/new"))["locked"] is False
    for id, day in (("old", "2026-12-01"), ("new", "2026-10-31"), ("another", "2026-10-30")):
        status, body = await refused(api, "PUT", f"bills/{id}", a_bill(billDate=day))
        assert (status, body["code"].split(".")[0]) == (409, "bill"), id
    assert (await refused(api, "DELETE", "bills/old"))[0] == 409
    same = await api.post("imports/bills", content=ndjson(a_bill(id="old", billDate="2026-10-31")))
    assert same.json()["unchanged"] == 1


async def test_a_bill_that_the_lock_date_locked_can_still_be_approved(api: httpx.AsyncClient) -> None:
    await send(api, "PUT", "billconfig", {"billLockDate": "2026-10-31"})
    assert (await send(api, "PUT", "bills/old/status", {"status": "APPROVED"}))["status"] == "APPROVED"
    assert (await refused(api, "PUT", "bills/old/status", {"status": "PENDING"}))[0] == 409
