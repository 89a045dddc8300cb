"""Live choices and suggestions over the API."""

from __future__ import annotations

import httpx

from tests.api.entities import send
from tests.api.test_mending import api as api
from tests.console.trouble import fail, unmapped
from tests.services.answering import answering
from tests.services.conftest import world as world
from tests.services.test_choices import ACME
from tests.services.test_mending import event_of
from tests.services.world import World
from tollbridge.domain.flows import Found


async def test_choices_are_told_with_what_they_were_asked_with(api: httpx.AsyncClient, world: World) -> None:
    async with answering(world, lambda asked: Found((ACME,) if asked.words == "acc" else ())):
        found = await send(api, "GET", "integrationconfigs/choices/stripe_test/Customer?search=acc")
        assert found["choices"] == [{"id": "cus_a", "label": "Account a, A@example.org"}]
        assert (found["more"], found["integrationCredentialsId"], found["tenantName"]) == (False, "cred", "Tenant one")
        asked_with = (
            "integrationconfigs/choices/stripe_test/Customer?integrationCredentialsId=cred&integrationConfigId=int"
        )
        assert (await send(api, "GET", asked_with))["choices"] == []
        table = "externalmappingconfiguration/values/stripe_test/Account"
        told = [{"externalId": "cus_a", "externalName": "Account a, A@example.org"}]
        assert await send(api, "GET", f"{table}?externalTable=Customer&search=acc") == told
        assert await send(api, "GET", f"{table}/cred?search=acc") == told
        # As the wire has it: nothing where it cannot be asked.
        assert await send(api, "GET", f"{table}?externalTable=Planet") == []
        await world.change("credentials", "cred", status="INVALID")
        assert await send(api, "GET", table) == []
    refused = await api.get("integrationconfigs/choices/stripe_test/Customer")
    assert (refused.status_code, refused.json()["code"]) == (409, "choices.disconnected")
    unknown = await api.get("integrationconfigs/choices/stripe_test/Planet")
    assert (unknown.status_code, unknown.json()["code"]) == (409, "choices.none")
    assert (await api.get(f"integrationconfigs/choices/stripe_test/Customer?search={'x' * 201}")).status_code == 400


async def test_the_schema_of_an_option_names_what_it_has_ids_of(api: httpx.AsyncClient, world: World) -> None:
    layers = await send(api, "GET", "integrationconfigs/available?systemName=stripe")
    (there,) = layers["supportedEntities"]["Bill"]["destinations"]
    named = {each["name"]: each["schema"].get("choices") for each in there["destinationConfigOptions"]}
    assert named["taxRates"] == "TaxRate"
    assert named["memo"] is None


async def test_suggestions_are_told_with_their_evidence_and_accepted_by_mending(
    api: httpx.AsyncClient, world: World
) -> None:
    await fail(world, "one", "a", unmapped("a"))
    path = f"events/{await event_of(world)}/group"
    async with answering(world, lambda asked: Found((ACME,))):
        found = await send(api, "GET", f"{path}/suggestions")
        assert found["compared"] == 1
        (suggested,) = found["suggestions"]
        assert suggested == {
            "m3terEntity": "Account",
            "m3terId": "a",
            "name": "Account a",
            "externalId": "cus_a",
            "externalName": "Account a, A@example.org",
            "evidence": "same e-mail address a@example.org",
        }
        assert await send(api, "GET", f"{path}/suggestions?runId={found['runId']}") == found
    accepted = {name: suggested[name] for name in ("m3terId", "externalId")}
    await send(api, "POST", f"{path}/mend", {"mappings": [accepted]})
    (mapped,) = (await send(api, "GET", "externalmappings"))["data"]
    assert (mapped["m3terId"], mapped["externalId"]) == ("a", "cus_a")
