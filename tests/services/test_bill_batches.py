"""Bills approved or locked by a filter are those that were counted."""

from __future__ import annotations

import asyncio

import pytest

from tests.services.world import CALLER, World
from tollbridge.domain.errors import Conflict, Invalid
from tollbridge.services import bill_batches
from tollbridge.services.bill_batches import Deed
from tollbridge.store.bills import Filters


async def test_one_bill_more_than_one_confirmation_may_be_about_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bill_batches, "MOST", 2)
    for id in ("b1", "b2"):
        await world.add_bill(id, "a")
    two = await bill_batches.count(world.db, CALLER, Deed.APPROVE, Filters())
    await world.add_bill("b3", "a")
    three = await bill_batches.count(world.db, CALLER, Deed.APPROVE, Filters())
    with pytest.raises(Invalid, match="These are 3 bills, but one confirmation may be about 2"):
        await bill_batches.perform(world.db, CALLER, Deed.APPROVE, Filters(), three.mark)
    narrow = Filters(ids=["b1", "b2"])
    done = await bill_batches.perform(world.db, CALLER, Deed.APPROVE, narrow, two.mark)
    assert done.count == 2


async def test_of_two_who_confirm_the_same_at_once_one_is_asked_again(world: World) -> None:
    await world.add_bill("b1", "a")
    seen = await bill_batches.count(world.db, CALLER, Deed.APPROVE, Filters())
    answers = await asyncio.gather(
        *(bill_batches.perform(world.db, CALLER, Deed.APPROVE, Filters(), seen.mark) for _ in range(2)),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers if isinstance(answer, Exception)] == [Conflict]


async def test_a_sum_that_changed_under_the_same_count_is_another_mark(world: World) -> None:
    await world.add_bill("b1", "a")
    before = await bill_batches.count(world.db, CALLER, Deed.APPROVE, Filters())
    await world.change("bills", "b1", total=11)
    after = await bill_batches.count(world.db, CALLER, Deed.APPROVE, Filters())
    assert before.count == after.count == 1
    assert before.mark != after.mark
