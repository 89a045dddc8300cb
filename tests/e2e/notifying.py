"""A stage on which notifications go to receivers on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, set_up
from tests.services.notifying_world import NotifyingWorld
from tollbridge.services import clock


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage whose workers may reach this machine."""
    allowed = {"TOLLBRIDGE_ALLOW_NETWORKS": "127.0.0.0/8", "TOLLBRIDGE_ALLOW_HTTP": "true", "TOLLBRIDGE_LEASE": "3"}
    async with set_up(database_url, tmp_path, **allowed) as it:
        yield it


@pytest.fixture
async def world(stage: Stage) -> NotifyingWorld:
    """An organization with a rule that fires always."""
    world = NotifyingWorld(stage.parts.db, stage.parts.vault, clock.now())
    await world.begin()
    await world.add_rule()
    return world
