"""Previews: what would be sent for a bill, by an integration as it is or as it would be with other options.

What needs the vendor runs in a worker, as checks of credentials do; here the preview is started and waited for, outside
any transaction. Nothing is written but the run of the preview itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tollbridge.domain import json_text
from tollbridge.domain.deliveries import DeliveryState
from tollbridge.domain.errors import Conflict, NotFound, Refusal, Unavailable
from tollbridge.domain.fields import Shape, anything, map_of, required, text
from tollbridge.domain.integrations import BillFacts, CredentialStatus, Verdict, decide, scope_of
from tollbridge.domain.runs import Flow, RunState
from tollbridge.services import clock, deliveries, runs, systems
from tollbridge.services.caller import Caller
from tollbridge.services.claiming import best, fitting, ids_in
from tollbridge.services.deliveries import Delivery
from tollbridge.services.entities import load
from tollbridge.services.filtering import filtered
from tollbridge.services.parts import Parts
from tollbridge.services.runs import Run
from tollbridge.store import claims, previews
from tollbridge.store import runs as rows
from tollbridge.store.db import Tx
from tollbridge.store.records import Record
from tollbridge.store.schema import bills, credentials, integrations

PATIENCE = timedelta(seconds=10)
ENTITY_TYPE = "Preview"
"""The entity type of a preview's run, whose entity id is the bill's: the lists of a bill's runs hold none."""

BODY = Shape({"billId": required(text(least=1, most=200)), "configData": map_of(anything())})


@dataclass(frozen=True, slots=True)
class Preview:
    """A preview: its run, and what it found (`domain.previews`), None while it is under way."""

    run: Run
    found: Mapping[str, Any] | None


async def preview(parts: Parts, caller: Caller, integration_id: str, value: Any) -> Preview:
    """Play the delivery of a bill through without a write, and wait some seconds for what it finds.

    Raises NotFound, Invalid for bad options, Conflict where the integration has no working credential, Unavailable
    where no worker is alive.
    """
    body = BODY.check(value)
    async with parts.db.transaction() as tx:
        if not await runs.any_worker_alive(tx, clock.now()):
            raise Unavailable(
                "worker.none",
                "Nothing can be previewed, because no worker is running.",
                "Start one with: tollbridge worker",
            )
        integration = await load(tx, integrations, caller.org_id, integration_id, "integration configuration")
        bill = await load(tx, bills, caller.org_id, body["billId"], "bill")
        config = body.get("configData", integration.body.get("configData", {}))
        systems.check_config(systems.find(integration["system"]), integration["entity_type"], config)
        credential = await _credential(tx, caller, integration)
    standing = await _standing(parts, caller, integration_id, bill)
    # With other options it is their policy that is tried.
    decision = None if "configData" in body or standing is None else await _decided(parts, caller, standing, bill)
    run_id = await _start(parts, caller, integration, bill, credential, config, decision)
    await runs.wait_settled(parts.db, caller.org_id, run_id, PATIENCE)
    made = await get(parts, caller, run_id)
    if made.found is None or standing is None:
        return made
    warnings = []
    if standing.state not in (DeliveryState.RUNNING, DeliveryState.FAILED):
        warnings.append(f"The bill is {standing.state.replace('_', ' ')} as things are: {standing.reason}")
    if "configData" in body:
        warnings += await _out_of_scope(parts, caller, config, standing.bill)
    return Preview(made.run, {**made.found, "warnings": [*warnings, *made.found["warnings"]]})


