"""Which of the due runs start, and what each is given. One transaction for many runs; never the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from tollbridge.connectors.base import connector_of
from tollbridge.domain import json_text
from tollbridge.domain.bill_output import bill_of
from tollbridge.domain.billing import Bill
from tollbridge.domain.changes import ASK, Choice, Correction, Earlier, MoneyTo
from tollbridge.domain.conversation import LedgerKey, LedgerRow, LedgerState, Recorded
from tollbridge.domain.doubt import Guarantees, may_be_forgotten
from tollbridge.domain.errors import Refusal
from tollbridge.domain.integrations import BillOptions, CredentialStatus, Mappings, correction_of, read_layer
from tollbridge.domain.runs import Flow, HoldReason, RunState
from tollbridge.domain.safety import told_disabled, told_paused
from tollbridge.services import guarding
from tollbridge.services.sealing import open_fields, open_reply
from tollbridge.store import claims, guards, lanes, ledger, recording
from tollbridge.store import runs as rows
from tollbridge.store.claims import Credential, Integration, StoredMapping
from tollbridge.store.db import Connection
from tollbridge.store.ledger import Place, Stored
from tollbridge.store.runs import Resting
from tollbridge.vault import Vault

DOCUMENT = "invoice"
"""The kind of document that a bill becomes."""

WITHDRAWAL = "withdrawal"
"""The kind of document under which what becomes of a deleted bill is kept."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run with all that its flow needs, leased to one worker.

    `fence` must come back with every record and settlement. `bill` reads the stored bill as it is sent, which raises
    where it cannot be read, and is None for checks. `tenant` is empty for checks. `worked` is the working time so far.
    `ledgers` has the rows of the entity and of its account in this tenant. `earlier` is what may stand of earlier
    versions, `correction` what was chosen for it. `sealed` are the secrets as they stood, to tell them from later ones.
    """

    run_id: str
    org_id: str
    integration_id: str | None
    credential_id: str
    fence: int
    flow: Flow
    system: str
    entity_type: str
    entity_id: str
    revision: int
    account_id: str | None
    document: str
    tenant: str
    secrets: Mapping[str, Any]
    config: Mapping[str, Any]
    mappings: Mappings
    bill: Callable[[], Bill] | None
    started_at: datetime
    attempt: int
    worked: timedelta
    look_first: bool
    next_seq: int
    records: Mapping[str, Recorded]
    ledgers: Mapping[LedgerKey, LedgerRow]
    earlier: Earlier | None = None
    correction: Correction = ASK
    sealed: bytes = b""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A due run with what decides whether it starts."""

    run: Mapping[str, Any]
    credential_id: str
    credential: Credential
    secrets: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.run["id"])

    @property
    def tenant(self) -> str:
        return "" if self.run["flow"] == Flow.CHECK else self.credential.tenant or ""

    def place(self, entity_type: str, entity_id: str, document: str = "") -> Place:
        return Place(self.run["org_id"], self.tenant, entity_type, entity_id, document)

    @property
    def document(self) -> Place:
        return self.place(self.run["entity_type"], self.run["entity_id"], DOCUMENT)


