"""How the stand-in treats requests: keys, parameters, idempotency, limits, faults and its administration."""

from __future__ import annotations

import asyncio
import importlib
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
import pytest

from tests.sandbox.conftest import Client
from tollbridge.sandbox import SYSTEMS, stripe

NEW = "/v1/customers"
CUT = aiohttp.ServerDisconnectedError


async def _names(client: Client) -> list[str]:
    return [each["name"] for each in (await client.books())["customers"]]


async def _made(client: Client, name: str) -> bool:
    return await _names(client) == [name]


async def _struck(client: Client) -> bool:
    return bool((await client.admin("GET", "faults"))["faults"][0]["struck"])


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(5000):
        if await condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("the condition never came true")


async def test_a_request_without_a_known_key_is_refused(client: Client) -> None:
    assert (await client.get("/v1/account", key="sk_test_unknown")).status == 401
    assert (await client.get("/v1/account")).status == 200


async def test_keys_of_two_accounts_see_two_sets_of_books(client: Client) -> None:
    other = {"key": "rk_test_other", "account": "acct_other"}
    assert await client.admin("POST", "keys", other) == {**other, "livemode": False}
    assert (await client.get("/v1/account", key="rk_test_other")).id == "acct_other"
    assert (await client.get("/v1/account")).id == client.running.account
    customer = await client.customer()
    assert (await client.get(f"{NEW}/{customer}", key="rk_test_other")).status == 404
    assert {each["account"] for each in (await client.books())["accounts"]} == {client.running.account, "acct_other"}


async def test_live_and_test_keys_of_one_account_do_not_share_books(client: Client) -> None:
    await client.admin("POST", "keys", {"key": "sk_live_mine", "account": client.running.account})
    made = await client.post(NEW, {"name": "Live"}, key="sk_live_mine")
    assert made.body["livemode"] is True
    assert (await client.get(f"{NEW}/{made.id}")).status == 404


@pytest.mark.parametrize(
    ("path", "form", "code", "param"),
    [
        (NEW, {"nickname": "A"}, "parameter_unknown", "nickname"),
        (NEW, {"address[planet]": "Earth"}, "parameter_unknown", "address[planet]"),
        (NEW, {"name": "x" * 257}, None, "name"),
        (NEW, {"name": ""}, "parameter_invalid_empty", "name"),
        (NEW, {"balance": "1.5"}, "parameter_invalid_integer", "balance"),
        (NEW, {"tax_exempt": "maybe"}, None, "tax_exempt"),
        (NEW, {"address": "here"}, None, "address"),
        (NEW, {"metadata[k]": "v" * 501}, None, "metadata[k]"),
        (NEW, {"email": "nobody"}, "email_invalid", "email"),
        ("/v1/products", {}, "parameter_missing", "name"),
        ("/v1/invoices", {"customer": "cus_none"}, "resource_missing", "customer"),
        ("/v1/invoices", {}, "parameter_missing", "customer"),
        ("/v1/invoices", {"discounts[0][coupon]": "c"}, None, "discounts"),
        ("/v1/invoices/x/add_lines", {"lines[0][currency]": "eur"}, "parameter_unknown", "lines[0][currency]"),
        ("/v1/invoices/x/add_lines", {"lines[0][amount]": "1.5"}, "parameter_invalid_integer", "lines[0][amount]"),
    ],
)
async def test_a_bad_parameter_is_refused_by_its_name(
    client: Client, path: str, form: Mapping[str, str], code: str | None, param: str
) -> None:
    refused = await client.post(path, form)
    assert (refused.status, refused.error["type"]) == (400, "invalid_request_error")
    assert (refused.error.get("code"), refused.error["param"]) == (code, param)
    assert refused.headers["Stripe-Should-Retry"] == "false"


async def test_every_answer_names_its_request_and_the_version(client: Client) -> None:
    first, second = await client.get("/v1/account"), await client.get("/v1/nothing")
    assert second.status == 404
    assert first.headers["Request-Id"] != second.headers["Request-Id"]
    assert first.headers["Stripe-Version"] == "2026-08-26.dahlia"


async def test_the_same_key_and_parameters_give_the_first_answer_again(client: Client) -> None:
    first = await client.post(NEW, {"name": "A"}, idempotency="k")
    again = await client.post(NEW, {"name": "A"}, idempotency="k")
    assert again.body == first.body
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await _names(client) == ["A"]


async def test_a_key_with_other_parameters_or_at_another_endpoint_is_an_error(client: Client) -> None:
    await client.post(NEW, {"name": "A"}, idempotency="k")
    for path, form in ((NEW, {"name": "B"}), ("/v1/products", {"name": "A"})):
        refused = await client.post(path, form, idempotency="k")
        assert (refused.status, refused.error["type"]) == (400, "idempotency_error")


async def test_keys_are_honoured_for_post_alone_and_per_account(client: Client) -> None:
    await client.admin("POST", "keys", {"key": "sk_test_other", "account": "acct_other"})
    await client.post(NEW, {"name": "A"}, idempotency="k")
    assert (await client.post(NEW, {"name": "B"}, idempotency="k", key="sk_test_other")).status == 200
    read = await client.get(NEW, idempotency="k")
    assert (read.status, "Idempotent-Replayed" in read.headers) == (200, False)


