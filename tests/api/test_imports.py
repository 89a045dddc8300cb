from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message
from structlog.testing import capture_logs

from tests.api.entities import ACCOUNT, a_bill, a_line, ndjson, refused, send
from tollbridge.domain import json_text
from tollbridge.services import imports


async def take_in(api: httpx.AsyncClient, noun: str, content: bytes | AsyncIterator[bytes]) -> Any:
    answer = await api.post(f"imports/{noun}", content=content)
    assert answer.status_code == 200, answer.text
    return json_text.parse(answer.content)


def counts(report: dict[str, Any]) -> tuple[int, int, int]:
    return report["accepted"], report["unchanged"], report["refused"]


def outcomes(report: dict[str, Any]) -> list[str]:
    return [result["outcome"] for result in report["results"]]


@pytest.fixture
async def account(api: httpx.AsyncClient) -> None:
    await send(api, "POST", "accounts", ACCOUNT)


@pytest.mark.usefixtures("account")
async def test_bills_are_taken_in_and_the_same_file_again_changes_nothing(api: httpx.AsyncClient) -> None:
    file = ndjson(*[a_bill(id=f"b-{n}") for n in range(7)])
    report = await take_in(api, "bills", file)
    assert counts(report) == (7, 0, 0)
    assert report["results"][0] == {"line": 1, "id": "b-0", "outcome": "created"}
    before = await send(api, "GET", "bills")
    assert len(before["data"]) == 7
    assert counts(await take_in(api, "bills", file)) == (0, 7, 0)
    assert await send(api, "GET", "bills") == before


@pytest.mark.usefixtures("account")
async def test_a_bad_line_takes_no_good_one_with_it(api: httpx.AsyncClient) -> None:
    await send(api, "PUT", "bills/locked", a_bill())
    await send(api, "POST", "bills/approve", {"billIds": ["locked"]})
    await send(api, "PUT", "bills/locked/lock")
    lines = [
        ndjson(a_bill(id="good")),
        b"{nonsense\n",
        b"\n",
        ndjson(a_bill(id="sum", billTotal=13)),
        ndjson(a_bill(id="who", accountId="nobody")),
        ndjson(a_bill(id="locked", dueDate="2026-12-01")),
        b'{"id":"\xff"}\n',
        b'{"id":"deep","accountId":' + b"[" * 50 + b"]" * 50 + b"}\n",
        ndjson(a_bill(a_line(description="a\x00b"), id="nul")),
        b'{"id":"nan","billTotal":NaN}\n',
        ndjson(a_bill(id="last")).rstrip(),
    ]
    report = await take_in(api, "bills", b"".join(lines))
    assert counts(report) == (2, 0, 8)
    assert [(refusal["line"], refusal.get("id")) for refusal in report["refusals"]] == [
        (2, None),
        (4, "sum"),
        (5, "who"),
        (6, "locked"),
        (7, None),
        (8, None),
        (9, "nul"),
        (10, None),
    ]
    by_line = {refusal["line"]: refusal for refusal in report["refusals"]}
    assert "12.5 EUR" in by_line[4]["message"]
    assert by_line[4]["field"] == "billTotal"
    assert by_line[5]["hint"]
    assert by_line[6]["code"] == "bill.locked"
    assert {bill["id"] for bill in (await send(api, "GET", "bills"))["data"]} == {"good", "last", "locked"}


@pytest.mark.usefixtures("account")
async def test_two_lines_about_one_bill_count_in_their_order(api: httpx.AsyncClient) -> None:
    report = await take_in(api, "bills", ndjson(a_bill(id="b"), a_bill(id="b", dueDate="2026-12-01"), a_bill(id="b")))
    assert outcomes(report) == ["created", "updated", "updated"]
    bill = await send(api, "GET", "bills/b")
    assert (bill["revision"], bill["version"]) == (3, 3)
    assert "dueDate" not in bill


@pytest.mark.usefixtures("account")
async def test_a_version_in_a_file_is_somebody_elses(api: httpx.AsyncClient) -> None:
    await take_in(api, "bills", ndjson(a_bill(id="b", version=7)))
    report = await take_in(api, "bills", ndjson(a_bill(id="b", version=7, dueDate="2026-12-01")))
    assert outcomes(report) == ["updated"]


@pytest.mark.usefixtures("account")
async def test_more_bills_than_fit_one_transaction_are_taken_in(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "BATCH_ITEMS", 3)
    report = await take_in(api, "bills", ndjson(*[a_bill(id=f"b-{n}") for n in range(10)]))
    assert [result["line"] for result in report["results"]] == list(range(1, 11))
    assert len((await send(api, "GET", "bills"))["data"]) == 10


@pytest.mark.usefixtures("account")
async def test_lines_arrive_in_pieces(api: httpx.AsyncClient) -> None:
    whole = ndjson(*[a_bill(id=f"b-{n}") for n in range(3)])

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(whole), 100):
            yield whole[start : start + 100]

    assert counts(await take_in(api, "bills", pieces())) == (3, 0, 0)