async def claim_due(
    connection: Connection, vault: Vault, run_ids: Sequence[str], worker_id: str, now: datetime, lease: timedelta
) -> list[Claimed]:
    """See `services.work.claim`."""
    guarded = await guards.lock_of(connection, run_ids)
    holders = await lanes.lock_of(connection, run_ids)
    due = [
        run
        for run in await rows.lock_due(connection, run_ids, now)
        if run["lane"] is None or holders.get(run["lane"]) == run["id"]
    ]
    if not due:
        return []
    resting: list[Resting] = []
    candidates = await _candidates(connection, vault, due, resting)
    books = await _open_books(connection, candidates, now)
    starting = _startable(candidates, books, resting)
    bills = await _bills(connection, starting, resting)
    starting = [each for each in starting if each.run["flow"] == Flow.CHECK or each.id in bills]
    waits = await guarding.hold_back(connection, guarded, [each.run for each in starting], resting)
    starting = [each for each in starting if each.id not in waits]
    await rows.put_to_rest(connection, resting, now)
    if not starting:
        return []
    delivering = [each for each in starting if each.run["flow"] != Flow.CHECK]
    await ledger.own(connection, [(each.document, each.id) for each in delivering])
    started = await rows.start(
        connection, [(each.id, each.credential_id, each.tenant) for each in starting], worker_id, now, now + lease
    )
    found = await _mappings(connection, delivering, bills)
    await _keep_snapshots(connection, delivering, bills, found)
    records, seqs = await _conversations(connection, vault, starting)
    ledgers = _by_entity(books)
    return [
        Claimed(
            run_id=each.id,
            org_id=each.run["org_id"],
            integration_id=each.run["integration_id"],
            credential_id=each.credential_id,
            fence=started[each.id]["fence"],
            flow=Flow(each.run["flow"]),
            system=each.run["system"],
            entity_type=each.run["entity_type"],
            entity_id=each.run["entity_id"],
            revision=each.run["revision"],
            account_id=each.run["account_id"],
            document=WITHDRAWAL if each.run["flow"] == Flow.WITHDRAW else DOCUMENT,
            tenant=each.tenant,
            secrets=each.secrets,
            config=each.config,
            mappings=best(found.get(each.id, ())),
            bill=bills[each.id].bill if each.id in bills else None,
            started_at=started[each.id]["started_at"],
            attempt=each.run["attempt"],
            worked=timedelta(seconds=each.run["worked_seconds"]),
            look_first=each.run["look_first"] or _may_be_forgotten(each, bills.get(each.id), now),
            next_seq=seqs.get(each.id, 0) + 1,
            records=records.get(each.id, {}),
            ledgers=_ledgers_of(each, ledgers),
            earlier=_earlier(each, books),
            correction=_correction(each),
            sealed=each.credential.secrets,
        )
        for each in starting
    ]


async def _candidates(
    connection: Connection, vault: Vault, due: Sequence[Mapping[str, Any]], resting: list[Resting]
) -> list[_Candidate]:
    """The runs whose integration is enabled and whose credential works; the others rest."""
    integrations = await claims.integrations(
        connection, [(run["org_id"], run["integration_id"]) for run in due if run["integration_id"]]
    )
    wanted = [
        (run["org_id"], credential_id)
        for run in due
        if (credential_id := _credential_id(run, integrations)) is not None
    ]
    credentials = await claims.credentials(connection, wanted)
    opened: dict[tuple[str, bytes], Mapping[str, Any] | Refusal] = {}
    candidates = []
    for run in due:
        integration = integrations.get((run["org_id"], run["integration_id"]))
        credential_id = _credential_id(run, integrations)
        credential = credentials.get((run["org_id"], credential_id or ""))
        rest = _reason_to_rest(run, integration, credential)
        if rest is None and credential is not None and credential_id is not None:
            config = integration.config if integration is not None else {}
            # A check of a credential that is being replaced tries the candidate.
            candidate = credential.candidate if run["flow"] == Flow.CHECK else None
            sealed = candidate or credential.secrets
            if (credential_id, sealed) not in opened:
                opened[credential_id, sealed] = _open(vault, credential_id, sealed)
            secrets = opened[credential_id, sealed]
            if isinstance(secrets, Refusal):
                rest = _without_secrets(run, secrets)
            else:
                candidates.append(_Candidate(run, credential_id, credential, secrets, config))
        if rest is not None:
            resting.append(Resting(run["id"], *rest))
    return candidates


def _credential_id(run: Mapping[str, Any], integrations: Mapping[tuple[str, str], Integration]) -> str | None:
    if run["flow"] == Flow.CHECK:
        return str(run["credential_id"])
    integration = integrations.get((run["org_id"], run["integration_id"]))
    return integration.credential_id if integration else None