async def test_a_key_is_at_most_255_characters(client: Client) -> None:
    assert (await client.post(NEW, {"name": "A"}, idempotency="k" * 256)).status == 400
    assert (await client.post(NEW, {"name": "A"}, idempotency="k" * 255)).status == 200


async def test_a_key_is_forgotten_after_a_day_by_the_stand_ins_clock(client: Client) -> None:
    first = await client.post(NEW, {"name": "A"}, idempotency="k")
    await client.forward(86_000)
    assert (await client.post(NEW, {"name": "A"}, idempotency="k")).id == first.id
    await client.forward(500)
    assert (await client.post(NEW, {"name": "A"}, idempotency="k")).id != first.id


async def test_failures_after_work_began_are_kept_under_the_key(client: Client) -> None:
    missing = {"customer": "cus_none"}
    assert (await client.post("/v1/invoices", missing, idempotency="a")).status == 400
    assert (await client.post("/v1/invoices", missing, idempotency="a")).headers["Idempotent-Replayed"] == "true"
    for kind, status in (("lock_timeout", 429), ("error_before_commit", 500), ("error_after_commit", 500)):
        await client.fault(kind, times=1)
        for replayed in (None, "true"):
            got = await client.post(NEW, {"name": kind}, idempotency=kind)
            assert (got.status, got.headers.get("Idempotent-Replayed")) == (status, replayed)
    assert await _names(client) == ["error_after_commit"]


async def test_what_never_began_is_not_kept_under_the_key(client: Client) -> None:
    assert (await client.post(NEW, {"nickname": "A"}, idempotency="k")).status == 400
    assert (await client.post(NEW, {"name": "A"}, idempotency="k", key="sk_test_unknown")).status == 401
    await client.fault("rate_limited", times=1)
    assert (await client.post(NEW, {"name": "A"}, idempotency="k")).status == 429
    assert (await client.post(NEW, {"name": "A"}, idempotency="k")).status == 200


async def test_a_key_in_flight_is_a_conflict_until_the_work_has_ended(client: Client) -> None:
    await client.fault("late_commit", times=1, seconds=3600)
    with pytest.raises(CUT):
        await client.post(NEW, {"name": "A"}, idempotency="k")
    conflict = await client.post(NEW, {"name": "A"}, idempotency="k")
    assert (conflict.status, conflict.error["code"]) == (409, "idempotency_key_in_use")
    assert await _names(client) == []
    await client.forward(3600)
    await _until(lambda: _made(client, "A"))
    assert (await client.post(NEW, {"name": "A"}, idempotency="k")).headers["Idempotent-Replayed"] == "true"
    assert await _names(client) == ["A"]


async def test_a_lost_reply_leaves_the_effect_and_the_key_gives_it_back(client: Client) -> None:
    await client.fault("reply_lost", times=1, method="POST", path="/v1/customers")
    with pytest.raises(CUT):
        await client.post(NEW, {"name": "A"}, idempotency="k")
    assert await _names(client) == ["A"]
    assert (await client.post(NEW, {"name": "A"}, idempotency="k")).body["name"] == "A"
    assert await _names(client) == ["A"]


async def test_a_dropped_connection_leaves_nothing(client: Client) -> None:
    await client.fault("dropped", times=1)
    with pytest.raises(CUT):
        await client.post(NEW, {"name": "A"}, idempotency="k")
    assert await _names(client) == []
    assert (await client.post(NEW, {"name": "A"}, idempotency="k")).status == 200


async def test_a_latency_ends_when_the_clock_is_moved(client: Client) -> None:
    await client.fault("latency", times=1, seconds=3600)
    waiting = asyncio.create_task(client.post(NEW, {"name": "A"}))
    await _until(lambda: _struck(client))
    assert await _names(client) == []
    await client.forward(3600)
    assert (await waiting).status == 200


async def test_work_goes_on_when_the_client_gives_up(client: Client) -> None:
    await client.fault("latency", times=1, seconds=3600)
    waiting = asyncio.create_task(client.post(NEW, {"name": "A"}, idempotency="k"))
    await _until(lambda: _struck(client))
    waiting.cancel()
    assert (await client.post(NEW, {"name": "A"}, idempotency="k")).status == 409
    await client.forward(3600)
    await _until(lambda: _made(client, "A"))


async def test_a_stand_in_stops_although_a_request_is_waiting(client: Client) -> None:
    await client.fault("latency", seconds=3600)
    waiting = asyncio.create_task(client.get("/v1/account"))
    await _until(lambda: _struck(client))
    await client.running.stop()
    with pytest.raises(aiohttp.ClientError):
        await waiting


