"""What the pages are about: an account, bills and an integration, as a source and an operator make them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.api.entities import a_bill, a_line, add_credential
from tollbridge.services import bills, integrations
from tollbridge.services.accounts import ACCOUNTS
from tollbridge.services.caller import Caller
from tollbridge.services.parts import Parts

CALLER = Caller("org 1", "SYSTEM")


async def add_account(parts: Parts, id: str = "acme", **changes: Any) -> None:
    body = {"id": id, "code": id.upper(), "name": f"{id.capitalize()} Ltd", "emailAddress": f"ap@{id}.example"}
    await ACCOUNTS.create(parts.db, CALLER, body | changes)


async def add_bill(parts: Parts, id: str, account: str = "acme", total: str = "12.50", **changes: Any) -> None:
    amount = Decimal(total)
    value = a_bill(a_line(subtotal=amount), accountId=account, billTotal=amount, **changes)
    await bills.put(parts.db, CALLER, id, value)


async def add_integration(parts: Parts, name: str = "Stripe EU", **config: Any) -> str:
    """An integration that sends bills to Stripe, with a valid credential; answers its id."""
    await add_credential(parts.db, id=f"of {name}")
    body = {
        "destination": "STRIPE",
        "entityType": "Bill",
        "name": name,
        "configData": config,
        "integrationCredentialsId": f"of {name}",
    }
    return (await integrations.create(parts.db, CALLER, body)).record.id
