"""What `doctor` finds, and the remedy it names."""

from __future__ import annotations

from datetime import timedelta

from tests.services.world import NOW, World
from tollbridge.services import checkup, clock
from tollbridge.services.checkup import Finding
from tollbridge.settings import Settings
from tollbridge.store import workers
from tollbridge.store.db import Database, connected
from tollbridge.vault import Vault


async def examine(world: World, vault: Vault | None) -> dict[str, Finding]:
    return {each.name: each for each in await checkup.examine(world.db, vault, "1", Settings())}


async def test_an_installation_in_order_has_nothing_to_mend(db: Database) -> None:
    world = World(db)
    await world.begin("a1")
    async with db.hot() as connection:
        await workers.register(connection, "w1", "host", 1, "1", clock.now(), NOW)
    found = await examine(world, world.vault)
    assert list(found) == [
        "database",
        "clock",
        "schema",
        "key",
        "workers",
        "queue",
        "outbox",
        "credential cred",
        "expiry",
        "integrations",
        "sources",
    ]
    assert all(each.ok and not each.remedy for each in found.values())


async def test_each_thing_that_is_wrong_names_its_remedy(db: Database) -> None:
    world = World(db, now=clock.now() - timedelta(hours=1))
    await world.begin("a1")
    await world.add_integration()
    await world.send("b1", "a1")
    await world.add_credential("bad", "INVALID", None)
    found = await examine(world, Vault([b"x" * 32]))
    wrong = {name for name, each in found.items() if not each.ok}
    assert wrong == {"key", "workers", "queue", "credential bad"}
    assert all(found[name].remedy for name in wrong)
    assert "2 of 2 stored secrets" in found["key"].text


async def test_the_schema_of_a_later_release_is_said_and_is_nothing_to_mend(db: Database) -> None:
    async with db.hot() as connection:
        await connection.execute("UPDATE alembic_version SET version_num = '0999'")
    schema = (await examine(World(db), None))["schema"]
    assert (schema.ok, schema.text) == (True, "The schema is of a later release (0999); this one works on it.")


async def test_a_key_that_is_gone_is_wrong_only_where_something_is_sealed(db: Database) -> None:
    world = World(db)
    assert (await examine(world, None))["key"].ok
    await world.begin()
    assert not (await examine(world, None))["key"].ok


async def test_a_schema_that_is_missing_ends_the_look_with_the_command_to_run(empty_database_url: str) -> None:
    async with connected(empty_database_url) as db:
        found = await checkup.examine(db, None, "1", Settings())
    assert [(each.name, each.ok) for each in found] == [("database", True), ("clock", True), ("schema", False)]
    assert found[-1].remedy == "Run: tollbridge migrate"


async def test_workers_of_another_version_are_told(db: Database) -> None:
    world = World(db)
    await world.begin()
    async with db.hot() as connection:
        for id, version in (("w1", "1"), ("w2", "0.9")):
            await workers.register(connection, id, "host", 1, version, clock.now(), NOW)
    workers_found = (await examine(world, world.vault))["workers"]
    assert not workers_found.ok
    assert "1 of version 0.9" in workers_found.text


def test_the_clock_may_differ_by_as_long_as_the_answer_took() -> None:
    asked, answered = NOW, NOW + timedelta(seconds=5)
    assert checkup.judge_clock(asked, NOW + timedelta(seconds=3), answered).ok
    assert not checkup.judge_clock(asked, NOW - timedelta(seconds=3), answered).ok
    assert not checkup.judge_clock(asked, answered + timedelta(seconds=3), answered).ok


async def test_what_is_disabled_expires_or_fell_silent_has_a_line_of_its_own(db: Database) -> None:
    now = clock.now()
    world = World(db, now=now)
    await world.begin("a1")
    await world.add_integration("out", enabled=False)
    await world.change("integrations", "out", disabled_reason="Closing the books")
    await world.send("b1", "a1")
    for id, days in (("soon", 3), ("later", 13), ("far", 15)):
        await world.add_credential(id, "VALID", None)
        await world.change("credentials", id, expires_at=now + timedelta(days=days))
    for day in range(3, 40):
        await world.add_bill(f"old{day}", "a1")
        await world.change("bills", f"old{day}", created_at=now - timedelta(days=day))
    await world.change("bills", "b1", created_at=now - timedelta(days=3))
    found = await examine(world, world.vault)
    disabled = found["integration out"]
    assert disabled.text == "out (org/out) is disabled, 1 runs are held: Closing the books."
    assert disabled.remedy == "Mend that, then: tollbridge integrations enable out"
    assert (found["expiry soon"].ok, found["expiry later"].ok, "expiry far" in found) == (False, True, False)
    assert found["expiry later"].remedy
    silent = found["source org"]
    assert not silent.ok
    assert silent.text.startswith("No bill has come in since")
    assert silent.remedy
