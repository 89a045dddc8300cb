"""The support bundle of a run: all that somebody who helps needs to see, in one document, without secrets.

The account as it was is left out. What was sent to the other system is in it, since that is what help is about.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from typing import Any

from tollbridge.services import clock, runs, systems
from tollbridge.services.caller import Caller
from tollbridge.services.run_log import text_of
from tollbridge.services.runs import RunLog
from tollbridge.store import inspection
from tollbridge.store.db import Database

FORMAT = 1
"""Grows when the shape of a bundle changes."""


async def log_of(db: Database, caller: Caller, run_id: str) -> RunLog:
    """The run with its log; raises NotFound."""
    async with db.transaction() as tx:
        return await runs.run_log(tx, caller.org_id, run_id)


async def bundle(db: Database, caller: Caller, run_id: str) -> dict[str, Any]:
    """The bundle as JSON; moments are in UTC, requests and replies as the run log has them: redacted."""
    log = await log_of(db, caller, run_id)
    return {
        "format": FORMAT,
        "made": clock.now().isoformat(),
        "versions": await _versions(db),
        "run": _plain(asdict(log.run)),
        "configuration": log.config,
        "mappings": log.mappings,
        "steps": [_plain(asdict(step)) for step in log.steps],
        "log": text_of(log),
    }


async def _versions(db: Database) -> Mapping[str, Any]:
    async with db.hot() as connection:
        database, schema = await inspection.versions(connection)
    return {
        "tollbridge": version("tollbridge"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "database": database,
        "schema": schema,
        "systems": sorted(each.system.key for each in systems.destinations()),
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
