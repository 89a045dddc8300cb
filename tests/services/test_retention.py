"""What is past its time is forgotten, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.services.world import CALLER, NOW, ORG, World
from tollbridge.domain.audit import Action
from tollbridge.services import audit, work

YEARS = timedelta(days=3653)


@pytest.fixture
async def old(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """An old and a young line of the audit log, an old and a young row of the ledger."""
    await world.db.pool.execute("TRUNCATE audit_log")
    for id, at in (("old", NOW - YEARS - timedelta(days=1)), ("young", NOW)):
        monkeypatch.setattr("tollbridge.services.clock.now", lambda at=at: at)
        async with world.db.transaction() as tx:
            await audit.note(tx, CALLER, Action.SEND, "Integration", id)
        await world.db.pool.execute(
            "INSERT INTO ledger (org_id, tenant, entity_type, entity_id, document, version, state, steps, updated_at)"
            " VALUES ($1, 't', 'Bill', $2, 'invoice', 1, 'done', '{}', $3)",
            ORG,
            id,
            at,
        )
    return world


async def kept(world: World) -> tuple[list[str], list[str]]:
    ledger = await world.rows("SELECT entity_id FROM ledger ORDER BY 1")
    lines = await world.rows("SELECT entity_id FROM audit_log ORDER BY 1")
    return [row[0] for row in ledger], [row[0] for row in lines]


async def test_ledger_and_audit_log_are_kept_for_their_time(old: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "FORGOTTEN_AT_ONCE", 1)
    await work.forget(old.db, NOW, YEARS, YEARS)
    assert await kept(old) == (["young"], ["young"])


async def test_one_worker_looks_for_all_of_them_and_again_half_a_day_later(old: World) -> None:
    await work.forget(old.db, NOW, timedelta(0), timedelta(0))
    await work.forget(old.db, NOW + timedelta(hours=11), YEARS, YEARS)
    assert await kept(old) == (["old", "young"], ["old", "young"])
    await work.forget(old.db, NOW + timedelta(hours=12), YEARS, YEARS)
    assert await kept(old) == (["young"], ["young"])


async def test_0_keeps_them_for_ever(old: World) -> None:
    await work.forget(old.db, NOW, timedelta(0), timedelta(0))
    assert await kept(old) == (["old", "young"], ["old", "young"])


async def test_a_session_tells_for_a_while_where_somebody_is_known_and_a_link_ends_with_its_time(world: World) -> None:
    await world.db.pool.execute(
        "INSERT INTO users (org_id, id, version, created_at, created_by, updated_at, updated_by, body, mail, role)"
        " VALUES ($1, 'u', 1, now(), 'x', now(), 'x', '{}', 'u@acme.example', 'viewer')",
        ORG,
    )
    for id, days in (("long over", 91), ("over", 89), ("present", -1)):
        await world.db.pool.execute(
            "INSERT INTO user_sessions VALUES ($1, $2, 'u', $1::text::bytea, 'password', '', '', $3, $3, $4)",
            id,
            ORG,
            NOW - timedelta(days=100),
            NOW - timedelta(days=days),
        )
    for purpose, minutes in (("RESET", -1), ("SIGN_IN", 1)):
        await world.db.pool.execute(
            "INSERT INTO user_links VALUES ($1, 'u', $2, $2::text::bytea, $3, 'x', $4)",
            ORG,
            purpose,
            NOW,
            NOW + timedelta(minutes=minutes),
        )
    await work.forget(world.db, NOW, YEARS, YEARS)
    assert {row["id"] for row in await world.rows("SELECT id FROM user_sessions")} == {"over", "present"}
    assert [row["purpose"] for row in await world.rows("SELECT purpose FROM user_links")] == ["SIGN_IN"]