@pytest.mark.usefixtures("account")
async def test_a_line_that_is_too_long_is_refused_alone(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "MAX_LINE", 2000)
    long = a_bill(*[a_line(subtotal=0) for _ in range(100)], id="long", billTotal=0)
    report = await take_in(api, "bills", ndjson(long, a_bill(id="short")))
    assert [refusal["code"] for refusal in report["refusals"]] == ["import.line_too_long"]
    assert outcomes(report) == ["created"]


@pytest.mark.usefixtures("account")
async def test_an_import_of_too_many_lines_says_where_it_stopped(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "MAX_LINES", 2)
    report = await take_in(api, "bills", ndjson(*[a_bill(id=f"b-{n}") for n in range(4)]))
    assert counts(report) == (2, 0, 1)
    assert (report["refusals"][0]["line"], report["refusals"][0]["code"]) == (3, "import.too_many_lines")


async def test_accounts_are_found_by_id_or_by_code(api: httpx.AsyncClient) -> None:
    new = {"code": "NEW", "name": "New", "emailAddress": "new@example.com"}
    report = await take_in(api, "accounts", ndjson(ACCOUNT, new))
    assert outcomes(report) == ["created", "created"]
    report = await take_in(api, "accounts", ndjson({**ACCOUNT, "name": "Other"}, new, {**new, "name": "Newer"}))
    assert outcomes(report) == ["updated", "unchanged", "updated"]
    found = (await send(api, "GET", "accounts"))["data"]
    assert {account["code"]: (account["name"], account["version"]) for account in found} == {
        "ACME": ("Other", 2),
        "NEW": ("Newer", 2),
    }


async def test_a_code_of_another_account_is_refused_alone(api: httpx.AsyncClient) -> None:
    other = {**ACCOUNT, "id": "other", "code": "B"}
    report = await take_in(
        api, "accounts", ndjson(ACCOUNT, {**ACCOUNT, "id": "twin"}, other, {**other, "code": "ACME"})
    )
    assert outcomes(report) == ["created", "created"]
    assert [(refusal["line"], refusal["field"]) for refusal in report["refusals"]] == [(2, "code"), (4, "code")]


async def test_an_account_that_comes_twice_in_one_import_is_as_the_last_line_says(api: httpx.AsyncClient) -> None:
    report = await take_in(api, "accounts", ndjson(ACCOUNT, {**ACCOUNT, "name": "Second"}))
    assert outcomes(report) == ["created", "updated"]
    account = await send(api, "GET", "accounts/acme")
    assert (account["name"], account["version"]) == ("Second", 1)


async def test_products_and_external_mappings_are_taken_in_too(api: httpx.AsyncClient) -> None:
    product = {"id": "p", "code": "P", "name": "Calls", "customFields": {"price": Decimal("0.10")}}
    assert counts(await take_in(api, "products", ndjson(product))) == (1, 0, 0)
    assert counts(await take_in(api, "products", ndjson(product))) == (0, 1, 0)
    mapping = {
        "m3terEntity": "Account",
        "m3terId": "acme",
        "externalSystem": "Stripe",
        "externalTable": "Customer",
        "externalId": "cus_1",
    }
    report = await take_in(
        api, "externalmappings", ndjson(mapping, {**mapping, "m3terId": "b", "integrationConfigId": "none"})
    )
    assert counts(report) == (1, 0, 1)
    assert counts(await take_in(api, "externalmappings", ndjson(mapping))) == (0, 1, 0)
    assert outcomes(await take_in(api, "externalmappings", ndjson({**mapping, "externalId": "cus_2"}))) == ["updated"]
    [kept] = (await send(api, "GET", "externalmappings"))["data"]
    assert (kept["externalId"], kept["version"]) == ("cus_2", 2)


async def test_only_four_nouns_can_be_imported(api: httpx.AsyncClient) -> None:
    status, _ = await refused(api, "POST", "imports/everything")
    assert status in {400, 404}


async def test_an_empty_import_is_no_error(api: httpx.AsyncClient) -> None:
    assert counts(await take_in(api, "bills", b"")) == (0, 0, 0)


@pytest.mark.usefixtures("account")
async def test_a_client_that_leaves_during_an_import_is_no_incident_and_keeps_what_was_taken_in(
    api: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "BATCH_ITEMS", 1)
    received: list[Message] = [
        {"type": "http.request", "body": ndjson(a_bill(id="b-1"), a_bill(id="b-2")), "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return received.pop(0)

    async def nobody_hears(message: Message) -> None: ...

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/organizations/org 1/imports/bills",
        "query_string": b"",
        "headers": [(b"authorization", api.headers["authorization"].encode())],
    }
    with capture_logs() as logs:
        await app(scope, receive, nobody_hears)
    assert [line["log_level"] for line in logs] == ["info"]
    assert [bill["id"] for bill in (await send(api, "GET", "bills"))["data"]] == ["b-1"]
