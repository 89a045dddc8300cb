"""Which due questions for things in another system start, each with what is asked. Never the network.

A question has no lane, writes no ledger and has no integration, so whatever it meets it is never held: somebody waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tollbridge.domain.errors import Refusal
from tollbridge.domain.integrations import Mappings
from tollbridge.domain.runs import Flow, RunState
from tollbridge.services.claiming import DOCUMENT, Claimed
from tollbridge.services.sealing import open_fields
from tollbridge.store import claims, questions, recording
from tollbridge.store import runs as rows
from tollbridge.store.claims import Credential
from tollbridge.store.db import Connection
from tollbridge.store.runs import Resting
from tollbridge.vault import Vault


async def claim_questions(
    connection: Connection, vault: Vault, run_ids: Sequence[str], worker_id: str, now: datetime, lease: timedelta
) -> list[Claimed]:
    """Lease those of the runs that are questions; one whose credential is gone or cannot be opened is cancelled."""
    due = await questions.lock_due(connection, run_ids, now)
    if not due:
        return []
    known = await claims.credentials(connection, [(run["org_id"], run["credential_id"]) for run, _ in due])
    ready: list[tuple[Mapping[str, Any], Mapping[str, Any], Credential, Mapping[str, Any]]] = []
    resting: list[Resting] = []
    for run, asked in due:
        try:
            credential = known.get((run["org_id"], run["credential_id"]))
            if credential is None:
                raise Refusal("credential.gone", "The credential was deleted.", "")
            ready.append((run, asked, credential, open_fields(vault, run["credential_id"], credential.secrets)))
        except Refusal as refusal:
            note = f"{refusal.message} {refusal.hint or ''}".strip()
            resting.append(Resting(run["id"], RunState.CANCELLED, None, note))
    await rows.put_to_rest(connection, resting, now)
    if not ready:
        return []
    started = await rows.start(
        connection,
        [(run["id"], run["credential_id"], credential.tenant or "") for run, _, credential, _ in ready],
        worker_id,
        now,
        now + lease,
    )
    seqs = await recording.last_seqs(connection, [run["id"] for run, *_ in ready])
    return [
        Claimed(
            run_id=run["id"],
            org_id=run["org_id"],
            integration_id=None,
            credential_id=run["credential_id"],
            fence=started[run["id"]]["fence"],
            flow=Flow.ASK,
            system=run["system"],
            entity_type=run["entity_type"],
            entity_id=run["entity_id"],
            revision=run["revision"],
            account_id=None,
            document=DOCUMENT,
            tenant=credential.tenant or "",
            secrets=secrets,
            config=asked,
            mappings=Mappings({}),
            bill=None,
            started_at=started[run["id"]]["started_at"],
            attempt=run["attempt"],
            worked=timedelta(seconds=run["worked_seconds"]),
            look_first=False,
            next_seq=seqs.get(run["id"], 0) + 1,
            records={},
            ledgers={},
            sealed=credential.secrets,
        )
        for run, asked, credential, secrets in ready
    ]
