"""Previews: what they are given, and how long what they found can be read."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest

from tests.services.test_changes import failed_as_decided, held
from tests.services.world import CALLER, World
from tollbridge.domain.changes import Choice, Correction, Earlier, MoneyTo
from tollbridge.domain.errors import NotFound
from tollbridge.domain.flows import Previewed
from tollbridge.domain.runs import RunState
from tollbridge.services import clock, previews, work
from tollbridge.services.parts import Parts
from tollbridge.services.work import Claimed
from tollbridge.settings import Settings
from tollbridge.wiring import connect

PREVIEWED = Previewed({"steps": [], "calls": 0, "writes": 0, "warnings": [], "outcome": {"kind": "unknown"}})


@pytest.fixture
async def parts(world: World, monkeypatch: pytest.MonkeyPatch) -> Parts:
    """A worker is alive, but busy with other things."""
    monkeypatch.setattr(previews, "PATIENCE", timedelta(seconds=0.1))
    await work.register_worker(world.db, "w1", "host", 1, "1", clock.now())
    return connect(Settings(key=base64.b64encode(b"k" * 32).decode()), world.db)


async def asked(world: World, parts: Parts, **given: object) -> Claimed:
    """A preview that was asked for and not waited for, as a worker gets it."""
    asked = await previews.preview(parts, CALLER, "int", {"billId": "bill", **given})
    assert asked.found is None
    assert not asked.run.state.ended
    world.now = clock.now()
    (claimed,) = await world.claim(asked.run.id)
    return claimed


async def test_a_preview_that_takes_long_is_read_later(world: World, parts: Parts) -> None:
    run_id = await world.send("bill", "a")
    with pytest.raises(NotFound, match="is no preview"):
        await previews.get(parts, CALLER, run_id)
    claimed = await asked(world, parts)
    assert (await previews.get(parts, CALLER, claimed.run_id)).found is None
    assert await world.settle(claimed, PREVIEWED)
    assert (await previews.get(parts, CALLER, claimed.run_id)).found == PREVIEWED.shown


async def test_what_a_preview_found_is_forgotten_after_a_week(world: World, parts: Parts) -> None:
    await world.send("bill", "a")
    claimed = await asked(world, parts)
    assert await world.settle(claimed, PREVIEWED)
    await work.trim(world.db, clock.now() + timedelta(days=6), timedelta(), timedelta(days=28))
    assert (await previews.get(parts, CALLER, claimed.run_id)).found is not None
    await work.trim(world.db, clock.now() + timedelta(days=8), timedelta(), timedelta(days=28))
    with pytest.raises(NotFound, match="no longer kept"):
        await previews.get(parts, CALLER, claimed.run_id)
    assert (await world.run(claimed.run_id)).state is RunState.DELIVERED


async def test_a_preview_knows_what_was_sent_before_and_asks_what_a_person_is_asked(world: World, parts: Parts) -> None:
    await held(world)
    claimed = await asked(world, parts)
    assert claimed.earlier == Earlier(1, "in_1")
    assert claimed.correction == Correction()
    assert claimed.ledgers["Bill", "bill", "invoice"].external_id == "in_1"


async def test_a_preview_does_as_a_person_decided_unless_other_options_are_tried(world: World, parts: Parts) -> None:
    await failed_as_decided(world)
    claimed = await asked(world, parts)
    assert claimed.correction == Correction(Choice.CREDIT_AND_REISSUE, MoneyTo.REFUND, mail=False)
    other = await asked(world, parts, configData={"onChange": "leave"})
    assert other.correction == Correction(Choice.LEAVE)
