"""The audit log tells what workers and the machine's owner change, too."""

from __future__ import annotations

from tests.services.world import NOW, ORG, World
from tollbridge.domain.flows import Written
from tollbridge.domain.json_text import parse
from tollbridge.services import rotation
from tollbridge.store import recording
from tollbridge.store.recording import Learnt


async def test_a_mapping_that_a_run_learnt_is_told_once_and_again_where_it_changes(world: World) -> None:
    for external_id in ("cus_1", "cus_1", "cus_2"):
        learnt = Learnt(external_id, ORG, "int", "t", "Stripe", Written("Account", "a", "Customer", external_id), NOW)
        async with world.db.hot() as connection:
            await recording.learn(connection, [learnt])
    rows = await world.rows(
        "SELECT action, principal, entity_id, before::text AS before, after::text AS after FROM audit_log"
        " WHERE entity = 'ExternalMapping' ORDER BY action"
    )
    created, updated = [(row["action"], row["principal"], row["entity_id"]) for row in rows]
    assert created == ("CREATE", "INTEGRATION_int", "cus_1")
    assert updated == ("UPDATE", "INTEGRATION_int", "cus_1")
    assert parse(rows[0]["after"]).items() >= {"m3terId": "a", "externalId": "cus_1", "tenant": "t"}.items()
    assert (parse(rows[1]["before"]), parse(rows[1]["after"])) == ({"externalId": "cus_1"}, {"externalId": "cus_2"})


async def test_a_change_of_keys_is_told_to_every_organization(world: World) -> None:
    await rotation.reseal(world.db, world.vault)
    (row,) = await world.rows("SELECT org_id, principal, after::text FROM audit_log WHERE action = 'ROTATE_KEYS'")
    assert (row["org_id"], row["principal"]) == (ORG, "SYSTEM")
    assert parse(row["after"])["key"] == world.vault.current.hex()