def _reason_to_rest(
    run: Mapping[str, Any], integration: Integration | None, credential: Credential | None
) -> tuple[RunState, HoldReason | None, str] | None:
    if run["flow"] == Flow.CHECK:
        return None if credential else (RunState.CANCELLED, None, "The credential was deleted.")
    if integration is None:
        return RunState.CANCELLED, None, "The integration was deleted."
    if not integration.enabled and run["id"] != integration.probe_run_id:
        return RunState.HELD, HoldReason.DISABLED, told_disabled(integration.disabled_reason)
    if integration.paused is not None:
        return RunState.HELD, HoldReason.PAUSED, told_paused(integration.paused)
    if credential is None:
        return RunState.HELD, HoldReason.DISCONNECTED, "The integration has no credential."
    if credential.status == CredentialStatus.INVALID:
        return RunState.HELD, HoldReason.UNAUTHORIZED, "The other system refuses the integration's credential."
    if credential.status != CredentialStatus.VALID or credential.tenant is None:
        return RunState.HELD, HoldReason.DISCONNECTED, "The integration's credential is not checked yet."
    return None


def _without_secrets(run: Mapping[str, Any], refusal: Refusal) -> tuple[RunState, HoldReason | None, str]:
    message = f"{refusal.message} {refusal.hint}"
    if run["flow"] == Flow.CHECK:
        return RunState.CANCELLED, None, message
    return RunState.HELD, HoldReason.DISCONNECTED, message


def _open(vault: Vault, credential_id: str, sealed: bytes) -> Mapping[str, Any] | Refusal:
    try:
        return open_fields(vault, credential_id, sealed)
    except Refusal as refusal:
        return refusal


async def _open_books(
    connection: Connection, candidates: Sequence[_Candidate], now: datetime
) -> Mapping[Place, Stored]:
    delivering = [each for each in candidates if each.run["flow"] != Flow.CHECK]
    return await ledger.open_rows(
        connection,
        [(each.document, each.run["revision"]) for each in delivering],
        [each.place("Account", each.run["account_id"]) for each in delivering if each.run["account_id"]],
        now,
    )


def _startable(
    candidates: Sequence[_Candidate], books: Mapping[Place, Stored], resting: list[Resting]
) -> list[_Candidate]:
    """Those that the ledger lets start; of several for one document the first."""
    starting: list[_Candidate] = []
    taken: set[Place] = set()
    for each in candidates:
        if each.document not in taken and _may_start(each, books, resting):
            starting.append(each)
            if each.run["flow"] != Flow.CHECK:
                taken.add(each.document)
    return starting


def _may_start(each: _Candidate, books: Mapping[Place, Stored], resting: list[Resting]) -> bool:
    """Whether the ledger allows the run to start; where it never will, the run rests.

    Where another run is at the document right now, this one is left alone and the sweep comes back to it.
    """
    if each.run["flow"] == Flow.CHECK:
        return True
    stored = books[each.document]
    row, revision = stored.row, each.run["revision"]
    if each.run["flow"] == Flow.DELIVER and row.state is LedgerState.DONE and row.version >= revision:
        version = "" if row.version == revision else "a newer version was "
        note = f"{version}already delivered as {row.external_id} by run {row.run_id}."
        resting.append(Resting(each.id, RunState.SKIPPED, None, note[0].upper() + note[1:]))
        return False
    return row.run_id == each.id or stored.owner_state not in (RunState.RUNNING, RunState.WAITING)


def _earlier(each: _Candidate, books: Mapping[Place, Stored]) -> Earlier | None:
    if each.run["flow"] == Flow.CHECK:
        return None
    # Of a deleted bill the present version is to go too.
    version, row = each.run["revision"] + (each.run["flow"] == Flow.WITHDRAW), books[each.document].row
    found = row.before(version)
    if found is None and each.run["look_first"] and row.version == version and row.took_effect:
        # Under other options, or for another customer, the replay would not know again what the failed run made.
        return Earlier(version)
    return found


