"""The wire's official Python client against the real server: strict where it can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import m3ter
import pytest
import uvicorn
from m3ter import M3ter

from tollbridge.services.organizations import NewOrganization
from tollbridge.settings import Settings
from tollbridge.wiring import build_app


@pytest.fixture
async def base_url(settings: Settings) -> AsyncIterator[str]:
    """The address of a server on a port of its own, started as `serve` starts it."""
    server = uvicorn.Server(uvicorn.Config(build_app(settings), port=0, log_config=None, access_log=False))
    running = asyncio.create_task(server.serve())
    while not server.started:
        assert not running.done(), "the server did not start"
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await running


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
