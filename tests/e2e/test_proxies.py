"""Who asked, where a reverse proxy stands before the server."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.stage import KEY, PATIENCE
from tollbridge.services import organizations
from tollbridge.store.db import Database

FAR = "203.0.113.9"


@pytest.mark.parametrize(
    ("trusted", "forwarded", "found"),
    [
        ("127.0.0.0/8", FAR, FAR),
        # What whoever asked put in itself stands before what the proxy saw.
        ("127.0.0.0/8,10.0.0.0/8", f"192.0.2.66, {FAR}, 10.1.2.3", FAR),
        ("192.0.2.1", FAR, "127.0.0.1"),
    ],
)
async def test_the_audit_log_has_the_address_that_a_trusted_proxy_names(
    db: Database, tmp_path: Path, trusted: str, forwarded: str, found: str
) -> None:
    made = await organizations.create(db, "Acme", "acme")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLBRIDGE_")} | {
        "TOLLBRIDGE_HOME": str(tmp_path),
        "TOLLBRIDGE_KEY": KEY,
        "TOLLBRIDGE_DATABASE_URL": db.dsn,
        "TOLLBRIDGE_TRUSTED_PROXIES": trusted,
    }
    program = str(Path(sys.executable).with_name("tollbridge"))
    server = await asyncio.create_subprocess_exec(
        program, "serve", "--port", "0", env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        url = (await asyncio.wait_for(server.stdout.readline(), PATIENCE)).decode().strip()
        async with aiohttp.ClientSession(url, headers={"X-Forwarded-For": forwarded}) as web:
            given = {"grant_type": "client_credentials"}
            key = {"Authorization": aiohttp.encode_basic_auth(made.key_id, made.secret)}
            async with web.post("/oauth/token", data=given, headers=key) as answer:
                token = (await answer.json())["access_token"]
            body = {"name": "Source", "role": "source"}
            headers = {"Authorization": f"Bearer {token}"}
            async with web.post("/organizations/acme/serviceusers", json=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
    finally:
        server.terminate()
        await asyncio.wait_for(server.wait(), PATIENCE)
    addresses = await db.pool.fetch("SELECT address FROM audit_log WHERE address IS NOT NULL AND address <> ''")
    assert {row[0] for row in addresses} == {found}
