"""Which due previews start: each with what it was given when it was asked for. Never the network.

A preview has no lane, writes no ledger and has no integration of its own, so whatever it meets it is never held.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from tollbridge.domain.conversation import LedgerRow
from tollbridge.domain.errors import Refusal
from tollbridge.domain.integrations import Mappings
from tollbridge.domain.runs import Flow, RunState
from tollbridge.services.claiming import DOCUMENT, Claimed, chosen, prepared
from tollbridge.services.dispatch import BILL
from tollbridge.services.sealing import open_fields
from tollbridge.store import claims, ledger, previews, recording
from tollbridge.store import runs as rows
from tollbridge.store.claims import Credential
from tollbridge.store.db import Connection
from tollbridge.store.ledger import Place
from tollbridge.store.previews import Given
from tollbridge.store.runs import Resting
from tollbridge.vault import Vault


async def claim_previews(
    connection: Connection, vault: Vault, run_ids: Sequence[str], worker_id: str, now: datetime, lease: timedelta
) -> list[Claimed]:
    """Lease those of the runs that are previews; one whose credential is gone or cannot be opened is cancelled."""
    due = await previews.lock_due(connection, run_ids, now)
    if not due:
        return []
    credentials = await claims.credentials(
        connection, [(each.run["org_id"], each.run["credential_id"]) for each in due]
    )
    ready: list[tuple[Given, Credential, dict[str, object]]] = []
    resting: list[Resting] = []
    for each in due:
        credential = credentials.get((each.run["org_id"], each.run["credential_id"]))
        try:
            if credential is None or credential.tenant is None:
                raise Refusal("credential.gone", "The credential was deleted.", "")
            secrets = dict(open_fields(vault, each.run["credential_id"], credential.secrets))
            ready.append((each, credential, secrets))
        except Refusal as refusal:
            note = f"{refusal.message} {refusal.hint or ''}".strip()
            resting.append(Resting(each.run["id"], RunState.CANCELLED, None, note))
    await rows.put_to_rest(connection, resting, now)
    if not ready:
        return []
    started = await rows.start(
        connection,
        [(given.run["id"], given.run["credential_id"], credential.tenant or "") for given, credential, _ in ready],
        worker_id,
        now,
        now + lease,
    )
    seqs = await recording.last_seqs(connection, [given.run["id"] for given, _, _ in ready])
    books = {given.run["id"]: await _book(connection, given, credential) for given, credential, _ in ready}
    return [
        Claimed(
            run_id=given.run["id"],
            org_id=given.run["org_id"],
            integration_id=None,
            credential_id=given.run["credential_id"],
            fence=started[given.run["id"]]["fence"],
            flow=Flow.PREVIEW,
            system=given.run["system"],
            entity_type=BILL,
            entity_id=given.run["entity_id"],
            revision=given.run["revision"],
            account_id=given.run["account_id"],
            document=DOCUMENT,
            tenant=credential.tenant or "",
            secrets=secrets,
            config=given.config,
            mappings=Mappings(
                {(each["entity"], each["entityId"], each["table"]): each["externalId"] for each in given.mappings}
            ),
            bill=partial(prepared, given.run, given.body, given.lines, given.account, given.config),
            started_at=started[given.run["id"]]["started_at"],
            attempt=given.run["attempt"],
            worked=timedelta(seconds=given.run["worked_seconds"]),
            look_first=False,
            next_seq=seqs.get(given.run["id"], 0) + 1,
            records={},
            ledgers={(BILL, given.run["entity_id"], DOCUMENT): book} if book else {},
            earlier=book.before(given.run["revision"]) if book else None,
            correction=chosen(given.decision, given.config),
        )
        for given, credential, secrets in ready
        for book in [books[given.run["id"]]]
    ]


async def _book(connection: Connection, given: Given, credential: Credential) -> LedgerRow | None:
    """What is known of the bill's document in the tenant; read and not locked."""
    place = Place(given.run["org_id"], credential.tenant or "", BILL, given.run["entity_id"], DOCUMENT)
    return await ledger.known(connection, place)
