"""The wire's official Python client against the real server: strict where it can be."""

from __future__ import annotations

import asyncio

import m3ter
import pytest
from m3ter import M3ter
from m3ter.types import M3terSignedCredentialsRequestParam

from tollbridge.services.organizations import NewOrganization


@pytest.fixture
def client(base_url: str, organization: NewOrganization) -> M3ter:
    return M3ter(
        api_key=organization.key_id,
        api_secret=organization.secret,
        org_id=organization.org_id,
        base_url=base_url,
        max_retries=0,
        _strict_response_validation=True,
    )


async def test_a_configuration_lives_its_whole_life(client: M3ter) -> None:
    configs = client.integration_configurations

    def life() -> None:
        made = configs.create(destination="Stripe", entity_type="Bill", entity_id="e1", name="Mine", version=0)
        assert (made.version, made.enabled, made.authorized) == (1, True, False)
        run_shaped = configs.retrieve(made.id)
        assert run_shaped.status == "WAITING"
        changed = configs.update(made.id, destination="Stripe", entity_type="Bill", name="Ours", version=1)
        assert (changed.name, changed.version) == ("Ours", 2)
        with pytest.raises(m3ter.ConflictError, match="version is 1"):
            configs.update(made.id, destination="Stripe", entity_type="Bill", version=1)
        assert configs.enable(made.id).enabled
        assert [each.id for each in configs.list(page_size=1)] == [made.id]
        assert configs.delete(made.id).id == made.id
        with pytest.raises(m3ter.NotFoundError, match=made.id):
            configs.retrieve(made.id)

    await asyncio.to_thread(life)


async def test_pages_follow_each_other(client: M3ter) -> None:
    def pages() -> None:
        made = [client.integration_configurations.create(destination="Stripe", entity_type="Bill").id for _ in range(3)]
        found = [each.id for each in client.integration_configurations.list(page_size=1)]
        assert found == made[::-1]

    await asyncio.to_thread(pages)


async def test_a_wrong_secret_and_another_organization_are_told_apart(client: M3ter) -> None:
    def refused() -> None:
        with pytest.raises(m3ter.AuthenticationError, match="invalid_client"):
            list(client.with_options(api_secret="wrong").integration_configurations.list())
        with pytest.raises(m3ter.PermissionDeniedError, match="other"):
            list(client.integration_configurations.list(org_id="other"))

    await asyncio.to_thread(refused)


async def test_accounts_products_and_mappings_live_their_whole_lives(client: M3ter) -> None:
    def life() -> None:
        account = client.accounts.create(
            code="A", name="Acme", email_address="a@b.example", address={"country": "GB"}, bill_epoch="2026-01-01"
        )
        changed = client.accounts.update(account.id, code="A", name="New", email_address="a@b.example", version=1)
        assert (changed.name, changed.version) == ("New", 2)
        assert [each.id for each in client.accounts.list(codes=["A", "B"])] == [account.id]
        product = client.products.create(code="P", name="Calls", custom_fields={"sku": "7"})
        assert client.products.retrieve(product.id).code == "P"
        mapping = client.external_mappings.create(
            m3ter_entity="Account",
            m3ter_id=account.id,
            external_system="Stripe",
            external_table="Customer",
            external_id="cus 1",
        )
        mappings = client.external_mappings
        by_ours = mappings.list_by_m3ter_entity(account.id, entity="Account")
        by_theirs = mappings.list_by_external_entity("cus 1", system="Stripe", external_table="Customer")
        assert [each.id for each in by_ours] == [each.id for each in by_theirs] == [mapping.id]
        assert mappings.delete(mapping.id).id == mapping.id
        assert client.products.delete(product.id).id == product.id
        assert client.accounts.delete(account.id).id == account.id

    await asyncio.to_thread(life)


async def test_a_webhook_lives_its_whole_life(client: M3ter) -> None:
    def life() -> None:
        secret: M3terSignedCredentialsRequestParam = {
            "type": "M3TER_SIGNED_REQUEST",
            "api_key": "our key",
            "secret": "hush",
        }
        about, url = "To the ERP", "http://127.0.0.1:4011/in"
        hooks = client.webhooks
        made = hooks.create(name="ERP hook", credentials=secret, version=0, description=about, url=url)
        assert (made.code, made.active, made.version) == ("erp_hook", True, 1)
        assert made.credentials is not None
        assert (made.credentials.destination, made.credentials.destination_id) == ("WEBHOOK", made.id)
        assert (made.credentials.api_key, made.credentials.secret) == (None, None)
        with pytest.raises(m3ter.BadRequestError, match="credentials"):
            hooks.create(name="x", credentials={"type": "M3TER_SIGNED_REQUEST"}, description=about, url=url)  # type: ignore[typeddict-item]
        changed = hooks.update(made.id, name="New", credentials=secret, version=1, description=about, url=url)
        assert (changed.name, changed.code, changed.version) == ("New", "erp_hook", 2)
        with pytest.raises(m3ter.ConflictError, match="version is 1"):
            hooks.update(made.id, name="Newer", credentials=secret, version=1, description=about, url=url)
        assert not hooks.set_active(made.id, active=False).active
        assert hooks.set_active(made.id).active
        assert [each.id for each in hooks.list(ids=[made.id], page_size=1)] == [made.id]
        assert hooks.delete(made.id).id == made.id
        with pytest.raises(m3ter.NotFoundError, match=made.id):
            hooks.retrieve(made.id)

    await asyncio.to_thread(life)


async def test_bills_are_read_approved_locked_and_deleted(client: M3ter) -> None:
    line = {
        "lineItemType": "USAGE", "description": "Calls", "subtotal": 12.5,
        "servicePeriodStartDate": "2026-10-01T00:00:00Z", "servicePeriodEndDate": "2026-11-01T00:00:00Z",
        "usagePerPricingBand": [{"bandQuantity": 1, "unitPrice": 12.5}],
    }  # fmt: skip

    def life() -> None:
        account = client.accounts.create(code="A", name="Acme", email_address="a@b.example")
        bill = {"accountId": account.id, "billDate": "2026-10-31", "currency": "EUR", "billTotal": 12.5}
        for id in ("b-1", "b-2"):
            client.put(f"/organizations/{client.org_id}/bills/{id}", body={**bill, "lineItems": [line]}, cast_to=object)
        assert [each.id for each in client.bills.list(page_size=1, bill_date_start="2026-10-31")] == ["b-2", "b-1"]
        read = client.bills.retrieve("b-1")
        assert (read.bill_total, read.line_items and read.line_items[0].average_unit_price) == (12.5, 12.5)
        [item] = client.bills.line_items.list("b-1")
        assert client.bills.line_items.retrieve(item.id, bill_id="b-1").band_usage == item.band_usage
        assert client.bills.approve(bill_ids=["b-1"]).message == "1 bill approved."
        assert client.bills.lock("b-1").locked
        assert client.bills.update_status("b-2", status="APPROVED").status == "APPROVED"
        assert client.bills.latest_by_account(account.id).id == "b-2"
        assert client.bills.delete("b-2").id == "b-2"
        with pytest.raises(m3ter.ConflictError, match="locked"):
            client.bills.delete("b-1")

    await asyncio.to_thread(life)
