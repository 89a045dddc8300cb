"""Connecting a credential in the Console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.console.conftest import Browser
from tests.oauth.connector import installed
from tollbridge.services import credentials
from tollbridge.services.caller import Caller
from tollbridge.services.parts import Parts
from tollbridge.store import schema


@pytest.fixture(autouse=True)
def connector(tmp_path: Path) -> Iterator[None]:
    with installed(tmp_path):
        yield


async def test_of_several_companies_one_is_chosen_on_the_page_of_the_credential(browser: Browser, parts: Parts) -> None:
    caller = Caller("org 1", "SYSTEM")
    body = {"destination": "stronghold", "name": "Books", "clientId": "app", "clientSecret": "hush"}
    id = (await credentials.create(parts, caller, body)).record.id
    async with parts.db.transaction() as tx:
        offered = [{"id": "co_1", "label": "Acme Books"}, {"id": "co_2", "label": "Beta Books"}]
        await tx.execute(update(schema.credentials).values(tenants=offered, candidate=b"sealed"))
    page = await browser.open(f"/credentials/{id}")
    assert "You let Tollbridge into 2." in page.text
    assert "Beta Books" in page.text
    other = await browser.send(page, "Use this one", tenant="co_3")
    assert "which it does not open. It opens co_1 (Acme Books), co_2 (Beta Books)." in other.text
    idle = await browser.send(page, "Use this one", tenant="co_2")
    assert "no worker is running" in idle.text
    assert any("Use this one" in form.button for form in idle.forms)


async def test_a_person_is_sent_to_the_vendor_and_told_what_went_wrong_there(browser: Browser) -> None:
    form = await browser.open("/credentials/new?system=STRONGBOX")
    assert "/console/oauth" in form.text
    fields = {
        name: "app" if name.endswith("clientId") else "hush"
        for name in form.form("Save and connect").fields
        if name.endswith(("clientId", "clientSecret"))
    }
    connect = await browser.send(form, "Save and connect", name="Books", **fields)
    assert connect.h1 == ["Connect Books"]
    assert connect.links["Go to Strongbox"].startswith("https://login.strongbox.example/authorize?")
    waiting = await browser.open(connect.links["Not now"])
    assert "Waiting" in waiting.text
    again = await browser.send(waiting, "Connect")
    state = again.links["Go to Strongbox"].partition("state=")[2].partition("&")[0]
    back = await browser.open(f"/oauth?state={state}&error=access_denied")
    assert "Strongbox did not let Tollbridge in: access_denied." in back.text
    stale = await browser.open(f"/oauth?state={state}x&code=1")
    assert "never begun here" in stale.text
