"""Restoring the database from a backup, and what must be known then: it may have forgotten what was sent since."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from tollbridge.domain.audit import NOTHING, Action, Fields
from tollbridge.domain.errors import Conflict
from tollbridge.services import checkup, clock
from tollbridge.services.audit import note as note_audit
from tollbridge.services.caller import Caller
from tollbridge.services.checkup import Finding
from tollbridge.services.runs import SILENCE
from tollbridge.store import audit, backups, migrate, organizations, restores, sealed
from tollbridge.store.backups import Archive, Target, Told
from tollbridge.store.db import Database, connected
from tollbridge.vault import Vault

LEAST_LOOK = timedelta(days=7)
"""A source that must send its bills again has at least so long for it."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What stands in the database now; `migrated_from` is the backup's revision where this release needs a later."""

    standing: Target
    look_until: datetime
    migrated_from: str | None
    key: Finding


def look_for(archive: Archive) -> timedelta:
    """How long deliveries look first: as long again as what is forgotten reaches back, and at least a week."""
    return max(LEAST_LOOK, clock.now() - archive.at)


async def examine(dsn: str, archive: Archive, *, replace: bool) -> Target:
    """What the backup would meet there; raises Conflict where somebody uses the database, or it is not empty and may
    not be replaced, and Refusal for a backup of a much newer release."""
    state = migrate.compare(archive.revision)
    migrate.refuse_unknown(state, "The backup")
    target = await backups.examine(dsn, SILENCE)
    if target.users:
        raise Conflict(
            "restore.in_use",
            f"The database is in use by: {'; '.join(target.users)}.",
            "Stop every server and worker, and whatever else is connected, then call again. One that was killed counts"
            f" for {SILENCE.total_seconds():.0f} seconds.",
        )
    if not target.empty and not replace:
        raise Conflict(
            "restore.not_empty",
            f"The database is not empty: it holds {holdings(target)}.",
            "Restore into a new, empty database, or pass --replace to delete what this one holds.",
        )
    return target


def holdings(target: Target) -> str:
    """What a database holds, for people."""
    counts = {"organization": target.organizations, "bill": target.bills, "run": target.runs}
    return ", ".join(f"{count:,} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items())


async def restore(
    dsn: str, archive: Archive, span: timedelta, vault: Vault | None, told: Told, *, replace: bool
) -> Restored:
    """Restore the backup, look first for that span, bring the schema up to date, and look whether the key opens what is
    sealed. Raises as `backups.restore` does; then nothing was changed."""
    now = clock.now()
    until = now + span
    afterwards = [restores.adding(now, until)]
    await asyncio.to_thread(backups.restore, dsn, archive, told, replace=replace, afterwards=afterwards)
    before = await migrate.migrate(dsn)
    async with connected(dsn) as db:
        await _note_audit(db, until, {"backupAt": archive.at})
        async with db.hot() as connection:
            secrets = await sealed.all_secrets(connection)
    standing = await backups.examine(dsn, SILENCE)
    older = before.found if before.standing is migrate.Standing.BEHIND else None
    return Restored(standing, until, older, checkup.judge_key(vault, secrets))


async def note(db: Database, span: timedelta) -> datetime:
    """From now on, for that span, every delivery looks first what stands at the other side; answers until when."""
    now = clock.now()
    async with db.hot() as connection:
        await restores.add(connection, now, now + span)
    await _note_audit(db, now + span)
    return now + span


async def _note_audit(db: Database, until: datetime, more: Fields = NOTHING) -> None:
    async with db.transaction() as tx:
        for org_id in await organizations.ids(tx):
            caller = Caller(org_id, audit.present().principal)
            after = {**more, "lookUntil": until}
            await note_audit(tx, caller, Action.RESTORE, "Organization", org_id, after=after)