def _correction(each: _Candidate) -> Correction:
    """What a person decided for the run, else the policy of the integration."""
    return chosen(each.run["decision"], each.config)


def chosen(decision: str | None, config: Mapping[str, Any]) -> Correction:
    """What a person decided (as JSON), else the policy of the options."""
    if decision is None:
        return correction_of(config)
    found = json_text.parse(decision)
    return Correction(Choice(found["choice"]), MoneyTo(found["money"]), found["mailCustomer"])


@dataclass(frozen=True, slots=True)
class _Content:
    bill: Callable[[], Bill]
    account: Mapping[str, Any]
    ids: frozenset[str]
    came_in: datetime


def _may_be_forgotten(each: _Candidate, content: _Content | None, now: datetime) -> bool:
    connector = connector_of(each.run["system"])
    if content is None or connector is None:
        return False
    limits = connector.system(each.run["system"]).limits
    return may_be_forgotten(content.came_in, Guarantees(limits.key_lifetime, limits.longest_request), now)


async def _bills(
    connection: Connection, starting: Sequence[_Candidate], resting: list[Resting]
) -> Mapping[str, _Content]:
    """The bills of the runs, as they are sent; a run whose bill is gone is cancelled."""
    delivering = [each.run for each in starting if each.run["flow"] != Flow.CHECK]
    configs = {each.id: each.config for each in starting}
    bodies = await claims.bills(connection, [(run["org_id"], run["entity_id"], run["revision"]) for run in delivering])
    accounts = await claims.accounts(connection, [(run["org_id"], run["account_id"]) for run in delivering])
    contents = {}
    present = await claims.bill_revisions(connection, [(run["org_id"], run["entity_id"]) for run in delivering])
    for run in delivering:
        found = bodies.get((run["org_id"], run["entity_id"], run["revision"]))
        account = accounts.get((run["org_id"], run["account_id"]))
        gone = _reason_gone(run, present.get((run["org_id"], run["entity_id"])))
        if gone is None and (found is None or account is None):
            gone = RunState.CANCELLED, None, "The account of the bill was deleted."
        if gone is not None or found is None or account is None:
            resting.append(Resting(run["id"], *(gone or (RunState.CANCELLED, None, "The bill was deleted."))))
            continue
        body, lines, came_in = found
        contents[run["id"]] = _Content(
            partial(prepared, run, body, lines, account, configs[run["id"]]),
            account,
            frozenset(ids_in(run, lines)),
            came_in,
        )
    return contents


def _reason_gone(run: Mapping[str, Any], present: int | None) -> tuple[RunState, HoldReason | None, str] | None:
    """Why the run has nothing to do any more, by the bill's present revision (None: it was deleted)."""
    if run["flow"] == Flow.WITHDRAW:
        return None if present is None else (RunState.SUPERSEDED, None, "The bill came in again.")
    if present is None:
        return RunState.CANCELLED, None, "The bill was deleted."
    if present > run["revision"]:
        return RunState.SUPERSEDED, None, "A newer version of the bill came in."
    return None


def prepared(run: Mapping[str, Any], body: Any, lines: Any, account: Any, config: Mapping[str, Any]) -> Bill:
    options = read_layer(BillOptions, config)
    return bill_of(run["entity_id"], run["revision"], body, lines, run["account_id"], account, options)


