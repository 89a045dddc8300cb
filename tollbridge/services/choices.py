"""What another system holds from which a person chooses, asked live: for an option, or for a mapping.

What needs the vendor runs in a worker, as checks of credentials do; here the question is started and waited for,
outside any transaction. Where the system cannot be asked, the refusal says so, and the id is typed by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from tollbridge.domain.choices import Asked
from tollbridge.domain.errors import Conflict, FaultKind, NotFound, Unavailable
from tollbridge.domain.fields import printable
from tollbridge.domain.flows import Found
from tollbridge.domain.integrations import CredentialStatus
from tollbridge.domain.runs import Flow, RunState
from tollbridge.services import clock, runs, systems
from tollbridge.services.caller import Caller
from tollbridge.services.entities import load
from tollbridge.services.parts import Parts
from tollbridge.services.runs import Run
from tollbridge.services.systems import Destination
from tollbridge.store import claims, previews, questions
from tollbridge.store import runs as rows
from tollbridge.store.db import Tx, raw
from tollbridge.store.records import Record
from tollbridge.store.schema import credentials

PATIENCE = timedelta(seconds=10)
MOST = 50
"""Choices of one answer; more words find the others."""
LONGEST_WORDS = 200
ENTITY_TYPE = "Choices"
"""The entity type of a question's run, whose entity id is the kind of things that is asked for."""
NOT_ASKED = ("choices.none", "choices.disconnected")
"""Codes of refusals before anything was asked."""
_BY_HAND = "Enter the id by hand"


@dataclass(frozen=True, slots=True)
class Answer:
    """A question: its run, the credential with which it was asked, and what it found, None while it is under way."""

    run: Run
    credential: Record
    found: Found | None


def among(destination: Destination, of: str) -> Sequence[Destination]:
    """The systems that may be asked: where it is for mappings, twins count as one, since they share these."""
    if any(of in tables for tables in destination.connector.mapping_tables.values()):
        return [each for each in systems.destinations() if each.connector is destination.connector]
    return [destination]


async def look(
    parts: Parts,
    caller: Caller,
    destination: Destination,
    of: str,
    words: str = "",
    *,
    credential_id: str | None = None,
    integration_id: str | None = None,
) -> Answer:
    """What the system has with these words, in ten seconds.

    Raises Conflict where it cannot be asked for this, has no credential that works, or refuses; Unavailable where no
    worker is alive, or it gave no answer in time.
    """
    printable(words, "search")
    answer = await ask(
        parts,
        caller,
        destination,
        Asked(of, words[:LONGEST_WORDS], limit=MOST),
        credential_id=credential_id,
        integration_id=integration_id,
    )
    if answer.found is None:
        raise Unavailable(
            "choices.slow",
            f"{destination.system.title} gave no answer within {PATIENCE.total_seconds():.0f} s.",
            f"{_BY_HAND}, or search again.",
        )
    return answer


async def ask(
    parts: Parts,
    caller: Caller,
    destination: Destination,
    asked: Asked,
    *,
    credential_id: str | None = None,
    integration_id: str | None = None,
) -> Answer:
    """Start the question and wait some seconds for what it finds; see `look` for what it raises."""
    if asked.of not in destination.connector.choices:
        raise Conflict(
            "choices.none",
            f"{destination.system.title} cannot be asked for {asked.of or 'that'}.",
            f"{_BY_HAND}.",
        )
    async with parts.db.transaction() as tx:
        credential = await _credential(tx, caller, destination, asked.of, credential_id, integration_id)
        if not await runs.any_worker_alive(tx, clock.now()):
            raise Unavailable(
                "worker.none",
                f"{destination.system.title} cannot be asked, because no worker is running.",
                f"{_BY_HAND}, or start one: tollbridge worker",
            )
    run_id = await _start(parts, caller, credential, asked)
    await runs.wait_settled(parts.db, caller.org_id, run_id, PATIENCE)
    return await get(parts, caller, run_id)


async def get(parts: Parts, caller: Caller, run_id: str) -> Answer:
    """The question of that run, as far as it is.

    Raises NotFound, also where it is too old, and what `look` raises where the system refused."""
    async with parts.db.transaction() as tx:
        run = await runs.get_run(tx, caller.org_id, run_id)
        if run.flow is not Flow.ASK:
            raise NotFound("choices.unknown", f"Run {run_id} asked for nothing.", "Search anew.")
        credential = await load(tx, credentials, caller.org_id, run.credential_id or "", "credential")
    if not run.state.ended:
        return Answer(run, credential, None)
    if run.state is not RunState.DELIVERED:
        kind = Unavailable if run.fault_kind == FaultKind.UNAVAILABLE else Conflict
        remedy = f", or mend the cause: {run.hint}" if run.hint else "."
        raise kind(
            run.fault_code or "choices.cancelled", run.error or run.note or "It was cancelled.", f"{_BY_HAND}{remedy}"
        )
    async with parts.db.hot() as connection:
        shown = await previews.result_of(connection, run_id)
    if shown is None:
        raise NotFound("choices.gone", f"What run {run_id} found is no longer kept.", "Search anew.")
    return Answer(run, credential, Found.read(shown))


async def _credential(
    tx: Tx, caller: Caller, destination: Destination, of: str, credential_id: str | None, integration_id: str | None
) -> Record:
    keys = [each.system.key for each in among(destination, of)]
    if credential_id is None:
        credential_id = await questions.credential_for(await raw(tx), caller.org_id, keys, integration_id)
    if credential_id is not None:
        credential = await load(tx, credentials, caller.org_id, credential_id, "credential")
        if credential["system"] in keys and credential["status"] == CredentialStatus.VALID:
            return credential
    title = destination.system.title
    raise Conflict(
        "choices.disconnected",
        f"{title} cannot be asked: there is no credential for it that works.",
        f"{_BY_HAND}, or make a credential for {title}, or repair the one there is.",
    )


async def _start(parts: Parts, caller: Caller, credential: Record, asked: Asked) -> str:
    run = rows.NewRun(
        id=clock.new_id(),
        org_id=caller.org_id,
        created_by=caller.principal,
        integration_id=None,
        credential_id=credential.id,
        system=credential["system"],
        destination=credential["system"],
        destination_id=None,
        entity_type=ENTITY_TYPE,
        entity_id=asked.of,
        revision=1,
        account_id=None,
        flow=Flow.ASK,
    )
    async with parts.db.hot() as connection:
        await claims.keep_snapshots(connection, [claims.Snapshot(run.id, asked.written, [], {})])
        await rows.add(connection, [run], clock.now())
    return run.id
