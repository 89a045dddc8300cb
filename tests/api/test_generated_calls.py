"""Calls generated from our OpenAPI document, sensible ones and others: none may bring out a bug of ours.

A few hundred by default; `make fuzz CASES=5000` makes more.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, SerializationContext
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from tests.api.entities import ACCOUNT, a_bill, send
from tollbridge.api.wire import ORG
from tollbridge.services.organizations import NewOrganization

Operation: TypeAlias = "APIOperation[Any, Any, Any, Any]"
CASES = int(os.environ.get("TOLLBRIDGE_TEST_CASES", "300"))


@schemathesis.serializer("application/x-ndjson")
def as_lines(context: SerializationContext, value: Any) -> bytes:
    return str(value).encode()


@pytest.fixture
async def known(api: httpx.AsyncClient) -> Mapping[str, list[str]]:
    """Ids that exist, by the noun of their address."""
    await send(api, "POST", "accounts", ACCOUNT)
    await send(api, "POST", "products", {"id": "calls", "code": "C", "name": "Calls"})
    config = await send(api, "POST", "integrationconfigs", {"destination": "Stripe", "entityType": "Bill"})
    bills = [f"b{n}" for n in range(20)]
    for id in bills:
        await send(api, "PUT", f"bills/{id}", a_bill())
    mapping = {"m3terEntity": "Account", "m3terId": "acme", "externalSystem": "Stripe", "externalTable": "Customer"}
    mappings = [await send(api, "POST", "externalmappings", mapping | {"externalId": "cus_1"})]
    users = [await send(api, "POST", "serviceusers", {"name": "CI", "role": "viewer"}) for _ in range(5)]
    runs = (await send(api, "GET", "integrationruns"))["data"]
    scheduled = {"id": "ends", "name": "scheduled.bill.ends", "entity": "Bill", "field": "endDate", "offset": 0}
    await send(api, "POST", "scheduledevents/configurations", scheduled)
    await send(api, "POST", "events", {"id": "e", "eventName": "scheduled.bill.ends", "new": {"id": "b0"}})
    return {
        "accounts": ["acme"],
        "bills": bills,
        "products": ["calls"],
        "integrationconfigs": [config["id"]],
        "integrationruns": [*[run["id"] for run in runs], "Bill", *bills],
        "events": ["e"],
        "externalmappings": [mappings[0]["id"]],
        "scheduledevents": ["ends"],
        "serviceusers": [user["id"] for user in users],
    }


async def test_no_generated_call_brings_out_a_bug(
    base_url: str, api: httpx.AsyncClient, known: Mapping[str, list[str]], organization: NewOrganization
) -> None:
    made: Counter[int] = Counter()

    def throw() -> None:
        schema = schemathesis.openapi.from_url(f"{base_url}/openapi.json")
        operations = list(schema.get_all_operations())
        for found in operations:
            assert isinstance(found, Ok), found
            home = Home(organization.org_id, known.get(noun_of(found.ok().path), []), api.headers["Authorization"])
            throw_at(found.ok(), home, -(-CASES // len(operations)), made)

    await asyncio.to_thread(throw)
    assert sum(made.values()) >= CASES * 0.8
    # They are no use where all of them are refused at the door.
    assert made[200] > CASES / 20
    assert made[404] > CASES / 20


@dataclass(frozen=True)
class Home:
    """Where calls go: the organization, ids of what exists there, and how to come in."""

    org_id: str
    ids: list[str]
    authorization: str


def throw_at(operation: Operation, home: Home, cases: int, made: Counter[int]) -> None:
    """Generated calls of one operation; counts what they are answered with."""

    @seed(1)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), data=st.data())
    def call(case: Case[Any], data: st.DataObject) -> None:
        for name, value in (case.path_parameters or {}).items():
            # Ids are often those of what exists.
            chosen = home.org_id if name == "orgId" else data.draw(st.sampled_from([value, *home.ids]))
            case.path_parameters[name] = chosen
        answer = case.call(headers={"Authorization": home.authorization})
        # 503 is a refusal: nothing here works on previews and checks.
        assert answer.status_code < 500 or answer.status_code == 503, (case.as_curl_command(), answer.text)
        made[answer.status_code] += 1

    call()


def noun_of(path: str) -> str:
    return path.removeprefix(ORG).strip("/").split("/")[0]