def ids_in(run: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """The ids of ours that a connector may look up: the account's, and every `…Id` of the lines."""
    yield run["account_id"]
    for line in lines:
        yield from (value for name, value in line.items() if name.endswith("Id") and isinstance(value, str))


async def _mappings(
    connection: Connection, delivering: Sequence[_Candidate], bills: Mapping[str, _Content]
) -> Mapping[str, list[StoredMapping]]:
    """The mappings of each run's system, tenant and integration, the better ones last."""
    wanted = {(each.run["org_id"], id) for each in delivering for id in bills[each.id].ids}
    by_ours: dict[tuple[str, str], list[StoredMapping]] = {}
    for mapping in await claims.mappings(connection, wanted):
        by_ours.setdefault((mapping.org_id, mapping.entity_id), []).append(mapping)
    found = {}
    for each in delivering:
        mine = [mapping for id in bills[each.id].ids for mapping in by_ours.get((each.run["org_id"], id), ())]
        found[each.id] = fitting(mine, each.run["system"], each.run["integration_id"], each.tenant)
    return found


def fitting(
    mappings: Iterable[StoredMapping], system: str, integration_id: str | None, tenant: str
) -> list[StoredMapping]:
    """Those of the mappings that are of this system, tenant and integration, the better ones last."""
    name = _mapping_system(system)
    mine = [
        mapping
        for mapping in mappings
        if mapping.system.upper() == name
        and mapping.integration_id in (None, integration_id)
        and mapping.tenant in (None, tenant)
    ]
    return sorted(mine, key=lambda mapping: (bool(mapping.integration_id), bool(mapping.tenant)))


def _mapping_system(system: str) -> str:
    connector = connector_of(system)
    return connector.system(system).mapping_system.upper() if connector else ""


def best(found: Iterable[StoredMapping]) -> Mappings:
    """A linked mapping beats a general one, and one of the tenant one of none."""
    return Mappings({(each.entity, each.entity_id, each.table): each.external_id for each in found})


async def _keep_snapshots(
    connection: Connection,
    delivering: Sequence[_Candidate],
    bills: Mapping[str, _Content],
    found: Mapping[str, Sequence[StoredMapping]],
) -> None:
    snapshots = [
        claims.Snapshot(
            each.id,
            each.config,
            [
                {"entity": key[0], "entityId": key[1], "table": key[2], "externalId": external_id}
                for key, external_id in best(found[each.id]).ids.items()
            ],
            bills[each.id].account,
        )
        for each in delivering
    ]
    if snapshots:
        await claims.keep_snapshots(connection, snapshots)


async def _conversations(
    connection: Connection, vault: Vault, starting: Sequence[_Candidate]
) -> tuple[Mapping[str, dict[str, Recorded]], Mapping[str, int]]:
    """Recorded replies and last step of the runs that were under way before. What was said to another tenant is
    forgotten: it means nothing to this one."""
    resumed = [each for each in starting if each.run["fence"] > 0]
    if not resumed:
        return {}, {}
    moved = [each.id for each in resumed if each.run["tenant"] not in (None, each.tenant or None)]
    if moved:
        await recording.forget_replies(connection, moved)
    records: dict[str, dict[str, Recorded]] = {}
    for kept in await recording.replies_of(connection, [each.id for each in resumed]):
        reply = open_reply(vault, kept.run_id, kept.key, kept.reply)
        records.setdefault(kept.run_id, {})[kept.key] = Recorded(kept.request_hash, kept.writes, reply)
    return records, await recording.last_seqs(connection, [each.id for each in resumed])


def _by_entity(books: Mapping[Place, Stored]) -> Mapping[Place, dict[LedgerKey, LedgerRow]]:
    """The rows of each entity, under its place without a document."""
    found: dict[Place, dict[LedgerKey, LedgerRow]] = {}
    for place, stored in books.items():
        key = (place.entity_type, place.entity_id, place.document)
        found.setdefault(replace(place, document=""), {})[key] = stored.row
    return found


def _ledgers_of(each: _Candidate, rows_of: Mapping[Place, dict[LedgerKey, LedgerRow]]) -> Mapping[LedgerKey, LedgerRow]:
    mine = [each.place(each.run["entity_type"], each.run["entity_id"])]
    if each.run["account_id"]:
        mine.append(each.place("Account", each.run["account_id"]))
    return {key: row for place in mine for key, row in rows_of.get(place, {}).items()}
