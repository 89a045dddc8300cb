"""What a person decides about a bill that changed, or was deleted, after it was sent. Never the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollbridge.domain import json_text
from tollbridge.domain.audit import Action
from tollbridge.domain.changes import Choice, MoneyTo
from tollbridge.domain.errors import Conflict, Invalid
from tollbridge.domain.fields import Shape, boolean, one_of, required, text
from tollbridge.domain.integrations import correction_of
from tollbridge.domain.runs import HoldReason, RunState
from tollbridge.services import audit, clock
from tollbridge.services.caller import Caller
from tollbridge.services.dispatch import target_of
from tollbridge.services.runs import Run, get_run
from tollbridge.store import lanes
from tollbridge.store import runs as rows
from tollbridge.store.db import Database, Tx, raw

DECIDE = Shape(
    {
        "choice": required(one_of(Choice)),
        "money": one_of(MoneyTo),
        "mailCustomer": boolean(),
        "note": text(most=1000),
    }
)


async def decide(db: Database, caller: Caller, run_id: str, body: Any) -> Run:
    """Let a held run go on as a person chose; who and when are kept with the run.

    Raises NotFound, Conflict where the run waits for no choice, and Invalid where the choice is none of those offered
    or does not say where money goes.
    """
    given = DECIDE.check(body)
    now = clock.now()
    async with db.transaction() as tx:
        connection = await raw(tx)
        run = await _held(tx, caller, run_id)
        target = await target_of(connection, caller.org_id, run.integration_id or "")
        lane = target.lane(run.account_id or "")
        await lanes.lock(connection, [lane])
        # It may have been released or superseded before we had its lane.
        run = await _held(tx, caller, run_id)
        policy = correction_of(target.config)
        decision = {
            "choice": given["choice"],
            "money": _money(run, given) or policy.money.value,
            "mailCustomer": given.get("mailCustomer", policy.mail),
            "note": given.get("note"),
            "by": caller.principal,
            "at": now.isoformat(timespec="milliseconds"),
        }
        kept = {name: value for name, value in decision.items() if value is not None}
        await rows.decide(connection, run_id, json_text.dump(kept), now)
        await audit.note(tx, caller, Action.DECIDE, "Run", run_id, after=kept)
        await lanes.fill(connection, [lane], now)
        return await get_run(tx, caller.org_id, run_id)


async def _held(tx: Tx, caller: Caller, run_id: str) -> Run:
    run = await get_run(tx, caller.org_id, run_id)
    if run.state is not RunState.HELD or run.hold_reason is not HoldReason.CHANGED or not run.offers:
        held = f" ({run.hold_reason})" if run.hold_reason else ""
        raise Conflict(
            "run.no_choice",
            f"Run {run_id} is {run.state}{held} and waits for no choice.",
            "Only runs that are held because their bill changed after it was sent can be decided.",
        )
    return run


def _money(run: Run, given: Mapping[str, Any]) -> str | None:
    offers = {offer["choice"]: offer for offer in run.offers or ()}
    chosen = offers.get(given["choice"])
    if chosen is None:
        raise Invalid(
            "decision.choice",
            f"choice is {given['choice']}, which is not possible for run {run.id}.",
            f"Possible are {', '.join(offers)}.",
            "choice",
        )
    money: str | None = given.get("money")
    if chosen["money"] and money is None:
        raise Invalid(
            "decision.money",
            "money is missing: some of what is credited was paid already.",
            f"Say where it goes: {', '.join(MoneyTo)}.",
            "money",
        )
    return money
