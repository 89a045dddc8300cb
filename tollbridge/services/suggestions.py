"""Which of theirs the accounts may be that lack a mapping in a group of errors. A person accepts them: nothing here
maps anything.

The system is asked once, with the credential of the integration, for everything that has a mark of these accounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tollbridge.domain.choices import EMAIL, NAME, Asked, Ours, Suggestion, marks_of, suggest
from tollbridge.domain.errors import Conflict
from tollbridge.services import choices, mending, systems
from tollbridge.services.caller import Caller
from tollbridge.services.entities import load
from tollbridge.services.mending import Stuck
from tollbridge.services.parts import Parts
from tollbridge.services.runs import Run
from tollbridge.store import catalog, records
from tollbridge.store.schema import accounts, integrations

MOST = 500
"""Accounts that are compared at once; when these are mended, the others are next."""


@dataclass(frozen=True, slots=True)
class Suggested:
    """What may be accepted of a group: `compared` accounts of all that lack a mapping were looked for. `found` is None
    while the system is still being asked; it is then read by the run."""

    run: Run | None
    compared: int
    found: Sequence[Suggestion] | None


async def look(parts: Parts, caller: Caller, event_id: str, run_id: str | None = None) -> Suggested:
    """The suggestions for the group of an error event; with the run of an earlier question, what that found.

    Raises NotFound, Conflict where the group lacks no mapping, and what `choices.ask` raises.
    """
    stuck = await mending.look(parts.db, caller, event_id)
    system, _, table = stuck.cause.missing.partition("/")
    if not stuck.unmapped:
        raise Conflict("suggestions.none", "Nothing of this group lacks a mapping.", "Send what is stuck.")
    ours = await _ours(parts, caller, stuck)
    marks = marks_of(ours)
    if not marks:
        return Suggested(None, len(ours), ())
    if run_id is None:
        async with parts.db.transaction() as tx:
            record = await load(
                tx, integrations, caller.org_id, stuck.cause.integration_id or "", "integration configuration"
            )
        destination = systems.find(record["system"])
        answer = await choices.ask(parts, caller, destination, Asked(table, marks=marks), integration_id=record.id)
    else:
        answer = await choices.get(parts, caller, run_id)
    if answer.found is None:
        return Suggested(answer.run, len(ours), None)
    ids = [each.id for each in answer.found.things]
    async with parts.db.transaction() as tx:
        taken = await catalog.mapped_to(tx, caller.org_id, system, table, ids)
    return Suggested(answer.run, len(ours), suggest(ours, answer.found.things, taken))


async def _ours(parts: Parts, caller: Caller, stuck: Stuck) -> list[Ours]:
    """The first of the accounts that lack a mapping, with what they are recognised by."""
    ids = [id for entity, id in stuck.unmapped if entity == "Account"][:MOST]
    async with parts.db.transaction() as tx:
        found = await records.by_ids(tx, accounts, caller.org_id, ids)
    return [
        Ours("Account", each.id, each["name"], {NAME: each["name"], EMAIL: each.body.get("emailAddress") or ""})
        for each in (found[id] for id in ids if id in found)
    ]
