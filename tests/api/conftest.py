"""A client of the real app on the real database."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from tollbridge.services import organizations
from tollbridge.services.organizations import NewOrganization
from tollbridge.services.parts import Parts
from tollbridge.settings import Settings
from tollbridge.store.db import Database
from tollbridge.wiring import build_app, connect


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Webhooks may lead to this machine."""
    return Settings(
        home=tmp_path, database_url=database_url, allow_networks=(ip_network("127.0.0.0/8"),), allow_http=True
    )


@pytest.fixture
def parts(settings: Settings, db: Database) -> Parts:
    return connect(settings, db)


@pytest.fixture
def app(settings: Settings, parts: Parts) -> FastAPI:
    """The app on the test's own connection to the database; its lifespan is not run."""
    made = build_app(settings)
    made.state.parts = parts
    return made


@pytest.fixture
async def organization(db: Database) -> NewOrganization:
    return await organizations.create(db, "Acme", "org 1")


@pytest.fixture
async def visitor(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client that has no token."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        yield client


@pytest.fixture
async def api(visitor: httpx.AsyncClient, organization: NewOrganization) -> httpx.AsyncClient:
    """A client with a token, at home in the organization's part of the API."""
    answer = await visitor.post(
        "/oauth/token",
        json={"grant_type": "client_credentials"},
        headers={"Authorization": basic(organization.key_id, organization.secret)},
    )
    visitor.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    visitor.base_url = httpx.URL("http://api/organizations/org%201/")
    return visitor


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


def basic(key: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()
