"""Every operation of the wire that we have, called with the official client: sync, async, its answers read strictly."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import httpx
import m3ter
import pytest
from m3ter import AsyncM3ter, M3ter

from tests.api.entities import a_bill, send
from tollbridge.services.organizations import NewOrganization
from tollbridge.services.parts import Parts

Ids: TypeAlias = dict[str, str]
Call: TypeAlias = Callable[[Any, Ids], Any]

ACCOUNT = {"code": "A", "name": "Acme", "email_address": "a@b.example"}
CONFIG = {"destination": "Stripe", "entity_type": "Bill", "entity_id": "e"}
SCHEDULED = {"entity": "Bill", "field": "endDate", "offset": 3}
HOOK = {
    "name": "Hook",
    "description": "To the ERP",
    "url": "http://127.0.0.1:4011/in",
    "credentials": {"type": "M3TER_SIGNED_REQUEST", "api_key": "key", "secret": "secret"},
}
NOTIFICATION = {"name": "Big bills", "description": "Look at them", "event_name": "billing.bill.created"}
MAPPING = {"m3ter_entity": "Account", "m3ter_id": "acme", "external_system": "Stripe", "external_table": "Customer"}

# In this order; where a call makes something under an id of ours, those that follow find it in `ids`.
CALLS: dict[str, Call] = {
    "authentication.get_bearer_token": lambda c, ids: c.authentication.get_bearer_token(
        grant_type="client_credentials", extra_headers={"Authorization": ids["basic"]}
    ),
    "accounts.create": lambda c, _: c.accounts.create(
        **{**ACCOUNT, "code": "B"}, custom_fields={"a": 1.5}, extra_body={"id": "b"}
    ),
    "accounts.retrieve": lambda c, _: c.accounts.retrieve("b"),
    "accounts.update": lambda c, _: c.accounts.update("b", **{**ACCOUNT, "code": "B2"}, parent_account_id="acme"),
    "accounts.list": lambda c, _: c.accounts.list(ids=["b", "acme"], codes=["B2", "A"], page_size=100),
    "accounts.list_children": lambda c, _: c.accounts.list_children("acme", page_size=200),
    "accounts.search": lambda c, _: c.accounts.search(
        search_query="name~acme$code:B2", operator="AND", sort_by="name", sort_order="DESC", from_document=0
    ),
    "accounts.delete": lambda c, _: c.accounts.delete("b"),
    "bills.retrieve": lambda c, _: c.bills.retrieve("b1", additional=["x"]),
    "bills.list": lambda c, _: c.bills.list(
        account_id="acme", ids=["b1", "b2"], locked=False, status="PENDING", bill_date_start="2026-10-01",
        exclude_line_items=True, include_bill_total=True,
    ),
    "bills.search": lambda c, _: c.bills.search(search_query="accountId:acme$billDate>2026-01-01", operator="OR"),
    "bills.latest_by_account": lambda c, _: c.bills.latest_by_account("acme"),
    "bills.line_items.list": lambda c, _: c.bills.line_items.list("b1", page_size=1),
    "bills.line_items.retrieve": lambda c, _: c.bills.line_items.retrieve("l1", bill_id="b1"),
    "bills.approve": lambda c, _: c.bills.approve(bill_ids=["b1"]),
    "bills.update_status": lambda c, _: c.bills.update_status("b2", status="APPROVED"),
    "bills.lock": lambda c, _: c.bills.lock("b1"),
    "bills.delete": lambda c, _: c.bills.delete("b2"),
    "bill_config.retrieve": lambda c, _: c.bill_config.retrieve(),
    "bill_config.update": lambda c, _: c.bill_config.update(bill_lock_date="2026-01-31", version=0),
    "external_mappings.create": lambda c, _: c.external_mappings.create(
        **MAPPING, external_id="cus_1", extra_body={"id": "m"}
    ),
    "external_mappings.retrieve": lambda c, _: c.external_mappings.retrieve("m"),
    "external_mappings.update": lambda c, _: c.external_mappings.update("m", **MAPPING, external_id="cus_2", version=1),
    "external_mappings.list": lambda c, _: c.external_mappings.list(external_system_id="Stripe", m3ter_ids=["acme"]),
    "external_mappings.list_by_external_entity": lambda c, _: c.external_mappings.list_by_external_entity(
        "cus_2", system="Stripe", external_table="Customer"
    ),
    "external_mappings.list_by_m3ter_entity": lambda c, _: c.external_mappings.list_by_m3ter_entity(
        "acme", entity="Account"
    ),
    "external_mappings.delete": lambda c, _: c.external_mappings.delete("m"),
    "integration_configurations.create": lambda c, _: c.integration_configurations.create(**CONFIG, name="New"),
    "integration_configurations.list": lambda c, _: c.integration_configurations.list(page_size=200),
    "integration_configurations.get_by_entity": lambda c, _: c.integration_configurations.get_by_entity(
        "Bill", destination="Stripe", entity_id="e"
    ),
    "integration_configurations.retrieve": lambda c, ids: c.integration_configurations.retrieve(ids["config"]),
    "integration_configurations.update": lambda c, ids: c.integration_configurations.update(ids["config"], **CONFIG),
    "integration_configurations.enable": lambda c, ids: c.integration_configurations.enable(ids["config"]),
    "integration_configurations.delete": lambda c, ids: c.integration_configurations.delete(ids["config"]),
    "events.get_types": lambda c, _: c.events.get_types(),
    "events.get_fields": lambda c, _: c.events.get_fields(event_name="scheduled.bill.ends"),
    "scheduled_event_configurations.create": lambda c, _: c.scheduled_event_configurations.create(
        **SCHEDULED, name="scheduled.bill.new", extra_body={"id": "s2"}
    ),
    "scheduled_event_configurations.retrieve": lambda c, _: c.scheduled_event_configurations.retrieve("s2"),
    "scheduled_event_configurations.update": lambda c, _: c.scheduled_event_configurations.update(
        "s2", **SCHEDULED, name="scheduled.bill.newer", version=1
    ),
    "scheduled_event_configurations.list": lambda c, _: c.scheduled_event_configurations.list(ids=["s2"]),
    "scheduled_event_configurations.delete": lambda c, _: c.scheduled_event_configurations.delete("s2"),
    "events.list": lambda c, _: c.events.list(
        account_id="acme", event_name="billing.bill.created", event_type="EntityEvent", include_actioned=True,
        resource_id="nothing", page_size=100,
    ),
    "webhooks.create": lambda c, _: c.webhooks.create(**HOOK, code="NEW", active=True),
    "webhooks.retrieve": lambda c, ids: c.webhooks.retrieve(ids["hook"]),
    "webhooks.update": lambda c, ids: c.webhooks.update(ids["hook"], **{**HOOK, "description": "Other"}),
    "webhooks.list": lambda c, ids: c.webhooks.list(ids=[ids["hook"]], page_size=200),
    "webhooks.set_active": lambda c, ids: c.webhooks.set_active(ids["hook"], active=False),
    "webhooks.delete": lambda c, ids: c.webhooks.delete(ids["hook"]),
    "notification_configurations.create": lambda c, _: c.notification_configurations.create(
        **NOTIFICATION, code="NEW", calculation="new.billTotal > 1", active=False, extra_body={"id": "n"}
    ),
    "notification_configurations.retrieve": lambda c, _: c.notification_configurations.retrieve("n"),
    "notification_configurations.update": lambda c, _: c.notification_configurations.update(
        "n", **NOTIFICATION, code="NEWER", always_fire_event=True, version=1
    ),
    "notification_configurations.list": lambda c, _: c.notification_configurations.list(
        active=True, event_name="billing.bill.created", ids=["n"], page_size=100
    ),
    "notification_configurations.delete": lambda c, _: c.notification_configurations.delete("n"),
    "products.create": lambda c, _: c.products.create(code="P", name="Calls", extra_body={"id": "p"}),
    "products.retrieve": lambda c, _: c.products.retrieve("p"),
    "products.update": lambda c, _: c.products.update("p", code="P", name="Calls", version=1),
    "products.list": lambda c, _: c.products.list(ids=["p"], page_size=200),
    "users.invitations.create": lambda c, _: c.users.invitations.create(
        email="new@acme.example", first_name="New", last_name="Roe", permission_policy_ids=["finance"]
    ),
    "users.invitations.retrieve": lambda c, ids: c.users.invitations.retrieve(ids["user"]),
    "users.invitations.list": lambda c, _: c.users.invitations.list(page_size=200),
    "users.retrieve": lambda c, ids: c.users.retrieve(ids["user"]),
    "users.list": lambda c, ids: c.users.list(ids=[ids["user"]], page_size=200),
    "users.update": lambda c, ids: c.users.update(ids["user"], dt_end_access="2099-01-01T00:00:00Z"),
    "users.me": lambda c, _: c.users.me(),
    "users.get_permissions": lambda c, ids: c.users.get_permissions(ids["user"]),
    "users.get_user_groups": lambda c, ids: c.users.get_user_groups(ids["user"], page_size=10),
    "products.delete": lambda c, _: c.products.delete("p"),
}  # fmt: skip

WITHOUT_ANSWER: dict[str, Call] = {"users.resend_password": lambda c, ids: c.users.resend_password(ids["user"])}
"""Declared as answering nothing; ours answers the link, which this client leaves aside."""

REFUSED: dict[str, Call] = {
    # What it ends lies with whoever calculates the bills.
    "accounts.end_date_billing_entities": lambda c, _: c.accounts.end_date_billing_entities(
        "acme", billing_entities=["CONTRACT"], end_date="2026-12-31T00:00:00Z"
    ),
}

TYPED_AS_SOMETHING_ELSE: dict[str, Call] = {
    # Typed as actioned, which hardly any event is.
    "events.retrieve": lambda c, ids: c.events.retrieve(ids["event"]),
    # Typed as runs, which always have an entityId; a configuration without one has none to give.
    "integration_configurations.retrieve": lambda c, ids: c.integration_configurations.retrieve(ids["bare"]),
    "integration_configurations.get_by_entity": lambda c, _: c.integration_configurations.get_by_entity("Bill"),
}
"""Where the declared type of an answer is an error of the declaration, so that a strict client refuses ours."""


@pytest.fixture
async def ids(api: httpx.AsyncClient, organization: NewOrganization) -> Ids:
    """What the calls find; `bare` is a configuration without entityId."""
    account = {"id": "acme", "code": "A", "name": "Acme", "emailAddress": "a@b.example"}
    await send(api, "POST", "accounts", account)
    bill = a_bill()
    for id in ("b1", "b2"):
        await send(api, "PUT", f"bills/{id}", {**bill, "lineItems": [{**bill["lineItems"][0], "id": "l1"}]})
    config = {"destination": "Stripe", "entityType": "Bill"}
    made = await send(api, "POST", "integrationconfigs", {**config, "entityId": "x"})
    bare = await send(api, "POST", "integrationconfigs", config)
    key = httpx.BasicAuth(organization.key_id, organization.secret)
    basic = next(key.auth_flow(httpx.Request("GET", "http://x"))).headers["Authorization"]
    scheduled = {"name": "scheduled.bill.ends", "entity": "Bill", "field": "endDate", "offset": 0}
    await send(api, "POST", "scheduledevents/configurations", scheduled)
    event = (await send(api, "GET", "events?eventName=billing.bill.created"))["data"][0]
    signed = {"type": "M3TER_SIGNED_REQUEST", "apiKey": "key", "secret": "secret"}
    hook = await send(api, "POST", "integrationdestinations/webhooks", {**HOOK, "credentials": signed})
    made_ids = {"config": made["id"], "bare": bare["id"], "hook": hook["id"], "event": event["id"]}
    person = {"email": "jane@acme.example", "firstName": "Jane", "lastName": "Roe"}
    user = await send(api, "POST", "invitations", person)
    return {**made_ids, "user": user["id"], "basic": basic}


@pytest.fixture
def options(base_url: str, organization: NewOrganization) -> dict[str, Any]:
    return {
        "api_key": organization.key_id,
        "api_secret": organization.secret,
        "org_id": organization.org_id,
        "base_url": base_url,
        "max_retries": 0,
    }


def test_no_operation_that_we_have_is_left_out() -> None:
    client = M3ter(api_key="a", api_secret="b", org_id="o")
    resources = (
        "authentication accounts bills bill_config events external_mappings integration_configurations"
        " notification_configurations products scheduled_event_configurations users webhooks".split()
    )
    operations = {
        f"{resource}.{name}"
        for resource in resources
        for name, _ in inspect.getmembers(type(getattr(client, resource)), inspect.isfunction)
        if not name.startswith("_")
    }
    nested = {"bills.line_items": ("list", "retrieve"), "users.invitations": ("create", "list", "retrieve")}
    operations |= {f"{resource}.{name}" for resource, names in nested.items() for name in names}
    assert operations == CALLS.keys() | REFUSED.keys() | WITHOUT_ANSWER.keys() | TYPED_AS_SOMETHING_ELSE.keys()


async def test_every_operation_works_with_the_sync_client_that_fetches_its_tokens(
    options: dict[str, Any], ids: Ids
) -> None:
    client = M3ter(**options, _strict_response_validation=True)

    def run() -> None:
        for name, call in CALLS.items():
            assert call(client, ids) is not None, name
        for call in WITHOUT_ANSWER.values():
            assert call(client, ids) is None
        for call in REFUSED.values():
            with pytest.raises(m3ter.BadRequestError):
                call(client, ids)

    await asyncio.to_thread(run)


async def test_every_operation_works_with_the_async_client_that_is_given_a_token(
    options: dict[str, Any], ids: Ids, parts: Parts, organization: NewOrganization
) -> None:
    token = (await parts.gate.issue(organization.key_id, organization.secret)).text
    async with AsyncM3ter(**options, token=token, _strict_response_validation=True) as client:
        for name, call in CALLS.items():
            assert await call(client, ids) is not None, name


async def test_only_where_the_declared_type_is_an_error_a_strict_client_refuses_an_answer(
    options: dict[str, Any], ids: Ids
) -> None:
    strict, lenient = M3ter(**options, _strict_response_validation=True), M3ter(**options)

    def run() -> None:
        for call in TYPED_AS_SOMETHING_ELSE.values():
            with pytest.raises(m3ter.APIResponseValidationError):
                call(strict, ids)
            assert call(lenient, ids).id in (ids["bare"], ids["event"])

    await asyncio.to_thread(run)
