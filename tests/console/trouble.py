"""An organization in which runs failed, and a browser of somebody in it."""

from __future__ import annotations

from tests.services.world import World
from tollbridge.domain.errors import Fault, FaultKind

REJECTED = Fault(FaultKind.INVALID, "stripe.customer_gone", "Stripe knows no customer cus_1.", "Restore it.")


def unmapped(account: str) -> Fault:
    """The account has no customer at Stripe."""
    return Fault(
        FaultKind.UNMAPPED,
        "mapping.missing",
        f"Account {account} has no Customer in Stripe.",
        "Create the mapping.",
        missing=("Account", account, "Stripe", "Customer"),
    )


async def fail(world: World, bill: str, account: str, fault: Fault = REJECTED) -> str:
    """Send a bill whose run ends with the fault; answers the run's id."""
    run_id = await world.send(bill, account)
    (claimed,) = await world.claim(run_id)
    assert await world.settle(claimed, fault)
    return run_id
