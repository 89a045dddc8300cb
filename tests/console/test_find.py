"""Finding a page, an action or a name; and the keys that lead there."""

from __future__ import annotations

import pytest

from tests.console.conftest import Browser, SignIn
from tests.console.world import add_account, add_integration
from tollbridge.console.find import MOST
from tollbridge.console.rail import PLACES
from tollbridge.domain.access import Role
from tollbridge.services.parts import Parts


async def test_without_words_every_page_and_action_is_there_and_leads_somewhere(browser: Browser) -> None:
    page = await browser.open("/find")
    assert page.h1 == ["Find"]
    found = page.html.partition('id="found"')[2].partition("</ul>")[0]
    paths = [part.partition('"')[0] for part in found.split('href="')[1:]]
    assert len(paths) == len(set(paths)) > len(PLACES)
    for path in paths:
        assert (await browser.open(path)).status == 200, path


async def test_names_that_begin_with_the_words_come_first(browser: Browser, parts: Parts) -> None:
    await add_account(parts)
    integration = await add_integration(parts, "Key accounts")
    page = await browser.open("/find?q=account")
    assert page.text.index("Accounts Page") < page.text.index("Your account Page")
    assert page.links["Key accounts"] == f"/console/configurations/{integration}"
    assert "found" in page.text
    assert (await browser.open("/find?q=acme")).links["Acme Ltd"] == "/console/accounts/acme"
    assert (await browser.open("/find?q=NEW%20mapping")).links["New external mapping"] == "/console/mappings/new"


async def test_so_many_are_shown_and_no_more(browser: Browser, parts: Parts) -> None:
    for number in range(MOST + 1):
        await add_integration(parts, f"Numbered {number}")
    assert f"{MOST} found" in (await browser.open("/find?q=numbered")).text


async def test_what_is_not_there_is_said_so_with_what_to_try(browser: Browser) -> None:
    page = await browser.open("/find?q=nowhere")
    assert "Nothing found" in page.text
    assert "Try fewer words" in page.text


@pytest.mark.parametrize("role", [Role.VIEWER, Role.FINANCE])
async def test_nothing_is_found_that_would_be_refused(sign_in: SignIn, parts: Parts, role: Role) -> None:
    await add_integration(parts, "Mine")
    browser = await sign_in(role)
    for query in ("", "?q=new", "?q=mine", "?q=key", "?q=user"):
        page = await browser.open(f"/find{query}")
        found = page.html.partition('id="found"')[2].partition("</ul>")[0]
        for path in [part.partition('"')[0] for part in found.split('href="')[1:]]:
            assert (await browser.open(path)).status == 200, path


async def test_the_keys_are_a_page_too(browser: Browser) -> None:
    page = await browser.open((await browser.open("/")).links["Keys"])
    assert page.h1 == ["Keys"]
    assert "g r Runs" in page.text
    assert "Replay the run that is open" in page.text
