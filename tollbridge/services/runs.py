"""Runs as people and the API see them: read, replay, check a credential, wait for the end.

Never the network: what needs the world starts a run and waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tollbridge.domain.runs import Flow, HoldReason, RunState, RunStatus
from tollbridge.services.caller import Caller
from tollbridge.store.db import Database, Tx


@dataclass(frozen=True, slots=True)
class Run:
    """One run, with its state in our words and its status in the wire's."""

    id: str
    version: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    integration_id: str | None
    credential_id: str | None
    flow: Flow
    system: str
    destination: str
    destination_id: str | None
    entity_type: str
    entity_id: str
    revision: int
    account_id: str | None
    state: RunState
    status: RunStatus
    hold_reason: HoldReason | None
    fault_kind: str | None
    fault_code: str | None
    error: str | None
    hint: str | None
    attempt: int
    due_at: datetime
    parent_id: str | None
    replay_of: str | None
    external_id: str | None
    url: str | None
    total: Decimal | None
    currency: str | None
    note: str | None
    started_at: datetime | None
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs and the token that continues after them, if there are more."""

    data: Sequence[Run]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class LoggedStep:
    """One step of a run's log, as it may be shown: request and reply are redacted."""

    seq: int
    key: str
    name: str
    kind: str
    attempt: int
    epoch: int | None
    started_at: datetime
    completed_at: datetime | None
    status: int | None
    request: Any
    reply: Any
    fault: Any


@dataclass(frozen=True, slots=True)
class RunLog:
    """A run with everything that is kept of it: the configuration, mappings and account as they were, and its steps."""

    run: Run
    config: Any
    mappings: Any
    account: Any
    steps: Sequence[LoggedStep]


async def start_check(tx: Tx, caller: Caller, credential_id: str, system: str, now: datetime) -> str:
    """Make a run that checks the credential (its candidate where it has one) and answer the run's id.

    A check of the same credential that has not started is cancelled.
    """
    raise NotImplementedError


async def wait_settled(db: Database, org_id: str, run_id: str, timeout: timedelta) -> Run:
    """Wait until the run has ended or rests, at most that long, and answer it as it stands then."""
    raise NotImplementedError


async def any_worker_alive(tx: Tx, now: datetime) -> bool:
    """Whether a worker gave a sign of life lately."""
    raise NotImplementedError


async def replay(db: Database, caller: Caller, run_id: str) -> Run:
    """Deliver again what the run was to deliver; looks first whether it already took effect.

    Raises NotFound, and Conflict where the run is still under way or the document was delivered at this revision.
    """
    raise NotImplementedError


async def release_for_integration(tx: Tx, org_id: str, integration_id: str, now: datetime) -> int:
    """Queue the runs that were held while the integration was disabled or had no valid credential."""
    raise NotImplementedError


async def release_for_credential(tx: Tx, org_id: str, credential_id: str, now: datetime) -> int:
    """Queue the runs that were held because the credential was not valid, of every integration that uses it."""
    raise NotImplementedError


async def cancel_for_integration(tx: Tx, org_id: str, integration_id: str, now: datetime) -> int:
    """Cancel the runs of an integration that have not started, because it is deleted; running ones finish."""
    raise NotImplementedError


async def cancel_checks(tx: Tx, org_id: str, credential_id: str, now: datetime) -> int:
    """Cancel the checks of a credential that have not started, because it is deleted."""
    raise NotImplementedError


async def get_run(tx: Tx, org_id: str, run_id: str) -> Run:
    """The run; raises NotFound."""
    raise NotImplementedError


async def list_runs(
    tx: Tx,
    org_id: str,
    *,
    entity_type: str | None = None,
    entity_id: str | None = None,
    destination: str | None = None,
    destination_id: str | None = None,
    integration_id: str | None = None,
    credential_id: str | None = None,
    status: RunStatus | None = None,
    started_after: datetime | None = None,
    started_until: datetime | None = None,
    ascending: bool = False,
    size: int = 50,
    token: str | None = None,
) -> RunPage:
    """One page of runs, newest first unless asked otherwise; every filter that is given must hold."""
    raise NotImplementedError


async def latest_runs(tx: Tx, org_id: str, entity_type: str, entity_ids: Sequence[str]) -> dict[str, Run]:
    """The newest run of each of the entities, by entity id; those without a run are missing."""
    raise NotImplementedError


async def failed_integrations(tx: Tx, org_id: str, integration_ids: Sequence[str]) -> set[str]:
    """Those of the integrations whose latest finished run failed."""
    raise NotImplementedError


async def run_log(tx: Tx, org_id: str, run_id: str) -> RunLog:
    """Everything that is kept of the run; raises NotFound."""
    raise NotImplementedError
