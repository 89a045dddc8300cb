"""After a rotation everything opens with the new key alone, however often it was interrupted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.services.world import World
from tollbridge.domain.access import Permission
from tollbridge.domain.errors import Forbidden, Invalid
from tollbridge.domain.flows import Reply
from tollbridge.services import organizations, rotation
from tollbridge.services.access import Gate
from tollbridge.services.sealing import open_fields, open_reply, seal_reply
from tollbridge.store import sealed
from tollbridge.store.db import Database
from tollbridge.vault import Vault

OLD, NEW = b"k" * 32, b"n" * 32


@pytest.fixture
async def world(db: Database) -> World:
    world = World(db)
    await world.begin()
    return world


async def test_secrets_and_kept_replies_open_with_the_new_key_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 2)
    for number in range(4):
        await world.add_credential(f"c{number}", "VALID", None)
        reply = seal_reply(world.vault, "run", f"k{number}", Reply(200, {}, b"hush"))
        await world.rows("INSERT INTO run_records VALUES ('run', $1, '', true, $2)", f"k{number}", reply)
    await world.rows("UPDATE credentials SET candidate = secrets WHERE id = 'c1'")
    both, new = Vault([NEW, OLD]), Vault([NEW])
    assert await rotation.reseal(world.db, both) == 5 + 4
    assert await rotation.reseal(world.db, both) == 0
    async with world.db.hot() as connection:
        for each in await sealed.all_secrets(connection):
            assert open_fields(new, each.id, each.secrets) == {"apiKey": f"key of {each.id}"}
            assert (each.candidate is None) == (each.id != "c1")
    for row in await world.rows("SELECT key, reply FROM run_records"):
        assert open_reply(new, "run", row["key"], row["reply"]).body == b"hush"
    assert await rotation.sealed_by(world.db) == {new.current: 6 + 4}


async def test_a_value_that_changed_its_key_half_way_is_found_again(world: World) -> None:
    new = Vault([NEW])
    await world.add_credential("c0", "VALID", None)
    later = new.seal(b"{}", "credentials/c0")
    await world.rows("UPDATE credentials SET candidate = $1 WHERE id = 'c0'", later)
    assert len(await rotation.sealed_by(world.db)) == 2
    assert await rotation.reseal(world.db, Vault([NEW, OLD])) == 2
    assert await rotation.sealed_by(world.db) == {new.current: 3}


async def test_what_no_key_of_the_ring_opens_stays_as_it_is(world: World) -> None:
    before = await rotation.sealed_by(world.db)
    with pytest.raises(Invalid, match="another key"):
        await rotation.reseal(world.db, Vault([NEW]))
    assert await rotation.sealed_by(world.db) == before


async def test_a_token_of_before_stays_valid_as_long_as_its_key_is_in_the_ring(db: Database) -> None:
    made = await organizations.create(db, "Acme", "o1")
    hour = timedelta(hours=1)
    before = await Gate(db, Vault([OLD]).derive("tokens"), hour).issue(made.key_id, made.secret)
    ring = Vault([NEW, OLD])
    after = Gate(db, ring.derive("tokens"), hour, older_keys=ring.derive_older("tokens"))
    assert (await after.admit(before.text, "o1", Permission.READ)).org_id == "o1"
    with pytest.raises(Forbidden):
        await Gate(db, Vault([NEW]).derive("tokens"), hour).admit(before.text, "o1", Permission.READ)