async def get(parts: Parts, caller: Caller, run_id: str) -> Preview:
    """The preview of that run, as far as it is; raises NotFound, also where it is too old, and the Refusal that says
    why it came to no end."""
    async with parts.db.transaction() as tx:
        run = await runs.get_run(tx, caller.org_id, run_id)
    if run.flow is not Flow.PREVIEW:
        raise NotFound("preview.unknown", f"Run {run_id} is no preview.", "Ask for a preview of the bill.")
    if not run.state.ended:
        return Preview(run, None)
    if run.state is not RunState.DELIVERED:
        raise Refusal(
            run.fault_code or "preview.cancelled",
            f"The preview came to no end: {run.error or run.note}",
            run.hint or "Repair the cause and preview again.",
        )
    async with parts.db.hot() as connection:
        found = await previews.result_of(connection, run_id)
    if found is None:
        raise NotFound("preview.gone", f"What the preview {run_id} found is no longer kept.", "Preview the bill again.")
    return Preview(run, found)


async def _out_of_scope(parts: Parts, caller: Caller, config: Mapping[str, Any], bill: BillFacts) -> list[str]:
    """Why the bill would not be sent at all with these options."""
    async with parts.db.hot() as connection:
        (scope,) = await filtered(connection, caller.org_id, [scope_of(config)], [bill.account_id])
    verdict, reason = decide(scope, bill)
    return [] if verdict is Verdict.SEND else [f"With these options the bill is not sent: {reason}"]


async def _standing(parts: Parts, caller: Caller, integration_id: str, bill: Record) -> Delivery | None:
    """The bill in the integration; None where either is gone by now."""
    found = await deliveries.of_bill(parts.db, caller, bill.id)
    return next((each for each in found if each.integration_id == integration_id), None)


async def _decided(parts: Parts, caller: Caller, standing: Delivery, bill: Record) -> str | None:
    """What a person decided about this version of the bill, as JSON; None where a person is being asked."""
    if standing.run_id is None or standing.state is DeliveryState.HELD:
        return None
    async with parts.db.transaction() as tx:
        run = await runs.get_run(tx, caller.org_id, standing.run_id)
    return json_text.dump(run.decision) if run.decision and run.revision == bill["revision"] else None


async def _credential(tx: Tx, caller: Caller, integration: Record) -> Record:
    if integration["credential_id"] is not None:
        credential = await load(tx, credentials, caller.org_id, integration["credential_id"], "credential")
        if credential["status"] == CredentialStatus.VALID:
            return credential
    raise Conflict(
        "integration.disconnected",
        f"The integration {integration['name']} has no valid credential, and a preview reads at the other system.",
        "Give it a credential that works, or repair the one it has.",
    )


async def _start(
    parts: Parts,
    caller: Caller,
    integration: Record,
    bill: Record,
    credential: Record,
    config: Mapping[str, Any],
    decision: str | None,
) -> str:
    """Make the run with all that it needs, and answer its id."""
    org_id, system = caller.org_id, integration["system"]
    run = rows.NewRun(
        id=clock.new_id(),
        org_id=org_id,
        created_by=caller.principal,
        integration_id=None,
        credential_id=credential.id,
        system=system,
        destination=integration.body["destination"],
        destination_id=integration["destination_id"],
        entity_type=ENTITY_TYPE,
        entity_id=bill.id,
        revision=bill["revision"],
        account_id=bill["account_id"],
        flow=Flow.PREVIEW,
        decision=decision,
    )
    async with parts.db.hot() as connection:
        content = await claims.bills(connection, [(org_id, bill.id, bill["revision"])])
        account = await claims.accounts(connection, [(org_id, bill["account_id"])])
        _, lines, *_ = content[org_id, bill.id, bill["revision"]]
        wanted = ids_in({"account_id": bill["account_id"]}, lines)
        known = await claims.mappings(connection, {(org_id, id) for id in wanted})
        mappings = best(fitting(known, system, integration.id, credential["tenant"] or ""))
        given = [
            {"entity": key[0], "entityId": key[1], "table": key[2], "externalId": external_id}
            for key, external_id in mappings.ids.items()
        ]
        await claims.keep_snapshots(
            connection, [claims.Snapshot(run.id, config, given, account[org_id, bill["account_id"]])]
        )
        await rows.add(connection, [run], clock.now())
    return run.id
