"""Previews of bills of which an earlier version was sent: what keeps the delivery from going on is shown."""

from __future__ import annotations

from dataclasses import replace

from tests.engine.test_drive import keeping
from tests.engine.world import LONGEST_REQUEST, World, lost
from tollbridge.domain.changes import Earlier
from tollbridge.domain.errors import Fault
from tollbridge.domain.flows import Previewed
from tollbridge.engine.preview import Preview


async def test_a_preview_says_that_an_earlier_version_may_still_take_effect() -> None:
    world = World(keeping())
    world.vendor.troubles["/invoices"] = [lost]
    assert isinstance(await world.attempt(), Fault)
    # What was sent belongs to the version before.
    world.ledgers = {key: replace(row, version=0) for key, row in world.ledgers.items()}
    world = replace(world, driver=Preview, earlier=Earlier(0), records={})
    found = await world.attempt()
    assert isinstance(found, Previewed)
    assert found.shown["outcome"] == {"kind": "unknown"}
    assert "may still take effect" in found.shown["warnings"][0]
    assert found.shown["steps"] == []
    found = await world.attempt(after=LONGEST_REQUEST)
    assert isinstance(found, Previewed)
    assert found.shown["steps"] != []


async def test_a_preview_asks_a_person_where_the_connector_knows_no_corrections() -> None:
    world = World(keeping(), earlier=Earlier(0), corrects=False, driver=Preview)
    found = await world.attempt()
    assert isinstance(found, Previewed)
    assert found.shown["outcome"]["kind"] == "needs_choice"
    assert [each["choice"] for each in found.shown["outcome"]["choices"]] == ["leave"]
