"""The recorded conversation: steps, sealed replies, the ledger of writes, learnt mappings. Never the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tollbridge.connectors.base import connector_of
from tollbridge.domain.conversation import Entry, StepKind, StepState
from tollbridge.domain.flows import Subject
from tollbridge.services import clock
from tollbridge.services.sealing import seal_reply
from tollbridge.store import ledger, recording
from tollbridge.store.db import Connection
from tollbridge.vault import Vault


async def write(
    connection: Connection, vault: Vault, runs: Mapping[str, Mapping[str, Any]], entries: Sequence[Entry]
) -> None:
    """Steps, sealed replies, ledger and learnt mappings of entries whose fence is good."""
    await recording.add_steps(
        connection,
        [(entry.run_id, step) for entry in entries for step in (entry.done, entry.intent) if step is not None],
    )
    ended = [(runs[entry.run_id], entry.done) for entry in entries if entry.done is not None]
    await recording.keep_replies(
        connection,
        [
            recording.Sealed(
                run["id"],
                done.key,
                done.request_hash,
                done.kind is StepKind.WRITE,
                seal_reply(vault, run["id"], done.key, done.reply),
            )
            for run, done in ended
            if done.reply is not None
        ],
    )
    await ledger.note(connection, _ledger_writes(runs, entries))
    await recording.learn(
        connection,
        [
            recording.Learnt(
                clock.new_id(),
                run["org_id"],
                run["integration_id"],
                run["tenant"],
                _mapping_system(run["system"]),
                done.learnt,
                done.completed_at,
            )
            for run, done in ended
            if done.learnt is not None
        ],
    )


def _mapping_system(system: str) -> str:
    connector = connector_of(system)
    return connector.system(system).mapping_system if connector else system


def _ledger_writes(runs: Mapping[str, Mapping[str, Any]], entries: Sequence[Entry]) -> list[ledger.Write]:
    """What the entries say about writes, one value for each document."""
    writes: dict[ledger.Place, ledger.Write] = {}
    for entry in entries:
        run = runs[entry.run_id]
        if entry.done is not None and entry.done.ledger is not None:
            done = entry.done
            subject, key, state = entry.done.ledger
            step: dict[str, Any] = {"epoch": done.epoch or 0, "state": state}
            # What outlives the document of the flow, such as a customer, is complete with the step that made it.
            apart = (subject.entity_type, subject.entity_id) != (run["entity_type"], run["entity_id"])
            finished = apart and state is StepState.DONE and done.learnt is not None
            external_id = done.learnt.external_id if finished and done.learnt else None
            _add(writes, run, subject, key, step, external_id, done.completed_at)
        if entry.intent is not None:
            at = entry.intent.at.isoformat()
            step = {
                "epoch": entry.intent.epoch,
                "state": StepState.SENT,
                "first_sent_at": at,
                "last_sent_at": at,
            }
            _add(writes, run, entry.intent.subject, entry.intent.step_key, step, None, entry.intent.at)
    return list(writes.values())


def _add(
    writes: dict[ledger.Place, ledger.Write],
    run: Mapping[str, Any],
    subject: Subject,
    key: str,
    step: Mapping[str, Any],
    external_id: str | None,
    at: datetime,
) -> None:
    place = ledger.Place(run["org_id"], run["tenant"], subject.entity_type, subject.entity_id, subject.document)
    earlier = writes.get(place)
    steps = {**(earlier.steps if earlier else {}), key: step}
    known = external_id or (earlier.external_id if earlier else None)
    writes[place] = ledger.Write(place, subject.version, run["id"], run["integration_id"], steps, known, at)
