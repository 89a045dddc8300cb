from __future__ import annotations

from typing import Any

import httpx

from tests.api.entities import refused, send

MAPPING: dict[str, Any] = {
    "m3terEntity": "Account",
    "m3terId": "acme",
    "externalSystem": "Stripe",
    "externalTable": "Customer",
    "externalId": "cus_1",
}


async def test_a_mapping_comes_back_unchanged_and_can_be_changed_and_deleted(api: httpx.AsyncClient) -> None:
    created = await send(api, "POST", "externalmappings", MAPPING)
    assert {name: created[name] for name in MAPPING} == MAPPING
    path = f"externalmappings/{created['id']}"
    assert await send(api, "GET", path) == created
    changed = await send(api, "PUT", path, {**created, "externalId": "cus_2"})
    assert (changed["externalId"], changed["version"]) == ("cus_2", 2)
    assert await send(api, "DELETE", path) == changed
    status, _ = await refused(api, "GET", path)
    assert status == 404


async def test_one_of_ours_is_mapped_once_per_system_and_table(api: httpx.AsyncClient) -> None:
    await send(api, "POST", "externalmappings", MAPPING)
    status, body = await refused(api, "POST", "externalmappings", {**MAPPING, "externalId": "cus_2"})
    assert (status, body["field"]) == (409, "m3terId")
    await send(api, "POST", "externalmappings", {**MAPPING, "externalTable": "Other"})


async def test_a_mapping_of_an_unknown_integration_is_refused(api: httpx.AsyncClient) -> None:
    status, body = await refused(api, "POST", "externalmappings", {**MAPPING, "integrationConfigId": "none"})
    assert (status, body["field"]) == (400, "integrationConfigId")


async def test_mappings_are_found_from_both_sides(api: httpx.AsyncClient) -> None:
    ours = await send(api, "POST", "externalmappings", MAPPING)
    other = await send(
        api, "POST", "externalmappings", {**MAPPING, "m3terId": "b", "externalSystem": "Xero", "externalId": "a/b c"}
    )

    async def found(path: str) -> list[dict[str, Any]]:
        data: list[dict[str, Any]] = (await send(api, "GET", path))["data"]
        return data

    assert await found("externalmappings?externalSystemId=Stripe") == [ours]
    assert await found("externalmappings?m3terIds=b,c") == [other]
    assert await found("externalmappings?m3terIds=acme,b") == [other, ours]
    assert await found("externalmappings/external/Account/acme") == [ours]
    assert await found("externalmappings/externalid/Stripe/Customer/cus_1") == [ours]
    assert await found("externalmappings/externalid/Xero/Customer/a%2Fb%20c") == [other]
    assert await found("externalmappings/externalid/Xero/Customer/a/b%20c") == [other]
    assert await found("externalmappings/externalid/Xero/Customer/a") == []


async def test_what_can_be_mapped_is_told(api: httpx.AsyncClient) -> None:
    told = await send(api, "GET", "externalmappingconfiguration")
    assert "Account" in told["m3terEntities"]
    [stripe] = [system for system in told["externalSystems"] if system["name"] == "Stripe"]
    assert "Customer" in stripe["tables"]
    assert stripe["allowCustomExternalTables"] is True


async def test_no_system_lists_what_it_holds_but_unknown_ones_are_refused(api: httpx.AsyncClient) -> None:
    values = "externalmappingconfiguration/values"
    assert await send(api, "GET", f"{values}/Stripe/Account?externalTable=Customer") == []
    assert (await api.get(f"{values}/Stripes/Account")).json()["code"] == "system.unknown"
    assert (await api.get(f"{values}/Stripe/Account/nothing")).status_code == 404
