"""Help: the portal, the bundle and the log of a run, the documents, and the gallery of parts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.resources import files

import pytest
from fastapi import FastAPI

from tests.console.conftest import Browser, SignIn, console_of
from tests.console.trouble import fail
from tests.services.conftest import world as world
from tests.services.world import ORG, World
from tollbridge.console.documents import topics
from tollbridge.domain.access import Role
from tollbridge.services.known_errors import known_errors
from tollbridge.services.organizations import NewOrganization
from tollbridge.services.parts import Parts
from tollbridge.services.systems import destinations
from tollbridge.settings import Settings

ELSEWHERE = {"/mappings"}
"""Pages that documents link to and other tests open."""
TEMPLATES = files("tollbridge.console") / "templates"


@pytest.fixture
def organization(world: World) -> NewOrganization:
    """The organization whose runs fail."""
    return NewOrganization(ORG, "Org", "", "", "")


async def test_without_a_portal_the_page_says_how_one_is_set(browser: Browser) -> None:
    page = await browser.open("/support")
    assert page.h1 == ["Support"]
    assert "TOLLBRIDGE_SUPPORT_URL" in page.text


async def test_the_portal_is_linked_from_the_page_and_from_every_failed_run(
    browser: Browser, world: World, parts: Parts, app: FastAPI
) -> None:
    url = "https://help.example/portal?from=bills"
    console_of(app).state.parts = replace(parts, settings=replace(parts.settings, support_url=url))
    assert (await browser.open("/support")).links["Open the support portal"] == url
    run = await browser.open(f"/runs/{await fail(world, 'one', 'a')}")
    assert run.links["Ask support"] == url


def test_a_portal_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="TOLLBRIDGE_SUPPORT_URL is not well-formed"):
        Settings.read({"TOLLBRIDGE_SUPPORT_URL": "javascript:alert(1)"})


async def test_a_failed_run_has_a_bundle_with_all_that_help_needs_and_no_account(
    browser: Browser, world: World
) -> None:
    run_id = await fail(world, "one", "a")
    page = await browser.open(f"/runs/{run_id}")
    answer = await browser.client.get(page.links["Download support bundle"])
    assert answer.headers["content-disposition"] == f'attachment; filename="tollbridge-support-{run_id}.json"'
    made = json.loads(answer.text)
    assert made["run"]["error"] == "Stripe knows no customer cus_1."
    assert made["versions"].keys() == {"tollbridge", "python", "platform", "database", "schema", "systems"}
    assert "Error: Stripe knows no customer cus_1." in made["log"]
    assert "a@example.org" not in answer.text
    delivered = await world.send("two", "b")
    await world.deliver(delivered)
    assert "Download support bundle" not in (await browser.open(f"/runs/{delivered}")).links


async def test_the_log_of_a_run_is_downloaded_as_text(browser: Browser, world: World) -> None:
    run_id = await fail(world, "one", "a")
    page = await browser.open(f"/runs/{run_id}")
    answer = await browser.client.get(page.links["Download the log"])
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith(f"Run {run_id}: Bill one")
    assert (await browser.open("/runs/none/log")).status == 404


async def test_the_documents_are_listed_and_every_link_in_them_leads_to_a_page(browser: Browser) -> None:
    page = await browser.open("/docs")
    titles = {topic.title for topic in topics().values()} | {each.system.title for each in destinations()}
    assert titles <= page.links.keys()
    targets = set()
    for name in topics():
        document = await browser.open(f"/docs/{name}")
        assert document.h1 == [topics()[name].title]
        targets |= set(
            re.findall(r'href="([^"]+)"', document.html.partition('class="prose"')[2].partition("</main>")[0])
        )
    for target in sorted(targets):
        path = "/" + target.removeprefix("../") if target.startswith("../") else f"/docs/{target}"
        if path.partition("?")[0] not in ELSEWHERE:
            assert (await browser.open(path)).status == 200, target
    assert (await browser.open("/docs/none")).status == 404


async def test_the_code_of_a_run_leads_to_what_is_known_of_it(browser: Browser, world: World) -> None:
    run_id = await fail(world, "one", "a")
    page = await browser.open(f"/runs/{run_id}")
    target = next(link for link in page.links.values() if "/docs/error-codes#" in link)
    document = await browser.client.get(target)
    assert f'id="{target.partition("#")[2]}"' in document.text


async def test_every_error_code_has_a_place_on_their_page(browser: Browser) -> None:
    document = await browser.open("/docs/error-codes")
    places = set(re.findall(r'id="([^"]+)"', document.html))
    assert {entry.anchor for entry in known_errors().values()} <= places


async def test_every_system_has_its_document(browser: Browser) -> None:
    for each in destinations():
        page = await browser.open(f"/docs/{each.system.key.lower()}")
        assert len(page.h1) == 1
        assert page.title.startswith(each.system.title)


async def test_the_gallery_shows_every_part(browser: Browser) -> None:
    page = await browser.open("/_gallery")
    assert page.h1 == ["Gallery"]
    source = (TEMPLATES / "parts.html").read_text()
    shown = (TEMPLATES / "gallery.html").read_text()
    missing = [name for name in re.findall(r"macro (\w+)\(", source) if f"parts.{name}(" not in shown]
    assert missing == []


async def test_the_gallery_is_for_administrators(sign_in: SignIn) -> None:
    assert (await (await sign_in(Role.OPERATOR)).open("/_gallery")).status == 403
