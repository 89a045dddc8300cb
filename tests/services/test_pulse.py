"""The mark of what pages show changes when they would."""

from __future__ import annotations

from datetime import timedelta

from tests.services.world import CALLER, NOW, ORG, World
from tollbridge.services import pulse


async def test_a_mark_stays_until_a_webhook_is_brought_back_and_goes_on_with_it(world: World) -> None:
    marks = [await pulse.of_runs(world.db, CALLER), await pulse.of_runs(world.db, CALLER)]
    await world.db.pool.execute(
        "INSERT INTO bring_backs (org_id, webhook_id, test_run_id, state, total, since, started_at, started_by,"
        " updated_at) VALUES ($1, 'hook', 'run', 'testing', 0, $2, $2, 'USER_1', $2)",
        ORG,
        NOW,
    )
    marks.append(await pulse.of_runs(world.db, CALLER))
    await world.db.pool.execute("UPDATE bring_backs SET state = 'gathering', updated_at = $1", NOW + timedelta(1))
    marks.append(await pulse.of_runs(world.db, CALLER))
    assert marks[0] == marks[1]
    assert len(set(marks)) == 3


async def test_the_mark_of_an_integration_or_a_bill_changes_when_a_run_is_made_and_when_it_ends(world: World) -> None:
    async def marks() -> tuple[str, str]:
        return (
            await pulse.of_one(world.db, CALLER, "integration", "int"),
            await pulse.of_one(world.db, CALLER, "bill", "one"),
        )

    found = [await marks()]
    run = await world.send("one", "a")
    found.append(await marks())
    await world.deliver(run, "in_1")
    found.append(await marks())
    assert found[-1] == await marks()
    assert len({each[0] for each in found}) == len({each[1] for each in found}) == 3
    assert await pulse.of_one(world.db, CALLER, "integration", "none") == ""
