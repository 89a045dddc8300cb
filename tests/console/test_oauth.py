"""Connecting a credential in the Console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.conftest import Browser
from tests.oauth.connector import installed


@pytest.fixture(autouse=True)
def connector(tmp_path: Path) -> Iterator[None]:
    with installed(tmp_path):
        yield


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