async def test_a_rate_limit_fault_says_why_and_when_to_come_back(client: Client) -> None:
    await client.fault("rate_limited", times=1, retry_after=7, reason="endpoint-concurrency")
    limited = await client.get("/v1/account")
    assert (limited.status, limited.error["code"]) == (429, "rate_limit")
    assert limited.headers["Stripe-Rate-Limited-Reason"] == "endpoint-concurrency"
    assert limited.headers["Retry-After"] == "7"
    await client.fault("rate_limited", times=1)
    assert "Retry-After" not in (await client.get("/v1/account")).headers


async def test_a_revoked_key_is_refused_and_other_keys_go_on(client: Client) -> None:
    await client.admin("POST", "keys", {"key": "sk_test_second", "account": client.running.account})
    await client.fault("key_revoked", key=client.key)
    refused = await client.get("/v1/account")
    assert (refused.status, refused.error["code"]) == (401, "api_key_expired")
    assert (await client.get("/v1/account", key="sk_test_second")).status == 200


async def test_faults_strike_what_they_match_as_often_as_they_say(client: Client) -> None:
    await client.fault("error_before_commit", method="POST", path="/v1/cust*", skip=1, times=2)
    assert (await client.post("/v1/products", {"name": "P"})).status == 200
    statuses = [(await client.post(NEW, {"name": "A"})).status for _ in range(4)]
    assert statuses == [200, 500, 500, 200]
    await client.fault("error_before_commit")
    assert (await client.admin("DELETE", "faults")) == {"faults": []}
    assert (await client.get("/v1/account")).status == 200


async def test_a_fault_by_chance_repeats_with_its_seed(client: Client) -> None:
    async def statuses() -> list[int]:
        await client.fault("error_before_commit", probability=0.5, seed=7)
        seen = [(await client.get("/v1/account")).status for _ in range(20)]
        await client.admin("DELETE", "faults")
        return seen

    first = await statuses()
    assert set(first) == {200, 500}
    assert await statuses() == first


async def test_the_limiter_refuses_what_is_too_fast_and_can_be_switched_off(client: Client) -> None:
    await client.admin("POST", "limits", {"requests_per_second": 1})
    statuses = [(await client.get("/v1/account")).status for _ in range(3)]
    assert statuses.count(200) >= 1
    assert 429 in statuses
    await client.admin("POST", "limits", {"requests_per_second": 0})
    assert {(await client.get("/v1/account")).status for _ in range(50)} == {200}


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("faults", {"kind": "meteor"}),
        ("faults", {"kind": "latency", "colour": "red"}),
        ("clock", {"forward_seconds": -1}),
        ("clock", {}),
        ("keys", {"key": "secret", "account": "acct_other"}),
        ("limits", {"per_minute": 3}),
        ("books?limit=all", None),
    ],
)
async def test_the_administration_says_what_it_does_not_understand(client: Client, path: str, given: object) -> None:
    method = "GET" if given is None else "POST"
    assert (await client.admin(method, path, given))["error"]


async def test_recent_requests_are_shown_without_their_keys(client: Client) -> None:
    await client.post(NEW, {"name": "A"}, idempotency="k")
    [seen] = (await client.admin("GET", "requests"))["requests"]
    assert (seen["method"], seen["path"], seen["body"], seen["status"]) == ("POST", NEW, "name=A", 200)
    assert client.key not in seen["headers"]["authorization"]


async def test_the_books_list_every_invoice_and_can_be_paged(client: Client) -> None:
    invoice = await client.finalised(1000, 500, **{"metadata[bill_id]": "b1"})
    await client.draft()
    [first, second] = (await client.books())["invoices"]
    assert (first["id"], first["total"], first["lines"], first["metadata"]) == (invoice.id, 1500, 2, {"bill_id": "b1"})
    paged = await client.admin("GET", "books?offset=1&limit=1")
    assert ([each["id"] for each in paged["invoices"]], paged["invoice_count"]) == ([second["id"]], 2)
    assert (await client.admin("GET", "books?account=acct_other"))["invoices"] == []


async def test_the_same_calls_give_the_same_ids_and_other_accounts_others(client: Client) -> None:
    twin = await stripe.start()
    url, key = twin.url, "sk_test_other"
    first = await client.customer()
    async with aiohttp.ClientSession() as session:
        same = await Client(twin, session, twin.key).customer()
        await session.post(f"{url}/_admin/keys", json={"key": key, "account": "acct_other"})
        other = await Client(twin, session, key).customer()
    await twin.stop()
    assert first == same
    assert other != same


async def test_a_stand_in_in_a_process_of_its_own_says_where_it_listens() -> None:
    # Ctrl-C means nothing to the children of a suite that a script runs in the background.
    heeds = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    serves = "from tollbridge.sandbox import stripe; stripe.serve('127.0.0.1', 0, lambda it: print(it.url, flush=True))"
    code = f"{heeds}; {serves}"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with aiohttp.ClientSession() as session, session.get(f"{url}/_admin/books") as reply:
        assert (await reply.json())["invoices"] == []
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0


def test_every_stand_in_on_the_list_can_be_started() -> None:
    for module in SYSTEMS.values():
        assert callable(importlib.import_module(module).start)
        assert callable(importlib.import_module(module).serve)
