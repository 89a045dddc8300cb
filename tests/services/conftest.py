"""A world for tests of runs."""

from __future__ import annotations

import pytest

from tests.services.world import World
from tollbridge.store.db import Database


@pytest.fixture
async def world(db: Database) -> World:
    """Accounts a and b, a valid credential and one enabled integration `int`."""
    world = World(db)
    await world.begin("a", "b")
    await world.add_integration()
    return world
