"""The connector of a made-up vendor, Strongbox: one company, invoices, rotating refresh tokens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel

from tollbridge.connectors.base import Connector, Delivery, Limits, Sending, System, all_connectors
from tollbridge.domain.choices import Thing
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Checked, Delivered, Flow, Found, Reply, Request, Step
from tollbridge.domain.integrations import Options
from tollbridge.domain.oauth import TENANT, OAuth

SYSTEM = System(
    key="STRONGBOX",
    title="Strongbox",
    base_url="https://api.strongbox.example",
    live=True,
    mapping_system="Strongbox",
    limits=Limits(1000, 100, timedelta(hours=24), timedelta(seconds=5)),
)


class Client(BaseModel):
    """The app that was registered at Strongbox."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    client_id: str = Field(description="Its client id.")
    client_secret: SecretStr = Field(description="Its client secret.")


class StrongboxOptions(Options):
    """None."""


def authorize(request: Request, _: Client, sending: Sending) -> Request:
    assert sending.token is not None
    headers = [("Authorization", f"Bearer {sending.token.access}"), ("Realm", sending.token.extra["realmId"])]
    if sending.idempotency_key:
        headers.append(("Idempotency-Key", sending.idempotency_key))
    return replace(request, headers=(*request.headers, *headers))


def classify(reply: Reply) -> Fault | None:
    if reply.ok:
        return None
    kind = {401: FaultKind.UNAUTHORIZED}.get(
        reply.status, FaultKind.UNAVAILABLE if reply.status >= 500 else FaultKind.INVALID
    )
    return Fault(kind, f"strongbox.{reply.status}", f"Strongbox answered {reply.status}.", "See Strongbox.")


def deliver(delivery: Delivery) -> Flow:
    bill = delivery.bill
    made = yield Step(
        "Create invoice", Request("POST", "/invoices", json={"bill": bill.id, "total": str(bill.total)}), key="invoice"
    )
    yield Step("Read it back", Request("GET", f"/invoices/{made['id']}"), key="read")
    return Delivered(made["id"], None, bill.total, bill.currency)


def check(_: System) -> Flow:
    company = yield Step("Whose is it", Request("GET", "/company"), key="company")
    return Checked(company["id"], company["name"], live=True)


connector = Connector(
    key="strongbox",
    title="Strongbox",
    category="AR",
    systems=(SYSTEM,),
    entity_types=("Bill",),
    credential_type="OAUTH_CLIENT_CREDENTIALS",
    credential=Client,
    config=StrongboxOptions,
    mapping_tables={},
    authorize=authorize,
    classify=classify,
    replayed=lambda reply: False,
    deliver=deliver,
    check=check,
    oauth=OAuth(
        authorize_url="https://login.strongbox.example/authorize",
        token_url="https://login.strongbox.example/token",
        scopes=("offline_access", "invoices"),
        client=lambda credential: (credential.client_id, credential.client_secret.get_secret_value()),
        callback=("realmId",),
        refresh_lifetime=timedelta(days=60),
    ),
)


def authorize_tenant(request: Request, _: Client, sending: Sending) -> Request:
    assert sending.token is not None
    headers = [("Authorization", f"Bearer {sending.token.access}"), ("Realm", "realm 7")]
    if TENANT in sending.token.extra:
        headers.append(("Tenant", sending.token.extra[TENANT]))
    return replace(request, headers=(*request.headers, *headers))


def tenants() -> Flow:
    reply = yield Step("Which companies", Request("GET", "/connections"), key="companies")
    return Found(tuple(Thing(each["id"], each["name"]) for each in reply.json))


several = replace(
    connector,
    key="stronghold",
    title="Stronghold",
    systems=(replace(SYSTEM, key="STRONGHOLD", title="Stronghold", mapping_system="Stronghold"),),
    authorize=authorize_tenant,
    oauth=OAuth(
        authorize_url="https://login.stronghold.example/authorize",
        token_url="https://login.stronghold.example/token",
        scopes=("offline_access", "invoices"),
        client=lambda credential: (credential.client_id, credential.client_secret.get_secret_value()),
        tenants=tenants,
    ),
)
"""Another one, Stronghold: one consent may open several companies, and it does not say how long it lasts."""


@contextmanager
def installed(folder: Path) -> Iterator[str]:
    """Installed as somebody else's package is; gives the PYTHONPATH under which processes find it."""
    dist = folder / "strongbox-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: strongbox\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text(
        f"[tollbridge.connectors]\nstrongbox = {__name__}:connector\nstronghold = {__name__}:several\n"
    )
    sys.path.insert(0, str(folder))
    all_connectors.cache_clear()
    try:
        yield f"{folder}:{Path(__file__).parents[2]}"
    finally:
        sys.path.remove(str(folder))
        all_connectors.cache_clear()
